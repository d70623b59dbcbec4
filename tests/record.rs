//! Recordings of rooms over real sockets, in real files, played again.

use madang::Server;
use madang::config::{Config, Directory, Prefix};
use madang::metrics::Counter;
use madang::replay::{Outcome, Verdict, replay};
use madang_engine::room::record::RecordEnd;
use madang_engine::room::replay::Divergence;
use madang_protocol::SUBPROTOCOL_JSON;
use serde_json::{Value, json};
use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};
use tungstenite::client::{ClientRequestBuilder, client_with_config};
use tungstenite::{Message, WebSocket};

/// How long a test waits for something that has to come. Only a failing test waits so long.
const PATIENCE: Duration = Duration::from_secs(40);

/// A directory that is gone afterwards.
struct Dir(PathBuf);

impl Dir {
    fn new(name: &str) -> Self {
        let name = format!("madang-record-{}-{name}", std::process::id());
        Self(std::env::temp_dir().join(name))
    }

    /// The recordings in it, by name.
    fn files(&self) -> Vec<PathBuf> {
        let entries = fs::read_dir(&self.0).into_iter().flatten().filter_map(Result::ok);
        let mut files: Vec<PathBuf> = entries.map(|entry| entry.path()).collect();
        files.sort();
        files
    }
}

impl Drop for Dir {
    fn drop(&mut self) {
        // It may never have been made.
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A server that records arenas, and nothing else is open.
fn start(dir: &Path, change: impl FnOnce(&mut Config)) -> Server {
    let mut config = Config::default();
    let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    (config.play.listen, config.watch.listen) = (any, any);
    config.server.shards = 2;
    config.server.drain_notice_ms = 0;
    config.server.drain_ms = 200;
    config.rooms.open.clear();
    config.rooms.record = vec![Prefix("arena".into())];
    config.rooms.record_dir = Directory(dir.to_str().expect("a plain path").into());
    change(&mut config);
    Server::start(config).expect("the server starts")
}

fn end(server: Server) {
    server.drain();
    assert!(server.join(), "no thread panicked");
}

#[track_caller]
fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let until = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < until, "waited in vain for {what}");
        std::thread::yield_now();
    }
}

/// A member of one room, by the JSON twin.
struct Member {
    socket: WebSocket<TcpStream>,
    channel: Value,
    cseq: u64,
}

impl Member {
    fn join(server: &Server, room: &str) -> Self {
        let addr = server.play_addr();
        let uri = format!("ws://{addr}/play").parse().expect("a valid URI");
        let request = ClientRequestBuilder::new(uri).with_sub_protocol(SUBPROTOCOL_JSON);
        let stream = TcpStream::connect(addr).expect("the server accepts");
        stream.set_read_timeout(Some(PATIENCE)).expect("a socket");
        let (socket, _) =
            client_with_config(request, stream, None).expect("the handshake succeeds");
        let mut member = Self { socket, channel: Value::Null, cseq: 0 };
        member.send(&json!({ "hello": {
            "version_min": 1, "version_max": 1, "features": [], "client": "test", "token": null,
            "resume": null, "ext": [],
        }}));
        member.send(&json!({ "join": {
            "ref": 1, "target": { "name": room }, "mode": "either",
            "options": { "attributes": [["name", "dancer"]], "echo": false, "create": null },
            "since": null, "history": 0, "ext": [],
        }}));
        member.channel = member.until("joined")["channel"].clone();
        member
    }

    fn publish(&mut self, r#type: &str, payload: &Value) {
        self.cseq += 1;
        self.send(&json!({ "publish": {
            "channel": self.channel, "cseq": self.cseq, "class": "reliable", "type": r#type,
            "payload": payload,
        }}));
    }

    /// Runs to and fro for so many deltas.
    fn play(&mut self, deltas: u32) {
        for step in 0..deltas {
            let base64 = ["AAAAAH8AAAAA", "BwAAAIEAAAAB"][step as usize / 4 % 2];
            self.publish("input", &json!({ "bytes": base64 }));
            self.until("delta");
        }
    }

    fn until(&mut self, name: &str) -> Value {
        loop {
            if let Message::Text(text) = self.socket.read().expect("the connection is open") {
                let message: Value = serde_json::from_str(&text).expect("JSON");
                if let Some(found) = message.get(name) {
                    return found.clone();
                }
            }
        }
    }

    fn send(&mut self, message: &Value) {
        self.socket.send(Message::text(message.to_string())).expect("the connection is open");
    }
}

fn played(text: &[u8]) -> Outcome {
    replay(text, &madang::rooms::kinds(), None)
}

#[test]
fn two_matches_at_once_replay_to_the_same_digests_tick_by_tick() {
    let dir = Dir::new("two");
    let server = start(&dir.0, |_| {});
    let mut members = ["arena-a", "arena-b", "arena-a"].map(|room| Member::join(&server, room));
    for member in &mut members {
        member.play(30);
    }
    end(server);
    let files = dir.files();
    assert_eq!(files.len(), 2);
    for (file, room) in files.iter().zip(["arena-a", "arena-b"]) {
        let name = file.file_name().expect("a name").to_string_lossy().into_owned();
        assert!(name.contains(room) && name.ends_with(".madang.jsonl"), "{name}");
        let mode = fs::metadata(file).expect("it is there").permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "a recording is for the operator alone");
        let text = fs::read(file).expect("it reads");
        let outcome = played(&text);
        assert_eq!(outcome.verdict, Verdict::Same(RecordEnd::Stopped), "{outcome}");
        assert!(outcome.compared > 10, "{outcome}");
        // The program says the same.
        let said = Command::new(env!("CARGO_BIN_EXE_madang"))
            .args(["replay", "--verbose"])
            .arg(file)
            .output()
            .expect("it runs");
        assert_eq!(said.status.code(), Some(0));
        let said = String::from_utf8(said.stdout).expect("text");
        assert!(said.contains(&format!("the same: {},", outcome.compared)), "{said}");
        assert_eq!(said.matches("\ntick ").count() + 1, outcome.compared as usize);
        tampered(&dir, &text);
    }
}

/// A file that was changed is found out, at its line.
fn tampered(dir: &Dir, text: &[u8]) {
    let lines: Vec<&[u8]> = text.split_inclusive(|byte| *byte == b'\n').collect();
    let place = lines.iter().rposition(|line| line.starts_with(b"{\"ticked\"")).expect("a tick");
    let is_message = |line: &&[u8]| line.starts_with(b"{\"call\":{\"message\"");
    let message = lines.iter().position(is_message).expect("somebody moved");
    let with = |place: usize, line: &[u8]| {
        let mut lines = lines.clone();
        lines[place] = line;
        lines.concat()
    };
    let tick = String::from_utf8(lines[place].to_vec()).expect("JSON");
    let (head, digest) = tick.split_once("\"digest\":\"").expect("a digest");
    let other = if digest.starts_with('0') { '1' } else { '0' };
    let wrong = format!("{head}\"digest\":\"{other}{}", &digest[1..]);
    let outcome = played(&with(place, wrong.as_bytes()));
    assert_eq!((outcome.exit_code(), outcome.line), (1, place as u64 + 1), "{outcome}");
    assert!(matches!(outcome.verdict, Verdict::Diverged(Divergence::State { .. })));
    assert_eq!(played(&with(0, b"{\"call\":\"tick\"}\n")).line, 1);
    for (text, line, words) in [
        (with(message, b"\xff\xfe\n"), message + 1, "not a line of a recording"),
        (with(message, b"{}\n"), message + 1, "not a line of a recording"),
        (with(message, lines[0]), message + 1, "begins once"),
        (text[..text.len() - 1].to_vec(), lines.len(), "middle of a line"),
        (lines[..lines.len() - 1].concat(), lines.len() - 1, "ends before the recording"),
        (Vec::new(), 0, "empty"),
    ] {
        let outcome = played(&text);
        assert_eq!((outcome.exit_code(), outcome.line), (2, line as u64), "{outcome}");
        assert!(outcome.to_string().contains(words), "{outcome}");
    }
    let broken = dir.0.join("broken");
    fs::write(&broken, &text[..text.len() / 2]).expect("it is written");
    let said = Command::new(env!("CARGO_BIN_EXE_madang")).arg("replay").arg(&broken).output();
    let said = said.expect("it runs");
    assert_eq!(said.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&said.stderr).contains("line "), "{said:?}");
    fs::remove_file(broken).expect("it is there");
}

#[test]
fn a_full_directory_takes_no_more_and_no_room_notices() {
    let dir = Dir::new("full");
    let server = start(&dir.0, |config| config.rooms.record_files_max = 1);
    let mut first = Member::join(&server, "arena-1");
    first.play(2);
    let block = server.metrics().record();
    wait_until("a recording", || block.get(Counter::RecordingsOpen) == 1);
    let mut second = Member::join(&server, "arena-2");
    wait_until("a refusal", || block.get(Counter::RecordingsCutFiles) == 1);
    first.play(5);
    second.play(5);
    end(server);
    let files = dir.files();
    assert_eq!(files.len(), 1);
    let outcome = played(&fs::read(&files[0]).expect("it reads"));
    assert_eq!(outcome.verdict, Verdict::Same(RecordEnd::Stopped), "{outcome}");
}

#[test]
fn a_directory_that_cannot_be_made_is_counted_and_no_room_notices() {
    let dir = Dir::new("none");
    fs::create_dir_all(&dir.0).expect("a directory");
    let file = dir.0.join("file");
    fs::write(&file, "in the way").expect("a file");
    let server = start(&file.join("recordings"), |_| {});
    let mut member = Member::join(&server, "arena-1");
    let block = server.metrics().record();
    wait_until("a failure", || block.get(Counter::RecordingsCutDisk) == 1);
    member.play(5);
    assert_eq!(block.get(Counter::Recordings), 0);
    end(server);
}

#[test]
fn a_recording_that_is_as_large_as_it_may_be_says_so_and_replays_to_there() {
    let dir = Dir::new("large");
    let server = start(&dir.0, |config| config.rooms.record_bytes_max = 65_536);
    let mut member = Member::join(&server, "arena-1");
    member.play(3);
    let block = server.metrics().record();
    for _ in 0..12 {
        member.publish("name", &json!({ "text": "x".repeat(8_000) }));
    }
    wait_until("the bound", || block.get(Counter::RecordingsCutSize) == 1);
    member.play(3);
    end(server);
    let text = fs::read(&dir.files()[0]).expect("it reads");
    assert!(text.len() <= 65_536);
    let outcome = played(&text);
    assert!(matches!(outcome.verdict, Verdict::Same(RecordEnd::Cut(_))), "{outcome}");
    assert!(outcome.compared >= 2, "{outcome}");
}

#[test]
fn a_file_that_is_taken_away_ends_its_recording_and_no_room_notices() {
    let dir = Dir::new("gone");
    let server = start(&dir.0, |_| {});
    let mut member = Member::join(&server, "arena-1");
    let block = server.metrics().record();
    wait_until("a recording", || block.get(Counter::RecordingsOpen) == 1);
    fs::remove_file(&dir.files()[0]).expect("it is there");
    wait_until("its end", || block.get(Counter::RecordingsCutDisk) == 1);
    member.play(5);
    end(server);
    assert!(dir.files().is_empty());
}
