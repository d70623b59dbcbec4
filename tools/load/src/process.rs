//! A process as the system sees it: CPU time and memory, from `/proc` (proc(5)).

use serde::{Deserialize, Serialize};
use std::fs;
use std::io;

/// CPU time of a process so far, in microseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Cpu {
    pub(crate) user_us: u64,
    pub(crate) system_us: u64,
}

/// Time of some threads so far, in microseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Threads {
    /// On a CPU.
    pub(crate) ran_us: u64,
    /// Ready to run, without a CPU.
    pub(crate) waited_us: u64,
}

impl Threads {
    /// Seconds a second since an earlier time, that many microseconds ago: on a CPU, and without one.
    pub(crate) fn since(self, earlier: Self, wall_us: f64) -> (f64, f64) {
        // Those of a thread that has ended are gone.
        let ran = self.ran_us.saturating_sub(earlier.ran_us) as f64;
        let waited = self.waited_us.saturating_sub(earlier.waited_us) as f64;
        (ran / wall_us, waited / wall_us)
    }
}

/// Time of the calling thread so far; none where the system does not say.
pub(crate) fn own_thread() -> Option<Threads> {
    parse_times(&fs::read_to_string("/proc/thread-self/schedstat").ok()?)
}

/// Memory of a process, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Memory {
    /// Resident memory that no file backs: heap and stacks. The system's own memory for sockets
    /// is not part of it.
    pub(crate) anonymous: u64,
    /// All resident memory.
    pub(crate) resident: u64,
}

/// A process to be watched.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Process {
    pid: u32,
}

impl Process {
    /// The process of this id. An error says what cannot be read.
    pub(crate) fn new(pid: u32) -> Result<Self, String> {
        let process = Self { pid };
        process.cpu().and_then(|_| process.memory()).map_err(|error| {
            format!("--pid {pid}: what /proc says about that process cannot be read: {error}")
        })?;
        Ok(process)
    }

    /// This process.
    #[cfg(test)]
    fn own() -> Self {
        Self { pid: std::process::id() }
    }

    pub(crate) fn cpu(self) -> io::Result<Cpu> {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.pid))?;
        parse_cpu(&stat, rustix::param::clock_ticks_per_second()).ok_or_else(unexpected)
    }

    /// Time so far of the threads whose names begin with this.
    pub(crate) fn threads(self, prefix: &str) -> io::Result<Threads> {
        let mut sum = Threads::default();
        for thread in fs::read_dir(format!("/proc/{}/task", self.pid))? {
            let path = thread?.path();
            // A thread may end while this is read.
            let Ok(name) = fs::read_to_string(path.join("comm")) else { continue };
            let Ok(times) = fs::read_to_string(path.join("schedstat")) else { continue };
            if name.starts_with(prefix) {
                let times = parse_times(&times).ok_or_else(unexpected)?;
                sum.ran_us += times.ran_us;
                sum.waited_us += times.waited_us;
            }
        }
        Ok(sum)
    }

    /// Open descriptors.
    pub(crate) fn descriptors(self) -> io::Result<u64> {
        Ok(fs::read_dir(format!("/proc/{}/fd", self.pid))?.count() as u64)
    }

    pub(crate) fn memory(self) -> io::Result<Memory> {
        // The sum over the mappings is exact; the counters of `status` are kept per thread and
        // added up now and then.
        let rollup = fs::read_to_string(format!("/proc/{}/smaps_rollup", self.pid));
        if let Some(memory) = rollup.ok().and_then(|text| {
            let (anonymous, resident) = (kib(&text, "Anonymous:")?, kib(&text, "Rss:")?);
            Some(Memory { anonymous, resident })
        }) {
            return Ok(memory);
        }
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid))?;
        match (kib(&status, "RssAnon:"), kib(&status, "VmRSS:")) {
            (Some(anonymous), Some(resident)) => Ok(Memory { anonymous, resident }),
            _ => Err(unexpected()),
        }
    }
}

/// Fields 14 and 15, counted from behind the name, which may hold anything.
fn parse_cpu(stat: &str, ticks_per_second: u64) -> Option<Cpu> {
    let (_, fields) = stat.rsplit_once(')')?;
    let mut fields = fields.split_ascii_whitespace().skip(11);
    let mut field_us = || Some(fields.next()?.parse::<u64>().ok()? * 1_000_000 / ticks_per_second);
    Some(Cpu { user_us: field_us()?, system_us: field_us()? })
}

/// The first two fields of `schedstat`, which are nanoseconds.
fn parse_times(schedstat: &str) -> Option<Threads> {
    let mut fields = schedstat.split_ascii_whitespace();
    let mut field_us = || Some(fields.next()?.parse::<u64>().ok()? / 1000);
    Some(Threads { ran_us: field_us()?, waited_us: field_us()? })
}

fn kib(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    Some(line.trim().strip_suffix(" kB")?.parse::<u64>().ok()? * 1024)
}

fn unexpected() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "not as proc(5) describes it")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_behind_any_name() {
        let stat = "7 (a) b (c)) S 1 7 7 0 -1 4194304 100 0 0 0 250 50 0 0 20 0 3 0 5 6 7";
        let cpu = parse_cpu(stat, 100).expect("parses");
        assert_eq!((cpu.user_us, cpu.system_us), (2_500_000, 500_000));
        assert!(parse_cpu("7 (a) S 1", 100).is_none());
    }

    #[test]
    fn times_of_threads_are_read_and_compared() {
        let times = parse_times("5000000 2000000 17\n").expect("parses");
        assert_eq!(times, Threads { ran_us: 5000, waited_us: 2000 });
        assert_eq!(times.since(Threads { ran_us: 4000, waited_us: 0 }, 10_000.0), (0.1, 0.2));
        assert_eq!(Threads::default().since(times, 10_000.0), (0.0, 0.0));
        assert!(parse_times("5").is_none());
    }

    #[test]
    fn this_process_can_be_read_and_another_cannot() {
        let memory = Process::own().memory().expect("readable");
        assert!(memory.anonymous > 0 && memory.resident >= memory.anonymous);
        Process::own().cpu().expect("readable");
        assert!(Process::own().descriptors().expect("readable") > 2);
        let error = Process::new(u32::MAX).expect_err("there is none");
        assert!(error.contains("--pid"), "{error}");
    }
}
