//! What clients say of credentials, and what managers do.

use super::client::Client;
use super::node::Node;
use madang_engine::id::ConnId;
use madang_protocol::client::{ClientMessage, Edit, Manage, ManageAction, Renew};

impl Client {
    /// Writes down what was said.
    #[expect(
        clippy::unnecessary_wraps,
        reason = "as the other arms of the match that it stands in"
    )]
    pub(super) fn noted(&mut self, note: impl FnOnce(&mut Self)) -> Result<(), String> {
        note(self);
        Ok(())
    }

    /// Brings a new credential.
    pub(crate) fn renew(&mut self, node: &mut Node, r#ref: u32, token: &str) {
        if self.is_ready() {
            self.send(node, &ClientMessage::Renew(Renew { r#ref, token: token.into() }));
        }
    }

    /// Edits the state, without a change.
    pub(crate) fn operate_edit(&mut self, node: &mut Node, channel: u32) -> Option<u64> {
        self.operate(node, channel, (true, None), |channel, cseq| {
            ClientMessage::Edit(Edit { channel, cseq, edits: Vec::new() })
        })
    }

    /// Does what managers do.
    pub(crate) fn manage(
        &mut self,
        node: &mut Node,
        channel: u32,
        action: ManageAction,
    ) -> Option<u64> {
        self.operate(node, channel, (true, None), |channel, cseq| {
            ClientMessage::Manage(Manage { channel, cseq, action })
        })
    }
}

/// Whether what a client says is not refused for want of a right.
pub(super) fn is_heard(token: Option<&str>) -> bool {
    token.is_none_or(|token| !token.contains('=') || token.contains("publish"))
}

/// How late a timer may be.
const SLACK_MS: u64 = 50;

impl Node {
    /// A connection has a credential that expires then, or not at all.
    pub(super) fn note_expiry(&mut self, shard: usize, conn: ConnId, expires_ms: Option<u64>) {
        let wall_ms = self.wall_us / 1000;
        let expired_ms = self.config().session.expired_ms + SLACK_MS;
        let until = expires_ms.map(|at_ms| at_ms.saturating_sub(wall_ms) + expired_ms);
        match until {
            Some(in_ms) => drop(self.expiries.insert((shard, conn), self.now.plus_ms(in_ms))),
            None => drop(self.expiries.remove(&(shard, conn))),
        }
    }

    /// A shard has just seen the time: nobody there may be on an old credential.
    pub(super) fn check_expiries(&mut self, shard: usize) {
        let now = self.now;
        let past = self.expiries.iter().filter(|((at, _), until)| *at == shard && **until < now);
        let past: Vec<_> = past.map(|(key, _)| *key).collect();
        for (shard, conn) in past {
            self.expiries.remove(&(shard, conn));
            if self.socket_of(shard, conn).is_some() {
                self.violate("a connection outlives its credential");
            }
        }
    }
}
