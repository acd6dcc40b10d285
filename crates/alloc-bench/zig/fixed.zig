//! The workloads `fixed/...` of alloc-bench over Zig's FixedBufferAllocator, for tools that count
//! instructions: `fixed <workload> <count>`; the same sizes in the same order as `src/fixed.rs`.
const std = @import("std");

const round = 1000;
const text = "forty bytes of text, or the first of it.";

/// SplitMix64, as `src/numbers.rs`.
const Numbers = struct {
    x: u64,
    fn below(self: *Numbers, limit: u64) u64 {
        self.x +%= 0x9e3779b97f4a7c15;
        var z = self.x;
        z = (z ^ (z >> 30)) *% 0xbf58476d1ce4e5b9;
        z = (z ^ (z >> 27)) *% 0x94d049bb133111eb;
        return @intCast((@as(u128, z ^ (z >> 31)) * limit) >> 64);
    }
};

var buffer: [round * 512]u8 align(16) = undefined;
var sizes: [round]usize = undefined;

fn draw(seed: u64, least: u64, limit: u64) void {
    var numbers: Numbers = .{ .x = seed };
    for (&sizes) |*size| size.* = least + numbers.below(limit);
}

fn keep(pointer: anytype) void {
    std.mem.doNotOptimizeAway(pointer);
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
        .list => unreachable,
    }
}

const Workload = enum { values, words, slices, texts, mixed, blocks, list };

fn run(comptime workload: Workload, count: usize) !void {
    switch (workload) {
        .slices => draw(3, 1, 100),
        .blocks => draw(4, 8, 57),
        .texts => draw(5, 1, 40),
        .mixed => draw(6, 1, 40),
        else => {},
    }
    var fixed: std.heap.FixedBufferAllocator = .init(&buffer);
    const a = fixed.allocator();
    for (0..(count + round - 1) / round) |_| {
        if (workload == .list) {
            var list: std.ArrayList(u64) = .empty;
            var limit: usize = round;
            keep(&limit);
            for (0..limit) |index| try list.append(a, index);
            keep(list.items.ptr);
        } else {
            for (0..round) |index| try operation(workload, a, index);
        }
        fixed.reset();
    }
}

pub fn main(init: std.process.Init.Minimal) !u8 {
    var arguments = init.args.iterate();
    _ = arguments.next();
    const name = arguments.next() orelse return 2;
    const count = std.fmt.parseInt(usize, arguments.next() orelse return 2, 10) catch return 2;
    inline for (@typeInfo(Workload).@"enum".field_names) |field| {
        if (std.mem.eql(u8, field, name)) {
            try run(@field(Workload, field), count);
            return 0;
        }
    }
    return 2;
}
