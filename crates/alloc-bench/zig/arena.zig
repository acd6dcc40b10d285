//! The workloads `arena/...` of alloc-bench over Zig's ArenaAllocator: `arena <workload> <count>`. Those of
//! `dyn-...` go through a table of functions that the compiler cannot see through, over pages of the system;
//! the others over malloc, as the Rust contenders do.
const std = @import("std");
const tape = @import("tape.zig");
const Allocator = std.mem.Allocator;
const Arena = std.heap.ArenaAllocator;
const round = tape.round;
const keep = tape.keep;

const text = "the quick brown fox jumps over the lazy dog";

const Workload = enum {
    values,
    triples,
    slices,
    fills,
    strings,
    texts,
    blocks,
    grow,
    vectors,
    threads,
    @"dyn-pair",
    @"dyn-lifo",
    @"dyn-blocks",
    @"dyn-grow",
    @"dyn-large",
};

var sizes: [round]usize = undefined;
var alignments: [round]std.mem.Alignment = @splat(.@"8");

fn operation(comptime workload: Workload, a: Allocator, index: usize) !void {
    switch (workload) {
        .values => {
            const place = try a.create(u64);
            place.* = index;
            keep(place);
        },
        .triples => {
            const place = try a.create([3]u64);
            place.* = .{ index, 1, 2 };
            keep(place);
        },
        .slices => keep((try a.dupe(u32, items[0..sizes[index]])).ptr),
        .fills => {
            const slice = try a.alloc(u32, sizes[index]);
            @memset(slice, 7);
            keep(slice.ptr);
        },
        .strings => keep((try a.dupe(u8, text[0..sizes[index]])).ptr),
        .texts => keep((try std.fmt.allocPrint(a, "number {d}", .{index})).ptr),
        .blocks, .@"dyn-blocks" => {
            // Rust's contenders learn the alignment when they run, too.
            const block = a.rawAlloc(sizes[index], alignments[index], @returnAddress()).?;
            block[0] = 1;
            keep(block);
        },
        else => comptime unreachable,
    }
}

var items: [100]u32 = undefined;

/// A vector of a round's items.
fn grow(a: Allocator) !void {
    var list: std.ArrayList(u64) = .empty;
    for (0..round) |index| {
        var item = index;
        keep(&item);
        try list.append(a, item);
    }
    keep(list.items.ptr);
    list.deinit(a);
}

/// Ten vectors in a vector, to which the items are pushed in turn.
fn vectors(a: Allocator) !void {
    var all: std.ArrayList(std.ArrayList(u64)) = .empty;
    for (0..10) |_| try all.append(a, .empty);
    for (0..round) |index| {
        var item = index;
        keep(&item);
        try all.items[index % 10].append(a, item);
    }
    keep(all.items.ptr);
    for (all.items) |*list| list.deinit(a);
    all.deinit(a);
}

/// Items of the long list.
const long = 1_000_000;

fn longList(arena: *Arena, a: Allocator, count: usize) !void {
    for (0..(count + long - 1) / long) |_| {
        var list: std.ArrayList(u64) = .empty;
        for (0..long) |index| try list.append(a, index);
        keep(list.items.ptr);
        list.deinit(a);
        _ = arena.reset(.retain_capacity);
    }
}

/// What a thread allocates of the one arena before the next reset.
const thread_round = 100_000;

fn puts(a: Allocator, count: usize) void {
    for (0..count) |index| {
        const place = a.create(u64) catch @panic("out of memory");
        place.* = index;
        keep(place);
    }
}

/// Two threads and one arena.
fn threads(count: usize) !void {
    var arena: Arena = .init(std.heap.c_allocator);
    defer arena.deinit();
    const a = arena.allocator();
    var left = count;
    while (left != 0) {
        // Not the type of `@min`, which has no room for twice that.
        const each: usize = @min((left + 1) / 2, thread_round);
        var both: [2]std.Thread = undefined;
        for (&both) |*thread| thread.* = try .spawn(.{}, puts, .{ a, each });
        for (both) |thread| thread.join();
        _ = arena.reset(.retain_capacity);
        left -|= 2 * each;
    }
}

fn one(comptime workload: Workload, count: usize) !void {
    if (workload == .threads) return threads(count);
    switch (workload) {
        .slices, .fills => tape.draw(&sizes, 3, 1, 100),
        .blocks, .@"dyn-blocks" => {
            tape.draw(&sizes, 4, 8, 57);
            keep(&alignments);
        },
        .strings => tape.draw(&sizes, 5, 1, 40),
        .@"dyn-lifo" => tape.draw(&sizes, 1, 16, 497),
        else => {},
    }
    for (&items, 0..) |*item, index| item.* = @intCast(index);
    const is_dyn = comptime std.mem.startsWith(u8, @tagName(workload), "dyn");
    var arena: Arena = .init(if (is_dyn) std.heap.page_allocator else std.heap.c_allocator);
    defer arena.deinit();
    var a = arena.allocator();
    if (is_dyn) keep(&a);
    switch (workload) {
        .@"dyn-pair" => return tape.pairs(a, 64, count),
        .@"dyn-lifo" => return tape.lifo(.@"1", a, &sizes, count),
        .@"dyn-grow" => return longList(&arena, a, count),
        .@"dyn-large" => return tape.pairs(a, 1 << 20, count),
        else => {},
    }
    for (0..(count + round - 1) / round) |_| {
        switch (workload) {
            .grow => try grow(a),
            .vectors => try vectors(a),
            .threads, .@"dyn-pair", .@"dyn-lifo", .@"dyn-grow", .@"dyn-large" => comptime unreachable,
            else => for (0..round) |index| try operation(workload, a, index),
        }
        _ = arena.reset(.retain_capacity);
    }
}

pub fn main(init: std.process.Init.Minimal) !u8 {
    return tape.run(Workload, one, init);
}
