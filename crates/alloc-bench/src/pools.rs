//! Workloads for pools: values of one type that are made and unmade.

use std::mem::ManuallyDrop;
use std::ptr;
use std::time::Duration;

use crate::clock::Clock;
use crate::numbers::Numbers;

/// What the pools hold: as large as a small node of a tree or a list.
pub type Node = [u64; 4];

/// What the workloads call: each contender's own, usual way of doing it.
///
/// # Panics
///
/// Every method may panic if there is no memory.
pub trait Pool {
    /// How a value is held: an owner, a reference, an index.
    type Item;

    /// Puts a value into the pool.
    fn create(&mut self, node: Node) -> Self::Item;

    /// Takes it out again.
    fn destroy(&mut self, item: Self::Item);

    /// A word by which the item is known: the compiler shall not follow what becomes of it.
    fn word(item: &Self::Item) -> *const u8;
}

/// Lets the compiler believe that somebody reads and writes what lies at `word`; no instruction.
#[inline(always)]
fn escape(word: *const u8) {
    #[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
    // SAFETY: the assembly is empty.
    unsafe {
        std::arch::asm!("/* {0} */", in(reg) word, options(nostack, preserves_flags));
    }
    #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
    std::hint::black_box(word);
}

/// From here on the compiler knows a pool by its address only, as one that another function made: not what
/// is in it. Each contender's is kept before it is used.
#[inline(always)]
pub fn keep<P>(pool: &P) {
    escape(ptr::from_ref(pool).cast());
}

/// Values of one round that only makes them; a pool is made for each round, with room for them. A power of
/// two, so that a place among so many is found without a check.
pub const ROUND: usize = 1024;

/// An operation makes a value and unmakes it.
pub fn create_destroy<P: Pool>(pool: &mut P, count: u64) -> Duration {
    let begin = Clock::now();
    for index in 0..count {
        let item = pool.create([index; 4]);
        escape(P::word(&item));
        pool.destroy(item);
    }
    begin.elapsed()
}

/// 1024 places. An operation takes a random one, and makes a value there or unmakes it.
pub fn in_any_order<P: Pool>(pool: &mut P, count: u64) -> Duration {
    let mut numbers = Numbers::new(5);
    let mut items: [Option<P::Item>; ROUND] = [const { None }; ROUND];
    let begin = Clock::now();
    for index in 0..count {
        let place = &mut items[numbers.below(ROUND) % ROUND];
        match place.take() {
            Some(item) => pool.destroy(item),
            None => *place = Some(pool.create([index; 4])),
        }
    }
    let time = begin.elapsed();
    for item in items.into_iter().flatten() {
        pool.destroy(item);
    }
    time
}

/// An operation makes a value, which lives as long as its pool: no owner is dropped. `round` makes a pool and
/// calls this once.
pub fn create_only<P: Pool>(pool: &mut P) {
    for index in 0..ROUND as u64 {
        let item = ManuallyDrop::new(pool.create([index; 4]));
        escape(P::word(&item));
    }
}

/// Runs rounds of [`create_only`].
pub fn rounds(count: u64, mut round: impl FnMut()) -> Duration {
    let begin = Clock::now();
    for _ in 0..count.div_ceil(ROUND as u64) {
        round();
    }
    begin.elapsed()
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::rc::Rc;

    use super::*;

    /// Counts what is in it.
    #[derive(Default)]
    struct Counted {
        made_count: u64,
        live_count: u64,
    }

    impl Pool for Counted {
        type Item = Node;

        fn create(&mut self, node: Node) -> Node {
            self.made_count += 1;
            self.live_count += 1;
            node
        }

        fn destroy(&mut self, _: Node) {
            self.live_count -= 1;
        }

        fn word(item: &Node) -> *const u8 {
            item.as_ptr().cast()
        }
    }

    #[test]
    fn workloads_unmake_what_they_make() {
        let mut pool = Counted::default();
        create_destroy(&mut pool, 10);
        assert_eq!((pool.made_count, pool.live_count), (10, 0));
        in_any_order(&mut pool, 5000);
        assert_eq!(pool.live_count, 0);
        assert!((2500..4000).contains(&pool.made_count), "{}", pool.made_count);
        let mut made_count = 0;
        rounds(ROUND as u64 + 1, || {
            let mut pool = Counted::default();
            create_only(&mut pool);
            made_count += pool.made_count;
        });
        assert_eq!(made_count, 2 * ROUND as u64);
    }

    /// Owners that count their drops.
    #[derive(Default)]
    struct Owners(Rc<Cell<u64>>);

    struct Owner(Rc<Cell<u64>>);

    impl Drop for Owner {
        fn drop(&mut self) {
            self.0.set(self.0.get() + 1);
        }
    }

    impl Pool for Owners {
        type Item = Owner;

        fn create(&mut self, _: Node) -> Owner {
            Owner(self.0.clone())
        }

        fn destroy(&mut self, _: Owner) {}

        fn word(item: &Owner) -> *const u8 {
            item.0.as_ptr().cast_const().cast()
        }
    }

    /// A value that is only made is not unmade by its owner's drop.
    #[test]
    fn what_is_only_made_lives() {
        let mut pool = Owners::default();
        create_only(&mut pool);
        assert_eq!((pool.0.get(), Rc::strong_count(&pool.0)), (0, ROUND + 1));
        create_destroy(&mut pool, 10);
        assert_eq!(pool.0.get(), 10);
    }
}
