//! A general-purpose allocator that finds leaks, double frees, bad frees, overflows and writes after
//! free, with stacks.

extern crate std;

mod gpa;
mod finding;
mod config;
mod global;
mod process;
mod side;
mod heap;
#[allow(dead_code, reason = "the process integration uses what it needs of it")]
mod stack;
mod stack_id;
mod text;
mod lock;
#[allow(dead_code, reason = "the process integration uses what it needs of it")]
mod sys;

pub use config::{Config, ConfigError, OnFinding};
pub use finding::{Block, Check, Detail, Finding, FindingKind, LeakTotals, Thread};
pub use global::Global;
pub use gpa::{Builder, Gpa};
pub use heap::Stats;
pub use process::{ProcessHeap, Start};
pub use side::SideHeap;
pub use stack::StackId;
