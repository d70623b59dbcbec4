//! Checks of keys that depend on each other.

use super::{Anonymous, Config, ForwardedBy};

/// Two keys that do not go together.
pub(super) struct Conflict {
    /// The keys, the one to change first.
    pub(super) keys: [&'static str; 2],
    /// What is wrong, naming both.
    pub(super) message: String,
}

/// Every conflict in a configuration whose single values are all valid.
pub(super) fn conflicts(config: &Config) -> Vec<Conflict> {
    let mut found = Vec::new();
    let mut not_above = |(low, low_value): (&'static str, u32),
                         (high, high_value): (&'static str, u32),
                         why: &str| {
        if low_value > high_value {
            let message =
                format!("{low} is {low_value}, above {high}, which is {high_value}: {why}");
            found.push(Conflict { keys: [low, high], message });
        }
    };
    macro_rules! value {
        ($section:ident.$key:ident) => {
            (concat!(stringify!($section), ".", stringify!($key)), config.$section.$key)
        };
    }

    not_above(
        value!(server.drain_notice_ms),
        value!(server.drain_ms),
        "the notice is a part of the drain",
    );
    not_above(
        value!(server.retry_after_min_ms),
        value!(server.retry_after_max_ms),
        "no time is between them",
    );
    not_above(
        value!(play.message_bytes_max),
        value!(play.batch_bytes_max),
        "what a client may send must fit into what its room-mates may get",
    );
    not_above(
        value!(play.batch_bytes_max),
        value!(play.outbound_bytes_max),
        "a queue must hold at least one full batch",
    );
    not_above(
        value!(play.message_bytes_max),
        value!(play.bytes_burst),
        "the largest message could never be sent",
    );
    not_above(
        value!(play.batch_bytes_max),
        value!(play.peer_window_bytes),
        "a full batch could never pass between shards",
    );
    not_above(
        value!(play.away_sessions_max),
        value!(play.sessions_max),
        "sessions in grace count among all",
    );
    not_above(
        value!(rooms.default_capacity),
        value!(rooms.members_max),
        "a room without a capacity would be refused",
    );
    not_above(
        value!(rooms.join_history_messages_max),
        value!(rooms.history_messages_max),
        "a join cannot be given more than is kept",
    );
    not_above(
        value!(rooms.attributes_bytes_max),
        value!(play.message_bytes_max),
        "a member's attributes travel in one message",
    );
    not_above(
        value!(watch.delay_max_ms),
        value!(watch.history_ms),
        "what is shown that late must still be there",
    );
    let delay_min_ms = config.rooms.watch.iter().map(|rule| rule.delay_min_ms).max();
    not_above(
        ("rooms.watch", delay_min_ms.unwrap_or(0)),
        value!(watch.delay_max_ms),
        "no spectator could be delayed so much",
    );
    not_above(
        value!(watch.history_bytes_max),
        value!(watch.bytes_max),
        "one room's past must fit into that of all",
    );
    if config.rooms.history_messages_max > 0 {
        // Without a history nothing is recovered, which is a choice; with too short a one whoever
        // was closed for a full queue would never be.
        let why = "a client closed for a full queue could not be given what it missed";
        not_above(value!(play.outbound_messages_max), value!(rooms.history_messages_max), why);
        not_above(value!(play.outbound_bytes_max), value!(rooms.history_bytes_max), why);
        not_above(
            value!(play.message_bytes_max),
            value!(rooms.history_bytes_max),
            "the largest message could never be kept",
        );
    }
    if !config.watch.publish_keys.is_empty() {
        let (most, why) = (value!(watch.publish_bytes_max), "what a backend may publish must fit");
        not_above(most, value!(play.batch_bytes_max), &format!("{why} into what members may get"));
        if config.rooms.history_messages_max > 0 {
            not_above(most, value!(rooms.history_bytes_max), &format!("{why} into what is kept"));
        }
    }
    not_above(
        ("auth.leeway_s", config.auth.leeway_s.saturating_mul(1000)),
        value!(auth.expired_ms),
        "what is accepted late would be closed at once (both in milliseconds)",
    );
    not_above(
        value!(auth.token_bytes_max),
        value!(play.head_bytes_max),
        "a credential may come in the head",
    );
    not_above(
        value!(auth.token_bytes_max),
        value!(play.hello_bytes_max),
        "a credential may come in the hello",
    );
    found.extend(anonymous(config));
    let access = &config.access;
    for (key, is_on) in [
        ("access.proxy_protocol", access.proxy_protocol),
        ("access.forwarded", access.forwarded != ForwardedBy::None),
    ] {
        if is_on && access.proxies.is_empty() {
            let message = format!("{key} is for proxies, and access.proxies names none");
            found.push(Conflict { keys: [key, "access.proxies"], message });
        }
    }
    let listen = config.play.listen;
    if listen.port() != 0 && listen == config.watch.listen {
        let message =
            format!("play.listen and watch.listen are both {listen}: each needs a port of its own");
        found.push(Conflict { keys: ["play.listen", "watch.listen"], message });
    }
    found
}

/// Letting anybody in has to be said where others than this machine's can come.
fn anonymous(config: &Config) -> Option<Conflict> {
    let auth = &config.auth;
    if auth.anonymous == Anonymous::Off && auth.keys.is_empty() && auth.jwks_file.0.is_none() {
        let message = "auth.anonymous is off and there is no key for credentials: nobody could enter; \
                       name keys in auth.keys or auth.jwks_file (madang token keygen makes some)";
        return Some(Conflict {
            keys: ["auth.anonymous", "auth.keys"],
            message: message.to_owned(),
        });
    }
    if auth.anonymous != Anonymous::Loopback {
        return None;
    }
    if !config.access.proxies.is_empty() {
        let message = "access.proxies names proxies, behind which others than this machine's can come, and \
                       auth.anonymous is loopback: set auth.anonymous to \"everywhere\" to let anybody in \
                       without a credential, or to \"off\" and name keys in auth.keys or auth.jwks_file";
        return Some(Conflict {
            keys: ["access.proxies", "auth.anonymous"],
            message: message.to_owned(),
        });
    }
    let listeners = [("play.listen", config.play.listen), ("watch.listen", config.watch.listen)];
    let open = listeners.into_iter().find(|(_, address)| !address.ip().is_loopback())?;
    let (key, address) = open;
    let message = format!(
        "{key} is {address}, where others than this machine's can come, and auth.anonymous is \
         loopback: set auth.anonymous to \"everywhere\" to let anybody in without a credential, or to \
         \"off\" and name keys in auth.keys or auth.jwks_file"
    );
    Some(Conflict { keys: [key, "auth.anonymous"], message })
}
