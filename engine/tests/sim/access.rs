//! Credentials: what clients may do, until when, and what managers and thieves try.

use crate::plan::pick;
use crate::support::client::{Client, encode};
use crate::support::draw::Draw;
use crate::support::node::Node;
use crate::support::socket::Gone;
use crate::support::world::World;
use madang_engine::Config;
use madang_engine::access::Rights;
use madang_engine::input::{Entry, Input};
use madang_engine::time::Time;
use madang_protocol::client::{ClientMessage, Hello, ManageAction, Resume};
use madang_protocol::ids::MemberId;
use madang_protocol::{ServerMessage, codec};
use std::collections::BTreeMap;

/// Users, and what they may do: one who manages, one who plays, one who listens; the first twice.
const WHO: [&str; 4] = ["u0", "u1;*=create+join+publish+state+watch", "u2;*=create+join", "u0"];
/// How long bans are.
const BAN_S: u32 = 3;

/// What each client brings, in some of the seeds; in some of those it expires.
pub(crate) fn tokens(config: &mut Config, draw: &mut Draw, clients: usize) -> Vec<Option<String>> {
    let (is_guarded, expires) = (pick(draw, 3) == 0, pick(draw, 2) == 0);
    (config.session.renew_ms, config.session.expired_ms) = (200, 100);
    let token = |client: usize| {
        let who = WHO[client % WHO.len()];
        is_guarded.then(|| if expires { format!("{who};600") } else { who.to_owned() })
    };
    (0..clients).map(token).collect()
}

/// A client brings its credential anew, another user's, or a bad one.
pub(crate) fn renew(node: &mut Node, client: &mut Client, b: u32) {
    let Some(own) = client.token.clone() else { return };
    let token = match b % 8 {
        0 => "bad",
        1 => "somebody else",
        _ => &own,
    };
    client.renew(node, b, token);
}

/// Somebody else comes with a client's key.
pub(crate) fn steal(node: &mut Node, victim: &Client, b: u32) {
    let Some(key) = victim.key.filter(|_| victim.token.is_some()) else { return };
    let shard = b as usize % node.shards();
    let id = node.connect(shard, Entry::Native, 1 << 16);
    let hello = ClientMessage::Hello(Hello {
        version_min: 1,
        version_max: 1,
        token: Some("thief".into()),
        resume: Some(Resume { key, rooms: Vec::new() }),
        ..Hello::default()
    });
    let (data, conn) = (encode(false, &hello), node.sockets[id].conn);
    node.input(shard, Input::Message { conn, data: &data, text: false });
    let (shard, conn) = (node.sockets[id].shard, node.sockets[id].conn);
    if let Some(at) = node.asked.iter().position(|(at, of, _)| (*at, *of) == (shard, conn)) {
        node.answer(at);
    }
    if let Some((frame, _)) = node.engines[shard].next_frame(conn) {
        node.reach("key without its user");
        let first = codec::split_batch(&frame).next().and_then(Result::ok);
        let welcome = first.and_then(|bytes| codec::decode_server(bytes).ok());
        if matches!(welcome, Some(ServerMessage::Welcome(welcome)) if welcome.resumed) {
            node.violate("a session was given to another user");
        }
    }
    node.cut(id, 0, Gone::Closed);
    node.read_socket(id, 1);
}

/// From here on no credential expires.
pub(crate) fn keep(World { node, clients, .. }: &mut World) {
    for client in clients {
        let lasting = client.token.as_ref().and_then(|token| token.strip_suffix(";600"));
        if let Some(token) = lasting.map(str::to_owned) {
            client.renew(node, 0, &token);
            client.token = Some(token);
        }
    }
}

/// A ban that has been asked for.
#[derive(Debug)]
struct Asked {
    client: usize,
    /// Acknowledgements that it had before: its numbers begin anew with each membership.
    acks: usize,
    channel: u32,
    cseq: u64,
    key: (String, String),
    until: Time,
}

/// Who must not be where.
#[derive(Debug, Default)]
pub(crate) struct Access {
    asked: Vec<Asked>,
    /// By room and user.
    bans: BTreeMap<(String, String), Time>,
}

impl Access {
    /// A shard has lost its memory: what was banned where is not looked into.
    pub(crate) fn forget(&mut self) {
        *self = Self::default();
    }

    pub(crate) fn manage(&mut self, node: &mut Node, client: &mut Client, channel: u32, b: u32) {
        let user = ["u0", "u1", "u2"][b as usize / 8 % 3];
        let action = match b % 8 {
            0..4 => ManageAction::Ban { user: user.to_owned(), seconds: BAN_S },
            4..7 => {
                let members = &client.rooms[&channel].members;
                let member = members.keys().nth(b as usize / 8 % members.len().max(1));
                ManageAction::Kick { member: MemberId(member.copied().unwrap_or(b / 8 % 4)) }
            }
            _ if b.is_multiple_of(3) => ManageAction::Close,
            _ => {
                client.operate_edit(node, channel);
                return;
            }
        };
        let (is_ban, room) = (b % 8 < 4, client.rooms[&channel].name.clone());
        let until = node.now.plus_ms(u64::from(BAN_S) * 1000);
        let Some(cseq) = client.manage(node, channel, action) else { return };
        if is_ban && client.token.as_deref().is_some_and(|token| token.starts_with("u0")) {
            let key = (room, user.to_owned());
            let acks = client.acks.len();
            self.asked.push(Asked { client: client.index, acks, channel, cseq, key, until });
        }
    }

    /// Nobody may be in a room who is kept out of it, and nothing may be in a log that its sender had
    /// no right to say.
    pub(crate) fn check(&mut self, world: &mut World) {
        let World { node, clients, .. } = world;
        let bans = &mut self.bans;
        self.asked.retain(|asked| {
            let acks = &clients[asked.client].acks[asked.acks..];
            let is_done =
                acks.iter().any(|ack| (ack.channel.0, ack.cseq.0) == (asked.channel, asked.cseq));
            if is_done {
                let until = bans.entry(asked.key.clone()).or_insert(asked.until);
                *until = (*until).max(asked.until);
            }
            !is_done
        });
        let now = node.now;
        bans.retain(|_, until| *until > now);
        let mut wrong = None;
        for room in node.engines.iter().flat_map(|engine| engine.home().iter()) {
            for member in room.members.iter() {
                let key = (room.name.to_string(), member.user().unwrap_or_default().to_owned());
                if bans.contains_key(&key) {
                    wrong = Some(format!("{key:?} is in the room that it is kept out of"));
                }
            }
            let newest = room.history.newest_messages(1, u64::MAX);
            let sender = newest.first().and_then(|entry| room.members.get(entry.from));
            if sender.is_some_and(|member| !member.identity.rights(&room.name).has(Rights::PUBLISH))
            {
                wrong = Some(format!("in {} somebody speaks who may not", room.name));
            }
        }
        if !bans.is_empty() {
            node.reach("ban in force");
        }
        if let Some(why) = wrong {
            node.violate(why);
        }
    }
}
