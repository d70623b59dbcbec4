//! A run second by second, as one worker sees it.

use crate::desk::{Desk, Second, Troubles};
use crate::outcome::{Generator, Outcome, SAMPLES_MAX, Sample, Series, Times};
use crate::process::{Threads, own_thread};

const SECOND_NS: u64 = 1_000_000_000;

/// What was counted so far.
#[derive(Clone, Debug, Default)]
pub(crate) struct Totals {
    pub(crate) sent: u64,
    pub(crate) received: u64,
    pub(crate) bytes_in: u64,
    pub(crate) bytes_out: u64,
    /// Connections now.
    pub(crate) live: u64,
    pub(crate) troubles: Troubles,
}

/// Turns what was counted so far into seconds, and tells the conductor each.
pub(crate) struct Meter {
    series: Series,
    /// When the second that is being measured began.
    since_ns: u64,
    last: Totals,
    thread: Option<Threads>,
    /// What this thread used until the window began, and when that was.
    from: Option<(Option<Threads>, u64)>,
    used: Generator,
}

impl Meter {
    /// The first second begins now.
    pub(crate) fn new(now_ns: u64, totals: Totals) -> Self {
        Self {
            series: Series { start_ns: now_ns, samples: Vec::new() },
            since_ns: now_ns,
            last: totals,
            thread: own_thread(),
            from: None,
            used: Generator::default(),
        }
    }

    /// When [`Self::tick`] is due.
    pub(crate) fn next_ns(&self) -> u64 {
        self.since_ns + SECOND_NS
    }

    /// Whether a second is over.
    pub(crate) fn is_due(&self, now_ns: u64) -> bool {
        now_ns >= self.next_ns()
    }

    /// A second is over: what was counted so far, and the latencies of what came in it.
    pub(crate) fn tick(
        &mut self,
        now_ns: u64,
        totals: Totals,
        latency: Times,
        desk: &Desk,
    ) -> Result<(), String> {
        let thread = own_thread();
        let wall_us = (now_ns.saturating_sub(self.since_ns) / 1000).max(1) as f64;
        let cores = thread.zip(self.thread).map_or(0.0, |(now, last)| now.since(last, wall_us).0);
        let sample = Sample {
            sent: totals.sent - self.last.sent,
            received: totals.received - self.last.received,
            bytes_in: totals.bytes_in - self.last.bytes_in,
            bytes_out: totals.bytes_out - self.last.bytes_out,
            latency,
            live: totals.live,
            generator_cores: cores,
            server_cores: None,
            server_resident: None,
        };
        let began_ns = self.since_ns;
        // A worker that was away for seconds has one long one.
        self.since_ns += (now_ns.saturating_sub(began_ns) / SECOND_NS).max(1) * SECOND_NS;
        let troubles = totals.troubles.clone();
        self.last = totals;
        self.thread = thread;
        desk.second(Second { began_ns, sample: sample.clone(), troubles })?;
        if self.series.samples.len() < SAMPLES_MAX
            && let Some(place) = self.series.at(began_ns)
        {
            *place = sample;
        }
        Ok(())
    }

    /// The window begins.
    pub(crate) fn from(&mut self, now_ns: u64) {
        self.from = Some((own_thread(), now_ns));
    }

    /// The window is over.
    pub(crate) fn to(&mut self, now_ns: u64) {
        let Some((thread, from_ns)) = self.from else { return };
        let wall_us = (now_ns.saturating_sub(from_ns) / 1000).max(1) as f64;
        if let Some((now, from)) = own_thread().zip(thread) {
            let (ran, waited) = now.since(from, wall_us);
            self.used.cores = ran;
            self.used.waited_cores = Some(waited);
        }
    }

    /// Puts the seconds and what this worker used into an outcome.
    pub(crate) fn finish(mut self, lateness: Option<&Times>, outcome: &mut Outcome) {
        if let Some(lateness) = lateness.map(Times::percentiles) {
            self.used.late_p99_us = lateness.p99_us;
            self.used.late_max_us = lateness.max_us;
        }
        outcome.series = self.series;
        outcome.generators.push(self.used);
    }
}
