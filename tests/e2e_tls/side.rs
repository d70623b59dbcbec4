//! The side listener over https.

use crate::support::client::{Client, Dial, Wire, publish};
use crate::support::http::{get, read};
use crate::support::{Running, config, wait_for};
use madang_protocol::client::Class;
use std::io::{Read as _, Write as _};

#[test]
fn health_metrics_and_pages_are_served_over_https() {
    let server = Running::start(config());
    for path in ["/healthz", "/readyz", "/", "/metrics"] {
        assert_eq!(get(server.watch_addr(), path).status, 200, "{path}");
    }
    let (client, _) = Client::connect(server.play_addr(), Wire::Native);
    client.leave();
    // Both listeners' handshakes are counted.
    let metrics = wait_for("handshakes of both listeners", || {
        let text = get(server.watch_addr(), "/metrics").text().to_owned();
        let count = |kind: &str| -> u64 {
            let name = format!("madang_tls_handshakes_total{{kind=\"{kind}\"}} ");
            let line = text.lines().find_map(|line| line.strip_prefix(&name));
            line.expect("it is told").parse().expect("a number")
        };
        (count("full") + count("resumed") >= 6).then_some(text.clone())
    });
    assert!(metrics.contains("\nmadang_tls_failures_total{reason=\"timeout\"} 0\n"), "{metrics}");
    let plain = Dial::from(server.watch_addr()).tcp();
    let mut plain = &plain;
    plain.write_all(b"GET /healthz HTTP/1.1\r\nHost: h\r\n\r\n").expect("a socket");
    let reply = read(&mut plain);
    assert_eq!(reply.status, 400);
    assert!(reply.text().contains("https://"), "{}", reply.text());
}

#[test]
fn spectators_see_over_https_what_members_say_over_wss() {
    let server = Running::start(config());
    let (mut client, _) = Client::connect(server.play_addr(), Wire::Native);
    let joined = client.join("courtyard");
    let mut stream = Dial::from(server.watch_addr()).stream();
    let ask = "GET /rooms/courtyard/events HTTP/1.1\r\nHost: h\r\n\r\n";
    stream.write_all(ask.as_bytes()).expect("a stream");
    let mut seen = String::new();
    let mut until = |seen: &mut String, wanted: &str| {
        let mut buffer = [0; 1024];
        while !seen.contains(wanted) {
            let n = stream.read(&mut buffer).expect("the stream goes on");
            assert!(n > 0, "it ended before {wanted}: {seen}");
            seen.push_str(std::str::from_utf8(&buffer[..n]).expect("text"));
        }
    };
    until(&mut seen, "event: resume");
    for cseq in 1..=200_u64 {
        let text = format!("line {cseq} {}", "x".repeat(500));
        client.send(&publish(joined.channel, cseq, Class::Reliable, text.as_bytes()));
    }
    // The join is the first entry of the room's log.
    until(&mut seen, "-201\n");
    assert_eq!(seen.matches("event: message\n").count(), 200);
}
