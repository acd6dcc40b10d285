//! The lines of a record file, as `docs/design/records.md` defines them.
//!
//! Fields that are missing take their default and fields that are not known are ignored, so that a
//! reader and a writer of neighbouring revisions understand each other.

use serde::Deserialize;

use crate::usage::{Captures, ClassUse, Kept, TagUse};

/// The version of the format that this reader understands.
pub(crate) const VERSION: u64 = 1;

/// One line of a record file.
#[derive(Debug, Deserialize)]
#[serde(tag = "t", rename_all = "lowercase")]
pub(crate) enum Line {
    Start(Start),
    Module(Module),
    Stack(Stack),
    Finding(Finding),
    Leak(Leak),
    #[serde(rename = "leak_at")]
    LeakAt(LeakAt),
    Sample(Sample),
    Snapshot(Snapshot),
    Live(Live),
    Repeat(Repeat),
    Class(ClassUse),
    Tag(TagUse),
    Note(Note),
    End(End),
    /// A type of a later revision.
    #[serde(other)]
    Unknown,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Start {
    pub(crate) v: u64,
    pub(crate) pid: i32,
    #[serde(default)]
    pub(crate) ppid: i32,
    #[serde(default)]
    pub(crate) exe: String,
    #[serde(default)]
    pub(crate) argv: Vec<String>,
    #[serde(default)]
    pub(crate) strategy: String,
    #[serde(default)]
    pub(crate) forked: bool,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Module {
    pub(crate) id: i64,
    pub(crate) path: String,
    #[serde(default)]
    pub(crate) start: u64,
    #[serde(default)]
    pub(crate) end: u64,
    #[serde(default)]
    pub(crate) bias: u64,
    #[serde(default)]
    pub(crate) build_id: String,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Stack {
    pub(crate) id: u64,
    pub(crate) frames: Vec<(i64, u64)>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Block {
    #[serde(default)]
    pub(crate) addr: u64,
    #[serde(default)]
    pub(crate) size: u64,
    #[serde(default)]
    pub(crate) align: u64,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Finding {
    pub(crate) kind: String,
    #[serde(default)]
    pub(crate) addr: u64,
    #[serde(default)]
    pub(crate) offset: i64,
    #[serde(default)]
    pub(crate) block: Option<Block>,
    #[serde(default)]
    pub(crate) size: u64,
    #[serde(default)]
    pub(crate) align: u64,
    #[serde(default)]
    pub(crate) thread: String,
    #[serde(default)]
    pub(crate) tid: i32,
    #[serde(default)]
    pub(crate) here: u64,
    #[serde(default)]
    pub(crate) allocated: u64,
    #[serde(default)]
    pub(crate) freed: u64,
    #[serde(default)]
    pub(crate) tag: String,
    #[serde(default)]
    pub(crate) detail: String,
    #[serde(default = "one")]
    pub(crate) count: u64,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Leak {
    pub(crate) kind: String,
    #[serde(default)]
    pub(crate) stack: u64,
    pub(crate) count: u64,
    pub(crate) bytes: u64,
    #[serde(default)]
    pub(crate) min: u64,
    #[serde(default)]
    pub(crate) max: u64,
    #[serde(default)]
    pub(crate) tag: String,
    #[serde(default)]
    pub(crate) holder: u64,
    #[serde(default)]
    pub(crate) cycle: Vec<u64>,
    #[serde(default)]
    pub(crate) addr: u64,
    #[serde(default)]
    pub(crate) dump: String,
}

#[derive(Debug, Deserialize)]
pub(crate) struct LeakAt {
    #[serde(default)]
    pub(crate) snapshot: u64,
    #[serde(flatten)]
    pub(crate) leak: Leak,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Snapshot {
    pub(crate) id: u64,
    #[serde(default)]
    pub(crate) ms: u64,
    #[serde(default)]
    pub(crate) why: String,
    #[serde(default)]
    pub(crate) live_blocks: u64,
    #[serde(default)]
    pub(crate) live_bytes: u64,
    #[serde(default)]
    pub(crate) allocations: u64,
    #[serde(default)]
    pub(crate) complete: bool,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Live {
    pub(crate) snapshot: u64,
    #[serde(default)]
    pub(crate) stack: u64,
    pub(crate) blocks: u64,
    pub(crate) bytes: u64,
    #[serde(default)]
    pub(crate) total_blocks: u64,
    #[serde(default)]
    pub(crate) total_bytes: u64,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Repeat {
    pub(crate) finding: usize,
    pub(crate) count: u64,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Sample {
    pub(crate) ms: u64,
    #[serde(default)]
    pub(crate) live_bytes: u64,
    #[serde(default)]
    pub(crate) live_blocks: u64,
    #[serde(default)]
    pub(crate) allocations: u64,
    #[serde(default)]
    pub(crate) frees: u64,
    #[serde(default)]
    pub(crate) resident_bytes: u64,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Note {
    pub(crate) text: String,
}

#[derive(Debug, Deserialize)]
pub(crate) struct End {
    #[serde(default)]
    pub(crate) allocations: u64,
    #[serde(default)]
    pub(crate) frees: u64,
    #[serde(default)]
    pub(crate) live_blocks: u64,
    #[serde(default)]
    pub(crate) live_bytes: u64,
    #[serde(default)]
    pub(crate) peak_bytes: u64,
    #[serde(default)]
    pub(crate) total_bytes: u64,
    #[serde(default)]
    pub(crate) kept: Kept,
    #[serde(flatten)]
    pub(crate) captures: Captures,
    #[serde(default)]
    pub(crate) leaks_counted: String,
    #[serde(default = "unknown_status")]
    pub(crate) status: i64,
    #[serde(default)]
    pub(crate) lost_blocks: u64,
    #[serde(default)]
    pub(crate) lost_bytes: u64,
    #[serde(default)]
    pub(crate) indirect_blocks: u64,
    #[serde(default)]
    pub(crate) indirect_bytes: u64,
    #[serde(default)]
    pub(crate) possible_blocks: u64,
    #[serde(default)]
    pub(crate) possible_bytes: u64,
    #[serde(default)]
    pub(crate) reachable_blocks: u64,
    #[serde(default)]
    pub(crate) reachable_bytes: u64,
}

fn one() -> u64 {
    1
}

fn unknown_status() -> i64 {
    -1
}
