//! What the server had used when a run had come so far.

use crate::desk::Stage;
use crate::outcome::ServerUse;
use crate::process::{Cpu, Memory, Process, Threads};
use crate::system::Clock;
use std::collections::BTreeMap;

/// The server at every stage of a section.
#[derive(Clone, Debug)]
pub(crate) struct Marks {
    server: Option<Process>,
    looks: BTreeMap<Stage, Option<Look>>,
    /// The last second's.
    last: Option<(u64, Cpu)>,
}

#[derive(Clone, Copy, Debug)]
struct Look {
    at_ns: u64,
    cpu: Cpu,
    memory: Memory,
    /// Its threads, and those of them that Madang has for spectators.
    threads: Option<[Threads; 2]>,
}

impl Marks {
    pub(super) fn new(server: Option<Process>) -> Self {
        Self { server, looks: BTreeMap::new(), last: None }
    }

    pub(super) fn has(&self, stage: Stage) -> bool {
        self.looks.contains_key(&stage)
    }

    pub(super) fn take(&mut self, stage: Stage) {
        let look = self.server.and_then(|server| {
            Some(Look {
                at_ns: Clock.now_ns(),
                cpu: server.cpu().ok()?,
                memory: server.memory().ok()?,
                threads: server
                    .threads("")
                    .and_then(|all| Ok([all, server.threads("watch-")?]))
                    .ok(),
            })
        });
        self.looks.insert(stage, look);
    }

    pub(super) fn copy(&mut self, stage: Stage, other: &Self) {
        self.looks.insert(stage, other.look(stage).copied());
    }

    /// CPU seconds a second since this was asked last, and resident memory.
    pub(super) fn second(&mut self) -> (Option<f64>, Option<u64>) {
        let Some(server) = self.server else { return (None, None) };
        let now_ns = Clock.now_ns();
        let cpu = server.cpu().ok();
        let last = std::mem::replace(&mut self.last, cpu.map(|cpu| (now_ns, cpu)));
        let cores = cpu.zip(last).map(|(cpu, (last_ns, last))| {
            let us = (cpu.user_us + cpu.system_us).saturating_sub(last.user_us + last.system_us);
            us as f64 * 1000.0 / (now_ns - last_ns).max(1) as f64
        });
        (cores, server.memory().ok().map(|memory| memory.resident))
    }

    /// The server's memory at a stage.
    pub(crate) fn memory(&self, stage: Stage) -> Option<Memory> {
        self.look(stage).map(|look| look.memory)
    }

    /// Seconds a second in the window that all threads of the server, and those that Madang has for
    /// spectators, were on a CPU, and were ready without one.
    pub(crate) fn threads(&self) -> Option<[(f64, f64); 2]> {
        let (from, to) = (self.look(Stage::From)?, self.look(Stage::To)?);
        let wall_us = ((to.at_ns - from.at_ns) / 1000).max(1) as f64;
        let (from, to) = from.threads.zip(to.threads)?;
        Some([to[0].since(from[0], wall_us), to[1].since(from[1], wall_us)])
    }

    /// What was used in the window, for so many connections.
    pub(super) fn server_use(&self, connections: usize) -> Option<ServerUse> {
        let (from, to) = (self.look(Stage::From)?, self.look(Stage::To)?);
        Some(ServerUse {
            user_us: to.cpu.user_us.saturating_sub(from.cpu.user_us),
            system_us: to.cpu.system_us.saturating_sub(from.cpu.system_us),
            wall_us: (to.at_ns - from.at_ns) / 1000,
            before: self.memory(Stage::Before),
            opened: self.memory(Stage::Opened),
            memory: to.memory,
            connections: connections as u64,
        })
    }

    fn look(&self, stage: Stage) -> Option<&Look> {
        self.looks.get(&stage)?.as_ref()
    }
}
