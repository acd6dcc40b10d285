//! The blocks that were never freed as a profile of DHAT, for its viewer: format version 2, as
//! Valgrind's manual describes it ("DHAT: a dynamic heap analysis tool, File Format").

use std::collections::HashMap;
use std::io::{self, Write};

use serde::Serialize;

use crate::escape::escape;
use crate::model::Frame;
use crate::words::{function, place};
use crate::{Report, Run};

/// The version of the format that DHAT's viewer asks for.
const FILE_VERSION: u32 = 2;
/// The viewer's name of the entry that every stack grows from.
const ROOT: &str = "[root]";

/// Lifetimes and accesses are not measured, so `bklt` and `bkacc` are false, and the fields that
/// belong to them are absent.
#[derive(Serialize)]
#[expect(non_snake_case, reason = "the format's own names")]
struct Document {
    dhatFileVersion: u32,
    mode: &'static str,
    verb: &'static str,
    bklt: bool,
    bkacc: bool,
    tu: &'static str,
    Mtu: &'static str,
    cmd: String,
    pid: i32,
    te: u64,
    pps: Vec<Point>,
    ftbl: Vec<String>,
}

/// A program point: a stack, with its total bytes and blocks.
#[derive(Serialize)]
struct Point {
    tb: u64,
    tbk: u64,
    /// Indices into `ftbl`, innermost first.
    fs: Vec<usize>,
}

impl Report {
    /// Writes the blocks that were never freed, or all blocks if the processes recorded what each stack
    /// allocated (`live=exit`), in the format of DHAT's viewer.
    ///
    /// # Errors
    ///
    /// Those of `out`.
    pub fn render_dhat(&self, out: &mut dyn Write, run: &Run) -> io::Result<()> {
        let mut names = HashMap::new();
        let mut table = vec![ROOT.to_owned()];
        let mut name = |text: String| {
            let next = table.len();
            *names.entry(text).or_insert_with_key(|text| {
                table.push(text.clone());
                next
            })
        };
        let mut points: Vec<Point> = Vec::new();
        let mut known = HashMap::new();
        let profile = self.profile();
        for held in &profile.held {
            let mut stack: Vec<usize> =
                self.shown_frames(held.stack).map(|frame| name(line(frame))).collect();
            if stack.is_empty() {
                stack.push(name("[no stack was recorded]".to_owned()));
            }
            // The viewer takes each stack once: two may look the same in its words.
            let index = *known.entry(stack.clone()).or_insert(points.len());
            if index == points.len() {
                points.push(Point { tb: 0, tbk: 0, fs: stack });
            }
            let amount = if profile.has_totals { held.total } else { held.live };
            let point = &mut points[index];
            point.tb = point.tb.saturating_add(amount.bytes);
            point.tbk = point.tbk.saturating_add(amount.blocks);
        }
        let command = run.command.join(" ");
        let document = Document {
            dhatFileVersion: FILE_VERSION,
            mode: match profile.has_totals {
                true => "all blocks",
                false => "blocks that were never freed",
            },
            verb: "Allocated",
            bklt: false,
            bkacc: false,
            tu: "ms",
            Mtu: "ks",
            cmd: escape(&command).into_owned(),
            pid: self.processes.first().map_or(0, |process| process.pid),
            te: self.duration_ms(run),
            pps: points,
            ftbl: table,
        };
        serde_json::to_writer(&mut *out, &document)?;
        writeln!(out)
    }

    /// How long the run took, as far as is known.
    pub(crate) fn duration_ms(&self, run: &Run) -> u64 {
        let sampled = || {
            let samples = self.processes.iter().filter_map(|process| process.samples.last());
            samples.map(|sample| sample.ms).max()
        };
        run.ran_ms.or_else(sampled).unwrap_or(0)
    }
}

/// A frame as DHAT itself writes it: `0xADDR: function (file:line)`.
fn line(frame: &Frame) -> String {
    let place = match place(frame, None) {
        place if place.starts_with('(') || place.is_empty() => place,
        place => format!("({place})"),
    };
    format!("{:#x}: {} {place}", frame.addr, function(frame)).trim_end().to_owned()
}
