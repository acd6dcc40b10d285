//! The workloads `pool/...` of alloc-bench over Zig's MemoryPool: `pool <workload> <count>`; the backing is
//! malloc, as for the Rust contenders.
const std = @import("std");
const tape = @import("tape.zig");

const Node = [4]u64;
const Pool = std.heap.MemoryPool(Node);
const round_count = 1024;

fn create(pool: *Pool, gpa: std.mem.Allocator, index: u64) *align(@alignOf(Node)) Node {
    const node = pool.create(gpa) catch @panic("out of memory");
    node.* = .{ index, index, index, index };
    return node;
}

// The loops know a pool by its address only, as those in Rust do: not what is in it.

fn pairs(gpa: std.mem.Allocator, count: u64) void {
    var pool: Pool = .empty;
    defer pool.deinit(gpa);
    tape.keep(&pool);
    for (0..count) |index| {
        const node = create(&pool, gpa, index);
        std.mem.doNotOptimizeAway(node);
        pool.destroy(node);
    }
}

fn random(gpa: std.mem.Allocator, count: u64) void {
    var pool: Pool = .empty;
    defer pool.deinit(gpa);
    tape.keep(&pool);
    var numbers: tape.Numbers = .{ .x = 5 };
    var places: [round_count]?*align(@alignOf(Node)) Node = @splat(null);
    for (0..count) |index| {
        const place = &places[numbers.below(round_count) % round_count];
        if (place.*) |node| {
            pool.destroy(node);
            place.* = null;
        } else {
            place.* = create(&pool, gpa, index);
        }
    }
}

fn rounds(gpa: std.mem.Allocator, count: u64, has_room: bool) void {
    for (0..(count + round_count - 1) / round_count) |_| {
        var pool: Pool = if (has_room) Pool.initCapacity(gpa, round_count) catch @panic("out of memory") else .empty;
        defer pool.deinit(gpa);
        tape.keep(&pool);
        for (0..round_count) |index| std.mem.doNotOptimizeAway(create(&pool, gpa, index));
    }
}

const Workload = enum { pairs, random, create, grow };

fn run(comptime workload: Workload, count: usize) anyerror!void {
    const gpa = std.heap.c_allocator;
    switch (workload) {
        .pairs => pairs(gpa, count),
        .random => random(gpa, count),
        .create => rounds(gpa, count, true),
        .grow => rounds(gpa, count, false),
    }
}

pub fn main(init: std.process.Init.Minimal) !u8 {
    return tape.run(Workload, run, init);
}
