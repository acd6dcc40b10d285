//! Where the report goes: each format to its file.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;

use alloc_report::{HtmlOptions, LeakDetail, Report, Run, TextOptions};
use anyhow::{Context, bail};

use crate::args::Reporting;

/// What a report can be written as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Format {
    Text,
    Html,
    Json,
    Pprof,
    Dhat,
}

impl Format {
    fn name(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Html => "HTML",
            Self::Json => "JSON",
            Self::Pprof => "pprof",
            Self::Dhat => "DHAT",
        }
    }
}

/// The files of one report, opened before anything runs.
pub(crate) struct Outputs(Vec<(Format, Box<dyn Write>)>);

impl Outputs {
    /// Opens every file that `args` name.
    pub(crate) fn open(args: &Reporting) -> anyhow::Result<Self> {
        let asked = [
            (Format::Text, &args.output),
            (Format::Html, &args.html),
            (Format::Json, &args.json),
            (Format::Pprof, &args.pprof),
            (Format::Dhat, &args.dhat),
        ];
        let mut opened: Vec<(Format, Box<dyn Write>)> = Vec::new();
        let mut paths: Vec<&Path> = Vec::new();
        for (format, path) in asked {
            let Some(path) = path.as_deref() else { continue };
            if paths.contains(&path) {
                bail!("{} is named for two formats", path.display());
            }
            paths.push(path);
            opened.push((format, create(path)?));
        }
        Ok(Self(opened))
    }

    /// Whether text goes to a file.
    pub(crate) fn has_text(&self) -> bool {
        self.0.iter().any(|(format, _)| *format == Format::Text)
    }

    /// Whether a format goes to standard output.
    pub(crate) fn takes_stdout(args: &Reporting) -> bool {
        [&args.output, &args.html, &args.json, &args.pprof, &args.dhat]
            .into_iter()
            .any(|path| path.as_deref() == Some(Path::new("-")))
    }

    /// Writes the report in every format.
    pub(crate) fn write(
        &mut self,
        report: &Report,
        args: &Reporting,
        run: &Run,
    ) -> anyhow::Result<()> {
        for (format, file) in &mut self.0 {
            let mut out = BufWriter::new(file);
            let written = match format {
                Format::Text => render_text(report, args, &mut out, false),
                Format::Html => report.render_html(&mut out, run, &html_options(args)),
                Format::Json => report.render_json(&mut out, run),
                Format::Pprof => report.render_pprof(&mut out, run),
                Format::Dhat => report.render_dhat(&mut out, run),
            };
            let written = written.and_then(|()| out.flush());
            written.with_context(|| format!("cannot write the report as {}", format.name()))?;
        }
        Ok(())
    }
}

fn create(path: &Path) -> anyhow::Result<Box<dyn Write>> {
    if path == "-" {
        return Ok(Box::new(io::stdout()));
    }
    let file = File::create(path).with_context(|| format!("cannot write {}", path.display()))?;
    Ok(Box::new(file))
}

/// Writes the report as text, or that there is none.
pub(crate) fn render_text(
    report: &Report,
    args: &Reporting,
    out: &mut dyn Write,
    color: bool,
) -> io::Result<()> {
    if report.processes().is_empty() {
        return writeln!(
            out,
            "alloc-check: not checked: the program recorded nothing, so the preload library was \
             not loaded into it"
        );
    }
    let options = TextOptions {
        leaks: LeakDetail::from(args.leaks),
        stacks_max: args.max_stacks,
        statistics: args.stats,
        color,
        here: here(),
    };
    report.render_text(out, &options)
}

fn html_options(args: &Reporting) -> HtmlOptions {
    HtmlOptions { leaks: LeakDetail::from(args.leaks), source: !args.no_source, here: here() }
}

fn here() -> Option<String> {
    std::env::current_dir().ok()?.to_str().map(str::to_owned)
}
