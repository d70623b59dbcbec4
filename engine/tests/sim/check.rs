//! What must hold at the end of a run.

use crate::support::client::Client;
use crate::support::log::{What, payload_bytes};
use crate::support::node::Node;
use crate::support::replica::Replica;
use crate::support::world::World;
use madang_engine::room::Room;
use madang_engine::room::state::Part;
use madang_protocol::client::PresenceMode;
use madang_protocol::codec;
use madang_protocol::server::{MemberInfo, ServerMessage};
use std::collections::BTreeMap;

/// After healing every client has seen everything and its picture of each room is the room's own.
pub(crate) fn everybody_agrees(world: &mut World) {
    let World { node, clients, .. } = world;
    let mut wrong = Vec::new();
    for client in clients.iter() {
        for replica in client.rooms.values() {
            if let Err(why) = agrees(node, replica) {
                let (index, name) = (client.index, &replica.name);
                wrong.push(format!("after healing, client {index}, room {name}: {why}"));
            }
        }
    }
    let rooms = node.engines.iter().flat_map(|engine| engine.home().iter());
    wrong.extend(rooms.filter_map(|room| watchers_agree(node, room)));
    node.violations.extend(wrong);
}

/// Whoever watches a room has what spectators see of it.
fn watchers_agree(node: &Node, room: &Room) -> Option<String> {
    let play = room.play()?;
    let mut there = madang_protocol::replica::Replica::default();
    let bytes = play.state().snapshot(Part::Spectators);
    let decoded = there.apply_snapshot(play.schema(), &bytes);
    let watched = node.feed.state(room.channel).map(|(_, replica)| replica);
    let agrees = decoded.is_ok() && watched == Some(&there);
    (!agrees).then(|| format!("watchers of {} have {watched:?}, there {there:?}", room.name))
}

fn agrees(node: &Node, replica: &Replica) -> Result<(), String> {
    let room = room_of(node, replica).ok_or("the room is gone")?;
    seen_to_the_end(node, replica)?;
    if let Some(cseq) = replica.unacked.keys().next() {
        return Err(format!("cseq {cseq} was never answered"));
    }
    if replica.presence != room.presence {
        return Err(format!("presence is {:?}, there {:?}", replica.presence, room.presence));
    }
    match room.presence {
        PresenceMode::Full if !replica.is_roster_stale => {
            let there: Vec<MemberInfo> =
                room.members.iter().map(madang_engine::room::members::Member::info).collect();
            let here: Vec<&MemberInfo> = replica.members.values().collect();
            if !here.iter().copied().eq(there.iter()) {
                return Err(format!("members {here:?}, there {there:?}"));
            }
        }
        PresenceMode::Count if replica.count != Some(room.members.len()) => {
            return Err(format!("count {:?}, there {}", replica.count, room.members.len()));
        }
        _ => {}
    }
    match &replica.state {
        Some(state) => state.agrees(room, replica.member)?,
        None if room.play().is_some() => return Err("it knows of no state".to_owned()),
        None => {}
    }
    let there = current_values(room, replica.member);
    let is_known = |sender: u32| sender == 0 || room.members.get(sender).is_some();
    let here: BTreeMap<_, _> = replica.latest.clone();
    // What a room that keeps no more keys passed on all the same is nowhere but with its receivers.
    let is_kept = |key: &(u32, u32)| there.contains_key(key);
    let here: BTreeMap<_, _> =
        here.into_iter().filter(|(key, _)| is_known(key.0) && is_kept(key)).collect();
    if here != there {
        return Err(format!("values {:?}, there {:?}", shown(&here), shown(&there)));
    }
    Ok(())
}

fn shown(values: &BTreeMap<(u32, u32), Vec<u8>>) -> Vec<((u32, u32), String)> {
    values.iter().map(|(key, value)| (*key, String::from_utf8_lossy(value).into_owned())).collect()
}

fn room_of<'n>(node: &'n Node, replica: &Replica) -> Option<&'n Room> {
    let home = &node.engines[replica.channel as usize % node.shards()];
    home.home().get(replica.channel).filter(|room| room.epoch == replica.epoch)
}

fn seen_to_the_end(node: &Node, replica: &Replica) -> Result<(), String> {
    let log = node.logs.get(&replica.name, replica.epoch).ok_or("a room without a log")?;
    let position = replica.position;
    match log.first_visible((position, log.head() + 1), replica.member, replica.echo) {
        Some(missed) => Err(format!("seq {missed} never came; position {position}")),
        None => Ok(()),
    }
}

fn current_values(room: &Room, own: u32) -> BTreeMap<(u32, u32), Vec<u8>> {
    let others = room.latest.iter().filter(|((from, _), _)| *from != own);
    let decoded = others.filter_map(|(key, frame)| {
        let bytes = codec::split_batch(frame).next()?.ok()?;
        match codec::decode_server(bytes).ok()? {
            ServerMessage::Ephemeral(message) => {
                Some((key, payload_bytes(&message.payload).to_vec()))
            }
            _ => None,
        }
    });
    decoded.collect()
}

/// After quiescing, whoever is still connected can read everything that was accepted.
pub(crate) fn everybody_was_told(world: &mut World) {
    for socket in &mut world.node.sockets {
        socket.is_stalled = false;
    }
    let World { node, clients, .. } = world;
    for client in clients.iter_mut() {
        loop {
            if let Some(id) = client.socket {
                node.flush_socket(id);
            }
            if client.read(node, usize::MAX) == 0 {
                break;
            }
        }
    }
    let wrong: Vec<String> = clients.iter().filter_map(|client| was_told(node, client)).collect();
    node.violations.extend(wrong);
}

fn was_told(node: &Node, client: &Client) -> Option<String> {
    let id = client.socket?;
    if !client.is_ready() || !node.sockets[id].held {
        return None;
    }
    let index = client.index;
    if client.draining.is_none() {
        return Some(format!("client {index} was not told of the draining"));
    }
    client.rooms.values().filter(|replica| replica.is_ready()).find_map(|replica| {
        // A room that was lost has nobody to tell.
        room_of(node, replica)?;
        let log = node.logs.get(&replica.name, replica.epoch)?;
        // Comings and goings may be on their way still; what members said may not.
        let missed = (replica.position + 1..=log.head()).find(|seq| {
            log.entry(*seq).is_some_and(|entry| {
                is_from_member(entry) && entry.is_visible_to(replica.member, replica.echo)
            })
        })?;
        Some(format!(
            "after draining, client {index}, room {}: seq {missed} never came",
            replica.name
        ))
    })
}

/// What rules say while all comes to its end may come too late.
fn is_from_member(entry: &What) -> bool {
    match entry {
        What::Message { from, .. } | What::Direct { from, .. } => *from != 0,
        What::Presence(_) => false,
    }
}

/// When everybody is gone and every grace period is over, nothing is left of them.
pub(crate) fn nothing_is_left(world: &mut World) {
    let node = &mut world.node;
    let counts = [
        ("connections", node.level(|stats| stats.connections)),
        ("sessions", node.level(|stats| stats.sessions)),
        ("sessions away", node.level(|stats| stats.sessions_away)),
        ("rooms", node.level(|stats| stats.rooms)),
        ("waiting messages", node.level(|stats| stats.queue_nodes)),
    ];
    for (what, count) in counts {
        if count > 0 {
            node.violate(format!("{count} {what} are left at the end"));
        }
    }
}
