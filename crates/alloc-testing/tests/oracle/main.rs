//! The kit is tested itself: allocators that break one promise each, every one of which must be
//! caught by that promise's name; and their honest twins, in which it must find nothing.
//!
//! A broken allocator hands out parts of one large buffer, or of a watched backing, so that what it
//! does wrong stays inside memory that the test owns.

mod ground;
mod over;

use std::collections::BTreeSet;
use std::process::Command;

use alloc_core::Layout;
use alloc_testing::SEED_VARIABLE;
use alloc_testing::conformance::{self, Options, Rule, Strand, Summary, Violation};
use alloc_testing::hostile::Backing;

use ground::{Fault, Ground, Inline};
use over::{Over, OverFault};

/// The buffer of a [`Ground`] holds what a check asks for; alignments above a page would waste it.
fn options() -> Options {
    Options::new().align_max(4096).cases(24)
}

fn on_ground(fault: Fault) -> Result<Summary, Violation> {
    conformance::run(|| Ground::new(fault), &options())
}

fn over_backing(fault: OverFault) -> Result<Summary, Violation> {
    conformance::run_over(|backing, case| case.run(Over::new(backing, fault)), &options())
}

/// The violation is of `rule` and was seen by `check`; its message names the rule, the call and the
/// seed.
#[track_caller]
fn assert_caught(outcome: Result<Summary, Violation>, rule: Rule, check: &str) -> Violation {
    let violation = match outcome {
        Ok(summary) => panic!("not caught: {rule}; {summary}"),
        Err(violation) => violation,
    };
    let message = violation.to_string();
    assert_eq!(violation.rule, rule, "{message}");
    let name = violation.check.split([',', ':']).next();
    assert_eq!(name, Some(check), "{message}");
    assert!(message.starts_with(&format!("{rule} is broken: ")), "{message}");
    assert!(message.contains("ALLOC_TESTING_SEED="), "{message}");
    println!("{message}");
    violation
}

/// The honest twins: without a fault every check passes, so what the others show is their fault.
#[test]
fn honest_allocators_pass() {
    on_ground(Fault::None).unwrap();
    conformance::run_sync(|| Ground::new(Fault::None), &options()).unwrap();
    conformance::run_counting(|| Ground::new(Fault::None), Ground::live_bytes, &options()).unwrap();
    conformance::run_unsized(|| Ground::new(Fault::None), &options()).unwrap();
    let limited = options().capacity(1 << 16);
    conformance::run(|| Ground::with_limit(Fault::None, 1 << 16), &limited).unwrap();
    let summary = over_backing(OverFault::None).unwrap();
    assert!(20 < summary.failure_points, "{summary}");
}

/// One test for each broken allocator: the rule that it breaks, and the check that sees it first. The
/// table of them all is held against `RULES.md`.
macro_rules! caught {
    ($($(#[$doc:meta])* $test:ident: $outcome:expr => $rule:ident, $check:literal;)+) => {
        $($(#[$doc])* #[test] fn $test() {
            assert_caught($outcome, Rule::$rule, $check);
        })+

        /// Test, rule, check.
        const BROKEN: &[(&str, Rule, &str)] = &[$((stringify!($test), Rule::$rule, $check)),+];
    };
}

caught! {
    /// A block begins one byte before the last one ends.
    overlapping: on_ground(Fault::Overlap) => Exclusive, "sizes";
    /// The address is one more than it should be.
    misaligned: on_ground(Fault::Misaligned) => Fit, "sizes";
    /// Only half the bytes are set aside.
    short: on_ground(Fault::Short) => Exclusive, "sizes";
    /// A block that is live is handed out again after another one was freed.
    handed_out_twice: on_ground(Fault::HandedOutTwice) => Exclusive, "grow and shrink";
    /// A growth is granted, and the bytes are not set aside.
    resize_lies: on_ground(Fault::ResizeLies) => Exclusive, "grow and shrink";
    /// A remap copies one byte less than it should.
    remap_loses_bytes: on_ground(Fault::RemapLosesBytes) => Kept, "grow and shrink";
    /// A growth in place clears the whole block.
    resize_clears: on_ground(Fault::ResizeClears) => Kept, "grow and shrink";
    /// A remap is refused after the block was written.
    refused_remap_writes: on_ground(Fault::RefusedRemapWrites) => Kept, "grow and shrink";
    /// A resize is refused after the block was written.
    refused_resize_writes: on_ground(Fault::RefusedResizeWrites) => Kept, "grow and shrink";
    /// Allocation writes a header into the block before.
    header_in_neighbour: on_ground(Fault::HeaderInNeighbour) => HandsOff, "sizes";
    /// A free fills one byte more than the block has.
    free_fills_neighbour: on_ground(Fault::FreeFillsNeighbour) => HandsOff, "sizes";
    /// A refused request clears the youngest block.
    failure_writes: on_ground(Fault::FailureWrites) => HandsOff, "too large";
    /// A request that cannot be served panics.
    unwinds_on_failure: on_ground(Fault::UnwindsOnFailure) => NoUnwind, "too large";
    /// A free panics.
    unwinds_in_free: on_ground(Fault::UnwindsInFree) => NoUnwind, "first block";
    /// The drop panics.
    unwinds_in_drop: on_ground(Fault::UnwindsInDrop) => NoUnwind, "first block";
    /// The last byte of a zeroed block is not zero.
    not_zeroed: on_ground(Fault::NotZeroed) => Zeroed, "zeroed";
    /// Sizes are kept in 32 bits: a large one wraps to a small one.
    wraps: on_ground(Fault::Wraps) => TooLarge, "too large";
    /// Alignments above 64 are refused, which is not declared.
    refuses_alignment: on_ground(Fault::RefusesAlignment) => Serves, "alignments";
    /// Blocks lie inside the allocator and move with it.
    inline: conformance::run(Inline::new, &options().capacity(4096)) => Stable, "first block";
    /// Bytes are counted before the request fails.
    counts_failures: counting(Fault::CountsFailures) => CleanFailure, "too large";
    /// A shrink does not change the count.
    shrink_not_counted: counting(Fault::ShrinkNotCounted) => Counts, "grow and shrink";
    /// Two threads read the same end of the buffer.
    racy: conformance::run_sync(|| Ground::new(Fault::Racy), &options()) => Exclusive, "threads";
    /// The limit of a request that failed is not rolled back.
    limit_not_rolled_back: limited(Fault::LimitNotRolledBack) => CleanFailure, "refusals change nothing";
    /// It tells more usable bytes than the block has.
    usable_size_lies: unsized_free(Fault::UsableSizeLies) => UsableSize, "unsized";
    /// It disowns its blocks.
    disowns: unsized_free(Fault::Disowns) => UsableSize, "unsized";

    /// After a failure of the backing the block before it is forgotten.
    leaks_on_failure: over_backing(OverFault::LeaksOnFailure) => CleanFailure, "too large";
    /// A remap takes a block for itself and forgets it.
    leaks_at_remap: over_backing(OverFault::LeaksAtRemap) => Returns, "grow and shrink";
    /// It asks its backing for less than it hands out.
    short_over_backing: over_backing(OverFault::Short) => Fit, "sizes";
    /// It writes a footer behind the backing's block.
    footer_outside: over_backing(OverFault::FooterOutside) => Caller, "first block";
    /// It frees with a size of its own.
    frees_other_size: over_backing(OverFault::FreesOtherSize) => Caller, "sizes";
    /// It frees twice.
    frees_twice: over_backing(OverFault::FreesTwice) => Caller, "first block";
    /// It writes a block that it has freed.
    writes_after_free: over_backing(OverFault::WritesAfterFree) => Caller, "first block";
    /// A failure of the backing is remembered for good.
    never_recovers: over_backing(OverFault::NeverRecovers) => Serves, "too large";
    /// Blocks above 128 KiB get half their bytes.
    large_short: on_ground(Fault::LargeShort) => Exclusive, "large blocks";
    /// Of many blocks the first is handed out again.
    crowded: on_ground(Fault::Crowded) => Exclusive, "many blocks";
    /// The five hundredth free gives back another block than its own.
    reuses_after_many_frees: on_ground(Fault::ReusesAfterManyFrees) => Exclusive, "many blocks";
    /// The free number 2,500 gives back another block than its own.
    reuses_after_thousands_of_frees: on_ground(Fault::ReusesAfterThousandsOfFrees) => Exclusive, "many frees";
    /// A hole is taken for a block of one byte more.
    slack_of_one: on_ground(Fault::SlackOfOne) => Exclusive, "neighbours";
    /// A zeroed block that was used before is taken for one fresh from the system.
    dirty_zeroed: on_ground(Fault::DirtyZeroed) => Zeroed, "zeroed";
    /// Zeroed blocks are cleared, but for those on one way through the code.
    zeroed_but_for_some: on_ground(Fault::ZeroedAlignedOnly) => Zeroed, "random programs";
    /// A remap that moves a block keeps its bytes and not its alignment.
    remap_forgets_alignment: on_ground(Fault::RemapForgetsAlignment) => Fit, "grow and shrink";
    /// It declares memory and has none.
    empty: limited(Fault::Empty) => Serves, "first block";
    /// The program of a fuzzer sees what the others do.
    overlapping_for_a_fuzzer: bytes(Fault::Overlap) => Exclusive, "bytes";
    /// A model's strands, each right by itself, are given the same bytes.
    overlapping_strands: strands(|| Ground::new(Fault::None)) => Exclusive, "strands";

    /// It aligns to a page, whatever is asked.
    page_aligned: over_kinds(OverFault::PageAligned) => Fit, "alignments";
    /// It asks its backing for what is left of a block, also when nothing is.
    asks_for_nothing: over_backing(OverFault::AsksForNothing) => ZeroBytes, "first block";
    /// It forgets its header after a failure, but not for such blocks as nobody has.
    leaks_small_on_failure: over_backing(OverFault::LeaksSmallOnFailure) => CleanFailure, "out of memory";
    /// A block is freed before the remap that then finds it dead.
    frees_before_remap: over_backing(OverFault::FreesBeforeRemap) => Caller, "grow and shrink";
}

fn counting(fault: Fault) -> Result<Summary, Violation> {
    conformance::run_counting(|| Ground::new(fault), Ground::live_bytes, &options())
}

/// Over the kinds of backings, with every alignment.
fn over_kinds(fault: OverFault) -> Result<Summary, Violation> {
    let body = |backing: &Backing, case: &mut conformance::Case<'_>| {
        case.run(Over::new(backing, fault));
    };
    conformance::run_over_kinds(body, &Options::new().cases(4))
}

/// Two blocks of 17 bytes, for a fuzzer.
fn bytes(fault: Fault) -> Result<Summary, Violation> {
    let program = [0, 0, 16, 0, 0, 0, 16, 0];
    conformance::run_bytes(&program, |case| case.run(Ground::new(fault)), &options())
}

/// Strands of two threads, each with an allocator of its own over the same bytes: as if neither had
/// seen what the other took.
fn strands(make: impl Fn() -> Ground) -> Result<Summary, Violation> {
    let (layouts, alloc) = ([Layout::new::<[u64; 4]>(), Layout::new::<u16>()], make());
    let strand = |number| {
        alloc.forget_all();
        Strand::run(&alloc, number, &layouts)
    };
    let strands = [strand(0)?, strand(1)?];
    Strand::join(&alloc, strands).map(|()| Summary::default())
}

fn unsized_free(fault: Fault) -> Result<Summary, Violation> {
    conformance::run_unsized(|| Ground::new(fault), &options())
}

fn limited(fault: Fault) -> Result<Summary, Violation> {
    let options = options().capacity(1 << 16);
    conformance::run(|| Ground::with_limit(fault, 1 << 16), &options)
}

/// `RULES.md` says of each rule and each check which of the broken allocators prove it, and there is
/// one for each. The verbs' own check cannot be failed by an allocator: verbs are, beside it.
#[test]
fn each_rule_and_each_check_is_proven() {
    let rows: Vec<Vec<&str>> = include_str!("../../RULES.md")
        .lines()
        .filter(|line| line.starts_with("| `"))
        .map(|line| line.split('|').map(|cell| cell.trim().trim_matches('`')).collect())
        .collect();
    let row = |name: &str| {
        let row = rows.iter().find(|row| row[1] == name);
        row.unwrap_or_else(|| panic!("RULES.md has no row for `{name}`"))
    };
    let told = |name: &str| -> BTreeSet<String> {
        let cell = row(name)[row(name).len() - 2];
        cell.split([',', '`', ' ']).filter(|word| !word.is_empty()).map(str::to_owned).collect()
    };
    let proven = |chosen: &dyn Fn(Rule, &str) -> bool| -> BTreeSet<String> {
        let broken = BROKEN.iter().filter(|&&(_, rule, check)| chosen(rule, check));
        broken.map(|&(test, ..)| test.to_owned()).collect()
    };
    for &rule in Rule::ALL {
        let by = proven(&|of, _| of == rule);
        assert!(!by.is_empty(), "{rule} is broken by nobody");
        assert_eq!(told(&format!("{rule:?}")), by, "{rule:?}");
        assert_eq!(row(&format!("{rule:?}"))[2], rule.name());
    }
    for check in conformance::check_names() {
        let by = proven(&|_, name| name == check);
        if check == "zero bytes" {
            assert_eq!(told(check), BTreeSet::from(["broken_verbs_are_told".to_owned()]));
            assert!(by.is_empty());
        } else {
            assert!(!by.is_empty(), "the check {check:?} sees nobody first");
            assert_eq!(told(check), by, "{check}");
        }
    }
    assert_eq!(rows.len(), Rule::ALL.len() + conformance::check_names().count());
    let newest = format!("**{}**", conformance::VERSION);
    assert!(include_str!("../../RULES.md").contains(&newest), "no entry for version {newest}");
}

/// A random program that fails is shrunk to its essence, whatever the seed: for a resize that lies, a
/// block, the resize, and the call in which the lie shows. That may be a request that is given the
/// same bytes, or a remap into them.
#[test]
fn programs_shrink() {
    for seed in 0..6 {
        let options = Options::new().align_max(4096).seed(seed);
        let body = |case: &mut conformance::Case<'_>| case.run(Ground::new(Fault::ResizeLies));
        let violation = conformance::run_random(body, &options).expect_err("a lie shows");
        assert!(matches!(violation.rule, Rule::Exclusive | Rule::Kept), "{violation}");
        let calls = violation.steps.iter().filter(|step| !step.contains("moved")).count();
        assert!(calls <= 3, "{violation}");
        assert!(violation.steps.iter().any(|step| step.starts_with("raw_resize")), "{violation}");
    }
}

/// The same seed gives the same violation, another seed gives another program; the environment's seed
/// goes before both.
#[test]
fn runs_are_deterministic() {
    let overridden = std::env::var_os(SEED_VARIABLE).is_some();
    let shown = |seed| {
        let options = options().seed(seed);
        let run =
            |case: &mut conformance::Case<'_>| case.run(Ground::new(Fault::FreeFillsNeighbour));
        let violation = conformance::run_random(run, &options).unwrap_err();
        assert_eq!(violation.seed, if overridden { alloc_testing::seed() } else { seed });
        violation.steps
    };
    assert_eq!(shown(1), shown(1));
    let different = (2..10).any(|seed| shown(seed) != shown(1));
    assert_eq!(different, !overridden, "eight other seeds");
}

/// The variable is read, and what is no number is refused with a word on what is.
#[test]
fn the_environment_sets_the_seed() {
    let run = |seed| {
        let mut command = Command::new(std::env::current_exe().unwrap());
        let output = command.args(["--exact", "runs_are_deterministic"]).env(SEED_VARIABLE, seed);
        let output = output.output().unwrap();
        (output.status.success(), String::from_utf8_lossy(&output.stdout).into_owned())
    };
    assert!(run("0x2a").0 && run("42").0);
    let (success, output) = run("forty-two");
    let expected = "ALLOC_TESTING_SEED=forty-two: not a number; 64 bits, decimal or after 0x";
    assert!(!success && output.contains(expected), "{output}");
}

/// An allocator with more points of failure than are tried is not said to be tried at all of them.
#[test]
fn giving_up_is_told() {
    let run = |fault| {
        let body = |backing: &Backing, case: &mut conformance::Case<'_>| {
            case.run(Over::new(backing, fault));
        };
        conformance::run_over_failing(body, &options()).unwrap()
    };
    let (plain, chatty) = (run(OverFault::None), run(OverFault::Chatty));
    assert!(!plain.gave_up && !plain.to_string().contains("gave up"), "{plain}");
    assert!(chatty.gave_up && chatty.to_string().contains("gave up at 500"), "{chatty}");
    assert_eq!(chatty.failure_points, 500);
}

/// An alignment that the allocator declares to refuse is left out, and the summary says so.
#[test]
fn skipped_alignments_are_told() {
    let options = options().align_max(64);
    let summary = conformance::run(|| Ground::new(Fault::RefusesAlignment), &options).unwrap();
    assert_eq!(summary.alignments_skipped.first(), Some(&128));
    assert_eq!(summary.alignments_skipped.last(), Some(&(2 << 20)));
    assert!(summary.to_string().contains("skipped alignments [128, 256,"), "{summary}");
}

/// What a backing sees of its callers is told in full.
#[test]
fn misuses_are_told() {
    let backing = Backing::new();
    drop(Over::new(&backing, OverFault::None));
    assert_eq!(backing.misuses(), []);
    let violation = assert_caught(over_backing(OverFault::FreesOtherSize), Rule::Caller, "sizes");
    assert!(violation.detail.contains("raw_free was called with size"), "{violation}");
}
