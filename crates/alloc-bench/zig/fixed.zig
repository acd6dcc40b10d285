//! The workloads `fixed/...` of alloc-bench over Zig's FixedBufferAllocator, for tools that count
//! instructions: `fixed <workload> <count>`; the same sizes in the same order as `src/fixed.rs`.
const std = @import("std");

const tape = @import("tape.zig");
const round = tape.round;
const keep = tape.keep;
const text = "forty bytes of text, or the first of it.";

var buffer: [round * 512]u8 align(16) = undefined;
var sizes: [round]usize = undefined;

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
        .texts => keep((try a.dupe(u8, text[0..sizes[index]])).ptr),
        .mixed => if (index % 2 == 0) {
            keep((try a.dupe(u8, text[0..sizes[index]])).ptr);
        } else {
            const place = try a.create(u64);
            place.* = index;
            keep(place);
        },
        .blocks => {
            const block = try a.alignedAlloc(u8, .@"8", sizes[index]);
            block[0] = 1;
            keep(block.ptr);
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

/// Pairs of a round in two threads, none of which gives anything back: the allocator for threads cannot.
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
        .slices => tape.draw(&sizes, 3, 1, 100),
        .blocks => tape.draw(&sizes, 4, 8, 57),
        .texts => tape.draw(&sizes, 5, 1, 40),
        .mixed => tape.draw(&sizes, 6, 1, 40),
        else => {},
    }
    if (workload == .@"two-threads") return twoThreads(count);
    var fixed: std.heap.FixedBufferAllocator = .init(&buffer);
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
