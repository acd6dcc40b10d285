//! Arming fail points: for one test, and the threads it starts.

use core::fmt;
use core::marker::PhantomData;
use std::cell::RefCell;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicBool, AtomicUsize};
use std::sync::{Arc, Mutex, PoisonError};

use alloc_core::FailPoint;
use alloc_gpa::StackId;

use crate::failing::Fail;
use alloc_gpa::counted;

#[cfg_attr(
    not(all(target_os = "linux", not(miri))),
    allow(dead_code, reason = "points are listed on Linux alone")
)]
mod listing;

pub use listing::FAIL_POINTS_VARIABLE;

/// A fail point that was made to fail.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct TrippedPoint {
    /// The point.
    pub point: &'static FailPoint,
    /// The index among the hits that the rule is about.
    pub index: usize,
    /// The stack that came to it.
    pub stack: StackId,
}

impl fmt::Display for TrippedPoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { point, index, .. } = self;
        write!(f, "fail point {point:?} was made to fail (hit {index})")
    }
}

impl TrippedPoint {
    /// Returns the stack that came to the point, a function a line. Resolves symbols.
    #[must_use]
    pub fn stack_text(&self) -> String {
        crate::report::of_stack(self.stack)
    }
}

/// Which points an arming is about.
#[derive(Debug)]
enum Which {
    Named(Name),
    Any,
}

/// A name that a test wrote.
#[derive(Debug)]
struct Name {
    written: String,
    /// The full name; none where points are not known: then all those are meant that it is the end of.
    full: Option<&'static str>,
}

impl Name {
    /// Whether it may mean this point: it is the full name, or its end behind `::`.
    fn may_mean(written: &str, point: &FailPoint) -> bool {
        let rest = point.name().strip_suffix(written);
        rest.is_some_and(|rest| rest.is_empty() || rest.ends_with("::"))
    }
}

/// What is armed.
#[derive(Debug)]
struct Arming {
    which: Which,
    rule: Fail,
    /// Whether the test has disarmed it: in a thread that runs on it means nothing any more. Relaxed: it
    /// publishes nothing.
    is_over: AtomicBool,
    /// Hits of the points it is about, failed or not. Relaxed throughout: only a number.
    hits: AtomicUsize,
    tripped_count: AtomicUsize,
    tripped: Mutex<Option<TrippedPoint>>,
}

impl Arming {
    fn new(which: Which, rule: Fail) -> Arc<Self> {
        rule.check();
        let (hits, tripped_count) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let (is_over, tripped) = (AtomicBool::new(false), Mutex::new(None));
        Arc::new(Self { which, rule, is_over, hits, tripped_count, tripped })
    }

    /// Counts a hit of this point, if it is about it; whether it fails.
    fn fails(&self, point: &'static FailPoint) -> bool {
        if self.is_over.load(Relaxed) || !self.which.is_about(point) {
            return false;
        }
        let index = self.hits.fetch_add(1, Relaxed);
        let fails = self.rule.hits(index, 0);
        if fails {
            self.tripped_count.fetch_add(1, Relaxed);
            // Also one that no test named: the check of every failure made it fail.
            point.note_armed();
            let mut tripped = self.tripped.lock().unwrap_or_else(PoisonError::into_inner);
            let failure = || TrippedPoint { point, index, stack: StackId::capture() };
            tripped.get_or_insert_with(failure);
        }
        fails
    }

    fn tripped(&self) -> Option<TrippedPoint> {
        *self.tripped.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Which {
    fn is_about(&self, point: &FailPoint) -> bool {
        match self {
            Self::Any => true,
            Self::Named(Name { full: Some(full), .. }) => point.name() == *full,
            Self::Named(Name { written, full: None }) => Name::may_mean(written, point),
        }
    }
}

thread_local! {
    /// What is armed for this thread.
    static ARMED: RefCell<Vec<Arc<Arming>>> = const { RefCell::new(Vec::new()) };
}

/// The hook of `alloc_core`: each arming of this thread is asked, so that each counts.
fn shall_fail(point: &'static FailPoint) -> bool {
    let asked = ARMED.try_with(|armed| {
        let armed = armed.try_borrow().ok()?;
        Some(armed.iter().fold(false, |fails, arming| arming.fails(point) | fails))
    });
    // A thread that ends has nothing armed any more.
    asked.ok().flatten().unwrap_or(false)
}

/// Arms fail points, [`fail_point!`](alloc_core::fail_point), for this thread, as long as it lives; other
/// tests do not see it. A point that was armed and has never failed by the end fails the test: a
/// renamed point, or code that does not come there any more, would make the test prove nothing.
///
/// A name is the point's full one, or its end: of `my_crate::config::load::header` also `load::header` and
/// `header`. If it is the end of several names, say more.
///
/// ```
/// use alloc_core::{AllocError, fail_point};
/// use alloc_testing::FailPoints;
///
/// fn load() -> Result<&'static str, AllocError> {
///     fail_point!(load::header); // in the program
///     Ok("header")
/// }
///
/// let points = FailPoints::arm("load::header"); // in a test
/// assert!(load().is_err());
/// drop(points);
/// assert!(load().is_ok());
/// ```
///
/// Threads that the test starts have what was armed if their code is [`carried`]; in a program with a
/// [`Sentinel`](crate::Sentinel), where that passes regions on to threads, also without.
#[derive(Debug)]
#[must_use = "points are armed as long as this lives"]
pub struct FailPoints {
    armings: Vec<Arc<Arming>>,
    done: bool,
    /// It belongs to the thread it was made on.
    _not_send: PhantomData<*const ()>,
}

impl FailPoints {
    /// Arms a point: it fails each time.
    ///
    /// # Panics
    ///
    /// If no point has this name (where that is known), or several have.
    #[track_caller]
    pub fn arm(name: &str) -> Self {
        Self::arm_with(name, Fail::From(0))
    }

    /// Arms a point: it fails as the rule says of its hits, counted from 0 and for all threads together.
    ///
    /// ```
    /// # use alloc_core::{AllocError, fail_point};
    /// use alloc_testing::{Fail, FailPoints};
    ///
    /// # fn read() -> Result<(), AllocError> {
    /// #     fail_point!(read);
    /// #     Ok(())
    /// # }
    /// let _points = FailPoints::arm_with("read", Fail::Only(2));
    /// assert_eq!([(); 4].map(|()| read().is_ok()), [true, true, false, true]);
    /// ```
    ///
    /// # Panics
    ///
    /// As [`arm`](Self::arm); if the rule means nothing ([`FailingAllocator::requests`]) or is about sizes.
    ///
    /// [`FailingAllocator::requests`]: crate::FailingAllocator::requests
    #[track_caller]
    pub fn arm_with(name: &str, rule: Fail) -> Self {
        Self { armings: Vec::new(), done: false, _not_send: PhantomData }.and_with(name, rule)
    }

    /// Arms another point, too.
    ///
    /// # Panics
    ///
    /// As [`arm`](Self::arm).
    #[track_caller]
    pub fn and(self, name: &str) -> Self {
        self.and_with(name, Fail::From(0))
    }

    /// Arms another point, too, with a rule.
    ///
    /// # Panics
    ///
    /// As [`arm_with`](Self::arm_with).
    #[track_caller]
    pub fn and_with(mut self, name: &str, rule: Fail) -> Self {
        let is_sized = matches!(rule, Fail::Size(_) | Fail::SizeAtLeast(_));
        let found =
            if is_sized { Err("a fail point asks for no bytes".into()) } else { find(name) };
        let full = match found {
            Ok(full) => full,
            Err(why) => {
                // What else is armed shall not be told to be idle, too.
                self.armings.drain(..).for_each(|arming| remove(&arming));
                panic!("{why}");
            }
        };
        let arming = Arming::new(Which::Named(Name { written: name.to_owned(), full }), rule);
        push(&arming);
        self.armings.push(arming);
        self
    }

    /// Returns how often the armed points have failed so far.
    #[must_use]
    pub fn tripped_count(&self) -> usize {
        self.armings.iter().map(|arming| arming.tripped_count.load(Relaxed)).sum()
    }

    /// Returns the first failure, with its stack, of the point that was armed first among those that have
    /// failed.
    #[must_use]
    pub fn tripped(&self) -> Option<TrippedPoint> {
        self.armings.iter().find_map(|arming| arming.tripped())
    }

    /// Disarms the points; the same as the drop.
    ///
    /// # Panics
    ///
    /// If one of them never failed.
    #[track_caller]
    pub fn finish(mut self) {
        if let Some(why) = self.disarm() {
            panic!("{why}");
        }
    }

    /// Takes the armings away; what is wrong with them.
    fn disarm(&mut self) -> Option<String> {
        if std::mem::replace(&mut self.done, true) {
            return None;
        }
        for arming in &self.armings {
            arming.is_over.store(true, Relaxed);
            remove(arming);
        }
        let idle = self.armings.iter().find(|arming| arming.tripped_count.load(Relaxed) == 0)?;
        let (Which::Named(Name { written: name, .. }), hits) =
            (&idle.which, idle.hits.load(Relaxed))
        else {
            return None;
        };
        Some(match hits {
            0 => format!("fail point {name} was armed and never reached"),
            _ => format!(
                "fail point {name} was reached {} and never failed ({})",
                counted(hits, "time"),
                idle.rule
            ),
        })
    }
}

impl Drop for FailPoints {
    /// Disarms the points and fails the test if one of them never failed, unless it is panicking.
    fn drop(&mut self) {
        if let Some(why) = self.disarm()
            && !std::thread::panicking()
        {
            panic!("{why}");
        }
    }
}

/// Wraps code for another thread: there it has the fail points armed that this thread has now, until they
/// are disarmed here.
///
/// It is needed for threads that do not inherit what is armed: those of a program without a
/// [`Sentinel`](crate::Sentinel), and those that were there before.
///
/// ```
/// # use alloc_core::{AllocError, fail_point};
/// use alloc_testing::{FailPoints, carried};
///
/// # fn load() -> Result<(), AllocError> {
/// #     fail_point!(load);
/// #     Ok(())
/// # }
/// let _points = FailPoints::arm("load");
/// assert!(std::thread::spawn(carried(load)).join().unwrap().is_err());
/// ```
pub fn carried<R, F: FnOnce() -> R>(code: F) -> impl FnOnce() -> R + use<R, F> {
    let armed = ARMED.with_borrow(Vec::clone);
    move || {
        let _taken = Taken::new(armed);
        code()
    }
}

/// What a thread hands on to those that it starts: what tests have armed by name. (The armings of a check of every
/// failure count hits in an order, which threads do not have: they are carried, if at all.)
pub(crate) struct Inherited(Vec<Arc<Arming>>);

impl Inherited {
    /// What the calling thread has armed, if anything.
    pub(crate) fn of_this_thread() -> Option<Self> {
        let named = |armed: &RefCell<Vec<Arc<Arming>>>| {
            let armed = armed.try_borrow().ok()?;
            let named = armed.iter().filter(|arming| matches!(arming.which, Which::Named(_)));
            Some(named.map(Arc::clone).collect::<Vec<_>>())
        };
        let armed = ARMED.try_with(named).ok()??;
        (!armed.is_empty()).then_some(Self(armed))
    }

    /// Arms it in the calling thread.
    pub(crate) fn arm(self) {
        ARMED.set(self.0);
    }

    /// Disarms all that the calling thread has; it ends.
    pub(crate) fn disarm() {
        let _ = ARMED.try_with(RefCell::take);
    }
}

/// Takes armings away from this thread at its end.
#[derive(Debug)]
struct Taken(Vec<Arc<Arming>>);

impl Taken {
    /// Arms in this thread what is not armed there.
    fn new(mut armed: Vec<Arc<Arming>>) -> Self {
        let has = |arming: &Arc<Arming>| {
            ARMED.with_borrow(|armed| armed.iter().any(|other| Arc::ptr_eq(other, arming)))
        };
        armed.retain(|arming| !has(arming));
        armed.iter().for_each(push);
        Self(armed)
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        self.0.iter().for_each(remove);
    }
}

/// Counts the hits of all points on this thread, all together, and makes those fail that a rule says: what
/// [`AllocFailures`](crate::AllocFailures) does.
#[derive(Debug)]
pub(crate) struct Observed {
    arming: Arc<Arming>,
    _taken: Taken,
}

impl Observed {
    pub(crate) fn new(rule: Fail) -> Self {
        let arming = Arming::new(Which::Any, rule);
        Self { _taken: Taken::new(vec![Arc::clone(&arming)]), arming }
    }

    /// Hits so far.
    pub(crate) fn hits(&self) -> usize {
        self.arming.hits.load(Relaxed)
    }

    pub(crate) fn tripped(&self) -> Option<TrippedPoint> {
        self.arming.tripped()
    }
}

fn push(arming: &Arc<Arming>) {
    alloc_core::set_fail_point_hook(shall_fail);
    ARMED.with_borrow_mut(|armed| armed.push(Arc::clone(arming)));
}

fn remove(arming: &Arc<Arming>) {
    // A thread that ends has lost them already.
    let _ = ARMED.try_with(|armed| {
        let mut armed = armed.borrow_mut();
        let last = armed.iter().rposition(|other| Arc::ptr_eq(other, arming));
        if let Some(index) = last {
            armed.remove(index);
        }
        // A thread with nothing armed holds no memory: a leak check may look at it.
        if armed.is_empty() {
            *armed = Vec::new();
        }
    });
}

/// Notes all points of this name as armed by a test, and returns its full form, where points are known;
/// why it names none, or several.
fn find(name: &str) -> Result<Option<&'static str>, String> {
    let mut names: Vec<&'static str> = alloc_core::fail_points()
        .filter(|point| Name::may_mean(name, point))
        .map(FailPoint::name)
        .collect();
    names.sort_unstable();
    names.dedup();
    // A full name means itself, though it be the end of another one.
    let exact = names.iter().copied().find(|full| *full == name);
    let full = match (exact, &names[..]) {
        (Some(full), _) | (None, &[full]) => full,
        (None, []) if cfg!(all(target_os = "linux", not(miri))) => {
            let mut known: Vec<&str> = alloc_core::fail_points().map(FailPoint::name).collect();
            known.sort_unstable();
            known.dedup();
            return Err(format!("no fail point is called {name}; there are: {}", known.join(", ")));
        }
        (None, []) => return Ok(None),
        (None, _) => {
            return Err(format!("fail point {name}: it may be any of {}", names.join(", ")));
        }
    };
    alloc_core::fail_points().filter(|point| point.name() == full).for_each(FailPoint::note_armed);
    Ok(Some(full))
}
