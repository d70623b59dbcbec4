//! Signs of life.

use crate::helpers::{config, world};
use crate::support::socket::FromClient;
use madang_protocol::CloseCode;

#[test]
fn silence_is_asked_about_and_then_taken_for_death() {
    let mut world = world(&config(), 1);
    let a = world.native(0);
    world.clients[a].answers_pings = false;
    world.pass_ms(24_000, 500);
    assert_eq!(world.the(a).pings, 0);
    world.pass_ms(2_000, 500);
    assert_eq!(world.the(a).pings, 1);
    world.pass_ms(8_000, 500);
    assert!(world.the(a).is_ready());
    world.pass_ms(2_000, 500);
    assert_eq!(world.last_end(a), Some(CloseCode::LIVENESS_TIMEOUT));
    world.connect(a, 0);
    assert!(world.the(a).welcomes[1].resumed, "the session waited");
}

#[test]
fn an_answer_to_a_ping_is_life() {
    let mut world = world(&config(), 1);
    let a = world.native(0);
    world.pass_ms(300_000, 500);
    assert!(world.the(a).is_ready());
    assert!((10..=12).contains(&world.the(a).pings), "{} pings", world.the(a).pings);
}

#[test]
fn who_is_asked_often_is_asked_no_oftener_once_the_time_for_its_hello_is_over() {
    let mut config = config();
    config.session.ping_ms = 1_000;
    config.session.pong_ms = 200;
    let mut world = world(&config, 1);
    let a = world.native(0);
    world.pass_ms(60_000, 100);
    assert!(world.the(a).is_ready());
    assert!((50..=60).contains(&world.the(a).pings), "{} pings", world.the(a).pings);
}

#[test]
fn any_traffic_is_life_and_spares_the_ping() {
    let mut world = world(&config(), 1);
    let a = world.native(0);
    let id = world.the(a).socket.expect("it is connected");
    for n in 0..20 {
        world.pass_ms(20_000, 500);
        if n % 2 == 0 {
            world.clients[a].ping(&mut world.node, n);
        } else {
            world.node.send(id, FromClient::Pong);
        }
    }
    assert_eq!(world.the(a).pings, 0);
    assert!(world.the(a).is_ready());
}

#[test]
fn traffic_after_the_ping_is_life_even_when_it_is_old_by_the_deadline() {
    let mut config = config();
    config.session.ping_ms = 1_000;
    config.session.pong_ms = 5_000;
    let mut world = world(&config, 1);
    let a = world.native(0);
    world.clients[a].answers_pings = false;
    world.pass_ms(1_500, 100);
    assert_eq!(world.the(a).pings, 1);
    world.clients[a].ping(&mut world.node, 1);
    world.pass_ms(5_000, 100);
    assert!(world.the(a).is_ready(), "it spoke after it was asked");
    world.pass_ms(6_000, 100);
    assert_eq!(world.last_end(a), Some(CloseCode::LIVENESS_TIMEOUT));
}

#[test]
fn a_raw_connection_has_the_same_liveness() {
    let mut world = world(&config(), 1);
    let id = world.node.connect(
        0,
        madang_engine::input::Entry::Raw { room: "raw.x".into(), echo: false },
        1000,
    );
    world.pass_ms(26_000, 500);
    assert_eq!(world.node.sockets[id].outbound.len(), 1);
    world.pass_ms(11_000, 500);
    assert_eq!(world.node.sockets[id].closed, Some(CloseCode::LIVENESS_TIMEOUT));
}
