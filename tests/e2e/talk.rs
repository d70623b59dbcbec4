//! Hello, join, publish, acknowledge: what everyday clients do, over both subprotocols.

use crate::support::client::{Client, Wire, bytes, hello, publish};
use crate::support::player::Player;
use crate::support::{Running, config, wait_for};
use madang_protocol::client::{
    Class, ClientMessage, Direct, Hello, JoinOptions, Leave, Ping, SetAttributes,
};
use madang_protocol::ids::{Channel, Cseq, MemberId};
use madang_protocol::server::{ErrorRef, LeaveReason, PresenceEvent, Roster};
use madang_protocol::value::{Payload, TypeRef, Value};
use madang_protocol::{ErrorCode, ServerMessage};

#[test]
fn both_subprotocols_meet_in_one_room() {
    let server = Running::start(config());
    let (mut native, welcome) = Client::connect(server.play_addr(), Wire::Native);
    assert_eq!((welcome.version, welcome.limits.messages_per_second), (1, 1_000_000));
    let here = native.join_with("plaza", JoinOptions { echo: false, ..JoinOptions::default() });
    assert_eq!((here.name.as_str(), here.kind.as_str()), ("plaza", "relay"));

    let (mut json, _) = Client::connect(server.play_addr(), Wire::Json);
    let attributes = vec![("name".to_owned(), Value::Text("visitor".to_owned()))];
    let there = json.join_with("plaza", JoinOptions { attributes, ..JoinOptions::default() });
    assert_eq!((there.channel, there.epoch), (here.channel, here.epoch));
    let Roster::Full(members) = &there.roster else { panic!("presence is full") };
    assert_eq!(members.len(), 2);
    native.until(|message| match message {
        ServerMessage::Presence(presence) => match presence.event {
            PresenceEvent::Join(member) if member.id == there.member => Some(()),
            _ => None,
        },
        _ => None,
    });

    // Without echo an ack comes, with echo the message itself.
    native.send(&publish(here.channel, 1, Class::Reliable, b"from native"));
    let ack = native.until(|message| match message {
        ServerMessage::Ack(ack) => Some(ack),
        _ => None,
    });
    assert_eq!(ack.cseq, Cseq(1));
    let heard = json.until(message);
    assert_eq!((heard.from, Some(heard.seq)), (here.member, ack.seq));
    assert_eq!(bytes(&heard.payload), b"from native");
    assert_eq!(heard.r#type, TypeRef::Name("test".into()), "JSON clients get names");

    json.send(&publish(there.channel, 1, Class::Reliable, b"from json"));
    let echo = json.until(message);
    assert_eq!((echo.from, echo.cseq), (there.member, Cseq(1)));
    let heard = native.until(message);
    assert_eq!((heard.seq, bytes(&heard.payload)), (echo.seq, b"from json".to_vec()));
}

#[test]
fn what_is_for_one_member_or_changes_one_member_arrives() {
    let server = Running::start(config());
    let [(mut one, at_one), (mut two, at_two), (mut three, _)] =
        [Wire::Native, Wire::Json, Wire::Native].map(|wire| {
            let (mut client, _) = Client::connect(server.play_addr(), wire);
            let joined = client.join("plaza");
            (client, joined)
        });
    one.send(&ClientMessage::Direct(Direct {
        channel: at_one.channel,
        cseq: Cseq(1),
        to: at_two.member,
        r#type: TypeRef::Name("whisper".into()),
        payload: Payload::Json("{\"a\":1}".into()),
    }));
    let direct = two.until(|message| match message {
        ServerMessage::Direct(direct) => Some(direct),
        _ => None,
    });
    assert_eq!((direct.from, direct.payload), (at_one.member, Payload::Json("{\"a\":1}".into())));

    two.send(&ClientMessage::SetAttributes(SetAttributes {
        channel: at_two.channel,
        cseq: Cseq(1),
        attributes: vec![("hat".to_owned(), Value::Int(3))],
    }));
    // The third saw nothing of the whisper before the change.
    let changes = three.until(|message| match message {
        ServerMessage::Direct(_) => panic!("a direct message is for one"),
        ServerMessage::Presence(presence) => match presence.event {
            PresenceEvent::Attributes { id, changes, .. } if id == at_two.member => Some(changes),
            _ => None,
        },
        _ => None,
    });
    assert_eq!(changes, [("hat".to_owned(), Value::Int(3))]);
    two.send(&ClientMessage::Ping(Ping { id: 9 }));
    two.until(|message| matches!(message, ServerMessage::Pong(pong) if pong.id == 9).then_some(()));
}

#[test]
fn sessions_of_one_room_on_both_shards_see_the_same_order() {
    const EACH: usize = 60;
    let server = Running::start(config());
    let mut players: Vec<Player> = Vec::new();
    // The kernel chooses the shard of a connection.
    wait_for("sessions on both shards", || {
        let wire = if players.len() % 3 == 2 { Wire::Json } else { Wire::Native };
        players.push(Player::connect(server.play_addr(), wire));
        let on = |shard| players.iter().any(|player| player.key.shard() == shard);
        (players.len() >= 4 && on(0) && on(1)).then_some(())
    });
    let channel = players.iter_mut().map(|player| player.join(&["plaza"])).max().expect("some");
    for i in 0..EACH {
        for (p, player) in players.iter_mut().enumerate() {
            player.publish(channel, format!("{p} {i}").into_bytes()).expect("open");
        }
    }
    let all = EACH * players.len();
    for player in &mut players {
        player.read_until_logged(channel, all);
        assert_eq!(player.unacked(), 0);
    }
    let reference = players[0].room(channel).log.clone();
    for player in &players {
        assert_eq!(player.room(channel).log, reference);
        let own = reference.iter().filter(|entry| entry.from == player.room(channel).member.0);
        let numbers: Vec<u64> = own.map(|entry| entry.cseq).collect();
        assert_eq!(numbers, (1..=EACH as u64).collect::<Vec<_>>(), "a sender's order is kept");
    }
}

#[test]
fn a_session_is_in_several_rooms_and_leaves_one() {
    let server = Running::start(config());
    let (mut client, _) = Client::connect(server.play_addr(), Wire::Native);
    let rooms = ["a", "b", "c", "d"].map(|name| client.join(name).channel);
    for (i, channel) in rooms.into_iter().enumerate() {
        client.send(&publish(channel, 1, Class::Reliable, &[i as u8]));
    }
    let mut heard: Vec<_> = (0..4)
        .map(|_| client.until(message))
        .map(|message| (message.channel, bytes(&message.payload)))
        .collect();
    heard.sort_by_key(|(_, payload)| payload[0]);
    let expected: Vec<_> = rooms.into_iter().zip(0..).map(|(room, i)| (room, vec![i])).collect();
    assert_eq!(heard, expected);

    client.send(&ClientMessage::Leave(Leave { channel: rooms[1] }));
    let left = client.until(|message| match message {
        ServerMessage::Left(left) => Some(left),
        _ => None,
    });
    assert_eq!((left.channel, left.reason), (rooms[1], LeaveReason::Left));
    client.send(&publish(rooms[1], 2, Class::Reliable, b"x"));
    let error = client.until(error);
    assert_eq!(error.code, ErrorCode::NOT_A_MEMBER);
    assert_eq!(error.r#ref, ErrorRef::Cseq { channel: rooms[1], cseq: Cseq(2) });
    client.send(&publish(rooms[2], 2, Class::Reliable, b"still here"));
    assert_eq!(client.until(message).channel, rooms[2]);
}

#[test]
fn what_is_refused_says_why_and_the_connection_goes_on() {
    let mut config = config();
    config.rooms.rooms_per_session_max = 1;
    let server = Running::start(config);
    let (mut client, _) = Client::connect(server.play_addr(), Wire::Json);
    let refused = |client: &mut Client, room: &str| {
        let r#ref = client.send_join(room, JoinOptions::default());
        let error = client.until(error);
        assert_eq!(error.r#ref, ErrorRef::Join(r#ref));
        assert!(error.message.len() > 10, "it says why in words");
        error.code
    };
    assert_eq!(refused(&mut client, "no/slash"), ErrorCode::INVALID);
    let joined = client.join("plaza");
    assert_eq!(refused(&mut client, "second"), ErrorCode::TOO_MANY_ROOMS);
    client.send(&ClientMessage::Direct(Direct {
        channel: joined.channel,
        cseq: Cseq(1),
        to: MemberId(4711),
        r#type: TypeRef::Name("whisper".into()),
        payload: Payload::Text("hm".into()),
    }));
    assert_eq!(client.until(error).code, ErrorCode::NO_SUCH_MEMBER);
    client.send(&publish(Channel(4711), 1, Class::Reliable, b"x"));
    assert_eq!(client.until(error).code, ErrorCode::NOT_A_MEMBER);
    client.send(&publish(joined.channel, 2, Class::Reliable, b"fine"));
    assert_eq!(client.until(message).cseq, Cseq(2));
}

#[test]
fn who_ends_the_session_leaves_its_rooms_at_once() {
    let server = Running::start(config());
    let (mut stays, _) = Client::connect(server.play_addr(), Wire::Native);
    stays.join("plaza");
    let (mut goes, _) = Client::connect(server.play_addr(), Wire::Native);
    let member = goes.join("plaza").member;
    goes.leave();
    let reason = stays.until(|message| match message {
        ServerMessage::Presence(presence) => match presence.event {
            PresenceEvent::Leave { id, reason } if id == member => Some(reason),
            PresenceEvent::Away(_) => panic!("the session is over, not away"),
            _ => None,
        },
        _ => None,
    });
    assert_eq!(reason, LeaveReason::Gone);
}

#[test]
fn messages_behind_the_hello_need_not_wait_for_the_welcome() {
    let server = Running::start(config());
    let mut client = Client::dial(server.play_addr(), Wire::Native);
    let ping = ClientMessage::Ping(Ping { id: 3 });
    client.try_send(&[hello(None), ping]).expect("open");
    assert!(matches!(client.next(), Ok(ServerMessage::Welcome(_))));
    assert!(matches!(client.next(), Ok(ServerMessage::Pong(pong)) if pong.id == 3));
}

#[test]
fn a_key_that_nobody_has_gets_a_new_session() {
    let server = Running::start(config());
    let (_first, welcome) = Client::connect(server.play_addr(), Wire::Native);
    for shard in 0..2 {
        let mut key = welcome.resume_key;
        key.0[2] = shard;
        key.0[9] ^= 1;
        let mut client = Client::dial(server.play_addr(), Wire::Native);
        let resume = Some(madang_protocol::client::Resume { key, rooms: Vec::new() });
        client.send(&ClientMessage::Hello(Hello {
            version_min: 1,
            version_max: 9,
            resume,
            ..Hello::default()
        }));
        let second = client.welcome();
        assert!(!second.resumed && second.session != welcome.session);
    }
}

pub(crate) fn message(
    message: ServerMessage<'static>,
) -> Option<madang_protocol::server::Message<'static>> {
    match message {
        ServerMessage::Message(message) => Some(message),
        _ => None,
    }
}

pub(crate) fn error(
    message: ServerMessage<'static>,
) -> Option<madang_protocol::server::ErrorMessage> {
    match message {
        ServerMessage::Error(error) => Some(error),
        _ => None,
    }
}
