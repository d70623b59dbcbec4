//! What backends publish: who hears it, what is refused, and what a retry does.

use crate::backend::{Backend, JSON, KEY};
use crate::member::Member;
use crate::server::{Running, config, wait_for};
use crate::stream::{ask, watch};
use madang::config::{Config, KindRule, RoomKind, Secret, WatchRule};
use madang::metrics::Counter;
use serde_json::{Value, json};
use std::fmt::Write as _;
use std::thread;

fn publishing() -> Config {
    let mut config = config();
    config.rooms.kind = vec![KindRule { prefix: "raw.".into(), kind: RoomKind::RAW }];
    let keys = ["another-key-of-a-backend", KEY].map(|key| Secret::new(key).expect("a good key"));
    config.watch.publish_keys = keys.into();
    config
}

fn event(name: &str, data: &Value) -> String {
    json!({ "event": name, "data": data }).to_string()
}

#[test]
fn members_and_spectators_get_what_a_backend_publishes() {
    let server = Running::start(publishing());
    let mut member = Member::join(&server, "arena");
    let (mut stream, _) = watch(server.watch_addr(), "arena", "");
    let mut backend = Backend::connect(&server);
    let answer = backend.publish("arena", "", &event("goal", &json!({ "team": [1, "b\n"] })));
    let seq = answer.seq();
    let expected = json!({ "epoch": member.epoch(), "seq": seq, "count": 1, "repeated": false });
    assert_eq!(answer.receipt(), expected);
    assert_eq!(answer.header("connection"), Some("keep-alive"));

    let heard = member.until("message");
    assert_eq!(
        (&heard["seq"], &heard["from"], &heard["type"]),
        (&json!(seq), &json!(0), &json!("goal"))
    );
    assert_eq!(heard["payload"]["json"], json!({ "team": [1, "b\n"] }));
    let seen = stream.next().expect("an event");
    assert_eq!((&*seen.name, seen.id.clone()), ("goal", format!("{}-{seq}", member.epoch())));
    assert_eq!(seen.json(), json!({ "team": [1, "b\n"] }));

    // A string is text; an id travels in the data.
    let both = json!([
        { "event": "token", "data": "two\nlines" },
        { "event": "token", "data": "three", "id": "run-7\"" },
    ]);
    let answer = backend.publish("arena", "", &both.to_string());
    assert_eq!((answer.seq(), &answer.receipt()["count"]), (seq + 2, &json!(2)));
    assert_eq!(member.until("message")["payload"], json!({ "text": "two\nlines" }));
    let with_id = json!({ "id": "run-7\"", "data": "three" });
    assert_eq!(member.until("message")["payload"]["json"], with_id);
    let seen = stream.next().expect("an event");
    assert_eq!((&*seen.name, &*seen.data, seen.seq()), ("token", "two\nlines", seq + 1));
    let seen = stream.next().expect("an event");
    assert_eq!((seen.json(), seen.seq()), (with_id, seq + 2));

    // A body that is the data.
    let path = "/rooms/arena/publish?event=line+end";
    let answer = backend.post(path, "Content-Type: text/plain; charset=UTF-8\r\n", "{not json");
    assert_eq!(answer.seq(), seq + 3);
    let heard = member.until("message");
    assert_eq!(
        (&heard["type"], &heard["payload"]["text"]),
        (&json!("line end"), &json!("{not json"))
    );
    let seen = stream.next().expect("an event");
    assert_eq!((&*seen.name, &*seen.data), ("line end", "{not json"));

    wait_for("the count", || (server.watch_count(Counter::PublishEvents) == 4).then_some(()));
}

#[test]
fn a_room_with_rules_and_state_takes_what_a_backend_publishes() {
    let mut config = publishing();
    let kind = RoomKind::named("arena").expect("a kind of the program");
    config.rooms.kind.push(KindRule { prefix: "match.".into(), kind });
    config.rooms.watch.push(WatchRule { prefix: "match.".into(), delay_min_ms: 0 });
    let server = Running::start(config);
    let mut backend = Backend::connect(&server);
    // It is made by the first event, and goes on when somebody joins.
    let first = backend.publish("match.1", "", &event("notice", &json!("one"))).seq();
    let (mut stream, _) = watch(server.watch_addr(), "match.1", &format!("?from={first}"));
    let mut member = Member::join(&server, "match.1");
    assert_eq!(member.joined["kind"], "arena");
    let second = backend.publish("match.1", "", &event("notice", &json!("two"))).seq();
    let heard = loop {
        let heard = member.until("message");
        if heard["from"] == 0 && heard["type"] == "notice" {
            break heard;
        }
    };
    assert_eq!((&heard["seq"], &heard["payload"]["text"]), (&json!(second), &json!("two")));
    for (seq, text) in [(first, "one"), (second, "two")] {
        let seen = stream.until("notice");
        assert_eq!((seen.seq(), &*seen.data), (seq, text));
    }
}

#[test]
fn a_stream_of_words_over_one_connection_comes_in_order() {
    const WORDS: u64 = 200;
    let server = Running::start(publishing());
    let mut member = Member::join(&server, "arena-chat");
    let (mut stream, _) = watch(server.watch_addr(), "arena-chat", "");
    let mut backend = Backend::connect(&server);
    for i in 0..WORDS {
        let key = format!("Idempotency-Key: run-1:{i}\r\n");
        let answer = backend.publish("arena-chat", &key, &event("token", &json!(format!("w{i}"))));
        assert_eq!(answer.seq(), i + 2, "behind the member's own arrival");
        assert_eq!(answer.header("connection"), Some("keep-alive"));
    }
    for i in 0..WORDS {
        let heard = member.until("message");
        assert_eq!(
            (heard["seq"].as_u64(), &heard["payload"]["text"]),
            (Some(i + 2), &json!(format!("w{i}")))
        );
        let seen = stream.next().expect("an event");
        assert_eq!((seen.seq(), &*seen.name, seen.data), (i + 2, "token", format!("w{i}")));
    }
}

#[test]
fn nobody_publishes_without_a_key() {
    let server = Running::start(publishing());
    let body = event("token", &json!("no"));
    let twice = format!("Authorization: Bearer {KEY}\r\nAuthorization: Bearer {KEY}\r\n");
    for credentials in [
        "",
        "Authorization: Bearer\r\n",
        "Authorization: Bearer \r\n",
        "Authorization: Bearer test-key-of-a-backene\r\n",
        "Authorization: Bearer test-key-of-a-backend2\r\n",
        &format!("Authorization: Basic {KEY}\r\n"),
        &format!("Authorization: {KEY}\r\n"),
        &twice,
    ] {
        let mut backend = Backend::connect(&server);
        let more = format!("{JSON}{credentials}");
        let answer = backend.request("POST", "/rooms/arena/publish", &more, &body);
        assert_eq!(answer.status, 401, "{credentials}");
        assert!(answer.header("www-authenticate").expect("a challenge").starts_with("Bearer"));
        assert!(!answer.body.contains(KEY));
    }
    let answer = ask(server.watch_addr(), "GET", "/rooms/arena/events", "");
    assert_eq!(answer.status, 404, "no room was made");
    wait_for("the count", || (server.watch_count(Counter::PublishUnauthorized) == 8).then_some(()));
    // Any of the keys is good, and the scheme's name is of any case.
    let mut backend = Backend::connect(&server);
    let more = format!("{JSON}authorization: bEARER another-key-of-a-backend\r\n");
    assert_eq!(backend.request("POST", "/rooms/arena/publish", &more, &body).seq(), 1);
}

#[test]
fn a_server_without_keys_says_that_publishing_is_off() {
    let server = Running::start(config());
    let mut backend = Backend::connect(&server);
    let answer = backend.publish("arena", "", &event("token", &json!("no")));
    assert_eq!(answer.status, 404);
    assert!(answer.body.contains("watch.publish_keys"), "{}", answer.body);
    wait_for("the count", || (server.watch_count(Counter::PublishOff) == 1).then_some(()));
}

#[test]
fn what_cannot_be_published_is_said_to_be_so() {
    let server = Running::start(publishing());
    let mut member = Member::join(&server, "arena");
    let mut backend = Backend::connect(&server);
    let deep = format!("{}1{}", "[".repeat(65), "]".repeat(65));
    let many = vec![json!({ "event": "a", "data": 1 }); 257];
    for body in [
        "",
        "{",
        "[]",
        "null",
        "3",
        "{}",
        "{\"event\":\"a\"}",
        "{\"data\":\"a\"}",
        "{\"event\":\"a\",\"data\":1,\"more\":2}",
        "{\"event\":\"a\",\"event\":\"b\",\"data\":1}",
        "{\"event\":\"a\",\"data\":1} x",
        "{\"event\":\"a\",\"data\":\"\\ud800\"}",
        "{\"event\":\"a\",\"data\":1e999}",
        "{\"event\":\"a\",\"data\":1,\"id\":\"\"}",
        "{\"event\":\"a\",\"data\":1,\"id\":7}",
        "{\"event\":\"a\",\"data\":1,\"id\":\"a\\u0000\"}",
        "{\"event\":\"\",\"data\":1}",
        "{\"event\":\"a\\nb\",\"data\":1}",
        &format!("{{\"event\":\"{}\",\"data\":1}}", "a".repeat(65)),
        &format!("{{\"event\":\"a\",\"data\":{deep}}}"),
        &Value::from(many).to_string(),
        // All or nothing.
        "[{\"event\":\"a\",\"data\":1},{\"event\":\"gap\",\"data\":1}]",
    ] {
        let answer = backend.publish("arena", "", body);
        assert_eq!(answer.status, 400, "{body}");
        assert!(answer.body.len() > 10, "{body}: the answer says why");
        assert_eq!(answer.header("connection"), Some("keep-alive"));
    }
    for name in
        ["resume", "snapshot", "delta", "message", "presence", "gap", "end", "error", "open"]
    {
        let answer = backend.publish("arena", "", &event(name, &json!("no")));
        assert_eq!(answer.status, 400, "{name}");
        assert!(answer.body.contains(name), "{}", answer.body);
        let path = format!("/rooms/arena/publish?event={name}");
        assert_eq!(backend.post(&path, "Content-Type: text/plain\r\n", "no").status, 400);
    }
    let fine = event("token", &json!("no"));
    for (path, more, status) in [
        ("/rooms/a%20b/publish", JSON, 400),
        ("/rooms//publish", JSON, 400),
        ("/rooms/arena/publish?create=maybe", JSON, 400),
        ("/rooms/arena/publish?event=a", JSON, 400),
        ("/rooms/arena/publish?create=%zz", JSON, 400),
        ("/rooms/arena/publish", "Content-Type: text/plain\r\n", 400),
        ("/rooms/arena/publish", "", 415),
        ("/rooms/arena/publish", "Content-Type: application/x-www-form-urlencoded\r\n", 415),
        ("/rooms/arena/publish", "Content-Type: application/json; charset=latin1\r\n", 415),
        ("/rooms/arena/publish", &JSON.repeat(2), 415),
        ("/rooms/arena/publish", &format!("{JSON}Idempotency-Key: \r\n"), 400),
        ("/rooms/arena/publish", &format!("{JSON}Idempotency-Key: a b\r\n"), 400),
        ("/rooms/arena/publish", &format!("{JSON}Idempotency-Key: é\r\n"), 400),
        ("/rooms/arena/publish", &format!("{JSON}Idempotency-Key: {}\r\n", "a".repeat(129)), 400),
        (
            "/rooms/arena/publish",
            &format!("{JSON}Idempotency-Key: a\r\nIdempotency-Key: a\r\n"),
            400,
        ),
        ("/rooms/raw.x/publish", JSON, 409),
        ("/rooms/nobody/publish?create=false", JSON, 404),
        ("/rooms/arena/publish/", JSON, 404),
        ("/rooms/publish", JSON, 404),
    ] {
        let answer = backend.post(path, more, &fine);
        assert_eq!(answer.status, status, "{path} {more}");
        assert!(answer.body.len() > 10, "{path} {more}: the answer says why");
    }
    assert_eq!(backend.publish("arena?create=false", "", &fine).status, 404, "that is no name");
    let answer = backend.post("/rooms/arena/publish?create=false", JSON, &fine);
    assert_eq!(answer.seq(), 2, "nothing before it was published");
    assert_eq!(member.until("message")["seq"], 2);
    for (counter, count) in [(Counter::PublishRawRoom, 1), (Counter::PublishNoRoom, 1)] {
        wait_for("the count", || (server.watch_count(counter) == count).then_some(()));
    }
}

#[test]
fn methods_that_publish_nothing_are_refused() {
    let server = Running::start(publishing());
    for method in ["GET", "HEAD", "OPTIONS", "PUT", "DELETE"] {
        let answer = ask(server.watch_addr(), method, "/rooms/arena/publish", "");
        assert_eq!((answer.status, answer.header("allow")), (405, Some("POST")), "{method}");
    }
}

#[test]
fn a_body_has_an_honest_length() {
    let mut config = publishing();
    config.watch.publish_bytes_max = 1000;
    config.watch.publish_body_ms = 300;
    let server = Running::start(config);
    let head = format!(
        "POST /rooms/arena/publish HTTP/1.1\r\nHost: test\r\n{JSON}Authorization: Bearer {KEY}\r\n"
    );
    let chunked = "Transfer-Encoding: chunked\r\n";
    for (more, status) in [
        ("\r\n".to_owned(), 411),
        ("Content-Length: 1001\r\n\r\n".to_owned(), 413),
        ("Content-Length: 99999999999999999999\r\n\r\n".to_owned(), 413),
        ("Content-Length: +1\r\n\r\n".to_owned(), 400),
        ("Content-Length: 1\r\nContent-Length: 1\r\n\r\n".to_owned(), 400),
        (format!("{chunked}\r\n0\r\n\r\n"), 501),
        (format!("{chunked}Content-Length: 5\r\n\r\n0\r\n\r\n"), 400),
        ("Expect: a-miracle\r\nContent-Length: 1\r\n\r\n".to_owned(), 417),
        ("Host: other\r\nContent-Length: 1\r\n\r\n".to_owned(), 400),
        ("X: y\nContent-Length: 1\r\n\r\n".to_owned(), 400),
        // Not in time.
        ("Content-Length: 10\r\n\r\n{".to_owned(), 408),
        // Whoever waits for leave gets an answer and no leave.
        ("Expect: 100-continue\r\nIdempotency-Key: \r\nContent-Length: 9\r\n\r\n".to_owned(), 400),
    ] {
        let mut backend = Backend::connect(&server);
        backend.send(&format!("{head}{more}"));
        let answer = backend.answer();
        assert_eq!(answer.status, status, "{more}");
        if status != 411 {
            assert_eq!(answer.header("connection"), Some("close"), "{more}");
            assert!(backend.is_over(), "{more}");
        }
    }
    // Nobody without a key is waited for.
    let mut stranger = Backend::connect(&server);
    stranger
        .send("POST /rooms/arena/publish HTTP/1.1\r\nHost: test\r\nContent-Length: 900\r\n\r\n{");
    assert_eq!(stranger.answer().status, 401);
    assert!(stranger.is_over());
    let mut stranger = Backend::connect(&server);
    stranger.send("POST /healthz HTTP/1.1\r\nHost: test\r\nContent-Length: 900\r\n\r\n{");
    assert_eq!(stranger.answer().status, 405);

    let body = event("token", &json!("x".repeat(900)));
    let mut backend = Backend::connect(&server);
    backend.send(&format!("{head}Expect: 100-continue\r\nContent-Length: {}\r\n\r\n", body.len()));
    assert_eq!(backend.answer().status, 100);
    backend.send(&body);
    assert_eq!(backend.answer().seq(), 1);
}

#[test]
fn requests_sent_at_once_are_answered_one_after_the_other() {
    let server = Running::start(publishing());
    let mut backend = Backend::connect(&server);
    let mut all = String::new();
    for i in 0..20 {
        let body = event("token", &json!(i));
        // Alternating rooms have their homes on different shards.
        write!(
            all,
            "POST /rooms/arena-{}/publish HTTP/1.1\r\nHost: test\r\n{JSON}Authorization: Bearer \
             {KEY}\r\nContent-Length: {}\r\n\r\n{body}",
            i % 4,
            body.len()
        )
        .expect("text");
    }
    backend.send(&all);
    for i in 0..20 {
        assert_eq!(backend.answer().seq(), i / 4 + 1);
    }
}

#[test]
fn retries_that_race_are_applied_once() {
    const TRIES: usize = 8;
    let server = Running::start(publishing());
    let mut member = Member::join(&server, "arena");
    for round in 0..10 {
        let key = format!("Idempotency-Key: round-{round}\r\n");
        let body = json!([
            { "event": "a", "data": format!("{round}a") },
            { "event": "b", "data": format!("{round}b") },
        ]);
        let body = body.to_string();
        let receipts: Vec<Value> = thread::scope(|scope| {
            let tries: Vec<_> = (0..TRIES)
                .map(|_| {
                    scope
                        .spawn(|| Backend::connect(&server).publish("arena", &key, &body).receipt())
                })
                .collect();
            tries.into_iter().map(|one| one.join().expect("an answer")).collect()
        });
        let fresh = receipts.iter().filter(|receipt| receipt["repeated"] == false).count();
        assert_eq!(fresh, 1, "{receipts:?}");
        assert!(receipts.iter().all(|receipt| {
            receipt["seq"] == receipts[0]["seq"] && receipt["epoch"] == member.epoch()
        }));
        for name in ["a", "b"] {
            assert_eq!(member.until("message")["payload"]["text"], format!("{round}{name}"));
        }
        let other = event("a", &json!("other"));
        let answer = Backend::connect(&server).publish("arena", &key, &other);
        assert_eq!(answer.status, 422, "{answer:?}");
    }
    member.say("1");
    wait_for("the counts", || {
        (server.watch_count(Counter::PublishRepeats) == 10 * (TRIES as u64 - 1)).then_some(())
    });
    assert_eq!(server.watch_count(Counter::PublishEvents), 20);
    assert_eq!(server.watch_count(Counter::PublishKeyReused), 10);
}

#[test]
fn whoever_has_an_answer_finds_the_events_when_it_watches() {
    let server = Running::start(publishing());
    let mut backend = Backend::connect(&server);
    for i in 0..20 {
        let room = format!("arena-{i}");
        let seq = backend.publish(&room, "", &event("token", &json!(i))).seq();
        let (mut stream, _) = watch(server.watch_addr(), &room, "?from=0");
        assert_eq!(stream.next().expect("an event").seq(), seq);
    }
}

#[test]
fn a_server_that_goes_away_refuses_or_answers() {
    let server = Running::start(publishing());
    let body = event("token", &json!("x"));
    let mut backend = Backend::connect(&server);
    assert_eq!(backend.publish("arena", "", &body).seq(), 1);
    thread::scope(|scope| {
        let drain = scope.spawn(|| server.drain());
        // What comes before is published, what comes after is refused, and the end is an end.
        loop {
            let answer = backend.publish("arena", "", &body);
            if answer.status == 503 {
                assert!(answer.header("retry-after").is_some());
                assert_eq!(answer.header("connection"), Some("close"));
                break;
            }
            answer.receipt();
        }
        assert!(backend.is_over());
        drain.join().expect("the drain ends");
    });
}
