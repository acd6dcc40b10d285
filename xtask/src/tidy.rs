//! What no compiler checks: the rules of the workspace about itself.
//!
//! Each rule is a function over text, with tests of its own, and answers with problems in words. A
//! rule that a place has a reason to break gets an entry in that rule's list, with the reason.

mod files;
mod imports;
mod sources;
mod names;
mod workflow;

use anyhow::{Result, bail};

use crate::tools::metadata;
use files::Files;

/// Fails with every problem found.
pub(crate) fn run() -> Result<()> {
    let problems = problems()?;
    if problems.is_empty() {
        return Ok(());
    }
    bail!("{} problems\n{}", problems.len(), problems.join("\n"));
}

fn problems() -> Result<Vec<String>> {
    let files = Files::of_workspace()?;
    let mut problems = imports::check(&metadata()?)?;
    problems.extend(imports::check_manifests(&files));
    problems.extend(sources::check(&files));
    problems.extend(names::check(&files));
    problems.extend(workflow::check(&files));
    Ok(problems)
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_workspace_is_tidy() {
        let problems = super::problems().unwrap();
        assert!(problems.is_empty(), "\n{}", problems.join("\n"));
    }
}
