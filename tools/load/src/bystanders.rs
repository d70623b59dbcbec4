//! Players who are there already while something happens to the server, and what they feel of it.
//!
//! They have a thread and a poll of their own, so that what the tool does beside them does not make them
//! late as long as there is a core for it.

use crate::ear::Ear;
use crate::fleet::{Fleet, Plan};
use crate::meter::{Meter, Totals};
use crate::outcome::Outcome;
use crate::system::Clock;
use crate::traffic::{
    self, Course, Load, Mark, Players, QUIET_NS, all_in_their_rooms, poll_failed,
};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

/// The name of their part of an outcome.
const NAME: &str = "bystanders";
/// For so long they would play if nobody ended it.
const LONGEST: Duration = Duration::from_secs(24 * 3600);
/// How often they look whether they are to go on, at least.
const LOOK_NS: u64 = 10_000_000;

/// Players beside a scenario.
pub(crate) struct Bystanders {
    control: Arc<Control>,
    thread: JoinHandle<Result<Outcome, String>>,
}

/// When they are measured: 0 is not yet.
#[derive(Default)]
struct Control {
    from_ns: AtomicU64,
    to_ns: AtomicU64,
}

impl Bystanders {
    /// Lets them enter and play; returns when they do. An error says why they cannot.
    pub(crate) fn begin(plan: Plan, load: Load) -> Result<Self, String> {
        traffic::check(plan.connections, plan.rooms_of, &load)?;
        let control = Arc::new(Control::default());
        let (say, said) = channel();
        let own = Arc::clone(&control);
        let thread = std::thread::Builder::new()
            .name("bystanders".to_owned())
            .spawn(move || play(&plan, &load, &own, &say))
            .map_err(|error| format!("no thread for the bystanders: {error}"))?;
        if said.recv().is_err() {
            // It has ended: it says why.
            return match join(thread) {
                Ok(_) => Err("the bystanders ended at once".to_owned()),
                Err(why) => Err(format!("bystanders: {why}")),
            };
        }
        Ok(Self { control, thread })
    }

    /// From now on they are measured.
    pub(crate) fn measure(&self) {
        self.control.from_ns.store(Clock.now_ns(), Ordering::Relaxed);
    }

    /// They stop; what they felt while they were measured.
    pub(crate) fn end(self) -> Result<Outcome, String> {
        self.control.to_ns.store(Clock.now_ns().max(1), Ordering::Relaxed);
        join(self.thread).map_err(|why| format!("bystanders: {why}"))
    }
}

fn join(thread: JoinHandle<Result<Outcome, String>>) -> Result<Outcome, String> {
    thread.join().unwrap_or_else(|_| Err("they failed; this is a fault of this tool".to_owned()))
}

fn play(plan: &Plan, load: &Load, control: &Control, say: &Sender<()>) -> Result<Outcome, String> {
    let mut ear = Ear::new(plan, plan.connections, load);
    let mut fleet = Fleet::new(plan.clone()).map_err(poll_failed)?;
    fleet.open(&mut ear)?;
    fleet.settle(QUIET_NS, Duration::from_secs(10), &mut ear).map_err(poll_failed)?;
    all_in_their_rooms(&fleet, plan.connections)?;

    let start_ns = Clock.now_ns();
    let far_ns = start_ns + LONGEST.as_nanos() as u64;
    let course = Course { start_ns, from_ns: far_ns, to_ns: far_ns, late_ns: far_ns };
    let mut players = Players::new(plan, plan.connections, load, &course, &mut ear);
    let mut outcome = Outcome::new(&load.scenario);
    NAME.clone_into(&mut outcome.name);
    players.settings(&mut outcome);
    outcome.settings.shift_remove("warmup_seconds");
    outcome.settings.shift_remove("duration_seconds");
    // Whoever asked for them is gone with the other end.
    let _ = say.send(());

    let mut meter = Meter::new(start_ns, Totals::default());
    let mut from: Option<Mark> = None;
    loop {
        let now_ns = Clock.now_ns();
        let from_ns = control.from_ns.load(Ordering::Relaxed);
        if from.is_none() && from_ns > 0 {
            meter.from(now_ns);
            ear.take_second();
            ear.window = from_ns..u64::MAX;
            from = Some(Mark::take(now_ns, &ear, fleet.tolls()));
        }
        let to_ns = control.to_ns.load(Ordering::Relaxed);
        if to_ns > 0 {
            meter.to(now_ns);
            let to = Mark::take(now_ns, &ear, fleet.tolls());
            to.put_since(&from.unwrap_or(to), &mut outcome);
            break;
        }
        players.send_due(&mut fleet, &mut ear);
        let until_ns = players.next_ns(&ear).unwrap_or(u64::MAX).min(now_ns + LOOK_NS);
        fleet.turn(until_ns, &mut ear).map_err(poll_failed)?;
    }

    let end_ns = Clock.now_ns() + load.drain.as_nanos() as u64;
    while ear.tally.counts().received < players.expected() && Clock.now_ns() < end_ns {
        let until_ns = end_ns.min(Clock.now_ns() + 50_000_000);
        fleet.turn(until_ns, &mut ear).map_err(poll_failed)?;
    }
    // What comes twice comes now.
    fleet.settle(QUIET_NS, Duration::from_secs(1), &mut ear).map_err(poll_failed)?;
    meter.finish(Some(players.lateness()), &mut outcome);
    players.finish(&mut ear, &fleet, &mut outcome);
    fleet.put_tolls(&mut outcome);
    fleet.close(&mut ear).map_err(poll_failed)?;
    Ok(outcome)
}
