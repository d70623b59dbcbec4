//! The options of scenarios whose sessions come and go, and the jobs that they describe.

use super::Order;
use super::options::{Asked, Common};
use super::values::{count, hz, seconds};
use crate::arena;
use crate::dialect::Dialect;
use crate::job::Job;
use clap::Args;
use std::time::Duration;

/// How long a scenario takes.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Times")]
struct Timing {
    /// How long to measure, in seconds
    #[arg(long, default_value = "10", value_parser = seconds)]
    duration: Duration,
    /// How long everything goes on before that, in seconds
    #[arg(long, default_value = "1", value_parser = seconds)]
    warmup: Duration,
    /// How long to wait for what is missing at the end, in seconds
    #[arg(long, default_value = "5", value_parser = seconds)]
    drain: Duration,
}

#[derive(Clone, Debug, Args)]
pub(super) struct Arena {
    #[command(flatten)]
    common: Common,
    #[command(flatten)]
    timing: Timing,
    #[command(flatten)]
    pub(super) asked: Asked,
    /// Members
    #[arg(long, default_value_t = 100, value_parser = count)]
    count: usize,
    /// Members of a room, at most 32
    #[arg(long, default_value_t = 16, value_parser = clap::value_parser!(u16).range(1..=32))]
    rooms_of: u16,
    /// Inputs a second of each member
    #[arg(long, default_value = "20", value_parser = hz)]
    hz: f64,
    /// Ticks a second of the rooms, to say how evenly they come
    #[arg(long, default_value = "20", value_parser = hz)]
    tick_hz: f64,
    /// Of so many members one keeps a copy of the state and checks every hash
    #[arg(long, default_value_t = 10, value_parser = count)]
    replica_every: usize,
    /// What the members' movements are drawn from
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Let the server find the rooms by a match, instead of joining them by name
    #[arg(long = "match", conflicts_with = "room")]
    matched: bool,
    /// Seats of a room that bots fill while no member does, at most 32
    #[arg(long, default_value_t = 0, value_parser = clap::value_parser!(u8).range(0..=32))]
    bots: u8,
    /// Length of a round in seconds, 20 to 600
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u16).range(20..=600))]
    round: u16,
}

impl Arena {
    pub(super) fn order(&self) -> Result<Order, String> {
        let Self { common, timing, .. } = self;
        let mut plan = common.native_plan(self.count, usize::from(self.rooms_of), "arena-")?;
        let own = format!("load-{}", std::process::id());
        let mut labels = vec![
            ("bots".to_owned(), self.bots.to_string()),
            ("seconds".to_owned(), self.round.to_string()),
        ];
        if self.matched {
            // No name is known before the server has chosen one.
            if common.path.is_none() {
                "/play".clone_into(&mut plan.path);
            }
            labels.push(("load".to_owned(), own.clone()));
        }
        let job = arena::Job {
            plan,
            hz: self.hz,
            tick_hz: self.tick_hz,
            warmup: timing.warmup,
            duration: timing.duration,
            drain: timing.drain,
            replica_every: self.replica_every,
            seed: self.seed,
            matched: self.matched.then_some(own),
            labels,
            everyone: self.count,
        };
        Ok(common.order(Job::Arena(Box::new(job))))
    }
}

impl Common {
    /// A plan of sessions, in rooms whose names begin so unless something else was asked for.
    fn native_plan(
        &self,
        connections: usize,
        rooms_of: usize,
        prefix: &str,
    ) -> Result<crate::fleet::Plan, String> {
        let mut plan = self.plan(Dialect::Native, connections, rooms_of, Some(true))?;
        if plan.dialect == Dialect::Raw {
            return Err("--protocol raw: this scenario is about sessions, which raw connections \
                        do not have"
                .to_owned());
        }
        if self.room.is_none() {
            plan.room_prefix = format!("{prefix}{}", plan.room_prefix);
        }
        Ok(plan)
    }
}
