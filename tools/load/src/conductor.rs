//! Starts workers, keeps them together, looks at the server beside them, and adds up what they found.
//!
//! One worker is a thread of this process; several are processes of this program, so that each has
//! descriptors, ports and a core of its own.

mod marks;
mod worker;

use crate::desk::{Said, Second, Stage, Troubles};
use crate::job::Job;
use crate::outcome::{Outcome, Sample, Series, ServerUse};
use crate::output::Phase;
use crate::process::Process;
use crate::system::Clock;
pub(crate) use marks::Marks;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::Duration;
use worker::Worker;

/// Between everybody being ready and the first message.
const PAUSE_NS: u64 = 50_000_000;

/// After how long something is told though no worker said anything.
const SILENCE_NS: u64 = 1_500_000_000;

/// A load of its own: in a mix there are several at the same time.
#[derive(Clone, Debug)]
pub(crate) struct Section {
    pub(crate) name: String,
    /// The shares of its workers, at least one.
    pub(crate) jobs: Vec<Job>,
    /// How long after those that begin at once are ready it begins.
    pub(crate) after: Duration,
}

/// What is told of a section once a second.
pub(crate) struct Tick<'a> {
    /// Its place.
    pub(crate) section: usize,
    pub(crate) phase: Phase,
    /// Since its load began.
    pub(crate) elapsed: Duration,
    /// Of all its workers, of the second that is over; while they say nothing, of the server alone.
    pub(crate) sample: &'a Sample,
    pub(crate) troubles: &'a Troubles,
}

/// Runs sections at the same time, and tells of every second of each. Returns their outcomes, in the
/// same order, and the server's of all of them together. An error says why one could not be run.
pub(crate) fn run(
    sections: &[Section],
    server: Option<Process>,
    tell: &mut dyn FnMut(&Tick<'_>),
) -> Result<(Vec<Outcome>, Option<ServerUse>), String> {
    let (say, said) = channel();
    let alone = sections.iter().map(|section| section.jobs.len()).sum::<usize>() == 1;
    let mut all = Marks::new(server);
    all.take(Stage::Before);
    let parts = sections
        .iter()
        .map(|section| Part {
            workers: section.jobs.len(),
            section,
            begun: false,
            meeting: 0,
            outcome: None,
            left: section.jobs.len(),
            marks: all.clone(),
            told: 0,
            live: Series::default(),
            seconds: Vec::new(),
            loading_ns: None,
        })
        .collect();
    let mut conductor = Conductor { parts, workers: Vec::new(), all, alone, say, ready_ns: None };
    conductor.conduct(&said, tell)?;
    conductor.finish(server)
}

impl Part<'_> {
    fn phase(&self) -> Phase {
        let phases = [
            (Stage::To, Phase::Draining),
            (Stage::From, Phase::Measuring),
            (Stage::Opened, Phase::WarmUp),
        ];
        let come = phases.into_iter().find(|(stage, _)| self.marks.has(*stage));
        come.map_or(Phase::Connecting, |(_, phase)| phase)
    }
}

struct Conductor<'a> {
    parts: Vec<Part<'a>>,
    workers: Vec<Worker>,
    /// Of all sections together.
    all: Marks,
    /// There is one worker in all.
    alone: bool,
    say: Sender<(usize, Said)>,
    /// When those sections were ready that begin at once.
    ready_ns: Option<u64>,
}

/// A section that runs.
struct Part<'a> {
    section: &'a Section,
    workers: usize,
    begun: bool,
    /// Workers that wait for the others.
    meeting: usize,
    /// Of the workers that are done.
    outcome: Option<Outcome>,
    /// Workers that are not.
    left: usize,
    marks: Marks,
    /// Seconds that were told.
    told: usize,
    /// Seconds so far, and what workers told of each.
    live: Series,
    seconds: Vec<(usize, Troubles)>,
    /// When its load began.
    loading_ns: Option<u64>,
}

impl Conductor<'_> {
    fn conduct(
        &mut self,
        said: &Receiver<(usize, Said)>,
        tell: &mut dyn FnMut(&Tick<'_>),
    ) -> Result<(), String> {
        while self.parts.iter().any(|part| part.left > 0) {
            self.begin_due()?;
            let wait_ns = self.next_begin_ns().map(|at_ns| at_ns.saturating_sub(Clock.now_ns()));
            let wait_ns = wait_ns.unwrap_or(SILENCE_NS).min(SILENCE_NS);
            match said.recv_timeout(Duration::from_nanos(wait_ns)) {
                Ok((worker, said)) => self.hear(worker, said, tell)?,
                Err(RecvTimeoutError::Timeout) if wait_ns == SILENCE_NS => self.silence(tell),
                Err(RecvTimeoutError::Timeout) => {}
                // This holds an end itself.
                Err(RecvTimeoutError::Disconnected) => break,
            }
        }
        Ok(())
    }

    /// When the next section is to begin, as far as that is known.
    fn next_begin_ns(&self) -> Option<u64> {
        let ready_ns = self.ready_ns?;
        let waiting = self.parts.iter().filter(|part| !part.begun);
        waiting.map(|part| ready_ns + part.section.after.as_nanos() as u64).min()
    }

    /// Begins the sections that are due.
    fn begin_due(&mut self) -> Result<(), String> {
        let since_ready = self.ready_ns.map(|ready_ns| Clock.now_ns().saturating_sub(ready_ns));
        for place in 0..self.parts.len() {
            let part = &mut self.parts[place];
            let is_due = part.section.after.is_zero()
                || since_ready.is_some_and(|ns| u128::from(ns) >= part.section.after.as_nanos());
            if part.begun || !is_due {
                continue;
            }
            part.begun = true;
            for job in &part.section.jobs {
                let number = self.workers.len();
                let worker = if self.alone {
                    Worker::thread(job.clone(), place, (number, self.say.clone()))
                } else {
                    Worker::process(job, place, (number, self.say.clone()))
                };
                self.workers.push(worker?);
            }
        }
        Ok(())
    }

    fn hear(
        &mut self,
        worker: usize,
        said: Said,
        tell: &mut dyn FnMut(&Tick<'_>),
    ) -> Result<(), String> {
        let place = self.workers[worker].part;
        match said {
            Said::Mark(stage) => self.mark(place, stage),
            Said::Meet(stage) => {
                self.parts[place].meeting += 1;
                self.go_on(place, stage)?;
            }
            Said::Second(second) => self.second(place, &second, tell),
            Said::Done(Err(why)) => return Err(why),
            Said::Done(Ok(outcome)) => {
                let part = &mut self.parts[place];
                part.left -= 1;
                match &mut part.outcome {
                    Some(sum) => sum.merge(*outcome),
                    None => part.outcome = Some(*outcome),
                }
            }
        }
        Ok(())
    }

    /// Lets a section go on if all of it have come as far.
    fn go_on(&mut self, place: usize, stage: Stage) -> Result<(), String> {
        if self.parts[place].meeting < self.parts[place].workers {
            return Ok(());
        }
        self.parts[place].meeting = 0;
        self.mark(place, stage);
        let go_ns = Clock.now_ns() + PAUSE_NS;
        self.parts[place].loading_ns = Some(go_ns);
        for worker in self.workers.iter_mut().filter(|worker| worker.part == place) {
            worker.go(go_ns)?;
        }
        let opened =
            |part: &Part<'_>| !part.section.after.is_zero() || part.marks.has(Stage::Opened);
        if self.ready_ns.is_none() && self.parts.iter().all(opened) {
            self.ready_ns = Some(go_ns);
        }
        Ok(())
    }

    /// Looks at the server when the first worker of a section has come so far.
    fn mark(&mut self, place: usize, stage: Stage) {
        let part = &mut self.parts[place];
        if part.marks.has(stage) {
            return;
        }
        part.marks.take(stage);
        // All together begin with the first and end with the last.
        if stage == Stage::To || !self.all.has(stage) {
            self.all.copy(stage, &part.marks);
        }
    }

    fn second(&mut self, place: usize, second: &Second, tell: &mut dyn FnMut(&Tick<'_>)) {
        let part = &mut self.parts[place];
        if part.live.samples.is_empty() {
            part.live.start_ns = second.began_ns;
        }
        let since_ns = second.began_ns.saturating_sub(part.live.start_ns);
        let number = (since_ns / 1_000_000_000) as usize;
        let Some(sum) = part.live.at(second.began_ns) else { return };
        if part.seconds.len() <= number {
            part.seconds.resize(number + 1, (0, Troubles::default()));
        }
        let (workers, troubles) = &mut part.seconds[number];
        if *workers == 0 {
            (sum.server_cores, sum.server_resident) = part.marks.second();
        }
        *workers += 1;
        troubles.add(&second.troubles);
        sum.merge(&second.sample);
        while part.seconds.get(part.told).is_some_and(|(workers, _)| *workers >= part.workers) {
            let sample = &part.live.samples[part.told];
            let (_, troubles) = &part.seconds[part.told];
            part.told += 1;
            tell(&Tick {
                section: place,
                phase: part.phase(),
                elapsed: Duration::from_secs(part.told as u64),
                sample,
                troubles,
            });
        }
    }

    /// Nobody has said anything for a while: before the load and behind it nobody does.
    fn silence(&mut self, tell: &mut dyn FnMut(&Tick<'_>)) {
        for (section, part) in self.parts.iter_mut().enumerate() {
            if !part.begun || part.left == 0 {
                continue;
            }
            let (server_cores, server_resident) = part.marks.second();
            let live = part.live.samples.last().map_or(0, |sample| sample.live);
            let sample = Sample { live, server_cores, server_resident, ..Sample::default() };
            let since_ns = part.loading_ns.map(|from_ns| Clock.now_ns().saturating_sub(from_ns));
            let none = Troubles::default();
            tell(&Tick {
                section,
                phase: part.phase(),
                elapsed: Duration::from_nanos(since_ns.unwrap_or_default()),
                sample: &sample,
                troubles: part.seconds.last().map_or(&none, |(_, troubles)| troubles),
            });
        }
    }

    fn finish(
        mut self,
        server: Option<Process>,
    ) -> Result<(Vec<Outcome>, Option<ServerUse>), String> {
        for worker in &mut self.workers {
            worker.end();
        }
        let connections = |section: &Section| section.jobs.iter().map(Job::connections).sum();
        let mut sum = 0;
        let mut outcomes = Vec::new();
        for part in self.parts {
            let mut outcome = part.outcome.ok_or("a section without workers")?;
            outcome.name.clone_from(&part.section.name);
            outcome.server = part.marks.server_use(connections(part.section));
            sum += connections(part.section);
            for (own, live) in outcome.series.samples.iter_mut().zip(&part.live.samples) {
                (own.server_cores, own.server_resident) = (live.server_cores, live.server_resident);
            }
            if let Some(job) = part.section.jobs.first() {
                job.conclude(&mut outcome, &part.marks);
            }
            if server.is_some() && outcome.server.is_none() {
                outcome.fail("the process of --pid could not be read: has it ended?".to_owned());
            }
            outcomes.push(outcome);
        }
        Ok((outcomes, self.all.server_use(sum)))
    }
}
