//! A node and its clients, and ways to let everything settle.

use super::client::Client;
use super::node::Node;
use super::raw::RawClient;
use madang_engine::Config;

/// Rounds after which a world that still moves is taken to move for ever.
const ROUNDS_MAX: usize = 3_000;

#[derive(Debug)]
pub(crate) struct World {
    pub(crate) node: Node,
    pub(crate) clients: Vec<Client>,
    pub(crate) raws: Vec<RawClient>,
}

impl World {
    pub(crate) fn new(config: &Config, shards: u16, seed: u64) -> Self {
        Self { node: Node::new(config, shards, seed), clients: Vec::new(), raws: Vec::new() }
    }

    pub(crate) fn add(&mut self, is_json: bool, capacity: usize) -> usize {
        let index = self.clients.len();
        self.clients.push(Client::new(index, is_json, capacity));
        index
    }

    /// One millisecond in which every shard has a turn, every link delivers and everybody reads.
    pub(crate) fn round(&mut self) {
        self.node.advance_us(1_000);
        while !self.node.asked.is_empty() {
            self.node.answer(0);
        }
        for shard in 0..self.node.shards() {
            self.node.turn(shard, usize::MAX);
        }
        for from in 0..self.node.shards() {
            for to in 0..self.node.shards() {
                let waiting = self.node.waiting(from, to);
                self.node.deliver(from, to, waiting);
            }
        }
        for shard in 0..self.node.shards() {
            for id in self.node.held_sockets(shard) {
                self.node.flush_socket(id);
            }
        }
        self.read_all();
    }

    pub(crate) fn read_all(&mut self) {
        for client in &mut self.clients {
            client.read(&mut self.node, usize::MAX);
        }
        for raw in &mut self.raws {
            raw.read(&mut self.node, usize::MAX);
        }
    }

    /// Lets rounds pass until nothing moves. False when it never ends.
    pub(crate) fn settle(&mut self) -> bool {
        let mut idle_rounds = 0;
        for _ in 0..ROUNDS_MAX {
            let before = self.node.trace;
            self.round();
            // Credit for what was delivered goes out in the next turn, and may set more in motion.
            let is_idle = self.node.is_idle() && self.node.trace == before;
            idle_rounds = if is_idle { idle_rounds + 1 } else { 0 };
            if idle_rounds > 1 {
                return true;
            }
        }
        false
    }

    /// Lets time pass in steps of at most `step_ms`, with a round after each.
    pub(crate) fn pass_ms(&mut self, ms: u64, step_ms: u64) {
        let mut left = ms;
        while left > 0 {
            let step = left.min(step_ms);
            self.node.advance_us(step * 1_000 - 1_000.min(step * 1_000));
            self.round();
            left -= step;
        }
    }
}
