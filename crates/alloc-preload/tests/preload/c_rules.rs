//! Trap "C's rules": `errno`, sizes, alignments, as a C program sees them.

use crate::harness::{Bench, runs_clean};

/// The program checks each rule itself.
#[test]
fn c_rules() {
    let bench = Bench::new();
    runs_clean(&bench.compile("c_rules.c", &["-ldl"]), &[], "all rules are kept\n");
}
