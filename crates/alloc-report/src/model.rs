//! What was recorded, joined over all processes: every distinct module, stack, finding and leak once.

use std::fmt;

use crate::usage::{Captures, ClassUse, Kept, TagUse};

/// Index of a stack in a [`Report`](crate::Report). Equal stacks of different processes are one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct StackId(pub(crate) u32);

impl StackId {
    /// The stack that was not recorded.
    pub const NONE: Self = Self(0);
}

/// What is wrong with a call or with a block.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Kind {
    /// A block was freed twice.
    DoubleFree,
    /// The pointer is not the start of a block.
    InvalidFree,
    /// A freed block was resized.
    ResizeAfterFree,
    /// The caller's size is not the block's.
    SizeMismatch,
    /// The caller's alignment is not the block's.
    AlignMismatch,
    /// A write past the end.
    Overflow,
    /// A write before the start.
    Underflow,
    /// A write to a freed block.
    UseAfterFree,
    /// A read of a freed block.
    ReadAfterFree,
    /// A read past the end.
    OverflowRead,
    /// A read before the start.
    UnderflowRead,
    /// A block of another allocator.
    OtherAllocator,
    /// A block freed by a function that does not take such blocks back.
    FamilyMismatch,
    /// A size or alignment that cannot be meant. Does not count as a fault.
    InvalidRequest,
    /// A kind that this reader does not know, by its recorded name.
    Other(String),
}

impl Kind {
    /// The names of all kinds, as records, suppressions and JSON spell them.
    pub const NAMES: [&'static str; 14] = [
        "double_free",
        "invalid_free",
        "resize_after_free",
        "size_mismatch",
        "align_mismatch",
        "overflow",
        "underflow",
        "use_after_free",
        "read_after_free",
        "overflow_read",
        "underflow_read",
        "family_mismatch",
        "other_allocator",
        "invalid_request",
    ];

    pub(crate) fn from_name(name: &str) -> Self {
        match name {
            "double_free" => Self::DoubleFree,
            "invalid_free" => Self::InvalidFree,
            "resize_after_free" => Self::ResizeAfterFree,
            "size_mismatch" => Self::SizeMismatch,
            "align_mismatch" => Self::AlignMismatch,
            "overflow" => Self::Overflow,
            "underflow" => Self::Underflow,
            "use_after_free" => Self::UseAfterFree,
            "read_after_free" => Self::ReadAfterFree,
            "overflow_read" => Self::OverflowRead,
            "underflow_read" => Self::UnderflowRead,
            "family_mismatch" => Self::FamilyMismatch,
            "other_allocator" => Self::OtherAllocator,
            "invalid_request" => Self::InvalidRequest,
            other => Self::Other(other.to_owned()),
        }
    }

    /// The kind's name in records, suppressions and JSON.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Self::DoubleFree => "double_free",
            Self::InvalidFree => "invalid_free",
            Self::ResizeAfterFree => "resize_after_free",
            Self::SizeMismatch => "size_mismatch",
            Self::AlignMismatch => "align_mismatch",
            Self::Overflow => "overflow",
            Self::Underflow => "underflow",
            Self::UseAfterFree => "use_after_free",
            Self::ReadAfterFree => "read_after_free",
            Self::OverflowRead => "overflow_read",
            Self::UnderflowRead => "underflow_read",
            Self::FamilyMismatch => "family_mismatch",
            Self::OtherAllocator => "other_allocator",
            Self::InvalidRequest => "invalid_request",
            Self::Other(name) => name,
        }
    }

    /// Whether a finding of this kind makes the check fail.
    #[must_use]
    pub fn is_fault(&self) -> bool {
        *self != Self::InvalidRequest
    }
}

/// How a block that was never freed is held.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum LeakKind {
    /// Nothing points to it: a leak.
    Lost,
    /// Only lost blocks point to it.
    Indirect,
    /// Something that may or may not be a pointer points into it.
    Possible,
    /// A static, a stack or another reachable block points to it.
    Reachable,
}

impl LeakKind {
    /// All kinds, most serious first.
    pub const ALL: [Self; 4] = [Self::Lost, Self::Indirect, Self::Possible, Self::Reachable];

    /// The kind's name in records and JSON.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Lost => "lost",
            Self::Indirect => "indirect",
            Self::Possible => "possible",
            Self::Reachable => "reachable",
        }
    }

    pub(crate) fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }
}

/// Which blocks a process counted as leaks when it ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Counted {
    /// Those to which nothing points.
    Scan,
    /// All that were not freed.
    Exact,
    /// None were looked for.
    None,
}

impl Counted {
    /// The name in records and JSON.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Scan => "scan",
            Self::Exact => "exact",
            Self::None => "none",
        }
    }
}

/// A block that a finding is about; lengths in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Block {
    /// Address of its first byte.
    pub addr: u64,
    /// The size that was asked for.
    pub size: u64,
    /// The alignment that was asked for.
    pub align: u64,
}

/// One fault, and how often it was seen with the same stacks.
#[derive(Debug, Clone)]
pub struct Finding {
    /// What is wrong.
    pub kind: Kind,
    /// The pointer that was passed, or the first bad byte.
    pub addr: u64,
    /// `addr` from the block's first byte, in bytes; may be negative or past the end.
    pub offset: i64,
    /// The block, if one is known.
    pub block: Option<Block>,
    /// The size that the caller claimed, or 0.
    pub size: u64,
    /// The alignment that the caller claimed, or 0.
    pub align: u64,
    /// Name of the thread that was caught.
    pub thread: String,
    /// Its id.
    pub tid: i32,
    /// Where it was noticed.
    pub here: StackId,
    /// Where the block was allocated.
    pub allocated: StackId,
    /// Where the block was freed first.
    pub freed: StackId,
    /// The name that the program gave to the block, or empty.
    pub tag: String,
    /// Where its address lies in a module, if it is no block's.
    pub(crate) place: Option<RawFrame>,
    /// The variable there, as `name of module`, or empty; known once symbols are.
    pub global: String,
    /// What else the process had to say.
    pub detail: String,
    /// How often it was seen.
    pub count: u64,
    /// The process that saw it first: an index into [`Report::processes`](crate::Report::processes).
    pub process: usize,
    /// Set by [`Report::suppress`](crate::Report::suppress): the user does not want to hear of it.
    pub suppressed: bool,
}

impl Finding {
    /// What findings have in common that are one to a reader.
    pub(crate) fn key(&self) -> (Kind, [StackId; 3], String) {
        // Where the bad pointer leads, or whose block it is, tells two faults apart; how many bytes were
        // hit does not.
        let detail = match self.kind {
            Kind::InvalidFree | Kind::FamilyMismatch => self.detail.clone(),
            _ if self.here == StackId::NONE => self.detail.clone(),
            _ => String::new(),
        };
        (self.kind.clone(), [self.here, self.allocated, self.freed], detail)
    }
}

/// The blocks of one kind that were allocated by one stack and never freed.
#[derive(Debug, Clone)]
pub struct Leak {
    /// How the blocks are held.
    pub kind: LeakKind,
    /// Where they were allocated.
    pub stack: StackId,
    /// How many blocks.
    pub count: u64,
    /// Their bytes together.
    pub bytes: u64,
    /// Bytes of the smallest, or 0 if unknown.
    pub min: u64,
    /// Bytes of the largest, or 0 if unknown.
    pub max: u64,
    /// The name that the program gave to what it allocated, or empty.
    pub tag: String,
    /// Where the lost blocks were allocated that lead to these, if these are held by lost ones.
    pub holder: StackId,
    /// Where the blocks were allocated on a way from one of these back to itself, its own first; empty
    /// if none was found.
    pub cycle: Vec<StackId>,
    /// Address of the largest block, or 0.
    pub addr: u64,
    /// That block's first bytes, if they were asked for.
    pub dump: Vec<u8>,
    /// Set by [`Report::suppress`](crate::Report::suppress): the user does not want to hear of it.
    pub suppressed: bool,
}

impl Leak {
    /// What leaks have in common that are one to a reader.
    pub(crate) fn key(&self) -> (LeakKind, StackId, String, StackId) {
        (self.kind, self.stack, self.tag.clone(), self.holder)
    }

    /// Adds the blocks of `other`, which were allocated at the same place.
    pub(crate) fn join(&mut self, other: &Self) {
        if self.cycle.is_empty() {
            self.cycle.clone_from(&other.cycle);
        }
        if self.dump.is_empty() || other.max > self.max {
            (self.addr, self.dump) = (other.addr, other.dump.clone());
        }
        self.count = self.count.saturating_add(other.count);
        self.bytes = self.bytes.saturating_add(other.bytes);
        let known = self.max > 0 && other.max > 0;
        self.min = if known { self.min.min(other.min) } else { 0 };
        self.max = if known { self.max.max(other.max) } else { 0 };
    }
}

/// What a process says of itself when it ends.
#[derive(Debug, Clone)]
pub struct End {
    /// Blocks handed out.
    pub allocations: u64,
    /// Blocks taken back.
    pub frees: u64,
    /// Blocks alive at the end.
    pub live_blocks: u64,
    /// Their bytes.
    pub live_bytes: u64,
    /// The most bytes that were alive at once.
    pub peak_bytes: u64,
    /// Bytes of all blocks handed out, and what blocks grew by.
    pub total_bytes: u64,
    /// What memory its heap held.
    pub kept: Kept,
    /// How its stacks were captured.
    pub captures: Captures,
    /// Which blocks it counted as leaks.
    pub counted: Counted,
    /// Its exit status, where it knew.
    pub status: Option<i32>,
}

/// What a process had allocated at one moment of its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sample {
    /// Milliseconds since the process began.
    pub ms: u64,
    /// Bytes alive.
    pub live_bytes: u64,
    /// Blocks alive.
    pub live_blocks: u64,
    /// Blocks handed out so far.
    pub allocations: u64,
    /// Blocks taken back so far.
    pub frees: u64,
    /// Bytes of memory that the process occupied, or 0 if unknown.
    pub resident_bytes: u64,
}

/// All live blocks of a process at one moment, by stack.
#[derive(Debug, Clone)]
pub struct Snapshot {
    /// The process: an index into [`Report::processes`](crate::Report::processes).
    pub process: usize,
    /// Its number in that process, from 1.
    pub id: u64,
    /// Milliseconds since the process began.
    pub ms: u64,
    /// Why it was made: `exit`, `every`, `request`.
    pub why: String,
    /// Blocks alive.
    pub live_blocks: u64,
    /// Their bytes.
    pub live_bytes: u64,
    /// Blocks handed out so far.
    pub allocations: u64,
    /// Whether the totals of its stacks count every block since the start.
    pub complete: bool,
    /// What each stack has allocated.
    pub live: Vec<Live>,
}

/// What one stack has allocated.
#[derive(Debug, Clone, Copy)]
pub struct Live {
    /// Where.
    pub stack: StackId,
    /// Blocks alive.
    pub blocks: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Blocks since the start.
    pub total_blocks: u64,
    /// Their bytes.
    pub total_bytes: u64,
}

/// How far the records of a process go.
#[derive(Debug, Clone)]
pub enum Outcome {
    /// It ended through `exit`.
    Ended(End),
    /// It was replaced by another program: what it had allocated before was not counted.
    Replaced,
    /// It ended without exit handlers: a signal, or `_exit`.
    Cut,
    /// It was still running when its records were read.
    Running,
}

/// One process image: a program from its start, fork or exec on.
#[derive(Debug, Clone)]
pub struct Process {
    /// Its id.
    pub pid: i32,
    /// Its parent's.
    pub ppid: i32,
    /// The program file.
    pub exe: String,
    /// The first arguments, the program's name among them.
    pub argv: Vec<String>,
    /// The allocator that ran under it: `gpa` or `c`.
    pub strategy: String,
    /// Whether it continues a parent's image.
    pub forked: bool,
    /// Whether it is a further heap of the process before it: a program with a checking allocator of
    /// its own, and the preloaded library.
    pub other_heap: bool,
    /// How it ended.
    pub outcome: Outcome,
    /// How its heap grew, by time.
    pub samples: Vec<Sample>,
    /// What it had allocated at its end, by the size of the slots.
    pub classes: Vec<ClassUse>,
    /// The same by the name that the program gave to what it allocated.
    pub tags: Vec<TagUse>,
}

/// A program file or library that frames point into.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Module {
    /// Its path as the process saw it.
    pub path: String,
    /// Its build id in lower-case hexadecimal, or empty.
    pub build_id: String,
}

impl Module {
    /// The last component of the path.
    #[must_use]
    pub fn name(&self) -> &str {
        file_name(&self.path)
    }
}

/// The last component of `path`, or all of it if that is empty.
pub(crate) fn file_name(path: &str) -> &str {
    match path.rsplit('/').next() {
        Some(name) if !name.is_empty() => name,
        _ => path,
    }
}

/// Where a module was in the memory of the process that named it first.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Mapping {
    /// The mapped range, half open.
    pub(crate) start: u64,
    pub(crate) end: u64,
    /// What to add to an address in the file.
    pub(crate) bias: u64,
}

/// One recorded return address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct RawFrame {
    /// Index of the module in the report; `None` outside all of them.
    pub(crate) module: Option<u32>,
    /// Address in the module's file, or in memory.
    pub(crate) addr: u64,
}

/// A function in a stack. One address is several frames where calls were inlined.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Frame {
    /// Its name as the language writes it.
    pub function: Option<String>,
    /// The source file.
    pub file: Option<String>,
    /// The line in it, from 1.
    pub line: Option<u32>,
    /// Path of the module, or empty.
    pub module: String,
    /// The recorded return address: in the module's file, or in memory if `module` is empty.
    pub addr: u64,
    /// Whether the frame was inlined into the next one.
    pub inlined: bool,
}

impl Frame {
    /// A frame of which only the address is known.
    pub(crate) fn unresolved(module: Option<&Module>, addr: u64) -> Self {
        Self {
            function: None,
            file: None,
            line: None,
            module: module.map_or_else(String::new, |module| module.path.clone()),
            addr,
            inlined: false,
        }
    }

    /// What a reader sees of it: frames with equal looks are the same to him.
    pub(crate) fn look(&self) -> impl Eq + std::hash::Hash + '_ {
        let addr = if self.function.is_none() && self.file.is_none() { self.addr } else { 0 };
        (&self.function, &self.file, self.line, &self.module, addr)
    }
}

/// `module+0xOFFSET`, or the address where no module is known.
impl fmt::Display for Frame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.module.is_empty() {
            write!(f, "{:#x}", self.addr)
        } else {
            write!(f, "{}+{:#x}", file_name(&self.module), self.addr)
        }
    }
}
