//! Telling what was found: the log of a heap, and what each fault is.

use core::ptr::{self, NonNull};
use core::sync::atomic::Ordering::{Acquire, Relaxed, SeqCst};
use core::sync::atomic::{AtomicPtr, compiler_fence};

use super::canary::{self, Damage};
use super::chunk::{BlockRef, Chunk, Place};
use super::claim::Claim;
use super::state::{Origin, State, StateWord};
use super::{
    Block, Detail, Finding, FindingKind, Heap, OnFinding, Operation, Sink, StackId, Thread, map,
    sys,
};
use crate::lock::Lock;
use crate::stack::{modules, thread};
use crate::sys::{maps, pages};
use crate::tag::TagId;

/// The bits of an address end here; programs use those above for tags.
const TAG_SHIFT: u32 = 47;
/// Distinct findings that a heap keeps; what comes later is told, but not kept.
pub(crate) const FINDING_COUNT_MAX: usize = 1024;

/// The findings of a heap, in a mapping of their own. All zero: none.
pub(crate) struct Findings {
    /// Guards the entries; holds how many there are.
    pub(crate) lock: Lock<usize>,
    entries: AtomicPtr<Finding>,
}

const ENTRIES_LEN: usize =
    (FINDING_COUNT_MAX * size_of::<Finding>()).next_multiple_of(pages::PAGE_LEN);

/// The bit of a thread's [`held`](thread::ThreadState::held) while it adds a finding, or waits to.
const ADDING: u32 = 1 << 27;

impl Findings {
    /// Number of distinct findings that are faults.
    pub(crate) fn count(&self) -> usize {
        let count = self.lock.lock();
        // Relaxed: written under the lock.
        let entries = self.entries.load(Relaxed);
        let is_fault = |index: &usize| {
            // SAFETY: `count` entries are mapped and written.
            let entry = unsafe { entries.add(*index) };
            // SAFETY: as above; the lock keeps writers out.
            unsafe { &*entry }.kind.is_fault()
        };
        (0..*count).filter(is_fault).count()
    }

    /// Returns the range of the log: start and length.
    pub(crate) fn range(&self) -> (usize, usize) {
        // Relaxed: only the address is used.
        (self.entries.load(Relaxed).addr(), ENTRIES_LEN)
    }

    /// Forgets all findings: a forked child tells what it finds itself.
    pub(crate) fn clear(&self) {
        *self.lock.lock() = 0;
    }

    /// Returns the finding `index`, if there is one.
    pub(crate) fn get(&self, index: usize) -> Option<Finding> {
        let count = self.lock.lock();
        if *count <= index {
            return None;
        }
        // Relaxed: written under the lock.
        let entries = self.entries.load(Relaxed);
        // SAFETY: `count` entries are mapped and written.
        let entry = unsafe { entries.add(index) };
        // SAFETY: as above; the lock keeps writers out.
        Some(unsafe { entry.read() })
    }

    /// Keeps a finding, or counts it if it is known; returns whether it is new.
    ///
    /// A finding in a signal handler that interrupted this very function is told, but not kept. Another thread is
    /// waited for, also while it does not run: else what is found at the same time was told twice, and not counted.
    fn add(&self, finding: &Finding) -> bool {
        let held = &thread::current().held;
        // Relaxed, all: this thread's own, and its signal handlers'. A handler never waits for its own thread.
        if held.fetch_or(ADDING, Relaxed) & ADDING != 0 {
            return true;
        }
        compiler_fence(SeqCst);
        let is_new = self.add_alone(finding);
        compiler_fence(SeqCst);
        held.fetch_and(!ADDING, Relaxed);
        is_new
    }

    /// As [`add`](Self::add), by a thread that does not add yet.
    fn add_alone(&self, finding: &Finding) -> bool {
        let Some(mut count) = self.lock.lock_within_a_second() else { return true };
        // Relaxed: written under the lock.
        let mut entries = self.entries.load(Relaxed);
        if entries.is_null() {
            let Some(fresh) = pages::map(ENTRIES_LEN) else { return true };
            entries = fresh.cast().as_ptr();
            self.entries.store(entries, Relaxed);
        }
        for index in 0..*count {
            // SAFETY: `count` entries are mapped.
            let entry = unsafe { entries.add(index) };
            // SAFETY: written, and the lock keeps others out.
            let entry = unsafe { &mut *entry };
            if entry.is_damage_of(finding) {
                return false;
            }
            if entry.same_as(finding) {
                entry.count += 1;
                return false;
            }
        }
        if *count < FINDING_COUNT_MAX {
            // SAFETY: below the mapped count.
            let entry = unsafe { entries.add(*count) };
            // SAFETY: mapped, aligned, and the lock keeps others out.
            unsafe { entry.write(*finding) };
            *count += 1;
        }
        true
    }

    /// Gives the log's memory back; nobody uses the heap any more.
    pub(super) fn unmap(&self) {
        // Relaxed: nobody else uses the heap.
        if let Some(entries) = NonNull::new(self.entries.swap(ptr::null_mut(), Relaxed)) {
            // SAFETY: mapped in `add` with this length, and not reachable any more.
            unsafe { pages::unmap(entries.cast(), ENTRIES_LEN) };
        }
    }
}

impl Heap {
    /// Keeps a finding, tells the sink if it is new, and does what the policy says.
    #[cold]
    #[inline(never)]
    pub(crate) fn tell(&self, mut finding: Finding) {
        let is_damage = finding.here_is_late();
        if is_damage && crate::fault::reopened::holds(finding.addr) {
            return;
        }
        finding.thread = Thread { id: sys::thread_id(), name: sys::thread_name() };
        finding.count = 1;
        if self.findings.add(&finding) {
            // Acquire: pairs with the Release in `set_sink`.
            let sink = self.sink.load(Acquire);
            if !sink.is_null() {
                // SAFETY: only `set_sink` writes it, from a `Sink`.
                let sink = unsafe { core::mem::transmute::<*mut (), Sink>(sink) };
                sink(self, &finding);
            }
            self.callback.call(&finding);
        }
        match self.config.on_finding {
            _ if !finding.kind.is_fault() => {}
            OnFinding::Record | OnFinding::Continue => {}
            OnFinding::Abort => sys::abort(),
            OnFinding::Exit(status) => sys::exit_now(status.into()),
        }
    }

    /// The address leads to no chunk, or to one of another heap.
    #[cold]
    pub(super) fn tell_foreign(
        &self,
        addr: usize,
        chunk: Option<&Chunk>,
        claim: Claim,
        here: StackId,
        operation: Operation,
    ) {
        let mut finding = blank(FindingKind::InvalidFree, addr, claim.values(), here);
        match chunk {
            None => match self.tagged_place(addr) {
                Some((block, offset)) => {
                    describe(&mut finding, &block, offset);
                    finding.detail = Detail::from_args(format_args!(
                        "not mapped: the block's address but for the upper bits, {:#06x}",
                        addr >> 48
                    ));
                }
                None => finding.detail = place_of(addr),
            },
            Some(chunk) => {
                finding.kind = FindingKind::OtherAllocator;
                if let Place::Slot(block, offset) = chunk.place(addr) {
                    describe(&mut finding, &block, offset);
                }
            }
        }
        if finding.kind == FindingKind::InvalidFree {
            finding.detail = by(operation, finding.detail);
        }
        self.tell(finding);
    }

    /// The block that an address leads to without the upper bits that no address has.
    fn tagged_place(&self, addr: usize) -> Option<(BlockRef<'_>, isize)> {
        let plain = addr & ((1 << TAG_SHIFT) - 1);
        if plain == addr {
            return None;
        }
        // SAFETY: chunks in the map are mapped.
        let chunk =
            unsafe { map::lookup(plain).as_ref() }.filter(|chunk| chunk.owner == self.id())?;
        match chunk.place(plain) {
            Place::Slot(block, offset) => Some((block, offset)),
            Place::Unused | Place::Forgotten => None,
        }
    }

    /// The address lies in a chunk of this heap and is not the start of a block.
    #[cold]
    pub(super) fn tell_no_start(
        &self,
        addr: usize,
        chunk: &Chunk,
        claim: Claim,
        here: StackId,
        operation: Operation,
    ) {
        let mut finding = blank(FindingKind::InvalidFree, addr, claim.values(), here);
        match chunk.place(addr) {
            Place::Slot(block, offset) => {
                describe(&mut finding, &block, offset);
                finding.detail = Detail::from_args(format_args!("interior pointer"));
            }
            Place::Forgotten => {
                finding.kind = operation.of_freed();
                finding.detail = Detail::from_args(format_args!(
                    "the block was freed so long ago that its record was given up (see `history`)"
                ));
            }
            Place::Unused => {
                finding.detail = Detail::from_args(format_args!("no block was ever here"));
            }
        }
        if finding.kind == FindingKind::InvalidFree {
            finding.detail = by(operation, finding.detail);
        }
        self.tell(finding);
    }

    /// The block is freed, or being freed.
    #[cold]
    pub(super) fn tell_dead(
        &self,
        block: &BlockRef<'_>,
        word: StateWord,
        claim: Claim,
        here: StackId,
        operation: Operation,
    ) {
        if word.state() == State::Freeing {
            await_freed(block);
        }
        let mut finding =
            blank(operation.of_freed(), block.start().addr().get(), claim.values(), here);
        describe(&mut finding, block, 0);
        finding.detail = match (word.state(), word.origin()) {
            (State::Freeing, _) => {
                Detail::from_args(format_args!("another thread is freeing it now"))
            }
            (State::Resizing, _) => {
                Detail::from_args(format_args!("another thread is resizing it now"))
            }
            (State::Freed, Origin::Moved) => Detail::from_args(format_args!("{MOVED}")),
            _ => Detail::EMPTY,
        };
        self.tell(finding);
    }

    /// The block is not what the caller says.
    #[cold]
    pub(super) fn tell_mismatch(
        &self,
        block: &BlockRef<'_>,
        word: StateWord,
        claim: Claim,
        here: StackId,
        operation: Operation,
    ) {
        let tell = |kind, detail| {
            let mut finding = blank(kind, block.start().addr().get(), claim.values(), here);
            describe(&mut finding, block, 0);
            finding.detail = detail;
            self.tell(finding);
        };
        // Another family has other sizes, too: that is the one mistake.
        if !claim.is_of_family(word) {
            tell(FindingKind::FamilyMismatch, family_detail(word, claim, operation));
            return;
        }
        // Relaxed: published with the state that the caller read.
        let size = block.size();
        if claim.size().is_some_and(|claimed| claimed != size) {
            tell(FindingKind::SizeMismatch, Detail::EMPTY);
        }
        if claim.align().is_some_and(|claimed| claimed != word.align()) {
            tell(FindingKind::AlignMismatch, Detail::EMPTY);
        }
    }

    /// A request was refused that no program can mean: of `size` bytes, the product of a `count`
    /// and a size if `of` says so.
    #[cold]
    pub(crate) fn tell_absurd(
        &self,
        size: usize,
        align: usize,
        of: Option<(usize, usize)>,
        here: StackId,
    ) {
        let mut finding = blank(FindingKind::InvalidRequest, 0, Some((size, align)), here);
        finding.detail = match of {
            Some((count, each)) => {
                Detail::from_args(format_args!("the product of {count} and {each}"))
            }
            None => Detail::from_args(format_args!("{} as a signed number", size.cast_signed())),
        };
        self.tell(finding);
    }

    /// Bytes behind a block of `size` bytes are damaged.
    #[cold]
    pub(super) fn tell_overflow(
        &self,
        block: &BlockRef<'_>,
        size: usize,
        damage: Damage,
        here: StackId,
    ) {
        let slack = block.room() - size;
        let after = Some(block).filter(|block| !block.is_guarded());
        let after =
            after.and_then(|block| block.neighbour(Some(block.index + 1))).filter(|after| {
                // Acquire: pairs with the Release that made it live.
                !StateWord::load(&after.slot.state, Acquire).is_unused()
            });
        // The first bytes intact, the last ones not: it came from behind.
        if let Some(after) = after.filter(|_| 0 < damage.first && damage.last + 1 == slack) {
            self.tell_underflow(&after, slack, damage, here);
            return;
        }
        let addr = block.start().addr().get() + size + damage.first;
        let mut finding = blank(FindingKind::Overflow, addr, None, here);
        describe(&mut finding, block, (size + damage.first) as isize);
        finding.detail = damage_detail(damage);
        self.tell(finding);
    }

    /// A byte was written behind a block, the last of its slab, to memory that was never handed out.
    #[cold]
    pub(super) fn tell_unused(&self, block: &BlockRef<'_>, addr: usize) {
        let mut finding = blank(FindingKind::Overflow, addr, None, StackId::NONE);
        describe(&mut finding, block, addr.wrapping_sub(block.start().addr().get()).cast_signed());
        finding.detail =
            Detail::from_args(format_args!("memory that is no block's: this one is before it"));
        self.tell(finding);
    }

    /// The `len` bytes before a block are damaged.
    #[cold]
    pub(super) fn tell_underflow(
        &self,
        block: &BlockRef<'_>,
        len: usize,
        damage: Damage,
        here: StackId,
    ) {
        let offset = damage.first as isize - len as isize;
        let addr = block.start().addr().get().wrapping_add_signed(offset);
        let mut finding = blank(FindingKind::Underflow, addr, None, here);
        describe(&mut finding, block, offset);
        finding.detail = damage_detail(damage);
        self.tell(finding);
    }

    /// A freed block was written `offset` bytes from its start, after its memory was given back.
    #[cold]
    pub(super) fn tell_late_write(&self, block: &BlockRef<'_>, offset: usize) {
        let addr = block.start().addr().get() + offset;
        let mut finding = blank(FindingKind::UseAfterFree, addr, None, StackId::NONE);
        describe(&mut finding, block, offset as isize);
        finding.detail = Detail::from_args(format_args!("long after the free"));
        self.tell(finding);
    }

    /// Tells if the bytes of a freed block, whose memory is still there, were written.
    pub(super) fn check_freed(&self, block: &BlockRef<'_>, here: StackId) {
        let junk = self.config.junk;
        // SAFETY: the slot is mapped; it is freed, so its bytes are junk.
        if let Some(damage) = unsafe { canary::junk_damage(block.start(), block.room(), junk) } {
            self.tell_written(block, damage, here);
        }
    }

    /// Bytes of a freed block were written.
    #[cold]
    pub(super) fn tell_written(&self, block: &BlockRef<'_>, damage: Damage, here: StackId) {
        let mut finding = blank(FindingKind::UseAfterFree, 0, None, here);
        finding.addr = block.start().addr().get() + damage.first;
        describe(&mut finding, block, damage.first as isize);
        finding.detail = match StateWord::load(&block.slot.state, Relaxed).origin() {
            Origin::Moved => {
                Detail::from_args(format_args!("{}; {MOVED}", damage_detail(damage).as_str()))
            }
            _ => damage_detail(damage),
        };
        self.tell(finding);
    }
}

/// Of a block whose bytes are elsewhere now.
const MOVED: &str = "freed by realloc, which moved it";
/// Of an address that is no block.
const REALLOC: &str = "given to realloc";

/// Says what an address is that belongs to no heap. Data that a module does not fill from its file lies
/// in a mapping without a name.
fn place_of(addr: usize) -> Detail {
    let detail = maps::describe(addr);
    if !detail.as_str().starts_with("foreign block") {
        return detail;
    }
    modules::lookup(addr).map_or(detail, |module| {
        let name = module.path.rsplit(|byte| *byte == b'/').next().unwrap_or_default();
        Detail::from_args(format_args!("address in {}", name.escape_ascii()))
    })
}

impl Operation {
    /// What it is to do it to a freed block.
    fn of_freed(self) -> FindingKind {
        match self {
            Self::Free => FindingKind::DoubleFree,
            Self::Resize => FindingKind::ResizeAfterFree,
        }
    }
}

/// Says so of what was not freed but given to `realloc`.
fn by(operation: Operation, detail: Detail) -> Detail {
    match operation {
        Operation::Free => detail,
        Operation::Resize if detail == Detail::EMPTY => {
            Detail::from_args(format_args!("{REALLOC}"))
        }
        Operation::Resize => Detail::from_args(format_args!("{}; {REALLOC}", detail.as_str())),
    }
}

/// Says who gave a block and who took it back.
fn family_detail(word: StateWord, claim: Claim, operation: Operation) -> Detail {
    let (given, taken) = (word.origin().giver(), claim.origin().taker());
    if word.origin() == claim.origin() {
        return Detail::from_args(format_args!(
            "allocated by {given} with alignment {}, freed by {taken} without one",
            word.align()
        ));
    }
    match operation {
        Operation::Free => {
            Detail::from_args(format_args!("allocated by {given}, freed by {taken}"))
        }
        Operation::Resize => {
            Detail::from_args(format_args!("allocated by {given}, resized by realloc"))
        }
    }
}

/// A finding of which only the address is known.
pub(super) fn blank(
    kind: FindingKind,
    addr: usize,
    claimed: Option<(usize, usize)>,
    here: StackId,
) -> Finding {
    Finding {
        kind,
        addr,
        offset: 0,
        block: None,
        claimed,
        thread: Thread { id: 0, name: [0; 16] },
        here,
        allocated: StackId::NONE,
        freed: StackId::NONE,
        tag: None,
        detail: Detail::EMPTY,
        count: 0,
    }
}

/// Enters what is known of a block.
pub(super) fn describe(finding: &mut Finding, block: &BlockRef<'_>, offset: isize) {
    // Acquire: pairs with the Release that published the record.
    let word = StateWord::load(&block.slot.state, Acquire);
    // Relaxed, all: published with the state.
    let size = block.size();
    finding.block = Some(Block { addr: block.start().addr().get(), size, align: word.align() });
    finding.offset = offset;
    finding.allocated = StackId::from_raw(block.slot.allocated.load(Relaxed));
    finding.tag = TagId::of_slot(block.slot).name();
    if !word.is_allocated() {
        finding.freed = StackId::from_raw(block.slot.freed.load(Relaxed));
    }
}

/// Gives the thread that is freeing a block time to enter its stack, so that the finding can show it.
/// Bounded: that thread may be the one that this signal handler interrupted.
#[cold]
fn await_freed(block: &BlockRef<'_>) {
    /// Enough for a thread that runs; a few milliseconds if none does.
    const YIELDS_MAX: usize = 1_000;
    for _ in 0..YIELDS_MAX {
        // Acquire: pairs with the Release that publishes `Freed` and the stack before it.
        if StateWord::load(&block.slot.state, Acquire).state() != State::Freeing {
            return;
        }
        // SAFETY: no preconditions.
        unsafe { libc::sched_yield() };
    }
}

fn damage_detail(damage: Damage) -> Detail {
    match damage.last - damage.first {
        0 => Detail::from_args(format_args!("1 byte was written")),
        more => Detail::from_args(format_args!("bytes were written over a length of {}", more + 1)),
    }
}
