//! The processors' time.

use std::time::Duration;

/// The processors' time of this process so far: what other processes do is not in it.
pub fn cpu_time() -> Duration {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: writes the time to a value of the type that the call documents.
    let status = unsafe { libc::clock_gettime(libc::CLOCK_PROCESS_CPUTIME_ID, &raw mut time) };
    assert_eq!(status, 0, "the clock is there since Linux 2.6");
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

/// A stopwatch for work of one thread.
pub(crate) struct Clock(Duration);

impl Clock {
    /// Starts.
    pub(crate) fn now() -> Self {
        Self(cpu_time())
    }

    /// The processors' time since then.
    pub(crate) fn elapsed(&self) -> Duration {
        cpu_time().saturating_sub(self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_does_not_go_back() {
        let clock = Clock::now();
        let first = clock.elapsed();
        assert!(first <= clock.elapsed());
    }
}
