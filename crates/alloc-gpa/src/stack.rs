//! stub
pub(crate) mod depot;
mod trace;
pub(crate) use crate::sys::thread;
pub(crate) use depot::Depot;
pub(crate) use trace::{FRAMES_MAX, Trace};
static DEPOT: Depot = Depot::new();
pub(crate) fn depot() -> &'static Depot {
    &DEPOT
}
pub(crate) fn capture_id(max: usize) -> StackId {
    let mut trace = Trace::new();
    let mut n = 0;
    backtrace::trace(|f| {
        trace.push(f.ip() as usize);
        n += 1;
        n < max.min(FRAMES_MAX)
    });
    depot().insert(&trace)
}
pub(crate) fn write_resolved(trace: &Trace, out: &mut dyn core::fmt::Write) -> core::fmt::Result {
    for f in trace.as_slice() {
        writeln!(out, "    {f:#x}")?;
    }
    Ok(())
}
pub use depot::StackId;
