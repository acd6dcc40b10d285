//! The workloads `page/...` of alloc-bench over Zig's page allocator, and `c/...` over its C allocator:
//! `system <workload> <count>`.
const std = @import("std");
const tape = @import("tape.zig");
const Allocator = std.mem.Allocator;

const Workload = enum { pages, megabytes, pair, lifo, random };

var sizes: [tape.round]usize = undefined;

const slot_count = 10_000;
var slots: [slot_count]?[]align(8) u8 = @splat(null);

fn random(a: Allocator, count: usize) !void {
    var numbers: tape.Numbers = .{ .x = 2 };
    for (0..count) |_| {
        const slot = &slots[numbers.below(slot_count)];
        if (slot.*) |block| {
            a.free(block);
            slot.* = null;
        } else {
            const block = try a.alignedAlloc(u8, .@"8", 16 + numbers.below(1009));
            block[0] = 1;
            slot.* = block;
        }
    }
    for (slots) |slot| if (slot) |block| a.free(block);
}

fn pages(a: Allocator, count: usize) !void {
    for (0..count) |_| {
        const block = try a.alignedAlloc(u8, .fromByteUnits(4096), 4096);
        block[0] = 1;
        tape.keep(block.ptr);
        a.free(block);
    }
}

fn one(comptime workload: Workload, count: usize) !void {
    const c = std.heap.c_allocator;
    switch (workload) {
        .pages => try pages(std.heap.page_allocator, count),
        .megabytes => try tape.pairs(std.heap.page_allocator, 1 << 20, count),
        .pair => try tape.pairs(c, 64, count),
        .lifo => {
            tape.draw(&sizes, 1, 16, 497);
            try tape.lifo(.@"8", c, &sizes, count);
        },
        .random => try random(c, count),
    }
}

pub fn main(init: std.process.Init.Minimal) !u8 {
    return tape.run(Workload, one, init);
}
