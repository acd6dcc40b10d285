//! The blocks that were never freed as a heap profile of pprof: the messages of its `profile.proto`,
//! compressed with gzip.

use std::collections::HashMap;
use std::io::{self, Write};
use std::ops::Range;

use flate2::Compression;
use flate2::write::GzEncoder;
use prost::Message;

use crate::escape::escape;
use crate::model::{Frame, StackId};
use crate::profile::Held;
use crate::words::function;
use crate::{Report, Run};

/// What a sample counts, and in which unit, as Go's heap profiles name it; the first two only where
/// the totals of each stack are known.
const SAMPLE_TYPES: [(&str, &str); 4] = [
    ("alloc_objects", "count"),
    ("alloc_space", "bytes"),
    ("inuse_objects", "count"),
    ("inuse_space", "bytes"),
];

/// `perftools.profiles.Profile`. Strings are indices into `string_table`, whose first is empty.
#[derive(Clone, PartialEq, Message)]
struct Profile {
    #[prost(message, repeated, tag = "1")]
    sample_type: Vec<ValueType>,
    #[prost(message, repeated, tag = "2")]
    sample: Vec<Sample>,
    #[prost(message, repeated, tag = "3")]
    mapping: Vec<Mapping>,
    #[prost(message, repeated, tag = "4")]
    location: Vec<Location>,
    #[prost(message, repeated, tag = "5")]
    function: Vec<Function>,
    #[prost(string, repeated, tag = "6")]
    string_table: Vec<String>,
    #[prost(int64, tag = "9")]
    time_nanos: i64,
    #[prost(int64, tag = "10")]
    duration_nanos: i64,
    #[prost(message, optional, tag = "11")]
    period_type: Option<ValueType>,
    #[prost(int64, tag = "12")]
    period: i64,
    #[prost(int64, repeated, tag = "13")]
    comment: Vec<i64>,
    #[prost(int64, tag = "14")]
    default_sample_type: i64,
}

#[derive(Clone, PartialEq, Message)]
struct ValueType {
    #[prost(int64, tag = "1")]
    kind: i64,
    #[prost(int64, tag = "2")]
    unit: i64,
}

#[derive(Clone, PartialEq, Message)]
struct Sample {
    /// Innermost first.
    #[prost(uint64, repeated, tag = "1")]
    location_id: Vec<u64>,
    /// One for each of the profile's sample types.
    #[prost(int64, repeated, tag = "2")]
    value: Vec<i64>,
    #[prost(message, repeated, tag = "3")]
    label: Vec<Label>,
}

#[derive(Clone, PartialEq, Message)]
struct Label {
    #[prost(int64, tag = "1")]
    key: i64,
    #[prost(int64, tag = "2")]
    str: i64,
}

#[derive(Clone, PartialEq, Message)]
struct Mapping {
    #[prost(uint64, tag = "1")]
    id: u64,
    #[prost(uint64, tag = "2")]
    memory_start: u64,
    #[prost(uint64, tag = "3")]
    memory_limit: u64,
    #[prost(int64, tag = "5")]
    filename: i64,
    #[prost(int64, tag = "6")]
    build_id: i64,
    #[prost(bool, tag = "7")]
    has_functions: bool,
    #[prost(bool, tag = "8")]
    has_filenames: bool,
    #[prost(bool, tag = "9")]
    has_line_numbers: bool,
    #[prost(bool, tag = "10")]
    has_inline_frames: bool,
}

#[derive(Clone, PartialEq, Message)]
struct Location {
    #[prost(uint64, tag = "1")]
    id: u64,
    /// 0: in no mapping.
    #[prost(uint64, tag = "2")]
    mapping_id: u64,
    #[prost(uint64, tag = "3")]
    address: u64,
    /// Innermost first: the last is the function that the others were inlined into.
    #[prost(message, repeated, tag = "4")]
    line: Vec<Line>,
}

#[derive(Clone, PartialEq, Message)]
struct Line {
    #[prost(uint64, tag = "1")]
    function_id: u64,
    #[prost(int64, tag = "2")]
    line: i64,
}

#[derive(Clone, PartialEq, Message)]
struct Function {
    #[prost(uint64, tag = "1")]
    id: u64,
    #[prost(int64, tag = "2")]
    name: i64,
    #[prost(int64, tag = "3")]
    system_name: i64,
    #[prost(int64, tag = "4")]
    filename: i64,
}

/// A profile that grows by what its samples refer to.
struct Builder<'a> {
    report: &'a Report,
    profile: Profile,
    strings: HashMap<String, i64>,
    functions: HashMap<(i64, i64), u64>,
    /// By address, and by which of its frames are shown.
    locations: HashMap<(u32, Range<usize>), u64>,
    /// By module; each is in the profile.
    mappings: HashMap<u32, usize>,
}

impl Report {
    /// Writes the blocks that were never freed as a heap profile of pprof, compressed. The sample
    /// types are `inuse_objects` and `inuse_space`, and how blocks are held is each sample's label
    /// `kind`. If the processes recorded all that each stack allocated (`live=exit`), there are
    /// `alloc_objects` and `alloc_space` as well, and no labels.
    ///
    /// # Errors
    ///
    /// Those of `out`.
    pub fn render_pprof(&self, out: &mut dyn Write, run: &Run) -> io::Result<()> {
        let mut builder = Builder {
            report: self,
            profile: Profile::default(),
            strings: HashMap::new(),
            functions: HashMap::new(),
            locations: HashMap::new(),
            mappings: HashMap::new(),
        };
        builder.string("");
        let known = self.profile();
        builder.head(run, known.has_totals);
        for held in &known.held {
            builder.sample(held, known.has_totals);
        }
        let mut encoder = GzEncoder::new(out, Compression::default());
        encoder.write_all(&builder.profile.encode_to_vec())?;
        encoder.finish()?.flush()
    }
}

impl Builder<'_> {
    fn head(&mut self, run: &Run, has_totals: bool) {
        let nanos = |ms: u64| i64::try_from(ms).unwrap_or(0).saturating_mul(1_000_000);
        let names = if has_totals { &SAMPLE_TYPES[..] } else { &SAMPLE_TYPES[2..] };
        self.profile.sample_type =
            names.iter().map(|(name, unit)| self.value_type(name, unit)).collect();
        self.profile.period_type = Some(self.value_type("space", "bytes"));
        // Every block was looked at, not one in so many bytes.
        self.profile.period = 1;
        self.profile.default_sample_type = self.string("inuse_space");
        self.profile.time_nanos = nanos(run.began_ms.unwrap_or(0));
        self.profile.duration_nanos = nanos(self.report.duration_ms(run));
        if !run.command.is_empty() {
            let command = run.command.join(" ");
            self.profile.comment = vec![self.string(&escape(&command))];
        }
    }

    fn value_type(&mut self, kind: &str, unit: &str) -> ValueType {
        ValueType { kind: self.string(kind), unit: self.string(unit) }
    }

    fn string(&mut self, text: &str) -> i64 {
        if let Some(index) = self.strings.get(text) {
            return *index;
        }
        let index = signed(self.profile.string_table.len() as u64);
        self.profile.string_table.push(text.to_owned());
        self.strings.insert(text.to_owned(), index);
        index
    }

    fn sample(&mut self, held: &Held, has_totals: bool) {
        let location_id = self.stack(held.stack);
        let label =
            held.kind.map(|kind| Label { key: self.string("kind"), str: self.string(kind.name()) });
        let amounts = if has_totals { &[held.total, held.live][..] } else { &[held.live] };
        let values = amounts.iter().flat_map(|amount| [amount.blocks, amount.bytes]);
        let value = values.map(signed).collect();
        self.profile.sample.push(Sample { location_id, value, label: label.into_iter().collect() });
    }

    /// The locations of what is shown of a stack.
    fn stack(&mut self, stack: StackId) -> Vec<u64> {
        if stack == StackId::NONE {
            return vec![self.unknown_place()];
        }
        let report = self.report;
        let shown = report.shown_range(stack);
        let (mut ids, mut first) = (Vec::new(), 0);
        for address in &report.stacks[stack.0 as usize] {
            let len = report.frames[*address as usize].len();
            let from = shown.start.clamp(first, first + len) - first;
            let to = shown.end.clamp(first, first + len) - first;
            if from < to {
                ids.push(self.location(*address, from..to));
            }
            first += len;
        }
        ids
    }

    fn location(&mut self, address: u32, frames: Range<usize>) -> u64 {
        if let Some(id) = self.locations.get(&(address, frames.clone())) {
            return *id;
        }
        let report = self.report;
        let raw = report.addresses[address as usize];
        let shown = &report.frames[address as usize][frames.clone()];
        let mapping = raw.module.map(|module| self.mapping(module));
        if let Some(index) = mapping {
            let mapping = &mut self.profile.mapping[index];
            let all = |has: fn(&Frame) -> bool| shown.iter().all(has);
            mapping.has_functions &= all(|frame| frame.function.is_some());
            mapping.has_filenames &= all(|frame| frame.file.is_some());
            mapping.has_line_numbers &= all(|frame| frame.line.is_some());
        }
        let bias = raw.module.map_or(0, |module| report.mappings[module as usize].bias);
        let line = shown.iter().map(|frame| self.line(frame)).collect();
        let id = self.profile.location.len() as u64 + 1;
        self.profile.location.push(Location {
            id,
            mapping_id: mapping.map_or(0, |index| self.profile.mapping[index].id),
            // Of the call, not of where it returns to.
            address: raw.addr.wrapping_add(bias).wrapping_sub(1),
            line,
        });
        self.locations.insert((address, frames), id);
        id
    }

    /// A location that stands for the stack that was not recorded: it is used once for each kind.
    fn unknown_place(&mut self) -> u64 {
        let id = self.profile.location.len() as u64 + 1;
        let line = vec![self.named_line("[no stack was recorded]", "", 0)];
        self.profile.location.push(Location { id, mapping_id: 0, address: 0, line });
        id
    }

    fn line(&mut self, frame: &Frame) -> Line {
        let file = escape(frame.file.as_deref().unwrap_or(""));
        self.named_line(&function(frame), &file, frame.line.map_or(0, i64::from))
    }

    fn named_line(&mut self, name: &str, file: &str, line: i64) -> Line {
        let (name, filename) = (self.string(name), self.string(file));
        let next = self.profile.function.len() as u64 + 1;
        let id = *self.functions.entry((name, filename)).or_insert(next);
        if id == next {
            self.profile.function.push(Function { id, name, system_name: name, filename });
        }
        Line { function_id: id, line }
    }

    /// The index of a module's mapping.
    fn mapping(&mut self, module: u32) -> usize {
        if let Some(index) = self.mappings.get(&module) {
            return *index;
        }
        let (named, mapped) =
            (&self.report.modules[module as usize], self.report.mappings[module as usize]);
        let index = self.profile.mapping.len();
        let mapping = Mapping {
            id: index as u64 + 1,
            memory_start: mapped.start,
            memory_limit: mapped.end,
            filename: self.string(&escape(&named.path)),
            build_id: self.string(&escape(&named.build_id)),
            has_functions: true,
            has_filenames: true,
            has_line_numbers: true,
            has_inline_frames: true,
        };
        self.profile.mapping.push(mapping);
        self.mappings.insert(module, index);
        index
    }
}

/// The format's integers are signed.
fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
