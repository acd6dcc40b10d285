//! Which points are run, in which order.
#![forbid(unsafe_code)]

use super::heap::Growth;
use super::point::Point;
use super::run::{Job, Outcome, Stacks, Wrong, base};
use super::{FailurePoint, FailureSummary};
use crate::failing::Fail;

/// Runs jobs; the outcomes are in their order.
type Run<'a> = &'a dyn Fn(&[Job]) -> Vec<Outcome>;

/// Reports that are written: resolving symbols takes long, and nobody reads hundreds.
const REPORTS_MAX: usize = 32;

/// How much is run.
#[derive(Clone, Copy, Debug)]
pub(super) struct Extent {
    /// The most pairs of a pass.
    pub(super) pairs_max: usize,
    /// Whether fail points fail, too.
    pub(super) has_fail_points: bool,
}

/// Runs everything: see [`AllocFailures`](super::AllocFailures).
pub(super) fn all_points(
    run: Run<'_>,
    extent: Extent,
) -> Result<FailureSummary, Vec<FailurePoint>> {
    let mut summary = FailureSummary::default();
    let mut wrong = Vec::new();
    for growth in [Growth::Refused, Growth::Granted] {
        let mut pass = Pass { run, growth, requests: 0, summary: &mut summary, wrong: &mut wrong };
        let changes = pass.all(extent);
        let requests = pass.requests;
        match growth {
            Growth::Refused => summary.requests = requests,
            Growth::Granted => summary.requests_growing = Some(requests),
        }
        // Where no change is asked for, the second pass would be the first once more.
        if changes.is_none_or(|changes| changes == 0) {
            break;
        }
    }
    if wrong.is_empty() { Ok(summary) } else { Err(reported(run, wrong)) }
}

/// Runs one point.
pub(super) fn one_point(run: Run<'_>, point: Point) -> Result<FailureSummary, Vec<FailurePoint>> {
    let outcome = run(&[Job { point, expected: None, stacks: Stacks::None }]).remove(0);
    let requests = outcome.requests;
    match outcome.wrong {
        None => Ok(FailureSummary { requests, points: 1, runs: 1, ..FailureSummary::default() }),
        Some(wrong) => Err(reported(run, vec![wrong])),
    }
}

/// Gives the first of those whose heap found something their reports; each is of the same run once more.
fn reported(run: Run<'_>, mut wrong: Vec<Wrong>) -> Vec<FailurePoint> {
    let mut first: Vec<_> =
        wrong.iter_mut().filter(|wrong| wrong.is_by_heap()).take(REPORTS_MAX).collect();
    let jobs: Vec<_> =
        first.iter().map(|wrong| Job { stacks: Stacks::Kept, ..wrong.job }).collect();
    for (wrong, again) in first.iter_mut().zip(run(&jobs)) {
        // Code that is not the same each time may do something else now: then what was found stands.
        match again.wrong {
            Some(again) if again.told.verdict == wrong.told.verdict => wrong.told = again.told,
            _ => {}
        }
    }
    wrong.into_iter().map(|wrong| wrong.told).collect()
}

/// All points with one rule of growth.
struct Pass<'a> {
    run: Run<'a>,
    growth: Growth,
    /// Requests of the code if none fails.
    requests: usize,
    summary: &'a mut FailureSummary,
    wrong: &'a mut Vec<Wrong>,
}

impl Pass<'_> {
    /// Runs the points; returns how many changes the code asks for, or nothing if it is bad without a
    /// failure.
    fn all(&mut self, extent: Extent) -> Option<usize> {
        let first = (self.run)(&[base(self.growth)]).remove(0);
        self.summary.runs += 1;
        if let Some(wrong) = first.wrong {
            self.wrong.push(wrong);
            return None;
        }
        self.requests = first.requests;
        let mut wrong = self.wrong_of(&[Fail::Never]);
        let only: Vec<Fail> = (0..self.requests).map(Fail::Only).collect();
        let outcomes = self.outcomes(&self.points(&only));
        // Requests of each run, with those after the failure.
        let ends: Vec<usize> = outcomes.iter().map(|outcome| outcome.requests).collect();
        wrong.extend(outcomes.into_iter().filter_map(|outcome| outcome.wrong));
        let goes_on = |index: &usize| index + 1 < ends[*index];
        let from: Vec<Fail> = (0..self.requests).filter(goes_on).map(Fail::From).collect();
        wrong.extend(self.wrong_of(&from));
        let (pairs, possible) = pairs(&ends, extent.pairs_max);
        wrong.extend(self.wrong_of(&pairs));
        wrong.sort_by_key(|wrong| wrong.job.point.order());
        let hits = if extent.has_fail_points { first.hits } else { 0 };
        let points: Vec<_> = (0..hits).map(|hit| Point::hit(self.growth, hit)).collect();
        wrong.extend(self.outcomes(&points).into_iter().filter_map(|outcome| outcome.wrong));
        self.wrong.extend(wrong);
        self.summary.points += 2 * self.requests + pairs.len() + hits;
        self.summary.hits += hits;
        self.summary.pairs += pairs.len();
        self.summary.pairs_possible += possible;
        Some(first.changes)
    }

    fn points(&self, fails: &[Fail]) -> Vec<Point> {
        fails.iter().map(|fail| Point::requests(self.growth, *fail)).collect()
    }

    fn outcomes(&mut self, points: &[Point]) -> Vec<Outcome> {
        let job = |point: &Point| Job {
            point: *point,
            expected: Some(self.requests),
            stacks: Stacks::None,
        };
        self.summary.runs += points.len();
        (self.run)(&points.iter().map(job).collect::<Vec<_>>())
    }

    fn wrong_of(&mut self, fails: &[Fail]) -> Vec<Wrong> {
        self.outcomes(&self.points(fails)).into_iter().filter_map(|outcome| outcome.wrong).collect()
    }
}

/// The pairs to try, and how many there are. `ends[k]` is the number of requests that the code makes if
/// request `k` fails alone: the second of a pair is one of those behind `k`. Near pairs come first.
fn pairs(ends: &[usize], pairs_max: usize) -> (Vec<Fail>, usize) {
    let later = |first: usize| ends[first].saturating_sub(first + 1);
    let possible = (0..ends.len()).map(later).sum();
    let farthest = (0..ends.len()).map(later).max().unwrap_or(0);
    let by_distance = (1..=farthest).flat_map(|distance| {
        let has = move |first: &usize| distance <= later(*first);
        (0..ends.len()).filter(has).map(move |first| Fail::Pair(first, first + distance))
    });
    (by_distance.take(pairs_max).collect(), possible)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The second request of a pair comes after the first in the run where that failed; near pairs
    /// come first; the bound holds, and all are counted.
    #[test]
    fn pairs_are_of_what_is_asked_after_a_failure() {
        // Failing 0 leads to 3 requests, failing 1 to none after it, failing 2 to 5.
        let ends = [3, 2, 5];
        let all = [(0, 1), (2, 3), (0, 2), (2, 4)].map(|(first, second)| Fail::Pair(first, second));
        assert_eq!(pairs(&ends, 100), (all.to_vec(), 4));
        assert_eq!(pairs(&ends, 3), (all[..3].to_vec(), 4));
        assert_eq!(pairs(&[], 3), (vec![], 0));
        // A failure that was not reached has no second.
        assert_eq!(pairs(&[0, 0], 3), (vec![], 0));
    }
}
