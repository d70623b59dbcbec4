//! What HTTP says: methods, names, unknown rooms, other sites' pages.

use crate::member::Member;
use crate::server::{Running, config};
use crate::stream::ask;
use madang::config::Origin;

const PATHS: [&str; 3] = ["/rooms", "/rooms/events", "/rooms/arena/events"];

#[test]
fn heads_are_given_without_streams() {
    let server = Running::start(config());
    let _member = Member::join(&server, "arena");
    for path in PATHS {
        let mut answer = ask(server.watch_addr(), "HEAD", path, "Connection: close\r\n");
        assert_eq!(answer.status, 200, "{path}");
        let kind = if path == "/rooms" { "application/json" } else { "text/event-stream" };
        assert_eq!(answer.header("content-type"), Some(kind));
        assert!(answer.rest().is_empty());
    }
}

#[test]
fn methods_that_change_something_are_refused_and_options_are_told() {
    let server = Running::start(config());
    let _member = Member::join(&server, "arena");
    for path in PATHS {
        for method in ["POST", "PUT", "DELETE", "PATCH", "get"] {
            let answer = ask(server.watch_addr(), method, path, "Content-Length: 0\r\n");
            assert_eq!(answer.status, 405, "{method} {path}");
            assert_eq!(answer.header("allow"), Some("GET, HEAD, OPTIONS"));
        }
        let answer = ask(server.watch_addr(), "OPTIONS", path, "Origin: https://a.example\r\n");
        assert_eq!((answer.status, answer.header("allow")), (204, Some("GET, HEAD, OPTIONS")));
        assert_eq!(answer.header("access-control-allow-origin"), None);
    }
}

#[test]
fn what_cannot_be_watched_is_said_to_be_so() {
    let server = Running::start(config());
    let addr = server.watch_addr();
    let _private = Member::join(&server, "plaza");
    let _member = Member::join(&server, "arena");
    let long = format!("/rooms/{}/events", "a".repeat(129));
    for (path, status) in [
        ("/rooms/a%20b/events", 400),
        ("/rooms//events", 400),
        ("/rooms/%2e%2f/events", 400),
        (&long, 400),
        ("/rooms/plaza/events", 403),
        ("/rooms/nobody/events", 403),
        ("/rooms/arena-2/events", 404),
        ("/rooms/arena", 404),
        ("/rooms/", 404),
        ("/rooms/arena/events/", 404),
        ("/rooms/%6rena/events", 404),
        ("/rooms/arena/events?from=x", 400),
        ("/rooms/arena/events?delay=1h", 400),
        ("/rooms/arena/events?delay=61s", 400),
        ("/rooms/arena/events?from=%zz", 400),
        ("/rooms?limit=0", 400),
        ("/rooms/%61rena/events", 200),
    ] {
        let mut answer = ask(addr, "GET", path, "");
        assert_eq!(answer.status, status, "{path}");
        if status != 200 {
            assert!(answer.body().len() > 10, "{path}: the answer says why");
        }
    }
    // The connection is still good for the next request.
    let mut answer = ask(addr, "GET", "/rooms/plaza/events", "");
    assert_eq!(answer.header("connection"), Some("keep-alive"));
    answer.body();
}

#[test]
fn pages_of_listed_origins_may_read() {
    let mut with_origins = config();
    with_origins.watch.cors_origins = vec![Origin("https://a.example".into())];
    let server = Running::start(with_origins);
    let _member = Member::join(&server, "arena");
    for path in PATHS.into_iter().chain(["/rooms/plaza/events"]) {
        for method in ["GET", "HEAD", "OPTIONS"] {
            let allowed = ask(server.watch_addr(), method, path, "Origin: https://a.example\r\n");
            let header = allowed.header("access-control-allow-origin");
            assert_eq!(header, Some("https://a.example"), "{method} {path}");
            assert_eq!(allowed.header("vary"), Some("Origin"));
            for more in ["Origin: https://b.example\r\n", "Origin: null\r\n", ""] {
                let other = ask(server.watch_addr(), method, path, more);
                assert_eq!(other.header("access-control-allow-origin"), None, "{method} {path}");
                assert_eq!(other.header("vary"), Some("Origin"));
            }
        }
    }
    let preflight = ask(server.watch_addr(), "OPTIONS", "/rooms", "Origin: https://a.example\r\n");
    let headers = preflight.header("access-control-allow-headers").expect("headers");
    assert!(headers.contains("Last-Event-ID"));

    let mut with_all = config();
    with_all.watch.cors_origins = vec![Origin("*".into())];
    let server = Running::start(with_all);
    let answer = ask(server.watch_addr(), "GET", "/rooms", "Origin: https://b.example\r\n");
    assert_eq!(answer.header("access-control-allow-origin"), Some("*"));
}
