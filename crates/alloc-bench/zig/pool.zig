// Zig's MemoryPool in the workloads `pool/...` of alloc-bench, to be counted by callgrind in two runs:
// `pool <pairs|random|create|grow> <count>`. Built with
// `zig build-exe pool.zig -O ReleaseFast -lc -mcpu=baseline`, which valgrind understands, and which is
// what rustc builds for; the backing is malloc, as for the Rust contenders.
const std = @import("std");

const Node = [4]u64;
const Pool = std.heap.MemoryPool(Node);
const round_count = 1024;

/// The generator of `src/numbers.rs`.
const Numbers = struct {
    state: u64,

    fn below(self: *Numbers, limit: usize) usize {
        self.state +%= 0x9e37_79b9_7f4a_7c15;
        var z = self.state;
        z = (z ^ (z >> 30)) *% 0xbf58_476d_1ce4_e5b9;
        z = (z ^ (z >> 27)) *% 0x94d0_49bb_1331_11eb;
        return @intCast((@as(u128, z ^ (z >> 31)) * limit) >> 64);
    }
};

fn create(pool: *Pool, gpa: std.mem.Allocator, index: u64) *align(@alignOf(Node)) Node {
    const node = pool.create(gpa) catch @panic("out of memory");
    node.* = .{ index, index, index, index };
    return node;
}

fn pairs(gpa: std.mem.Allocator, count: u64) void {
    var pool: Pool = .empty;
    defer pool.deinit(gpa);
    for (0..count) |index| {
        const node = create(&pool, gpa, index);
        std.mem.doNotOptimizeAway(node);
        pool.destroy(node);
    }
}

fn random(gpa: std.mem.Allocator, count: u64) void {
    var pool: Pool = .empty;
    defer pool.deinit(gpa);
    var numbers: Numbers = .{ .state = 5 };
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
        for (0..round_count) |index| std.mem.doNotOptimizeAway(create(&pool, gpa, index));
    }
}

pub fn main(init: std.process.Init) !void {
    const gpa = std.heap.c_allocator;
    const args = try init.minimal.args.toSlice(init.arena.allocator());
    const count = try std.fmt.parseInt(u64, args[2], 10);
    if (std.mem.eql(u8, args[1], "pairs")) pairs(gpa, count);
    if (std.mem.eql(u8, args[1], "random")) random(gpa, count);
    if (std.mem.eql(u8, args[1], "create")) rounds(gpa, count, true);
    if (std.mem.eql(u8, args[1], "grow")) rounds(gpa, count, false);
}
