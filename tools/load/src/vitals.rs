//! What the server holds while something happens to it: memory and descriptors, before, at most and after.

use crate::outcome::Outcome;
use crate::process::Process;

/// Between two looks.
const LOOK_NS: u64 = 500_000_000;

/// A server that is watched, if its process is known.
#[derive(Debug, Default)]
pub(crate) struct Vitals {
    process: Option<Process>,
    before: Option<Look>,
    most: Look,
    next_ns: u64,
}

/// What a process holds.
#[derive(Clone, Copy, Debug, Default)]
struct Look {
    anonymous: u64,
    resident: u64,
    descriptors: u64,
}

impl Vitals {
    /// Of the process of this id, as it is now.
    pub(crate) fn new(pid: Option<u32>) -> Result<Self, String> {
        let process = pid.map(Process::new).transpose()?;
        let before = process.and_then(look);
        Ok(Self { process, before, most: before.unwrap_or_default(), next_ns: 0 })
    }

    /// Looks now and then.
    pub(crate) fn look(&mut self, now_ns: u64) {
        if now_ns < self.next_ns {
            return;
        }
        self.next_ns = now_ns + LOOK_NS;
        self.look_now();
    }

    fn look_now(&mut self) {
        let Some(now) = self.process.and_then(look) else { return };
        self.most.anonymous = self.most.anonymous.max(now.anonymous);
        self.most.resident = self.most.resident.max(now.resident);
        self.most.descriptors = self.most.descriptors.max(now.descriptors);
    }

    /// How many descriptors there are more than before; nothing when that cannot be known.
    pub(crate) fn descriptors_grown(&self) -> Option<u64> {
        let now = self.process.and_then(look)?;
        Some(now.descriptors.saturating_sub(self.before?.descriptors))
    }

    /// Puts what was found into an outcome, as it is now at the end.
    pub(crate) fn put(&mut self, outcome: &mut Outcome) {
        self.look_now();
        let (Some(before), Some(after)) = (self.before, self.process.and_then(look)) else {
            return;
        };
        let mib = |bytes: u64| bytes as f64 / f64::from(1 << 20);
        for (when, look) in [("before", before), ("most", self.most), ("after", after)] {
            let mut put = |what: &str, figure: f64| {
                outcome.figures.insert(format!("server_{when}.{what}"), figure);
            };
            put("anonymous_mib", mib(look.anonymous));
            put("resident_mib", mib(look.resident));
            put("descriptors", look.descriptors as f64);
        }
    }
}

fn look(process: Process) -> Option<Look> {
    let memory = process.memory().ok()?;
    let descriptors = process.descriptors().ok()?;
    Some(Look { anonymous: memory.anonymous, resident: memory.resident, descriptors })
}
