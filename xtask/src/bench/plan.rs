//! What each crate has to reach: which case, beside whom.

/// A crate with cases of its own.
pub(super) struct Subject {
    /// The first part of its cases' names.
    pub(super) name: &'static str,
    pub(super) title: &'static str,
    /// Zig's program, and the workloads that it has, separated by spaces.
    pub(super) zig: (&'static str, &'static str),
    pub(super) rules: &'static [Rule],
}

/// What is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Measure {
    Instructions,
    Time,
}

/// One of our contenders to be at most `bound` times the best of the peers, in each of the cases.
pub(super) struct Rule {
    /// Separated by spaces.
    pub(super) cases: &'static str,
    pub(super) ours: &'static str,
    pub(super) peers: &'static [&'static str],
    pub(super) measures: &'static [Measure],
    pub(super) bound: f64,
}

use Measure::{Instructions, Time};

const BOTH: &[Measure] = &[Instructions, Time];
pub(super) const ZIG: &str = "Zig";

pub(super) const SUBJECTS: [Subject; 5] = [ARENA, FIXED, POOL, PAGE, C];

const ARENA: Subject = Subject {
    name: "arena",
    title: "alloc-arena",
    zig: (
        "arena",
        "values triples slices fills strings texts blocks grow vectors threads \
         dyn-pair dyn-lifo dyn-blocks dyn-grow dyn-large",
    ),
    rules: &[
        Rule {
            cases: "values triples slices fills strings texts blocks grow vectors threads",
            ours: "alloc-arena",
            peers: &["bumpalo", "bump-scope"],
            measures: BOTH,
            bound: 1.0,
        },
        // Four times faster.
        Rule {
            cases: "values triples slices fills strings blocks threads dyn-pair dyn-lifo dyn-blocks",
            ours: "alloc-arena",
            peers: &[ZIG],
            measures: &[Time],
            bound: 0.25,
        },
        // All threads at one end, as in Zig's: the way for what must outlive the threads' own arenas.
        Rule {
            cases: "threads",
            ours: "alloc-arena one chunk",
            peers: &[ZIG],
            measures: BOTH,
            bound: 1.0,
        },
        Rule {
            cases: "grow vectors dyn-grow dyn-large",
            ours: "alloc-arena",
            peers: &[ZIG],
            measures: &[Time],
            bound: 1.0,
        },
    ],
};

const FIXED: Subject = Subject {
    name: "fixed",
    title: "alloc-fixed",
    zig: ("fixed", "values words slices texts mixed blocks list vectors two-threads"),
    rules: &[
        Rule {
            cases: "values words slices texts mixed blocks list vectors",
            ours: "alloc-fixed",
            peers: &[ZIG],
            measures: BOTH,
            bound: 1.0,
        },
        Rule {
            cases: "two-threads",
            ours: "alloc-fixed",
            peers: &["mutex", ZIG],
            measures: BOTH,
            bound: 1.0,
        },
        Rule {
            cases: "heap-pair heap-lifo heap-random",
            ours: "alloc-fixed",
            peers: &["talc", "rlsf"],
            measures: BOTH,
            bound: 1.0,
        },
    ],
};

const POOL: Subject = Subject {
    name: "pool",
    title: "alloc-pool",
    zig: ("pool", "pairs random create grow"),
    rules: &[
        // Owners also beside Zig's bare pointers, which free nothing by themselves.
        Rule {
            cases: "pairs random",
            ours: "alloc-pool",
            peers: &["slab", ZIG],
            measures: BOTH,
            bound: 1.0,
        },
        Rule {
            cases: "pairs random",
            ours: "alloc-pool, handles",
            peers: &["slab"],
            measures: BOTH,
            bound: 1.0,
        },
        // Bare pointers, as Zig's pool hands out.
        Rule {
            cases: "pairs random",
            ours: "alloc-pool, raw",
            peers: &["slab", ZIG],
            measures: BOTH,
            bound: 1.0,
        },
        Rule {
            cases: "create grow",
            ours: "alloc-pool",
            peers: &["typed-arena"],
            measures: BOTH,
            bound: 1.0,
        },
        // References that nobody gives back, as typed-arena's.
        Rule {
            cases: "create grow",
            ours: "alloc-arena, typed",
            peers: &["typed-arena"],
            measures: BOTH,
            bound: 1.0,
        },
    ],
};

const PAGE: Subject = Subject {
    name: "page",
    title: "alloc-page",
    zig: ("system", "pages megabytes"),
    rules: &[Rule {
        cases: "pages megabytes",
        ours: "alloc-page",
        peers: &["mmap", "memmap2", ZIG],
        measures: BOTH,
        bound: 1.0,
    }],
};

const C: Subject = Subject {
    name: "c",
    title: "alloc-c",
    zig: ("system", "pair lifo random"),
    rules: &[
        Rule {
            cases: "pair lifo random",
            ours: "alloc-c",
            peers: &["malloc"],
            measures: BOTH,
            bound: 1.0,
        },
        // Both behind a trait object: one indirect call each.
        Rule {
            cases: "pair lifo random",
            ours: "alloc-c, dyn",
            peers: &["malloc, dyn"],
            measures: BOTH,
            bound: 1.0,
        },
    ],
};

/// What the plan names and nobody runs: a rule about it would be kept by nothing.
pub(super) fn unknown(has: impl Fn(&str, &str) -> bool) -> Vec<String> {
    let mut unknown = Vec::new();
    for subject in &SUBJECTS {
        for rule in subject.rules {
            for workload in rule.cases.split_whitespace() {
                let case = format!("{}/{workload}", subject.name);
                let peers = rule.peers.iter().filter(|peer| **peer != ZIG);
                let names = peers.chain([&rule.ours]).filter(|name| !has(&case, name));
                unknown.extend(names.map(|name| format!("{name} of {case}")));
                if rule.peers.contains(&ZIG) && subject.zig_workload(&case).is_none() {
                    unknown.push(format!("{ZIG} of {case}"));
                }
            }
        }
        for workload in subject.zig.1.split_whitespace() {
            let case = format!("{}/{workload}", subject.name);
            let ruled = |rule: &Rule| rule.cases.split_whitespace().any(|one| one == workload);
            if !subject.rules.iter().any(ruled) {
                unknown.push(format!("a rule for {ZIG} of {case}"));
            }
        }
    }
    unknown
}

impl Subject {
    /// Whether a case is one of its own.
    pub(super) fn has(&self, case: &str) -> bool {
        case.split_once('/').is_some_and(|(crate_name, _)| crate_name == self.name)
    }

    /// The workload of Zig's for a case, if it has one.
    pub(super) fn zig_workload<'c>(&self, case: &'c str) -> Option<&'c str> {
        let (_, workload) = case.split_once('/')?;
        self.zig.1.split(' ').any(|one| one == workload).then_some(workload)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_nobody_runs_is_told() {
        let all = unknown(|_, _| true);
        assert!(all.is_empty(), "{all:?}");
        let told = unknown(|case, name| case != "fixed/two-threads" || name != "mutex");
        assert_eq!(told, ["mutex of fixed/two-threads"]);
    }
}
