//! The scenario of storms: many connections at once, or many sessions that come back at once.

mod connects;
mod resumes;

use crate::bystanders::Bystanders;
use crate::crowd::Speech;
use crate::desk::Desk;
use crate::fleet::Plan;
use crate::outcome::Outcome;
use crate::traffic::Load;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// Connections that came to where they wanted to be.
const ENTERED: &str = "entered";
/// Connections that were begun again.
const RETRIES: &str = "retries";

/// A worker's share of a run.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Job {
    pub(crate) plan: Plan,
    pub(crate) storm: Storm,
    /// Most tries of a connection that is refused or broken off.
    pub(crate) tries_max: u32,
    /// How long all of it may take.
    pub(crate) patience: Duration,
    pub(crate) bystanders: Option<(Plan, Load)>,
    /// Connections of all workers together.
    pub(crate) everyone: usize,
}

/// What comes at once.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum Storm {
    /// Connections, at the plan's rate or as many as may be in flight.
    Connects,
    /// Sessions that were all cut off.
    Resumes(Resumes),
}

/// Sessions that play, are cut off and come back.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct Resumes {
    pub(crate) hz: f64,
    pub(crate) payload_bytes: usize,
    pub(crate) warmup: Duration,
    pub(crate) duration: Duration,
    pub(crate) drain: Duration,
    /// How often all are cut off, at equal distances within the duration.
    pub(crate) cuts: u32,
    /// The longest that one waits before it comes back.
    pub(crate) jitter: Duration,
    pub(crate) seed: u64,
}

impl Resumes {
    fn speech(&self) -> Speech {
        let class = madang_protocol::client::Class::Reliable;
        Speech { class, hz: self.hz, payload_bytes: self.payload_bytes }
    }
}

impl Job {
    /// Shares for so many processes, which together are this one; the first has the bystanders.
    pub(crate) fn split(&self, processes: usize) -> Vec<Self> {
        let shares = self.plan.shares(self.plan.rooms_of, processes);
        let mut jobs: Vec<_> =
            shares.into_iter().map(|plan| Self { plan, ..self.clone() }).collect();
        jobs.iter_mut().skip(1).for_each(|job| job.bystanders = None);
        jobs
    }

    /// How long it loads from when everybody is ready; nobody knows how long a storm of connections takes.
    pub(crate) fn span(&self) -> Duration {
        match &self.storm {
            Storm::Connects => Duration::ZERO,
            Storm::Resumes(resumes) => resumes.warmup + resumes.duration,
        }
    }

    /// Connections to the server that this share has.
    pub(crate) fn connections(&self) -> usize {
        self.plan.connections + self.bystanders.as_ref().map_or(0, |(plan, _)| plan.connections)
    }

    /// What can only be said of all workers together.
    pub(crate) fn conclude(&self, outcome: &mut Outcome) {
        outcome.parts.iter_mut().for_each(Outcome::judge);
        match self.storm {
            Storm::Connects => connects::conclude(self.everyone, outcome),
            Storm::Resumes(_) => resumes::conclude(self.everyone, outcome),
        }
    }
}

/// Runs a share. An error says why it could not be run at all.
pub(crate) fn run(job: &Job, desk: &Desk) -> Result<Outcome, String> {
    let bystanders = match &job.bystanders {
        Some((plan, load)) => Some(Bystanders::begin(plan.clone(), load.clone())?),
        None => None,
    };
    let mut outcome = Outcome::new("storm");
    outcome.set("protocol", job.plan.dialect.name());
    outcome.set("transport", job.plan.transport.name());
    outcome.set("connections", job.everyone);
    outcome.set("rooms_of", job.plan.rooms_of);
    outcome.set("tries_max", u64::from(job.tries_max));
    let measure = || {
        if let Some(bystanders) = &bystanders {
            bystanders.measure();
        }
    };
    match &job.storm {
        Storm::Connects => {
            outcome.set("storm", "connects");
            outcome.set("in_flight", job.plan.in_flight);
            outcome.set("rate", u64::from(job.plan.rate));
            connects::run(job, desk, measure, &mut outcome)?;
        }
        Storm::Resumes(resumes) => {
            outcome.set("storm", "resumes");
            resumes::run(job, resumes, desk, measure, &mut outcome)?;
        }
    }
    if let Some(bystanders) = bystanders {
        outcome.parts.push(bystanders.end()?);
    }
    Ok(outcome)
}
