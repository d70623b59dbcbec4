//! Who may do what, and until when.

use crate::helpers::{config, room_at, rules, world};
use crate::support::client::{join_named, text};
use crate::support::raw::RawClient;
use crate::support::world::World;
use madang_engine::Input;
use madang_engine::access::UserKey;
use madang_engine::input::Entry;
use madang_protocol::client::{
    Class, CreateOptions, Join, JoinMode, JoinOptions, JoinTarget, ManageAction,
};
use madang_protocol::server::{ErrorRef, LeaveReason, ServerMessage};
use madang_protocol::value::Value;
use madang_protocol::{CloseCode, ErrorCode};

fn with(world: &mut World, token: &str, shard: usize) -> usize {
    let client = world.add(false, 1 << 20);
    world.clients[client].token = Some(token.to_owned());
    world.connect(client, shard);
    client
}

/// The code of the newest refusal of something that a client did in a room.
fn refused_op(world: &World, client: usize) -> Option<ErrorCode> {
    let (code, about) = world.clients[client].errors.last()?;
    matches!(about, ErrorRef::Cseq { .. }).then_some(*code)
}

fn publish(world: &mut World, client: usize, channel: u32, words: &str) {
    let World { node, clients, .. } = world;
    clients[client].publish(node, channel, Class::Reliable, "chat", text(words));
    world.calm();
}

fn manage(world: &mut World, client: usize, channel: u32, action: ManageAction) -> Option<u64> {
    let World { node, clients, .. } = world;
    let cseq = clients[client].manage(node, channel, action);
    world.calm();
    cseq
}

fn ban(user: &str, seconds: u32) -> ManageAction {
    ManageAction::Ban { user: user.to_owned(), seconds }
}

#[test]
fn a_room_is_made_and_entered_by_those_alone_who_may() {
    for shard in 0..2 {
        let mut world = world(&config(), 2);
        let name = room_at(shard, 2);
        let joins = with(&mut world, "ada;*=join", 0);
        let watches = with(&mut world, "bob;*=watch", 1);
        assert_eq!(world.refused(joins, join_named(&name)), ErrorCode::FORBIDDEN, "none to enter");
        let creates = with(&mut world, "eve;room-*=create+join", 1);
        world.enter(creates, &name);
        world.enter(joins, &name);
        assert_eq!(world.refused(watches, join_named(&name)), ErrorCode::FORBIDDEN);
        let only = Join { mode: JoinMode::Join, ..join_named("elsewhere") };
        assert_eq!(
            world.refused(watches, only.clone()),
            ErrorCode::FORBIDDEN,
            "nor is it told of any"
        );
        assert_eq!(world.refused(joins, only), ErrorCode::NO_SUCH_ROOM);
        assert_eq!(
            world.refused(creates, join_named("lobby")),
            ErrorCode::FORBIDDEN,
            "another name"
        );
    }
}

#[test]
fn a_match_leads_into_no_room_that_may_not_be_entered() {
    let mut world = world(&config(), 2);
    let options = JoinOptions { create: Some(CreateOptions::default()), ..JoinOptions::default() };
    let matched = || Join {
        target: JoinTarget::Match { kind: "relay".into(), filter: Vec::new() },
        options: options.clone(),
        ..join_named("")
    };
    let all = with(&mut world, "ada", 0);
    world.enter_with(all, matched());
    let elsewhere = with(&mut world, "bob;hall*=join+create", 1);
    assert_eq!(world.refused(elsewhere, matched()), ErrorCode::FORBIDDEN);
    let enters = with(&mut world, "eve;relay-*=join", 1);
    world.enter_with(enters, matched());
    let alone = Join { mode: JoinMode::Create, ..matched() };
    assert_eq!(world.refused(enters, alone), ErrorCode::FORBIDDEN);
}

#[test]
fn who_may_only_listen_says_nothing_and_hears_all() {
    for shard in 0..2 {
        let mut world = world(&config(), 2);
        let name = room_at(shard, 2);
        let speaks = with(&mut world, "ada", 0);
        let channel = world.enter(speaks, &name);
        let listens = with(&mut world, "bob;*=join", 0);
        world.enter(listens, &name);
        publish(&mut world, listens, channel, "canary");
        assert_eq!(refused_op(&world, listens), Some(ErrorCode::FORBIDDEN));
        let World { node, clients, .. } = &mut world;
        clients[listens].direct(node, channel, 1, text("canary"));
        clients[listens].set_attributes(node, channel, vec![("a".into(), Value::Int(1))]);
        clients[listens].publish(node, channel, Class::Latest(1), "chat", text("canary"));
        clients[listens].request(node, channel, "info", "{}");
        world.calm();
        assert_eq!(world.clients[listens].errors.len(), 4, "{:?}", world.clients[listens].errors);
        assert_eq!(world.clients[listens].replies.len(), 1, "what every room answers it is told");
        publish(&mut world, speaks, channel, "hello");
        assert_eq!(world.heard(speaks, channel), world.heard(listens, channel));
        assert_eq!(world.heard(listens, channel).len(), 1);
        let named =
            JoinOptions { attributes: vec![("a".into(), Value::Int(1))], ..JoinOptions::default() };
        let third = with(&mut world, "eve;*=join", 1);
        let refused = world.refused(third, Join { options: named, ..join_named(&name) });
        assert_eq!(refused, ErrorCode::FORBIDDEN, "attributes are shown to others");
    }
}

#[test]
fn the_state_is_edited_and_rules_are_asked_by_those_alone_who_may() {
    let mut world = world(&rules(), 1);
    let plays = with(&mut world, "ada", 0);
    let channel = world.enter(plays, "field-a");
    let looks = with(&mut world, "bob;*=join+publish", 0);
    world.enter(looks, "field-a");
    let World { node, clients, .. } = &mut world;
    clients[looks].operate_edit(node, channel);
    world.calm();
    assert_eq!(refused_op(&world, looks), Some(ErrorCode::FORBIDDEN));
    let quiet = with(&mut world, "eve;*=join+state", 0);
    world.enter(quiet, "field-a");
    let World { node, clients, .. } = &mut world;
    clients[quiet].request(node, channel, "nonsense", "{}");
    world.calm();
    assert_eq!(refused_op(&world, quiet), Some(ErrorCode::FORBIDDEN));
}

#[test]
fn what_a_credential_says_of_a_user_is_shown_and_not_the_users_to_change() {
    let mut world = world(&config(), 1);
    let a = with(&mut world, "ada;name=Ada", 0);
    let lies = vec![("name".into(), Value::Text("Bob".into())), ("hat".into(), Value::Int(1))];
    let options = JoinOptions { attributes: lies.clone(), ..JoinOptions::default() };
    let channel = world.enter_with(a, Join { options, ..join_named("lobby") });
    let member = world.member(a, channel);
    let attributes = &world.replica(a, channel).members[&member].attributes;
    let name = attributes.iter().find(|(name, _)| name == "name");
    assert_eq!(name.map(|(_, value)| value), Some(&Value::Text("Ada".into())));
    let World { node, clients, .. } = &mut world;
    clients[a].set_attributes(node, channel, lies);
    world.calm();
    assert_eq!(refused_op(&world, a), Some(ErrorCode::FORBIDDEN));
}

#[test]
fn a_raw_client_enters_and_speaks_as_its_credential_says() {
    let mut world = world(&config(), 2);
    world.node.raw_token = Some("ada;*=join+create".to_owned());
    world.raws = (0..2).map(RawClient::new).collect();
    let World { node, raws, .. } = &mut world;
    raws[0].connect(node, 0, "raw.a", false);
    world.calm();
    world.node.raw_token = None;
    let World { node, raws, .. } = &mut world;
    raws[1].connect(node, 1, "raw.a", false);
    world.calm();
    let World { node, raws, .. } = &mut world;
    raws[1].send_numbered(node, 10);
    world.calm();
    let id = world.raws[0].socket.expect("it hears and stays");
    let World { node, raws, .. } = &mut world;
    raws[0].send_numbered(node, 10);
    world.settle();
    assert_eq!(world.node.sockets[id].closed, Some(CloseCode::KICKED), "it may not speak");

    world.node.raw_token = Some("bob;lobby=join".to_owned());
    let id = world.node.connect(0, Entry::Raw { room: "raw.a".into(), echo: false }, 1000);
    world.settle();
    assert_eq!(world.node.sockets[id].closed, Some(CloseCode::ROOM_REFUSED));
}

#[test]
fn who_expires_is_asked_and_then_closed_and_may_come_back_with_a_new_credential() {
    let mut config = config();
    (config.session.renew_ms, config.session.expired_ms) = (2_000, 1_000);
    let mut world = world(&config, 2);
    let a = with(&mut world, "ada;5000", 0);
    let channel = world.enter(a, "lobby");
    world.pass_ms(2_900, 50);
    assert_eq!(world.clients[a].told.len(), 0);
    world.pass_ms(200, 50);
    let [ServerMessage::Expiring(expiring)] = &world.clients[a].told[..] else {
        panic!("it is asked once: {:?}", world.clients[a].told);
    };
    assert!((2_800..=3_000).contains(&expiring.close_ms), "{expiring:?}");
    world.pass_ms(2_700, 50);
    assert!(world.clients[a].is_ready());
    world.pass_ms(400, 50);
    assert_eq!(world.last_end(a), Some(CloseCode::EXPIRED));
    world.clients[a].token = Some("ada;60000".to_owned());
    world.connect(a, 1);
    assert!(world.clients[a].welcomes.last().is_some_and(|welcome| welcome.resumed));
    publish(&mut world, a, channel, "back");
    assert_eq!(world.heard(a, channel).len(), 1);
}

#[test]
fn a_credential_that_lives_shorter_than_the_notice_is_asked_for_in_the_middle_of_its_life() {
    let mut config = config();
    (config.session.renew_ms, config.session.expired_ms) = (3_600_000, 1_000);
    let mut world = world(&config, 1);
    let a = with(&mut world, "ada;4000", 0);
    let asked = |world: &World| {
        let is_asking = |told: &&ServerMessage<'_>| matches!(told, ServerMessage::Expiring(_));
        world.clients[a].told.iter().filter(is_asking).count()
    };
    world.pass_ms(1_900, 50);
    assert_eq!(asked(&world), 0);
    world.pass_ms(200, 50);
    assert_eq!(asked(&world), 1);
    let World { node, clients, .. } = &mut world;
    clients[a].renew(node, 1, "ada;8000");
    world.pass_ms(2_000, 50);
    assert_eq!(asked(&world), 1, "the new one has half of its life before it");
    world.pass_ms(4_000, 50);
    assert_eq!(asked(&world), 2);
}

#[test]
fn a_new_credential_in_time_keeps_the_connection_and_brings_its_own_rights() {
    let mut config = config();
    (config.session.renew_ms, config.session.expired_ms) = (2_000, 1_000);
    for shard in 0..2 {
        let mut world = world(&config, 2);
        let (name, other) = (room_at(shard, 2), room_at(1 - shard, 2) + "-x");
        let a = with(&mut world, "ada;3000", 0);
        let channel = world.enter(a, &name);
        world.enter(a, &other);
        world.pass_ms(1_500, 50);
        let World { node, clients, .. } = &mut world;
        clients[a].renew(node, 7, &format!("ada;9000;{name}=join"));
        world.calm();
        let renewed = world.clients[a].told.last();
        assert!(
            matches!(renewed, Some(ServerMessage::Renewed(renewed))
                if renewed.r#ref == 7 && renewed.expires_ms.is_some_and(|ms| ms <= 9_000)),
            "{renewed:?}"
        );
        let lefts: Vec<_> = world.clients[a].lefts.iter().map(|left| left.reason).collect();
        assert_eq!(lefts, [LeaveReason::Kicked], "of the room where it may not be any more");
        publish(&mut world, a, channel, "canary");
        assert_eq!(refused_op(&world, a), Some(ErrorCode::FORBIDDEN));
        world.pass_ms(4_000, 50);
        assert!(world.clients[a].is_ready(), "the old expiry means nothing");
        world.pass_ms(6_500, 50);
        assert_eq!(world.last_end(a), Some(CloseCode::EXPIRED));
    }
}

#[test]
fn another_users_credential_renews_nothing() {
    let mut world = world(&config(), 1);
    let a = with(&mut world, "ada;90000", 0);
    for token in ["bob", "bad", ";*=join"] {
        let World { node, clients, .. } = &mut world;
        clients[a].renew(node, 1, token);
        world.calm();
        let last = world.clients[a].errors.pop();
        assert_eq!(last, Some((ErrorCode::BAD_TOKEN, ErrorRef::Session)), "{token}");
    }
    world.node.answers_at_once = false;
    let World { node, clients, .. } = &mut world;
    clients[a].renew(node, 2, "ada");
    clients[a].renew(node, 3, "ada");
    world.calm();
    assert_eq!(
        world.clients[a].errors.pop(),
        Some((ErrorCode::INVALID, ErrorRef::Session)),
        "one at a time"
    );
    assert!(
        matches!(world.clients[a].told.last(), Some(ServerMessage::Renewed(one)) if one.r#ref == 2)
    );
}

#[test]
fn a_wall_clock_that_is_set_neither_keeps_nor_ends_a_credential_for_long() {
    let mut config = config();
    (config.session.renew_ms, config.session.expired_ms) = (2_000, 1_000);
    let mut world = world(&config, 1);
    let a = with(&mut world, "ada;600000", 0);
    world.node.wall_us += 700_000_000;
    world.pass_ms(61_000, 500);
    assert_eq!(world.last_end(a), Some(CloseCode::EXPIRED), "it is looked at again in time");
}

#[test]
fn a_key_without_its_user_is_worth_nothing() {
    let mut world = world(&config(), 2);
    let a = with(&mut world, "ada", 0);
    let channel = world.enter(a, "lobby");
    let key = world.clients[a].key;
    for (token, shard) in [(Some("bob"), 0), (Some("bob"), 1), (None, 1)] {
        let thief = world.add(false, 1 << 20);
        world.clients[thief].token = token.map(str::to_owned);
        world.clients[thief].key = key;
        world.clients[thief].connect(&mut world.node, shard);
        world.settle();
        let welcome = world.clients[thief].welcomes.last().expect("it is welcome as itself");
        assert!(!welcome.resumed, "{token:?}");
    }
    publish(&mut world, a, channel, "still here");
    assert!(world.clients[a].ends.is_empty());
}

#[test]
fn a_kicked_member_is_told_and_may_come_back_and_a_banned_user_may_not() {
    for shard in 0..2 {
        let mut world = world(&config(), 2);
        let name = room_at(shard, 2);
        let manager = with(&mut world, "ada", 0);
        let channel = world.enter(manager, &name);
        let other = with(&mut world, "bob;*=create+join+publish", 1);
        world.enter(other, &name);
        let second = with(&mut world, "bob;*=create+join", 0);
        world.enter(second, &name);
        manage(&mut world, other, channel, ban("ada", 10));
        assert_eq!(refused_op(&world, other), Some(ErrorCode::FORBIDDEN));

        let member = world.member(other, channel);
        let acks = world.clients[manager].acks.len();
        manage(
            &mut world,
            manager,
            channel,
            ManageAction::Kick { member: madang_protocol::ids::MemberId(member) },
        );
        assert_eq!(world.clients[manager].acks.len(), acks + 1);
        assert_eq!(
            world.clients[other].lefts.last().map(|left| left.reason),
            Some(LeaveReason::Kicked)
        );
        assert!(world.clients[second].lefts.is_empty(), "one member, not the user");
        world.enter(other, &name);

        manage(&mut world, manager, channel, ban("bob", 10));
        for client in [other, second] {
            assert_eq!(
                world.clients[client].lefts.last().map(|left| left.reason),
                Some(LeaveReason::Kicked)
            );
            assert_eq!(world.refused(client, join_named(&name)), ErrorCode::BANNED);
        }
        world.enter(other, "another-room");
        world.pass_ms(10_100, 100);
        world.enter(other, &name);
        manage(&mut world, manager, channel, ban("bob", 1_000));
        assert_eq!(world.refused(second, join_named(&name)), ErrorCode::BANNED);
        manage(&mut world, manager, channel, ManageAction::Unban { user: "bob".into() });
        world.enter(second, &name);
        manage(&mut world, manager, channel, ban("bob", 0));
        assert_eq!(refused_op(&world, manager), Some(ErrorCode::INVALID));
    }
}

#[test]
fn a_ban_outlives_its_room() {
    let mut world = world(&config(), 1);
    let manager = with(&mut world, "ada", 0);
    let channel = world.enter(manager, "lobby");
    manage(&mut world, manager, channel, ban("bob", 3_600));
    let bob = with(&mut world, "bob", 0);
    manage(&mut world, manager, channel, ManageAction::Close);
    assert_eq!(
        world.clients[manager].lefts.last().map(|left| left.reason),
        Some(LeaveReason::Closed)
    );
    assert_eq!(world.node.level(|stats| stats.rooms), 0);
    assert_eq!(world.refused(bob, join_named("lobby")), ErrorCode::BANNED, "also to make it anew");
    world.enter(manager, "lobby");
}

#[test]
fn a_user_that_is_sent_away_loses_every_session() {
    let mut world = world(&config(), 2);
    let here = with(&mut world, "bob", 0);
    let away = with(&mut world, "bob", 1);
    let other = with(&mut world, "ada", 1);
    let channel = world.enter(other, "lobby");
    world.enter(here, "lobby");
    world.enter(away, "lobby");
    world.drop_socket(away);
    world.calm();
    for shard in 0..2 {
        world.node.input(shard, Input::Expel(UserKey { app: "".into(), user: "bob".into() }));
    }
    world.calm();
    assert_eq!(world.last_end(here), Some(CloseCode::KICKED));
    assert_eq!(world.node.level(|stats| stats.sessions), 1);
    assert_eq!(world.replica(other, channel).members.len(), 1);
}
