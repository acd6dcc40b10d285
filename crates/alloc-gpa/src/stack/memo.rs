//! A thread's memory of whole captures: registers and the words on the stack → stack id.
//!
//! What a walk finds depends on the registers it starts with, on the words it reads on the thread's
//! stack, and on the modules. So a *leaf* keeps all of these and the id that came of them, and a capture
//! that finds every one of them unchanged has the same stack, exactly: no rule, no hash of the stack, no
//! depot; some twenty independent loads.
//!
//! ```text
//! index:  512 to 32768 places, two to a key: tag | branch?1 | leaf's cell, or offset of a word
//! leaf:   pc | sp | fp | id, count, … | word 0 | its offset from sp | word 1 | …
//! ```
//!
//! A leaf is found by program counter and stack pointer. Where two stacks agree in those (all calls of
//! one `xmalloc` at the same depth), the place becomes a *branch*: it names the first word in which they
//! differ, and the key goes on with what that word holds. Index and leaves are only ever a guess: what
//! decides is that all words of the leaf were compared.
//!
//! When the cells are full, all is forgotten, and more are used from then on. A memo is
//! a mapping, made at the thread's first capture, of which only what is used takes memory; it is never
//! unmapped: see [`pool`](super::pool).

use core::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering::Relaxed};

use super::bounds::Window;
use super::depot::StackId;
use super::rule::{Registers, has_fp, saved_words, uses_fp};
use super::trace::FRAMES_MAX;

/// The logarithms of how many keys the index has, and how many cells there are: 28 KiB, 256 KiB, 1 MiB,
/// 4 MiB.
const LEVELS: [(u32, usize); 4] = [(8, 3 << 10), (11, 28 << 10), (12, 120 << 10), (14, 480 << 10)];
/// How many threads may come to the last level: a compiler needs it, a hundred threads would take too much.
const LARGEST_COUNT: u32 = 8;
const KEYS_MAX: usize = 1 << LEVELS[LEVELS.len() - 1].0;
const CELLS_MAX: usize = LEVELS[LEVELS.len() - 1].1;
/// Places of a key.
const WAYS: usize = 2;
/// The most words that are followed from the registers to a leaf.
const BRANCHES_MAX: usize = 16;
/// Cells before the words of a leaf.
const HEAD_CELLS: usize = 4;
/// Where memory is not worth it, one in so many walks is remembered.
const RARELY: u64 = 4;

const WORD: usize = size_of::<usize>();

/// Bits of a place: 0-31 value, 32 whether it is a branch, 33 set, 34-63 tag; 0: empty.
const BRANCH: u64 = 1 << 32;
const EXISTS: u64 = 1 << 33;
const TAG_SHIFT: u32 = 34;
/// The value of a branch that asks for the frame pointer.
const ASK_FP: u32 = u32::MAX;

/// How many memos have been at the last level.
static LARGEST: AtomicU32 = AtomicU32::new(0);

/// How stacks were captured.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Captures {
    /// Found in a memo.
    pub(crate) recalled: u64,
    /// Not found: walked.
    pub(crate) walked: u64,
    /// Frames that those walks passed through: so often a rule was looked for.
    pub(crate) steps: u64,
}

/// What a thread remembers. All zero is an empty one. All is atomic, since the memory goes from thread to
/// thread, but only one at a time uses it: `Relaxed` everywhere.
pub(crate) struct Memo {
    /// What the modules were like: see [`modules::stamp`](super::modules::stamp).
    stamp: AtomicU32,
    level: AtomicU32,
    /// 1: most walks are not remembered.
    rarely: AtomicU32,
    /// 1: it has been at the last level.
    was_largest: AtomicU32,
    /// Cells that are used.
    used: AtomicUsize,
    /// How often a capture was found here, and how often it was not.
    hits: AtomicU64,
    walks: AtomicU64,
    /// Frames that walks passed through: so often a rule was looked for.
    stepped: AtomicU64,
    /// The same, when all was forgotten last.
    old_hits: AtomicU64,
    old_walks: AtomicU64,
    /// The steps of the walk that is going on.
    steps: [Step; FRAMES_MAX],
    index: [[AtomicU64; WAYS]; KEYS_MAX],
    cells: [AtomicU64; CELLS_MAX],
}

/// How a walk came from one frame to the next.
struct Step {
    /// The registers it came to.
    pc: AtomicUsize,
    sp: AtomicUsize,
    fp: AtomicUsize,
    /// The packed rule that it took.
    rule: AtomicU32,
}

/// The registers that a capture starts with, and what is asked for.
#[derive(Clone, Copy)]
pub(crate) struct Start {
    pub(crate) registers: Registers,
    /// The most frames.
    pub(crate) max: usize,
    pub(crate) window: Window,
}

/// Where a capture that was not found will be remembered.
pub(crate) struct Miss {
    key: u64,
    /// The leaf that is there, and in what it differs.
    differs: Option<(u32, Difference)>,
}

/// What tells two captures of one key apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Difference {
    /// The value of a branch: a word's offset, or `ASK_FP`.
    ask: u32,
    /// What the leaf says, and what holds now.
    then: u64,
    now: u64,
}

/// How a walk that is to be remembered ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Ended {
    /// With as many frames as were asked for, or at a frame that has no caller by its address.
    Outermost,
    /// At a frame whose frame pointer is 0.
    NoFramePointer,
    /// In a way that depends on more than is noted.
    Unsure,
}

impl Memo {
    /// Returns the id of the capture if it is remembered.
    #[inline]
    pub(crate) fn find(&self, start: &Start) -> Result<StackId, Miss> {
        let Registers { pc, sp, fp } = start.registers;
        let mut key = mix(pc as u64 ^ (start.max as u64) << 48, sp as u64);
        for _ in 0..BRANCHES_MAX {
            let Some(place) = self.place(key) else { break };
            let value = place as u32;
            if place & BRANCH == 0 {
                return self.compare(value, start).map_err(|difference| Miss {
                    key,
                    differs: difference.map(|difference| (value, difference)),
                });
            }
            let word = match value {
                ASK_FP => Some(fp),
                offset => start.window.at(offset as usize),
            };
            let Some(word) = word else { break };
            key = mix(key, word as u64);
        }
        Err(Miss { key, differs: None })
    }

    /// Returns the id of the leaf if all that it rests on is as it was; else what differs first, `None`
    /// for a leaf of other registers.
    #[inline]
    fn compare(&self, cell: u32, start: &Start) -> Result<StackId, Option<Difference>> {
        let leaf = self.leaf(cell).ok_or(None)?;
        let Registers { pc, sp, fp } = start.registers;
        if leaf.pc() != pc as u64 || leaf.sp() != sp as u64 || leaf.max() != start.max {
            return Err(None);
        }
        let mut different = if leaf.needs_fp() { leaf.fp() ^ fp as u64 } else { 0 };
        for pair in leaf.pairs() {
            let [word, offset] = pair.each_ref().map(|cell| cell.load(Relaxed));
            let now = start.window.at(offset as usize).ok_or(None)?;
            different |= word ^ now as u64;
        }
        if different != 0 {
            return Err(leaf.difference(start));
        }
        self.hits.store(self.hits.load(Relaxed) + 1, Relaxed);
        Ok(leaf.id())
    }

    /// Returns the leaf that starts at that cell.
    #[inline]
    fn leaf(&self, cell: u32) -> Option<Leaf<'_>> {
        let (head, rest) = self.cells.get(cell as usize..)?.split_first_chunk()?;
        let leaf = Leaf { head, pairs: &[] };
        Some(Leaf { pairs: rest.as_chunks().0.get(..leaf.count())?, ..leaf })
    }

    /// Notes the step number `index` of a walk, by a packed rule, to the registers `next`.
    #[inline]
    pub(crate) fn note(&self, index: usize, rule: u32, next: Registers) {
        let Some(step) = self.steps.get(index) else { return };
        step.pc.store(next.pc, Relaxed);
        step.sp.store(next.sp, Relaxed);
        step.fp.store(next.fp, Relaxed);
        step.rule.store(rule, Relaxed);
    }

    /// Remembers the capture that was missed: the walk took the `count` steps that were noted, and its
    /// stack has this id. A stack without an id is not remembered.
    #[cold]
    #[inline(never)]
    pub(crate) fn remember(
        &self,
        miss: Miss,
        start: &Start,
        count: usize,
        end: Ended,
        id: StackId,
    ) {
        let walks = self.walks.load(Relaxed) + 1;
        self.walks.store(walks, Relaxed);
        self.stepped.store(self.stepped.load(Relaxed) + count as u64, Relaxed);
        if end == Ended::Unsure || id == StackId::NONE {
            return;
        }
        if self.rarely.load(Relaxed) != 0 && !mix(walks, 0).is_multiple_of(RARELY) {
            return;
        }
        let Some(cell) = self.write(start, count, end, id) else { return };
        let leaf = u64::from(cell);
        let Some((old_leaf, Difference { ask, then, now })) = miss.differs else {
            self.set_place(miss.key, leaf);
            return;
        };
        self.set_place(miss.key, BRANCH | u64::from(ask));
        self.set_place(mix(miss.key, then), u64::from(old_leaf));
        self.set_place(mix(miss.key, now), leaf);
    }

    /// Writes a leaf and returns its first cell; `None` if it cannot be one, or if all was forgotten to
    /// make room for later ones.
    fn write(&self, start: &Start, count: usize, end: Ended, id: StackId) -> Option<u32> {
        let steps = self.steps.get(..count)?;
        let at = self.used.load(Relaxed);
        let len_max = HEAD_CELLS + 2 * 2 * count;
        if LEVELS[self.level()].1 < at + len_max {
            self.make_room();
            return None;
        }
        let (head, rest) = self.cells.get(at..at + len_max)?.split_first_chunk::<HEAD_CELLS>()?;
        let mut pairs = rest.as_chunks::<2>().0.iter();
        let mut words = 0;
        let mut put = |addr: usize, word: usize| {
            let [place, offset] = pairs.next()?;
            place.store(word as u64, Relaxed);
            offset.store(start.window.offset(addr)? as u64, Relaxed);
            words += 1;
            Some(())
        };
        // The return addresses first: what differs first becomes a branch, and they differ more often
        // for a reason.
        for step in steps {
            let (ra, _) = saved_words(step.rule.load(Relaxed));
            put(step.sp.load(Relaxed).wrapping_sub(ra as usize * WORD), step.pc.load(Relaxed))?;
        }
        // Whether what comes further out depends on the frame pointer that a step comes to.
        let mut needs_fp = end == Ended::NoFramePointer;
        for step in steps.iter().rev() {
            let rule = step.rule.load(Relaxed);
            let (_, saved) = saved_words(rule);
            if has_fp(rule) {
                if needs_fp {
                    let addr = step.sp.load(Relaxed).wrapping_sub(saved as usize * WORD);
                    put(addr, step.fp.load(Relaxed))?;
                }
                needs_fp = false;
            }
            needs_fp |= uses_fp(rule);
        }
        let Registers { pc, sp, fp } = start.registers;
        let info = Leaf::info(id, words, start.max, needs_fp);
        for (cell, value) in head.iter().zip([pc as u64, sp as u64, fp as u64, info]) {
            cell.store(value, Relaxed);
        }
        self.used.store(at + HEAD_CELLS + 2 * words, Relaxed);
        u32::try_from(at).ok()
    }

    /// Forgets all, to use more from then on, or to try again with the most there is. If that did not
    /// recall as much as it forgets, little of what comes is worth remembering.
    fn make_room(&self) {
        let since = |now: &AtomicU64, old: &AtomicU64| now.load(Relaxed) - old.load(Relaxed);
        let hits = since(&self.hits, &self.old_hits);
        let walks = since(&self.walks, &self.old_walks);
        let level = self.level();
        let next = level + 1;
        let may_grow = match LEVELS.len() - next {
            0 => false,
            1 => self.may_be_largest(),
            _ => true,
        };
        self.forget(if may_grow { next } else { level });
        self.rarely.store(u32::from(!may_grow && hits < walks), Relaxed);
    }

    /// Whether this memo may use the last level.
    fn may_be_largest(&self) -> bool {
        if self.was_largest.load(Relaxed) == 0 {
            if LARGEST_COUNT <= LARGEST.load(Relaxed) {
                return false;
            }
            LARGEST.fetch_add(1, Relaxed);
            self.was_largest.store(1, Relaxed);
        }
        true
    }

    #[inline]
    fn level(&self) -> usize {
        (self.level.load(Relaxed) as usize).min(LEVELS.len() - 1)
    }

    /// Forgets all if the modules have changed.
    #[inline]
    pub(crate) fn renew(&self, stamp: u32) {
        if self.stamp.load(Relaxed) != stamp {
            self.forget(self.level());
            self.stamp.store(stamp, Relaxed);
        }
    }

    /// Whether what is remembered holds for modules of this stamp.
    #[inline]
    pub(crate) fn is_for(&self, stamp: u32) -> bool {
        self.stamp.load(Relaxed) == stamp
    }

    /// Forgets all, and uses as much as that level allows from now on.
    #[cold]
    pub(crate) fn forget(&self, level: usize) {
        self.index[..1 << LEVELS[self.level()].0]
            .iter()
            .flatten()
            .for_each(|place| place.store(0, Relaxed));
        self.used.store(0, Relaxed);
        self.rarely.store(0, Relaxed);
        self.level.store(level as u32, Relaxed);
        self.old_hits.store(self.hits.load(Relaxed), Relaxed);
        self.old_walks.store(self.walks.load(Relaxed), Relaxed);
    }

    /// Returns what all threads that had it counted.
    pub(crate) fn counts(&self) -> Captures {
        Captures {
            recalled: self.hits.load(Relaxed),
            walked: self.walks.load(Relaxed),
            steps: self.stepped.load(Relaxed),
        }
    }

    /// Returns the two places of a key.
    #[inline]
    fn places(&self, key: u64) -> &[AtomicU64; WAYS] {
        &self.index[key as usize & ((1 << LEVELS[self.level()].0) - 1) & (KEYS_MAX - 1)]
    }

    #[inline]
    fn place(&self, key: u64) -> Option<u64> {
        let places = self.places(key).iter().map(|place| place.load(Relaxed));
        places.into_iter().find(|place| *place != 0 && place >> TAG_SHIFT == key >> TAG_SHIFT)
    }

    /// Has the key lead to a value; where both its places are taken by others, in place of the older.
    fn set_place(&self, key: u64, value: u64) {
        let [first, second] = self.places(key);
        let place = key >> TAG_SHIFT << TAG_SHIFT | EXISTS | value;
        let old = first.load(Relaxed);
        if old != 0 && old >> TAG_SHIFT != key >> TAG_SHIFT {
            second.store(old, Relaxed);
        }
        first.store(place, Relaxed);
    }
}

/// A capture that is remembered.
#[derive(Clone, Copy)]
struct Leaf<'m> {
    /// Program counter, stack pointer, frame pointer; id (0-31), how many words (32-39), the most frames
    /// (40-47), whether the frame pointer matters (48).
    head: &'m [AtomicU64; HEAD_CELLS],
    /// Words on the stack, and how many words above the stack pointer they lie.
    pairs: &'m [[AtomicU64; 2]],
}

impl<'m> Leaf<'m> {
    fn info(id: StackId, count: usize, max: usize, needs_fp: bool) -> u64 {
        u64::from(id.0) | (count as u64) << 32 | (max as u64) << 40 | u64::from(needs_fp) << 48
    }

    #[inline]
    fn pc(self) -> u64 {
        self.head[0].load(Relaxed)
    }

    #[inline]
    fn sp(self) -> u64 {
        self.head[1].load(Relaxed)
    }

    #[inline]
    fn fp(self) -> u64 {
        self.head[2].load(Relaxed)
    }

    #[inline]
    fn id(self) -> StackId {
        StackId(self.head[3].load(Relaxed) as u32)
    }

    #[inline]
    fn count(self) -> usize {
        (self.head[3].load(Relaxed) >> 32) as usize & 0xff
    }

    #[inline]
    fn max(self) -> usize {
        (self.head[3].load(Relaxed) >> 40) as usize & 0xff
    }

    #[inline]
    fn needs_fp(self) -> bool {
        self.head[3].load(Relaxed) >> 48 & 1 != 0
    }

    #[inline]
    fn pairs(self) -> &'m [[AtomicU64; 2]] {
        self.pairs
    }

    /// Returns what tells this leaf from a capture with its program counter and stack pointer.
    fn difference(self, start: &Start) -> Option<Difference> {
        let pairs = self.pairs.iter().map(|pair| pair.each_ref().map(|cell| cell.load(Relaxed)));
        for [then, offset] in pairs {
            let now = start.window.at(offset as usize)? as u64;
            if now != then {
                return Some(Difference { ask: u32::try_from(offset).ok()?, then, now });
            }
        }
        let fp = start.registers.fp as u64;
        (self.fp() != fp).then(|| Difference { ask: ASK_FP, then: self.fp(), now: fp })
    }
}

/// Mixes two words into a key: multiply and fold, as wyhash does.
#[inline]
fn mix(a: u64, b: u64) -> u64 {
    let product = u128::from(a ^ 0xe703_7ed1_a0b4_28db) * u128::from(b ^ 0xa076_1d64_78bd_642f);
    product as u64 ^ (product >> 64) as u64
}
