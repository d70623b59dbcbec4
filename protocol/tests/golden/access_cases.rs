//! Messages about who may do what: new credentials, and what managers do.

use madang_protocol::client::{Manage, ManageAction, Renew};
use madang_protocol::ids::{Channel, Cseq, INTEGER_MAX, MemberId};
use madang_protocol::server::{Expiring, Renewed};
use madang_protocol::{ClientMessage, ServerMessage};

pub(crate) fn client() -> Vec<(&'static str, ClientMessage<'static>)> {
    let manage =
        |action| ClientMessage::Manage(Manage { channel: Channel(3), cseq: Cseq(12), action });
    let user = || "ada@example.org".to_owned();
    vec![
        ("renew", ClientMessage::Renew(Renew { r#ref: 4, token: "a.b.c".into() })),
        ("manage, kick", manage(ManageAction::Kick { member: MemberId(6) })),
        ("manage, ban", manage(ManageAction::Ban { user: user(), seconds: 86_400 })),
        ("manage, unban", manage(ManageAction::Unban { user: user() })),
        ("manage, close", manage(ManageAction::Close)),
    ]
}

pub(crate) fn server() -> Vec<(&'static str, ServerMessage<'static>)> {
    let renewed = |expires_ms| ServerMessage::Renewed(Renewed { r#ref: 4, expires_ms });
    vec![
        ("expiring", ServerMessage::Expiring(Expiring { close_ms: 90_000 })),
        ("renewed", renewed(Some(3_600_000))),
        ("renewed, never to expire", renewed(None)),
        ("renewed, to expire as late as can be", renewed(Some(INTEGER_MAX))),
    ]
}
