//! The side listener: health, metrics, the demo.

use crate::support::client::{Client, Wire};
use crate::support::http::{ask, get};
use crate::support::{Running, config, wait_for};

#[test]
fn health_and_readiness_are_told() {
    let server = Running::start(config());
    for path in ["/healthz", "/readyz"] {
        assert_eq!(get(server.watch_addr(), path).status, 200, "{path}");
    }
    let reply = get(server.watch_addr(), "/nothing");
    assert_eq!(reply.status, 404);
    assert!(reply.text().contains("/metrics"), "{reply:?}");
    let post = "POST /healthz HTTP/1.1\r\nHost: test\r\nContent-Length: 0\r\n\r\n";
    let reply = ask(server.watch_addr(), post);
    assert_eq!((reply.status, reply.header("Allow")), (405, Some("GET, HEAD")));
}

#[test]
fn metrics_count_what_happens() {
    let server = Running::start(config());
    let (mut client, _) = Client::connect(server.play_addr(), Wire::Native);
    client.join("plaza");
    client.round_trip(1);
    let metrics = || get(server.watch_addr(), "/metrics");
    // The room's shard may answer before it counts.
    wait_for("the room in the metrics", || {
        (sum(metrics().text(), "madang_rooms") == 1).then_some(())
    });
    let reply = metrics();
    assert_eq!(reply.status, 200);
    let kind = reply.header("Content-Type").expect("a type");
    assert!(kind.starts_with("application/openmetrics-text"), "{kind}");
    let text = reply.text();
    assert!(text.ends_with("# EOF\n"));
    for (name, value) in [
        ("madang_connections", 1),
        ("madang_sessions", 1),
        ("madang_connections_accepted_total", 1),
        ("madang_messages_received_total", 3),
    ] {
        assert_eq!(sum(text, name), value, "{name}\n{text}");
    }
    // Ours; one of an earlier question may still be on its way out.
    assert!(sum(text, "madang_watch_connections") > 0);
    assert!(!text.contains("plaza"), "a room is never a label");
    client.leave();
    wait_for("the session's end in the metrics", || {
        (sum(metrics().text(), "madang_sessions") == 0).then_some(())
    });
}

/// The values of a metric, all labels together.
fn sum(text: &str, name: &str) -> u64 {
    let is_its =
        |line: &&str| line.strip_prefix(name).is_some_and(|rest| rest.starts_with(['{', ' ']));
    text.lines()
        .filter(is_its)
        .filter_map(|line| line.rsplit(' ').next()?.parse::<u64>().ok())
        .sum()
}

#[test]
fn the_demo_is_served_with_everything_that_it_imports() {
    let server = Running::start(config());
    let addr = server.watch_addr();
    let page = get(addr, "/");
    assert_eq!(page.status, 200);
    assert!(page.header("Content-Type").is_some_and(|kind| kind.starts_with("text/html")));
    let port = get(addr, "/demo.json");
    let expected = format!("{{\"play_port\":{}}}\n", server.play_addr().port());
    assert_eq!(port.text(), expected);
    // Every file that the page and its scripts name is there.
    let mut paths: Vec<String> = page
        .text()
        .split('"')
        .filter(|part| ["js", "css"].contains(&extension(part)))
        .map(|part| resolve("", part))
        .collect();
    assert!(paths.len() > 1, "the page names its style and its script");
    let mut at = 0;
    while let Some(path) = paths.get(at).cloned() {
        at += 1;
        let file = get(addr, &path);
        assert_eq!(file.status, 200, "{path}");
        let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
        let is_import = |line: &&str| extension(&path) == "js" && line.contains(" from '");
        for line in file.text().lines().filter(is_import) {
            let name = line.rsplit('\'').nth(1).filter(|name| extension(name) == "js");
            let import = name.map(|name| resolve(folder, name));
            paths.extend(import.filter(|import| !paths.contains(import)));
        }
    }
    assert!(paths.len() > 5, "{paths:?}");
}

fn extension(path: &str) -> &str {
    path.rsplit_once('.').map_or("", |(_, extension)| extension)
}

/// The path of a file that is named in a file of `folder`.
fn resolve(folder: &str, name: &str) -> String {
    match name.strip_prefix("./") {
        Some(name) => format!("{folder}/{name}"),
        None => format!("/{}", name.trim_start_matches('/')),
    }
}
