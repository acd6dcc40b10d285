//! What the tapes share: `<program> <workload> <count>` runs about this many operations of a workload, and
//! ends with 2 if there is no such workload. Sizes and orders are those of alloc-bench's `src`.
const std = @import("std");

/// Operations between two resets.
pub const round = 1000;

/// SplitMix64, as `src/numbers.rs`.
pub const Numbers = struct {
    x: u64,

    pub fn below(self: *Numbers, limit: u64) usize {
        self.x +%= 0x9e3779b97f4a7c15;
        var z = self.x;
        z = (z ^ (z >> 30)) *% 0xbf58476d1ce4e5b9;
        z = (z ^ (z >> 27)) *% 0x94d049bb133111eb;
        return @intCast((@as(u128, z ^ (z >> 31)) * limit) >> 64);
    }
};

/// One size for each operation of a round, `least` up to below `least + limit`.
pub fn draw(sizes: *[round]usize, seed: u64, least: usize, limit: u64) void {
    var numbers: Numbers = .{ .x = seed };
    for (sizes) |*size| size.* = least + numbers.below(limit);
}

/// The compiler shall believe that somebody uses it.
pub fn keep(pointer: anytype) void {
    std.mem.doNotOptimizeAway(pointer);
}

/// Takes this many bytes and gives them back.
pub fn pairs(a: std.mem.Allocator, size: usize, count: usize) !void {
    for (0..count) |_| {
        const block = try a.alignedAlloc(u8, .@"8", size);
        block[0] = 1;
        keep(block.ptr);
        a.free(block);
    }
}

/// Takes a block of each size, then gives them back in reverse.
pub fn lifo(comptime alignment: std.mem.Alignment, a: std.mem.Allocator, sizes: *const [round]usize, count: usize) !void {
    var blocks: [round][]align(alignment.toByteUnits()) u8 = undefined;
    for (0..(count + round - 1) / round) |_| {
        for (&blocks, sizes) |*block, size| {
            block.* = try a.alignedAlloc(u8, alignment, size);
            block.*[0] = 1;
        }
        var left: usize = round;
        while (left != 0) : (left -= 1) a.free(blocks[left - 1]);
    }
}

/// Runs the workload that the arguments name: a value of the enumeration, known when it is compiled.
pub fn run(
    comptime Workload: type,
    comptime one: fn (comptime Workload, usize) anyerror!void,
    init: std.process.Init.Minimal,
) !u8 {
    var arguments = init.args.iterate();
    _ = arguments.next();
    const name = arguments.next() orelse return 2;
    const count = std.fmt.parseInt(usize, arguments.next() orelse return 2, 10) catch return 2;
    inline for (@typeInfo(Workload).@"enum".field_names) |field| {
        if (std.mem.eql(u8, field, name)) {
            try one(@field(Workload, field), count);
            return 0;
        }
    }
    return 2;
}
