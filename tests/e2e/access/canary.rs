//! Nothing that the server writes has a token in it, whichever way it came and whatever is wrong with it.

use super::{Place, SECRET, run};
use crate::support::client::{Client, Dial, Wire};
use crate::support::http::{ask, get, handshake};
use crate::support::process::Process;
use std::io::Write as _;
use tungstenite::Message;

#[test]
fn a_token_is_written_nowhere() {
    let place = Place::new();
    let file = place.write("secret", SECRET).display().to_string();
    let set = format!("auth.keys=HS256@file:{file}");
    let sign = ["token", "sign", "--algorithm", "HS256", "--key", &file, "--sub", "ada"];
    let (_, good, _) = run(&sign, "");
    let good = good.trim().to_owned();
    let (head, rest) = good.split_once('.').expect("three parts");
    let canaries = [good.as_str(), "canary.token.value", "CANARY%2Evalue", "canary token"];
    let process =
        Process::start(&["log.level=trace", "auth.cookie=session", "auth.anonymous=off", &set]);
    let mut said = String::new();
    for canary in canaries {
        for path in ["/play", "/raw/yard", "/nowhere", "/play/x"] {
            for more in [
                format!("Authorization: Bearer {canary}\r\n"),
                format!("Authorization: Bearer {canary}\r\nAuthorization: Bearer {canary}\r\n"),
                format!("Cookie: session={canary}\r\n"),
                format!("Sec-WebSocket-Protocol: madang.v1.json, madang.bearer.{canary}\r\n"),
                format!("Sec-WebSocket-Protocol: madang.bearer.{canary}\r\n"),
            ] {
                let reply = ask(process.play, &handshake(path, &more));
                said.push_str(&String::from_utf8_lossy(&reply.body));
            }
            for query in
                [format!("?token={canary}"), format!("?room=x&access_token={canary}&echo=7")]
            {
                let query = query.replace(' ', "+");
                let both = "Sec-WebSocket-Protocol: madang.v1.json\r\n";
                let reply = ask(process.play, &handshake(&format!("{path}{query}"), both));
                said.push_str(&String::from_utf8_lossy(&reply.body));
            }
        }
        let query = canary.replace(' ', "+");
        for path in ["/rooms", "/rooms/courtyard/events", "/bans", "/kicks", "/metrics", "/x"] {
            said.push_str(
                get(process.watch, &format!("{path}?token={query}&from=canary&delay=canary"))
                    .text(),
            );
            let bearer = format!("Authorization: Bearer {canary}\r\nContent-Length: 2\r\n");
            for target in [path, "/rooms/courtyard/publish"] {
                let request = format!(
                    "POST {target} HTTP/1.1\r\nHost: h\r\nConnection: close\r\n{bearer}\r\n{{}}"
                );
                said.push_str(&String::from_utf8_lossy(&ask(process.watch, &request).body));
            }
        }
        for text in [
            format!(r#"{{"hello":{{"version_min":1,"version_max":1,"token":"{canary}"}}}}"#),
            format!(r#"{{"hello":{{"version_min":"{canary}","version_max":1}}}}"#),
            format!(r#"{{"hello":"{canary}"}}"#),
            format!(r#"{{"{canary}":{{}}}}"#),
            format!(r#"{{"hello":{{"token":{{"{canary}":1}}}}}}"#),
        ] {
            let mut client = Client::dial(Dial::from(process.play), Wire::Json);
            client.send_raw(Message::text(text.clone()));
            if text.contains(&good) && text.contains("\"token\":\"") {
                client.welcome();
                for renew in [
                    format!(r#"{{"renew":{{"ref":1,"token":"{head}.canary.{rest}"}}}}"#),
                    format!(r#"{{"renew":"{canary}"}}"#),
                ] {
                    client.send_raw(Message::text(renew));
                }
            }
            said.push_str(&client.last_words());
        }
    }
    // A request that is cut off in the middle.
    let mut cut = Dial::from(process.play).tcp();
    write!(cut, "GET /play?token=canary HTTP/1.1\r\nAuthorization: Bearer canary").expect("open");
    drop(cut);
    said.push_str(get(process.watch, "/metrics").text());
    process.terminate();
    let (code, log) = process.wait();
    assert_eq!(code, 0);
    assert!(log.contains("closed"), "there is a log to look through");
    let signature = rest.rsplit('.').next().expect("a signature");
    for secret in
        ["canary", "CANARY", SECRET, signature, rest.split('.').next().expect("a payload")]
    {
        assert!(!log.contains(secret), "the log has {secret}: {}", around(&log, secret));
        assert!(!said.contains(secret), "an answer has {secret}: {}", around(&said, secret));
    }
}

fn around(text: &str, what: &str) -> String {
    let at = text.find(what).unwrap_or(0);
    text[..at].lines().next_back().unwrap_or_default().to_owned()
        + text[at..].lines().next().unwrap_or_default()
}
