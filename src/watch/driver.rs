//! One thread of the side listener, as its reactor drives it.

use super::site::{Asked, Site};
use crate::metrics::{Block, Counter};
use crate::net::http::Request;
use crate::net::{Answer, Detached, Driver, Ended, Io, Outbound};
use madang_engine::id::ConnId;
use madang_engine::time::Time;
use std::sync::Arc;

/// Answers requests from a [`Site`]. There are no WebSocket connections here.
#[derive(Debug)]
pub struct WatchDriver {
    site: Arc<Site>,
    block: Arc<Block>,
}

impl WatchDriver {
    /// For one thread, which counts in its own block.
    pub fn new(site: Arc<Site>, block: Arc<Block>) -> Self {
        Self { site, block }
    }
}

impl Driver for WatchDriver {
    fn on_request(&mut self, _: &mut Io<'_>, _: ConnId, request: &Request<'_>) -> Answer {
        Answer::Respond(self.site.answer(&Asked {
            method: request.method,
            path: request.path,
            host: request.header("host"),
            if_none_match: request.header("if-none-match"),
        }))
    }

    fn on_turn(&mut self, _: &mut Io<'_>, _: Time) {}

    fn on_turn_end(&mut self, io: &mut Io<'_>) {
        self.block.set(Counter::Connections, io.connections() as u64);
        self.block.set_net(io.counters());
    }

    // No request is answered with an upgrade or a handoff: none of the following has work to do.

    fn on_open(&mut self, _: &mut Io<'_>, _: ConnId, _: u32) {}

    fn on_message(&mut self, _: &mut Io<'_>, _: ConnId, _: &[u8], _: bool) {}

    fn on_seen(&mut self, _: &mut Io<'_>, _: ConnId) {}

    fn on_ended(&mut self, _: &mut Io<'_>, _: ConnId, _: Ended) {}

    fn fill(&mut self, _: ConnId, _: &mut Outbound<'_>) -> bool {
        false
    }

    fn on_detached(&mut self, _: &mut Io<'_>, _: u16, _: Detached) {}

    fn next_timeout(&self) -> Option<Time> {
        None
    }
}
