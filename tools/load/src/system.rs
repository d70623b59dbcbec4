//! What the tool needs of the system it runs on: time, descriptors, a timer finer than the poll's.

use mio::unix::SourceFd;
use mio::{Interest, Registry, Token};
use rustix::fd::{AsRawFd, OwnedFd};
use rustix::process::{Resource, getrlimit, setrlimit};
use rustix::time::{
    ClockId, Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, clock_gettime,
    timerfd_create, timerfd_settime,
};
use std::io;

/// Descriptors for everything but connections.
const DESCRIPTOR_RESERVE: u64 = 32;

/// `CLOCK_MONOTONIC` in nanoseconds, the same in all processes of the machine: what one of them stamps
/// can be timed by another.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Clock;

impl Clock {
    #[expect(clippy::unused_self, reason = "who has a clock may read it")]
    pub(crate) fn now_ns(self) -> u64 {
        let now = clock_gettime(ClockId::Monotonic);
        now.tv_sec as u64 * 1_000_000_000 + now.tv_nsec as u64
    }
}

/// Raises the soft limit of descriptors to the hard one and returns how many connections fit.
pub(crate) fn connections_max() -> u64 {
    let mut limit = getrlimit(Resource::Nofile);
    if limit.current != limit.maximum {
        let old = limit.current;
        limit.current = limit.maximum;
        if setrlimit(Resource::Nofile, limit).is_err() {
            limit.current = old;
        }
    }
    limit.current.unwrap_or(u64::MAX).saturating_sub(DESCRIPTOR_RESERVE)
}

/// Ends a poll at a time given in nanoseconds: the poll's own timeout counts in milliseconds, by
/// which messages would be late and sent in lumps.
#[derive(Debug)]
pub(crate) struct Alarm(OwnedFd);

impl Alarm {
    pub(crate) fn new(registry: &Registry, token: Token) -> io::Result<Self> {
        let flags = TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC;
        let timer = timerfd_create(TimerfdClockId::Monotonic, flags)?;
        // The poll is edge-triggered and each expiry is an edge: nobody has to read it.
        registry.register(&mut SourceFd(&timer.as_raw_fd()), token, Interest::READABLE)?;
        Ok(Self(timer))
    }

    /// Rings once, so many nanoseconds from now.
    pub(crate) fn set(&self, after_ns: u64) -> io::Result<()> {
        let nothing = Timespec { tv_sec: 0, tv_nsec: 0 };
        // A timer of 0 is switched off.
        let after_ns = after_ns.max(1);
        let it_value = Timespec {
            tv_sec: (after_ns / 1_000_000_000) as i64,
            tv_nsec: (after_ns % 1_000_000_000) as i64,
        };
        let spec = Itimerspec { it_interval: nothing, it_value };
        timerfd_settime(&self.0, TimerfdTimerFlags::empty(), &spec)?;
        Ok(())
    }
}
