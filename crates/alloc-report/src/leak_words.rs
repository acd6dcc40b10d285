//! Leaks in words: who holds them, and what is in them.

use std::fmt::Write as _;

use crate::escape::escape_short;
use crate::model::{Leak, LeakKind, StackId};
use crate::words::{bytes, counted, function, place};
use crate::{Amount, Report};

/// How many bytes of a dump stand in one line.
const DUMP_LINE_LEN: usize = 16;
/// The most stacks of a cycle that are named.
const CYCLE_SHOWN_MAX: usize = 6;

impl Report {
    /// What is known of a leak beside its size, each in one line, escaped.
    pub(crate) fn leak_notes(&self, leak: &Leak, here: Option<&str>) -> Vec<String> {
        let mut notes = Vec::new();
        if !leak.tag.is_empty() {
            notes.push(format!("tagged {}", escape_short(&leak.tag, 80)));
        }
        let held = self.held_by(leak);
        if held != Amount::default() {
            let (blocks, bytes) = (counted(held.blocks, "more block"), bytes(held.bytes));
            notes.push(format!("with {blocks}, {bytes}, that only these hold"));
        }
        if leak.kind == LeakKind::Indirect && leak.holder != StackId::NONE {
            let holder = self.first_place(leak.holder, here);
            notes.push(format!("held by what was allocated in {holder}"));
        }
        match leak.cycle[..] {
            [] => {}
            [_] => notes.push("a cycle: blocks of this place hold each other".to_owned()),
            _ => notes.push(self.cycle(leak, here)),
        }
        notes
    }

    /// The indirect blocks to which only blocks of this leak lead.
    fn held_by(&self, leak: &Leak) -> Amount {
        let mut held = Amount::default();
        if leak.kind == LeakKind::Lost && leak.stack != StackId::NONE {
            let others = self.leaks.iter().filter(|other| other.kind == LeakKind::Indirect);
            others.filter(|other| other.holder == leak.stack).for_each(|other| held.add(other));
        }
        held
    }

    fn cycle(&self, leak: &Leak, here: Option<&str>) -> String {
        let mut text = "a cycle of blocks that hold each other: ".to_owned();
        for stack in leak.cycle.iter().take(CYCLE_SHOWN_MAX) {
            write!(text, "{} → ", self.first_place(*stack, here)).expect("a String takes all text");
        }
        match leak.cycle.len().saturating_sub(CYCLE_SHOWN_MAX) {
            0 => {}
            more => write!(text, "{more} more → ").expect("a String takes all text"),
        }
        text + "the first"
    }

    /// The innermost frame that is shown: `function file:line`.
    fn first_place(&self, stack: StackId, here: Option<&str>) -> String {
        match self.shown_frames(stack).next() {
            Some(frame) => format!("{} {}", function(frame), place(frame, here)).trim_end().into(),
            None => "a place that is not known".to_owned(),
        }
    }
}

/// The first bytes of a leak's largest block: offset, hexadecimal digits, and the characters that are
/// printable ASCII; empty if there are none.
pub(crate) fn hex_dump(leak: &Leak) -> String {
    let mut text = String::new();
    for (index, line) in leak.dump.chunks(DUMP_LINE_LEN).enumerate() {
        let newline = if index == 0 { "" } else { "\n" };
        let digits: Vec<String> = line.iter().map(|byte| format!("{byte:02x}")).collect();
        let visible = |byte: &u8| match byte {
            0x20..0x7f => char::from(*byte),
            _ => '.',
        };
        let characters: String = line.iter().map(visible).collect();
        let (offset, digits) = (index * DUMP_LINE_LEN, digits.join(" "));
        let width = DUMP_LINE_LEN * 3 - 1;
        write!(text, "{newline}{offset:04x}  {digits:width$}  {characters}")
            .expect("a String takes all text");
    }
    text
}
