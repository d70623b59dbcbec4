//! The list of rooms, and its changes as a stream.

use crate::member::Member;
use crate::server::{Running, config, wait_for};
use crate::stream::{Stream, ask};
use serde_json::{Value, json};

fn public(labels: Value) -> Value {
    json!({ "capacity": null, "presence": null, "public": true, "labels": labels })
}

/// A page of the list.
fn list(server: &Running, query: &str) -> (Stream, Value) {
    let mut answer = ask(server.watch_addr(), "GET", &format!("/rooms{query}"), "");
    assert_eq!(answer.status, 200, "{query}");
    let body = serde_json::from_str(&answer.body()).expect("JSON");
    (answer, body)
}

fn names(page: &Value) -> Vec<&str> {
    let rooms = page["rooms"].as_array().expect("rooms").iter();
    rooms.map(|room| room["name"].as_str().expect("a name")).collect()
}

#[test]
fn public_rooms_are_listed_and_filtered_and_paged() {
    let mut config = config();
    config.watch.directory_ms = 10;
    let server = Running::start(config);
    let mut members = Vec::new();
    for name in ["arena-3", "arena-1", "arena-2"] {
        let map = if name == "arena-2" { "sea" } else { "hill" };
        members.push(Member::join_with(&server, name, public(json!([["map", map]]))));
    }
    members.push(Member::join(&server, "arena-private"));
    members.push(Member::join_with(&server, "plaza", public(json!([]))));
    let seq = members[0].say("1");
    let page = wait_for("the rooms", || {
        let (_, page) = list(&server, "");
        let rooms = page["rooms"].as_array().expect("rooms");
        let is_done = rooms.len() == 3
            && rooms.iter().all(|room| room["members"] == 1)
            && rooms[2]["seq"] == seq;
        is_done.then_some(page)
    });
    assert_eq!(names(&page), ["arena-1", "arena-2", "arena-3"]);
    assert_eq!(
        page["rooms"][2],
        json!({
            "name": "arena-3", "kind": "relay", "members": 1, "labels": [["map", "hill"]],
            "seq": seq, "epoch": members[0].epoch(),
        })
    );
    assert_eq!(names(&list(&server, "?label.map=hill").1), ["arena-1", "arena-3"]);
    assert_eq!(names(&list(&server, "?kind=relay&label.map=sea").1), ["arena-2"]);
    assert!(names(&list(&server, "?kind=raw").1).is_empty());
    let first = list(&server, "?limit=2").1;
    assert_eq!((names(&first), &first["next"]), (vec!["arena-1", "arena-2"], &json!("arena-2")));
    let rest = list(&server, "?limit=2&after=arena-2").1;
    assert_eq!((names(&rest), &rest["next"]), (vec!["arena-3"], &Value::Null));

    let tag = list(&server, "").0.header("etag").expect("a tag").to_owned();
    let more = format!("If-None-Match: {tag}\r\n");
    assert_eq!(ask(server.watch_addr(), "GET", "/rooms", &more).status, 304);
    members[1].say("1");
    wait_for("another tag", || {
        (ask(server.watch_addr(), "GET", "/rooms", &more).status == 200).then_some(())
    });
}

#[test]
fn changes_are_streamed() {
    let mut config = config();
    config.watch.directory_ms = 10;
    config.rooms.linger_ms = 0;
    let server = Running::start(config);
    let mut member = Member::join_with(&server, "arena-1", public(json!([])));
    wait_for("the room", || (names(&list(&server, "").1) == ["arena-1"]).then_some(()));
    let mut stream = ask(server.watch_addr(), "GET", "/rooms/events", "");
    assert_eq!(stream.header("content-type"), Some("text/event-stream"));
    let snapshot = stream.next().expect("a snapshot");
    assert_eq!((snapshot.name.as_str(), snapshot.id.as_str()), ("snapshot", ""));
    assert_eq!(names(&snapshot.json()), ["arena-1"]);
    assert_eq!(snapshot.json()["more"], false);
    assert!(stream.retry_ms.is_some());

    let seq = member.say("1");
    loop {
        let changed = stream.until("changed").json();
        assert_eq!(changed["name"], "arena-1");
        if changed["seq"] == seq && changed["members"] == 1 {
            break;
        }
    }
    let other = Member::join_with(&server, "arena-2", public(json!([["a", "b"]])));
    let created = stream.until("created").json();
    assert_eq!((&created["name"], &created["labels"]), (&json!("arena-2"), &json!([["a", "b"]])));
    other.leave();
    assert_eq!(stream.until("gone").json(), json!({ "name": "arena-2" }));
    member.leave();
    assert_eq!(stream.until("gone").json(), json!({ "name": "arena-1" }));
    assert!(names(&list(&server, "").1).is_empty());
}
