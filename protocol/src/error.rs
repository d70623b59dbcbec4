//! Error codes of the `Error` message, listed once. SPEC.md repeats this table and a test compares
//! the two.

use serde::{Deserialize, Serialize};
use std::fmt;

/// What was refused and why, for programs. Numbers a client does not know are treated by their
/// hundreds: 1xx the request was wrong, 2xx not now, 3xx not allowed, 5xx the server failed.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ErrorCode(pub u16);

macro_rules! error_codes {
    ($($name:ident = $code:literal, $text:literal, $meaning:literal;)*) => {
        impl ErrorCode {
            $(
                #[doc = $meaning]
                pub const $name: ErrorCode = ErrorCode($code);
            )*
            /// Every code with its name and meaning, ascending.
            pub const ALL: &'static [(ErrorCode, &'static str, &'static str)] =
                &[$((ErrorCode::$name, $text, $meaning)),*];
        }
    };
}

error_codes! {
    INVALID = 100, "invalid", "A field was out of its bounds; the text says which.";
    NO_SUCH_ROOM = 101, "no_such_room", "The room does not exist and the join may not create it.";
    ROOM_EXISTS = 102, "room_exists", "The room exists and the join must create it.";
    WRONG_KIND = 103, "wrong_kind", "The room is of another kind than the join needs.";
    NOT_A_MEMBER = 104, "not_a_member", "The session is not in that room.";
    NO_SUCH_MEMBER = 105, "no_such_member", "The receiver is not in the room.";
    UNKNOWN_REQUEST = 106, "unknown_request", "The room does not answer this request.";
    NO_MATCH = 107, "no_match", "No room matched and the join may not create one.";
    ALREADY_JOINED = 108, "already_joined", "The session is in that room already.";
    UNKNOWN_TYPE = 109, "unknown_type", "The room has no type of that number.";
    STALE_CSEQ = 110, "stale_cseq", "The cseq is zero.";
    REFUSED = 111, "refused", "The room's own rules refuse it; the text says why.";
    NO_STATE = 112, "no_state", "The room has no state, or takes no edits of it.";
    ROOM_FULL = 200, "room_full", "The room has as many members as it may.";
    TOO_MANY_ROOMS = 201, "too_many_rooms", "The session is in as many rooms as it may.";
    SERVER_FULL = 202, "server_full", "The server holds as many rooms as it may.";
    DRAINING = 203, "draining", "The server is going away and takes no new joins.";
    BUSY = 204, "busy", "The server is over a limit for the moment; try again.";
    FORBIDDEN = 300, "forbidden", "The session may not do that.";
    BAD_TOKEN = 301, "bad_token", "The credential was refused; the text says why.";
    BANNED = 302, "banned", "The user is kept out of the room for a while.";
    INTERNAL = 500, "internal", "The server failed; this is its fault.";
    ROOM_FAILED = 501, "room_failed", "The room's own rules failed; the text says how.";
}

impl ErrorCode {
    /// The code's name, for logs and metrics; `unknown` for a number this version does not have.
    pub fn name(self) -> &'static str {
        Self::ALL.iter().find(|(code, ..)| *code == self).map_or("unknown", |(_, name, _)| name)
    }
}

impl fmt::Debug for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}({})", self.name(), self.0)
    }
}
