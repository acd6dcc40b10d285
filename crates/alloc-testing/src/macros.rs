//! The macros.

/// Writes the tests that prove an allocator keeps the contract.
///
/// The argument is an expression that makes a fresh allocator. In a file of `tests/`, all of it:
///
/// ```
/// # use alloc_core::NeverAlloc;
/// use alloc_testing::{conformance, conformance::Options};
///
/// conformance!(NeverAlloc; Options::new().may_refuse());
/// ```
///
/// | form | what is tested |
/// | --- | --- |
/// | `conformance!(EXPR)` | everything but threads |
/// | `conformance!(EXPR; sync)` | threads too; the allocator is `Sync` |
/// | `conformance!(over: \|backing\| EXPR)` | the allocator over each [hostile backing](crate::hostile::Backing), a `&Backing`; and with the backing's nth request failing, for every n |
/// | `conformance!(over: \|backing\| EXPR; sync)` | that, and threads |
/// | `conformance!(with: \|case\| BODY)` | as the first, for an allocator that borrows: `BODY` calls [`case.run(alloc)`](crate::conformance::Case::run), or `run_counting`, `run_unsized` |
/// | `conformance!(with: \|case\| BODY; sync)` | threads too; `BODY` calls [`case.run_sync(alloc)`](crate::conformance::Case::run_sync) |
///
/// Each form may end in an expression for the [`Options`](crate::conformance::Options): `; OPTIONS`
/// or `; sync, OPTIONS`. And it may begin with `NAME =>`, the name of the module that is written,
/// `keeps_the_contract` if there is none; so several fit into one file.
///
/// The tests are deterministic. The seed is in the message of a failure, and the environment
/// variable `ALLOC_TESTING_SEED` sets another.
#[macro_export]
macro_rules! conformance {
    ($name:ident => over: |$backing:ident| $make:expr $(; $($rest:tt)+)?) => {
        $crate::conformance! { @options [$name] [over |$backing| $make] $($($rest)+)? }
    };
    ($name:ident => with: |$case:ident| $body:expr $(; $($rest:tt)+)?) => {
        $crate::conformance! { @options [$name] [with |$case| $body] $($($rest)+)? }
    };
    ($name:ident => $make:expr $(; $($rest:tt)+)?) => {
        $crate::conformance! { @options [$name] [make $make] $($($rest)+)? }
    };

    (@options $name:tt $subject:tt sync, $options:expr) => {
        $crate::conformance! { @write $name $subject [sync] $options }
    };
    (@options $name:tt $subject:tt sync) => {
        $crate::conformance! { @write $name $subject [sync] $crate::conformance::Options::new() }
    };
    (@options $name:tt $subject:tt $options:expr) => {
        $crate::conformance! { @write $name $subject [] $options }
    };
    (@options $name:tt $subject:tt) => {
        $crate::conformance! { @write $name $subject [] $crate::conformance::Options::new() }
    };

    (@write [$name:ident] [make $make:expr] [] $options:expr) => {
        $crate::conformance! { @module $name $options;
            directed: run_directed, |case: &mut $crate::conformance::Case<'_>| case.run($make);
            random_programs: run_random, |case: &mut $crate::conformance::Case<'_>| case.run($make);
        }
    };
    (@write [$name:ident] [make $make:expr] [sync] $options:expr) => {
        $crate::conformance! { @module $name $options;
            directed: run_directed, |case: &mut $crate::conformance::Case<'_>| case.run_sync($make);
            random_programs: run_random, |case: &mut $crate::conformance::Case<'_>| case.run_sync($make);
            threads: run_threads, |case: &mut $crate::conformance::Case<'_>| case.run_sync($make);
        }
    };
    (@write [$name:ident] [with |$case:ident| $body:expr] [] $options:expr) => {
        $crate::conformance! { @module $name $options;
            directed: run_directed, |$case: &mut $crate::conformance::Case<'_>| $body;
            random_programs: run_random, |$case: &mut $crate::conformance::Case<'_>| $body;
        }
    };
    (@write [$name:ident] [with |$case:ident| $body:expr] [sync] $options:expr) => {
        $crate::conformance! { @module $name $options;
            directed: run_directed, |$case: &mut $crate::conformance::Case<'_>| $body;
            random_programs: run_random, |$case: &mut $crate::conformance::Case<'_>| $body;
            threads: run_threads, |$case: &mut $crate::conformance::Case<'_>| $body;
        }
    };
    (@write [$name:ident] [over |$backing:ident| $make:expr] [] $options:expr) => {
        $crate::conformance! { @module $name $options;
            hostile_backings: run_over_kinds,
                |$backing: &$crate::hostile::Backing, case: &mut $crate::conformance::Case<'_>| case.run($make);
            out_of_memory: run_over_failing,
                |$backing: &$crate::hostile::Backing, case: &mut $crate::conformance::Case<'_>| case.run($make);
        }
    };
    (@write [$name:ident] [over |$backing:ident| $make:expr] [sync] $options:expr) => {
        $crate::conformance! { @module $name $options;
            hostile_backings: run_over_kinds,
                |$backing: &$crate::hostile::Backing, case: &mut $crate::conformance::Case<'_>| case.run_sync($make);
            out_of_memory: run_over_failing,
                |$backing: &$crate::hostile::Backing, case: &mut $crate::conformance::Case<'_>| case.run_sync($make);
            threads: run_over_threads,
                |$backing: &$crate::hostile::Backing, case: &mut $crate::conformance::Case<'_>| case.run_sync($make);
        }
    };

    (@module $name:ident $options:expr; $($test:ident: $run:ident, $body:expr;)+) => {
        mod $name {
            #[allow(unused_imports, reason = "what the expressions name, and it may be nothing")]
            use super::*;

            $(
                // By its path: the name may be another's where the macro is called.
                #[::core::prelude::v1::test]
                fn $test() {
                    match $crate::conformance::$run($body, &$options) {
                        // Shown by `cargo test -- --nocapture`, and when a later assertion fails.
                        ::std::result::Result::Ok(summary) => ::std::println!("{summary}"),
                        ::std::result::Result::Err(violation) => ::std::panic!("{violation}"),
                    }
                }
            )+
        }
    };

    ($($form:tt)+) => { $crate::conformance! { keeps_the_contract => $($form)+ } };
}
