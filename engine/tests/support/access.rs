//! What clients say of credentials, and what managers do.

use super::client::Client;
use super::node::Node;
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
