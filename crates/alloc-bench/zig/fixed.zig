//! The workloads `fixed/...` of alloc-bench over Zig's FixedBufferAllocator, for tools that count
//! instructions: `fixed <workload> <count>`; the same sizes in the same order as `src/fixed.rs`.
const std = @import("std");

const tape = @import("tape.zig");
const round = tape.round;
const keep = tape.keep;
const text = "forty bytes of text, or the first of it.";

var buffer: [round * 512]u8 align(16) = undefined;

/// What a block is asked for with: what Rust's `Layout` is.
const Layout = struct { size: usize, alignment: std.mem.Alignment };

var sizes: [round]usize = undefined;
var texts: [round][]const u8 = undefined;
var layouts: [round]Layout = undefined;

fn draw(seed: u64, least: usize, limit: u64) void {
    tape.draw(&sizes, seed, least, limit);
    for (sizes, &texts, &layouts) |size, *part, *layout| {
        part.* = text[0..@min(size, text.len)];
        layout.* = .{ .size = size, .alignment = .@"8" };
    }
    // What was drawn is known when the program runs, not before.
    keep(&sizes);
    keep(&texts);
    keep(&layouts);
}

fn operation(comptime workload: Workload, a: std.mem.Allocator, index: usize) !void {
    switch (workload) {
        .values => {
            const place = try a.create(u64);
            place.* = index;
            keep(place);
        },
        .words => {
            const place = try a.create([3]u64);
            place.* = .{ index, 1, 2 };
            keep(place);
        },
        .slices => {
            const slice = try a.alloc(u32, sizes[index]);
            @memset(slice, 7);
            keep(slice.ptr);
        },
        .texts => keep((try a.dupe(u8, texts[index])).ptr),
        .mixed => if (index % 2 == 0) {
            keep((try a.dupe(u8, texts[index])).ptr);
        } else {
            const place = try a.create(u64);
            place.* = index;
            keep(place);
        },
        .blocks => {
            const layout = layouts[index];
            const block = a.rawAlloc(layout.size, layout.alignment, 0) orelse return error.OutOfMemory;
            block[0] = 1;
            keep(block);
        },
        .list, .vectors, .@"two-threads" => comptime unreachable,
    }
}

const Workload = enum { values, words, slices, texts, mixed, blocks, list, vectors, @"two-threads" };

/// Ten lists in a list, to which a round's numbers are appended in turn.
fn vectors(a: std.mem.Allocator) !void {
    var all: std.ArrayList(std.ArrayList(u64)) = .empty;
    for (0..10) |_| try all.append(a, .empty);
    var limit: usize = round;
    keep(&limit);
    for (0..limit) |index| try all.items[index % 10].append(a, index);
    keep(all.items.ptr);
    var left = all.items.len;
    while (left != 0) : (left -= 1) all.items[left - 1].deinit(a);
    all.deinit(a);
}

/// Pairs of a round in two threads; a block that is not the last one when it is freed stays until the reset.
const shared_round = 1 << 15;
var shared_buffer: [shared_round * 64]u8 align(16) = undefined;

fn pairs(a: std.mem.Allocator, count: usize) void {
    for (0..count) |_| {
        const block = a.alignedAlloc(u8, .@"8", 64) catch @panic("out of memory");
        block[0] = 1;
        keep(block.ptr);
        a.free(block);
    }
}

fn twoThreads(count: usize) !void {
    var fixed: std.heap.FixedBufferAllocator = .init(&shared_buffer);
    var left = count;
    while (left != 0) {
        const each = @min(left, shared_round);
        const other: std.Thread = try .spawn(.{}, pairs, .{ fixed.threadSafeAllocator(), each / 2 });
        pairs(fixed.threadSafeAllocator(), each - each / 2);
        other.join();
        fixed.reset();
        left -= each;
    }
}

fn run(comptime workload: Workload, count: usize) anyerror!void {
    switch (workload) {
        .slices => draw(3, 1, 100),
        .blocks => draw(4, 8, 57),
        .texts => draw(5, 1, 40),
        .mixed => draw(6, 1, 40),
        else => {},
    }
    if (workload == .@"two-threads") return twoThreads(count);
    // The allocator lies in memory, and address and length of its buffer are known to nobody when this
    // is compiled: as in a program that hands its allocator around, and as in the Rust program.
    var memory: []u8 = &buffer;
    keep(&memory);
    var fixed: std.heap.FixedBufferAllocator = .init(memory);
    keep(&fixed);
    const a = fixed.allocator();
    for (0..(count + round - 1) / round) |_| {
        if (workload == .list) {
            var list: std.ArrayList(u64) = .empty;
            var limit: usize = round;
            keep(&limit);
            for (0..limit) |index| try list.append(a, index);
            keep(list.items.ptr);
        } else if (workload == .vectors) {
            try vectors(a);
        } else if (workload != .@"two-threads") {
            for (0..round) |index| try operation(workload, a, index);
        }
        fixed.reset();
    }
}

pub fn main(init: std.process.Init.Minimal) !u8 {
    return tape.run(Workload, run, init);
}
