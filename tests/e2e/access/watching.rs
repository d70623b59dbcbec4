//! Tokens at the side listener: spectators, backends, and users that are kept out.

use super::{Place, claims, dial, guarded, hello_with, refused, token};
use crate::support::client::{Client, Closed, Dial, Wire};
use crate::support::http::{Reply, ask, get};
use crate::support::line::Way;
use crate::support::stream::Stream;
use crate::support::{PATIENCE, Running, wait_for};
use jsonwebtoken::get_current_timestamp;
use madang::metrics::Counter;
use madang_protocol::CloseCode;
use madang_protocol::server::LeaveReason;
use madang_protocol::server::{PresenceEvent, ServerMessage};
use serde_json::{Value, json};
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr};

fn granted(user: &str, rooms: &str, may: &[&str]) -> Value {
    let mut claims = claims(user);
    claims["madang"] = json!({ "grants": [{ "rooms": rooms, "may": may }] });
    claims
}

fn post(addr: SocketAddr, path: &str, more: &str, body: &str) -> Reply {
    let length = body.len();
    ask(
        addr,
        &format!(
            "POST {path} HTTP/1.1\r\nHost: test\r\nConnection: close\r\nContent-Type: application/json\r\n\
             {more}Content-Length: {length}\r\n\r\n{body}"
        ),
    )
}

/// A stream whose head says 200.
fn stream(addr: SocketAddr, path: &str) -> Stream {
    let mut stream = Dial::from(addr).stream();
    write!(stream, "GET {path} HTTP/1.1\r\nHost: test\r\n\r\n").expect("open");
    let mut start = [0; 12];
    stream.read_exact(&mut start).expect("an answer");
    assert_eq!(&start, b"HTTP/1.1 200");
    stream
}

fn read_to_end(mut stream: Stream) -> String {
    stream.tcp().set_read_timeout(Some(PATIENCE)).expect("a socket");
    let mut text = String::new();
    stream.read_to_string(&mut text).expect("the stream ends");
    text
}

#[test]
fn spectators_need_the_right_to_watch_and_their_streams_end_with_their_token() {
    let place = Place::new();
    let mut settings = guarded(&place);
    (settings.auth.expired_ms, settings.auth.leeway_s) = (0, 0);
    let server = Running::start(settings);
    let addr = server.watch_addr();
    let mut player = dial(&server, &token(&claims("ada")));
    player.welcome();
    player.join("courtyard");
    let path = "/rooms/courtyard/events";
    let missing = get(addr, path);
    assert_eq!(missing.status, 401);
    assert!(
        missing.header("www-authenticate").is_some_and(|challenge| challenge.starts_with("Bearer"))
    );
    assert_eq!(get(addr, "/rooms").status, 401);
    let wrong = get(addr, &format!("{path}?token=a.b.c"));
    assert!(wrong.status == 401 && !wrong.text().contains("a.b.c"));
    let plays = token(&granted("ada", "courtyard", &["join", "publish"]));
    assert_eq!(get(addr, &format!("{path}?token={plays}")).status, 403);
    let elsewhere = token(&granted("ada", "arena*", &["watch"]));
    assert_eq!(get(addr, &format!("{path}?token={elsewhere}")).status, 403);
    assert_eq!(get(addr, &format!("/rooms?token={elsewhere}")).status, 200);
    assert_eq!(get(addr, "/healthz").status, 200, "health is nobody's secret");
    assert_eq!(get(addr, "/metrics").status, 200);

    let mut short = granted("eve", "courtyard", &["watch"]);
    short["exp"] = json!(get_current_timestamp() + 2);
    let watched = stream(addr, &format!("{path}?access_token={}", token(&short)));
    assert!(read_to_end(watched).contains("event: resume"), "and then it ends");
}

#[test]
fn backends_publish_with_a_token_that_says_so_and_never_with_a_cookie() {
    let place = Place::new();
    let mut settings = guarded(&place);
    settings.auth.cookie = madang::config::CookieName(Some("session".into()));
    let server = Running::start(settings);
    let addr = server.watch_addr();
    let event = r#"{"event":"token","data":"hello"}"#;
    let publishes = token(&granted("backend", "news*", &["publish"]));
    let bearer = |token: &str| format!("Authorization: Bearer {token}\r\n");
    let path = "/rooms/news/publish";
    assert_eq!(post(addr, path, "", event).status, 401);
    assert_eq!(post(addr, path, &format!("Cookie: session={publishes}\r\n"), event).status, 401);
    assert_eq!(
        post(addr, path, &bearer(&publishes), event).status,
        404,
        "it may not make the room"
    );
    let creates = token(&granted("backend", "news*", &["publish", "create"]));
    assert_eq!(post(addr, path, &bearer(&creates), event).status, 200);
    assert_eq!(post(addr, path, &bearer(&publishes), event).status, 200);
    assert_eq!(post(addr, "/rooms/other/publish", &bearer(&creates), event).status, 403);
    assert_eq!(post(addr, path, &bearer("a.b.c"), event).status, 401);
}

#[test]
fn a_user_that_is_kept_out_is_sent_away_and_comes_in_nowhere() {
    let place = Place::new();
    let server = Running::start(guarded(&place));
    let addr = server.watch_addr();
    let manages = token(&granted("root", "*", &["manage"]));
    let bearer = |token: &str| format!("Authorization: Bearer {token}\r\n");
    let bob = token(&claims("bob"));
    let mut ada = dial(&server, &token(&claims("ada")));
    ada.welcome();
    ada.join("courtyard");
    let mut clients = [dial(&server, &bob), dial(&server, &bob)];
    for client in &mut clients {
        client.welcome();
        client.join("courtyard");
    }
    let watched = stream(addr, &format!("/rooms/courtyard/events?token={bob}"));
    let ban = r#"{"user":"bob","seconds":3600}"#;
    assert_eq!(post(addr, "/bans", "", ban).status, 401);
    assert_eq!(
        post(addr, "/bans", &bearer(&token(&granted("x", "court*", &["manage"]))), ban).status,
        403
    );
    for bad in
        ["", "{}", r#"{"user":"","seconds":1}"#, r#"{"user":"bob","seconds":99999999}"#, "[1]"]
    {
        assert_eq!(post(addr, "/bans", &bearer(&manages), bad).status, 400, "{bad}");
    }
    assert_eq!(get(addr, "/bans").status, 405);
    assert_eq!(post(addr, "/bans", &bearer(&manages), ban).status, 204);
    for client in &mut clients {
        assert_eq!(client.closed(), Closed::Code(CloseCode::KICKED.code));
    }
    let mut left = 0;
    ada.until(|message| {
        if let ServerMessage::Presence(presence) = message
            && let PresenceEvent::Leave { reason, .. } = presence.event
        {
            assert_eq!(reason, LeaveReason::Gone);
            left += 1;
        }
        (left == 2).then_some(())
    });
    read_to_end(watched);
    assert_eq!(refused(&server, &bob), Closed::Code(CloseCode::KICKED.code));
    assert_eq!(get(addr, &format!("/rooms/courtyard/events?token={bob}")).status, 403);
    let lift = r#"{"user":"bob","seconds":0}"#;
    assert_eq!(post(addr, "/bans", &bearer(&manages), lift).status, 204);
    dial(&server, &bob).welcome();
}

#[test]
fn who_is_kicked_is_sent_away_and_may_come_again() {
    let place = Place::new();
    let server = Running::start(guarded(&place));
    let addr = server.watch_addr();
    let manages =
        format!("Authorization: Bearer {}\r\n", token(&granted("root", "*", &["manage"])));
    let bob = token(&claims("bob"));
    let mut ada = dial(&server, &token(&claims("ada")));
    ada.welcome();
    let mut client = dial(&server, &bob);
    client.welcome();
    let kick = r#"{"user":"bob"}"#;
    assert_eq!(post(addr, "/kicks", "", kick).status, 401);
    for bad in ["", "{}", r#"{"user":"bob","seconds":1}"#, r#"{"user":"bob","network":"::1"}"#] {
        assert_eq!(post(addr, "/kicks", &manages, bad).status, 400, "{bad}");
    }
    assert_eq!(post(addr, "/kicks", &manages, kick).status, 204);
    assert_eq!(client.closed(), Closed::Code(CloseCode::KICKED.code));
    dial(&server, &bob).welcome();
    ada.round_trip(1);
}

#[test]
fn a_network_that_is_banned_is_sent_away_and_cannot_connect_until_that_ends() {
    let place = Place::new();
    let server = Running::start(guarded(&place));
    let addr = server.watch_addr();
    let manages =
        format!("Authorization: Bearer {}\r\n", token(&granted("root", "*", &["manage"])));
    let from =
        |last| Dial { from: Some(Ipv4Addr::new(127, 0, 7, last)), ..server.play_addr().into() };
    let arrive = |last| {
        let mut client = Client::try_dial(from(last), Wire::Native)?;
        client.send(&hello_with(&token(&claims("bob"))));
        client.welcome();
        Ok::<_, Box<tungstenite::Error>>(client)
    };
    let mut inside = arrive(1).expect("nobody is banned");
    let mut beside = arrive(9).expect("nobody is banned");
    // The same without WebSocket, with a request that waits and with none.
    let lines = [Way::Events, Way::Polls].map(|way| {
        let mut client = Client::try_dial(from(5).by(way), Wire::Native).expect("nobody is banned");
        client.send(&hello_with(&token(&claims("eve"))));
        client.welcome();
        client
    });
    wait_for("four sessions", || (server.count(Counter::Sessions) == 4).then_some(()));
    let path = format!("/rooms/events?token={}", token(&claims("eve")));
    let mut watched = Dial { from: Some(Ipv4Addr::new(127, 0, 7, 2)), ..addr.into() }.stream();
    write!(watched, "GET {path} HTTP/1.1\r\nHost: test\r\n\r\n").expect("open");
    watched.read_exact(&mut [0; 12]).expect("an answer");

    let ban = |seconds: u32| format!(r#"{{"network":"127.0.7.0/29","seconds":{seconds}}}"#);
    assert_eq!(post(addr, "/bans", "", &ban(60)).status, 401);
    for bad in [
        r#"{"network":"127.0.7.0/33","seconds":1}"#,
        r#"{"network":"everybody","seconds":1}"#,
        r#"{"network":"127.0.0.0/8","seconds":1}"#,
        r#"{"network":"127.0.7.0/29"}"#,
    ] {
        assert_eq!(post(addr, "/bans", &manages, bad).status, 400, "{bad}");
    }
    assert_eq!(post(addr, "/bans", &manages, &ban(3600)).status, 204);
    assert_eq!(inside.closed(), Closed::Code(CloseCode::KICKED.code));
    read_to_end(watched);
    for mut line in lines {
        // A poll that comes only now finds nobody.
        assert!(matches!(line.closed(), Closed::Code(4012) | Closed::Lost));
    }
    wait_for("their sessions to end", || (server.count(Counter::Sessions) == 1).then_some(()));
    assert!(arrive(3).is_err(), "and nobody of it comes in");
    let refused = Dial { from: Some(Ipv4Addr::new(127, 0, 7, 4)), ..addr.into() }.tcp();
    let said = read_all(refused);
    assert!(said.is_empty(), "nor at the side listener, without a word: {said:?}");
    beside.round_trip(1);
    arrive(8).expect("it is beside the network").round_trip(1);
    assert_eq!(post(addr, "/bans", &manages, &ban(0)).status, 204);
    arrive(1).expect("it is let in again").round_trip(1);
    // One that ends by itself.
    assert_eq!(post(addr, "/bans", &manages, &ban(1)).status, 204);
    wait_for("the end of the ban", || arrive(1).ok()).round_trip(1);
}

/// What comes until the end, however it ends.
fn read_all(mut stream: std::net::TcpStream) -> Vec<u8> {
    let mut bytes = Vec::new();
    let _ = stream.read_to_end(&mut bytes);
    bytes
}
