//! `cargo xtask bench`: the allocators beside their peers, and the record of it.

use std::process::ExitCode;

use anyhow::Result;
use clap::Args;

use crate::tools::cargo;

#[derive(Args, Clone, Debug)]
pub(crate) struct Options {
    /// Only the benches whose name holds one of these.
    #[arg(value_name = "FILTER")]
    filters: Vec<String>,
}

pub(crate) fn run(options: &Options) -> Result<ExitCode> {
    let _ = (options, cargo("bench"));
    Ok(ExitCode::SUCCESS)
}
