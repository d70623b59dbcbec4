//! The scenarios, as a worker gets its share of one.

use crate::conductor::Marks;
use crate::desk::Desk;
use crate::outcome::Outcome;
use crate::traffic::Pace;
use crate::{arena, churn, hostile, idle, slow, spectate, storm, traffic};
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// A worker's share of a run.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum Job {
    Traffic(traffic::Job),
    Idle(idle::Job),
    Arena(Box<arena::Job>),
    Storm(Box<storm::Job>),
    Churn(Box<churn::Job>),
    Slow(Box<slow::Job>),
    Hostile(Box<hostile::Job>),
    Spectate(Box<spectate::Job>),
}

impl Job {
    /// Shares for at most so many processes, which together are this one. An error says why it cannot
    /// be shared.
    pub(crate) fn split(&self, processes: usize) -> Result<Vec<Self>, String> {
        match self {
            Self::Traffic(job) => {
                Ok(job.split(processes)?.into_iter().map(Self::Traffic).collect())
            }
            Self::Idle(job) => Ok(job.split(processes).into_iter().map(Self::Idle).collect()),
            Self::Arena(job) => Ok(boxed(job.split(processes), Self::Arena)),
            Self::Storm(job) => Ok(boxed(job.split(processes), Self::Storm)),
            Self::Churn(job) => Ok(boxed(job.split(processes)?, Self::Churn)),
            Self::Slow(job) => Ok(boxed(job.split(processes), Self::Slow)),
            Self::Hostile(job) => Ok(boxed(job.split(processes)?, Self::Hostile)),
            Self::Spectate(job) => job
                .split(processes)
                .map(|jobs| jobs.into_iter().map(|job| Self::Spectate(Box::new(job))).collect()),
        }
    }

    /// Does this share. An error says why it could not be run at all.
    pub(crate) fn run(&self, desk: &Desk) -> Result<Outcome, String> {
        match self {
            Self::Traffic(job) => traffic::run(job, desk),
            Self::Idle(job) => idle::run(job, desk),
            Self::Arena(job) => arena::run(job, desk),
            Self::Storm(job) => storm::run(job, desk),
            Self::Churn(job) => churn::run(job, desk),
            Self::Slow(job) => slow::run(job, desk),
            Self::Hostile(job) => hostile::run(job, desk),
            Self::Spectate(job) => spectate::run(job, desk),
        }
    }

    /// What can only be said of all workers together, of which this is the first.
    pub(crate) fn conclude(&self, outcome: &mut Outcome, marks: &Marks) {
        match self {
            Self::Traffic(job) => job.conclude(outcome),
            Self::Idle(job) => job.conclude(outcome, marks),
            Self::Arena(job) => job.conclude(outcome),
            Self::Storm(job) => job.conclude(outcome),
            Self::Churn(_) => churn::Job::conclude(outcome),
            Self::Slow(_) => slow::Job::conclude(outcome),
            Self::Hostile(job) => job.conclude(outcome),
            Self::Spectate(job) => job.conclude(outcome, marks),
        }
    }

    /// The scenario's name.
    pub(crate) fn name(&self) -> &str {
        match self {
            Self::Traffic(job) => &job.load.scenario,
            Self::Idle(_) => "idle",
            Self::Arena(_) => "arena",
            Self::Storm(_) => "storm",
            Self::Churn(_) => "churn",
            Self::Slow(_) => "slow",
            Self::Hostile(_) => "hostile",
            Self::Spectate(_) => "spectate",
        }
    }

    /// The same with another rate, where the scenario has one.
    pub(crate) fn at_hz(&self, hz: f64) -> Option<Self> {
        let Self::Traffic(job) = self else { return None };
        let mut job = job.clone();
        job.load.pace = Pace::Hz(hz);
        Some(Self::Traffic(job))
    }

    /// How long it loads from when everybody is ready, as far as that is known.
    pub(crate) fn span(&self) -> Duration {
        match self {
            Self::Traffic(job) => job.span(),
            Self::Idle(job) => job.hold,
            Self::Arena(job) => job.warmup + job.duration,
            Self::Storm(job) => job.span(),
            Self::Churn(job) => job.warmup + job.duration,
            Self::Slow(job) => job.warmup + job.duration,
            Self::Hostile(job) => job.duration,
            Self::Spectate(job) => job.load.warmup + job.load.duration,
        }
    }

    /// Connections to the server that this share has.
    pub(crate) fn connections(&self) -> usize {
        match self {
            Self::Traffic(job) => job.plan.connections,
            Self::Idle(job) => job.plan.connections,
            Self::Arena(job) => job.plan.connections,
            Self::Storm(job) => job.connections(),
            Self::Churn(job) => job.plan.connections,
            Self::Slow(job) => job.plan.connections,
            Self::Hostile(job) => job.connections(),
            Self::Spectate(job) => job.connections(),
        }
    }
}

fn boxed<T>(jobs: Vec<T>, job: impl Fn(Box<T>) -> Job) -> Vec<Job> {
    jobs.into_iter().map(|share| job(Box::new(share))).collect()
}
