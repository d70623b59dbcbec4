//! What the process holds of messages, and how far it gives things up when that is too much: long before
//! the system ends it.
//!
//! Every thread that holds something says how much once a turn ([`Share::hold`]) and is told the level. One
//! atomic sum; nobody takes a lock, and nothing is counted per message. What is counted are rooms' logs,
//! current values and states, what waits in clients' queues (each message as if it were not shared, so it
//! is the most that it can be), and spectators' logs. What is bounded by the number of connections (transport
//! buffers, sessions) is not: that is what the rest of the memory is for.

pub use madang_engine::input::Shed;
use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU8, Ordering};

/// Hundredths of the budget at which each step begins.
const STEPS: [(Shed, i64); 4] =
    [(Shed::Volatile, 60), (Shed::Latest, 70), (Shed::Spectators, 80), (Shed::Connections, 90)];
/// Hundredths below its beginning at which a step ends.
const BACK: i64 = 5;

/// The budget of the process.
#[derive(Debug)]
pub struct Memory {
    bytes_max: i64,
    held: AtomicI64,
    level: AtomicU8,
}

/// One thread's part of what is held; given back when it is dropped.
#[derive(Debug)]
pub struct Share {
    memory: Arc<Memory>,
    mine: i64,
}

impl Memory {
    /// A budget of so many bytes.
    pub fn new(bytes_max: u64) -> Arc<Self> {
        let bytes_max = i64::try_from(bytes_max).unwrap_or(i64::MAX).max(1);
        Arc::new(Self { bytes_max, held: AtomicI64::new(0), level: AtomicU8::new(0) })
    }

    /// A part of it, for one thread.
    pub fn share(self: &Arc<Self>) -> Share {
        Share { memory: Arc::clone(self), mine: 0 }
    }

    /// How far things are given up now.
    pub fn level(&self) -> Shed {
        let steps = usize::from(self.level.load(Ordering::Relaxed));
        steps.checked_sub(1).and_then(|at| STEPS.get(at)).map_or(Shed::Nothing, |(level, _)| *level)
    }

    /// Bytes that are held.
    pub fn held(&self) -> u64 {
        self.held.load(Ordering::Relaxed).max(0).unsigned_abs()
    }

    /// Takes a change into account. Threads that do so at once may each find a level; the next turn of
    /// either sets it right.
    fn change(&self, by: i64) {
        let held = self.held.fetch_add(by, Ordering::Relaxed).saturating_add(by);
        let old = self.level.load(Ordering::Relaxed);
        let at = |hundredths: i64| self.bytes_max / 100 * hundredths;
        let reached = STEPS.iter().filter(|(_, from)| held >= at(*from)).count() as u8;
        let kept = STEPS.iter().filter(|(_, from)| held >= at(*from - BACK)).count() as u8;
        let new = old.clamp(reached, kept.max(reached));
        if new != old && self.level.swap(new, Ordering::Relaxed) != new {
            let (level, most) = (self.level(), self.bytes_max);
            if new > old {
                tracing::warn!(?level, held, most, "short of memory: things are given up");
            } else {
                tracing::info!(?level, held, most, "less short of memory");
            }
        }
    }
}

impl Share {
    /// This thread holds so much now. Returns how far things are given up.
    pub fn hold(&mut self, bytes: u64) -> Shed {
        let bytes = i64::try_from(bytes).unwrap_or(i64::MAX);
        if bytes != self.mine {
            self.memory.change(bytes - self.mine);
            self.mine = bytes;
        }
        self.memory.level()
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.memory.change(-self.mine);
    }
}

/// Half of what this machine has, or this container may take.
pub fn half_of_all() -> u64 {
    const UNKNOWN: u64 = 2 << 30;
    let of_group = fs::read_to_string("/sys/fs/cgroup/memory.max").ok();
    let of_group = of_group.and_then(|text| text.trim().parse::<u64>().ok());
    let of_machine = fs::read_to_string("/proc/meminfo").ok().and_then(|text| {
        let line = text.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
        line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()?.checked_mul(1024)
    });
    of_group.into_iter().chain(of_machine).min().unwrap_or(UNKNOWN) / 2
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_step_begins_in_its_order_and_ends_a_little_lower() {
        let memory = Memory::new(1000);
        let mut share = memory.share();
        for (bytes, level) in [
            (0, Shed::Nothing),
            (599, Shed::Nothing),
            (600, Shed::Volatile),
            (560, Shed::Volatile),
            (549, Shed::Nothing),
            (599, Shed::Nothing),
            (700, Shed::Latest),
            (800, Shed::Spectators),
            (760, Shed::Spectators),
            (900, Shed::Connections),
            (2000, Shed::Connections),
            (849, Shed::Spectators),
            (0, Shed::Nothing),
        ] {
            assert_eq!(share.hold(bytes), level, "{bytes}");
        }
    }

    #[test]
    fn shares_add_up_and_are_given_back() {
        let memory = Memory::new(1000);
        let (mut one, mut two) = (memory.share(), memory.share());
        assert_eq!(one.hold(500), Shed::Nothing);
        assert_eq!(two.hold(450), Shed::Connections);
        assert_eq!(one.hold(500), Shed::Connections);
        drop(two);
        assert_eq!((memory.held(), memory.level()), (500, Shed::Nothing));
        drop(one);
        assert_eq!(memory.held(), 0);
    }

    #[test]
    fn this_machine_has_some() {
        assert!(half_of_all() > 1 << 20);
    }
}
