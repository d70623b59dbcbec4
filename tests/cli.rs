//! The program as an operator meets it: what it prints, obeys and exits with.

use rustix::process::{Pid, Signal, kill_process};
use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::{Duration, Instant};

/// How long anything may take before the test gives up on it.
const DEADLINE: Duration = Duration::from_secs(30);

/// The program, in a directory without a configuration and an environment without our variables.
fn madang(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_madang"));
    command.args(arguments).current_dir(env!("CARGO_TARGET_TMPDIR")).env_clear();
    command
}

fn output(arguments: &[&str]) -> Output {
    madang(arguments).stdin(Stdio::null()).output().expect("the program starts")
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).expect("UTF-8")
}

/// A directory of its own for a test.
fn directory(test: &str) -> PathBuf {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(test);
    fs::create_dir_all(&path).expect("writable");
    path
}

/// A serving process, ended with the test.
struct Serving {
    child: Child,
    out: Receiver<String>,
    errors: Receiver<String>,
}

impl Serving {
    fn start(arguments: &[&str]) -> Self {
        let free = ["serve", "--listen", "127.0.0.1:0", "--watch-listen", "127.0.0.1:0"];
        let mut child = madang(&[&free, arguments].concat())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the program starts");
        let out = lines(child.stdout.take().expect("piped"));
        let errors = lines(child.stderr.take().expect("piped"));
        Self { child, out, errors }
    }

    /// The next line of standard output.
    fn line(&self) -> String {
        self.out.recv_timeout(DEADLINE).expect("a line in time")
    }

    /// The address in the banner's next line that begins with `name`.
    fn address(&self, name: &str) -> SocketAddr {
        let is_named = |line: &String| line.split_whitespace().next() == Some(name);
        let line = std::iter::from_fn(|| Some(self.line())).find(is_named).expect("endless");
        let (_, url) = line.split_once("  ").expect("a name and a URL");
        let (_, rest) = url.trim().split_once("://").expect("a URL");
        rest.split('/').next().expect("a host").parse().expect("an address")
    }

    fn signal(&self, signal: Signal) {
        let pid = i32::try_from(self.child.id()).expect("small");
        kill_process(Pid::from_raw(pid).expect("not zero"), signal).expect("it runs");
    }

    fn exit_code(&mut self) -> Option<i32> {
        let deadline = Instant::now() + DEADLINE;
        while Instant::now() < deadline {
            if let Some(status) = self.child.try_wait().expect("ours") {
                return status.code();
            }
            thread::yield_now();
        }
        panic!("the program still runs");
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        // Only for a test that failed: it has ended otherwise.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn lines(source: impl std::io::Read + Send + 'static) -> Receiver<String> {
    let (tell, told) = mpsc::channel();
    thread::spawn(move || {
        for line in BufReader::new(source).lines().map_while(Result::ok) {
            if tell.send(line).is_err() {
                return;
            }
        }
    });
    told
}

/// The status line that answers `GET path`, or what the connection gave instead.
fn status(address: SocketAddr, path: &str, headers: &str) -> (TcpStream, String) {
    let mut stream = TcpStream::connect(address).expect("it listens");
    stream.set_read_timeout(Some(DEADLINE)).expect("settable");
    let request = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\n{headers}\r\n");
    stream.write_all(request.as_bytes()).expect("writable");
    let (mut line, mut byte) = (Vec::new(), [0]);
    while stream.read(&mut byte).unwrap_or(0) == 1 && byte != *b"\r" {
        line.extend(byte);
    }
    (stream, text(&line).to_owned())
}

#[test]
fn version_and_help_are_told() {
    let version = output(&["--version"]);
    assert_eq!(text(&version.stdout), format!("madang {}\n", env!("CARGO_PKG_VERSION")));
    let help = output(&["--help"]);
    for key in madang::config::KEYS {
        assert!(text(&help.stdout).contains(&key.path()), "{}", key.path());
    }
    assert!(help.status.success());
}

#[test]
fn default_config_prints_the_shipped_sample() {
    let printed = output(&["default-config"]);
    assert_eq!(text(&printed.stdout), include_str!("../madang.sample.toml"));
    assert_eq!(printed.status.code(), Some(0));
    let tables = output(&["default-config", "--markdown"]);
    assert!(text(&tables.stdout).contains("| `ping_ms` | `25000` |"));
}

#[test]
fn a_right_configuration_is_said_to_be_right() {
    let path = directory("right").join("right.toml");
    fs::write(&path, "[play]\nping_ms = 1000\n").expect("writable");
    let path = path.to_str().expect("UTF-8");
    let checked = output(&["check-config", path]);
    assert_eq!(text(&checked.stdout), format!("{path}: valid\n"));
    assert_eq!(checked.status.code(), Some(0));
    let checked = output(&["check-config", "--config", path]);
    assert_eq!(text(&checked.stdout), format!("{path}: valid\n"));
}

#[test]
fn every_mistake_is_a_line_and_the_exit_code_is_2() {
    let directory = directory("wrong");
    fs::write(directory.join("madang.toml"), "[play]\nlisten = \"70000\"\nlisen = 1\n")
        .expect("writable");
    for command in [&["check-config"][..], &["serve"], &[]] {
        let arguments = [&["--set", "log.level=loud", "--shards", "many"], command].concat();
        let output = madang(&arguments)
            .current_dir(&directory)
            .env("MADANG_PLAY_PNG_MS", "1")
            .env("MADANG_SERVER_NODE", "-1")
            .output()
            .expect("the program starts");
        assert_eq!(
            text(&output.stderr).lines().collect::<Vec<_>>(),
            [
                "madang.toml:2: play.listen: \"70000\" is not an address; \
                 write it as 127.0.0.1:7700",
                "madang.toml:3: play.lisen: unknown key; did you mean play.listen?",
                "MADANG_PLAY_PNG_MS: unknown key; did you mean MADANG_PLAY_PING_MS?",
                "MADANG_SERVER_NODE: -1 is too small; the least is 0",
                "--set log.level: \"loud\" is not one of off, error, warn, info, debug, trace",
                "--shards: \"many\" is not a whole number; write it as 0",
            ]
        );
        assert_eq!((output.status.code(), text(&output.stdout)), (Some(2), ""));
    }
}

#[test]
fn a_file_that_is_not_there_and_half_a_flag_are_mistakes() {
    let output = output(&["check-config", "missing.toml", "--set", "play.listen"]);
    assert_eq!(
        text(&output.stderr),
        "missing.toml: cannot be read: No such file or directory (os error 2)\n\
         --set play.listen: write it as KEY=VALUE\n"
    );
    assert_eq!(output.status.code(), Some(2));
}

#[test]
fn flags_before_and_after_the_command_all_count() {
    let output = output(&[
        "--set",
        "play.ping_ms=x",
        "check-config",
        "--set",
        "play.pong_ms=y",
        "--log-format",
        "xml",
    ]);
    let errors = text(&output.stderr);
    for flag in ["--set play.ping_ms: ", "--set play.pong_ms: ", "--log-format: "] {
        assert!(errors.lines().any(|line| line.starts_with(flag)), "{flag} in {errors}");
    }
}

#[test]
fn the_environment_names_the_file_and_overrides_it() {
    let path = directory("environment").join("file.toml");
    fs::write(&path, "[play]\nping_ms = 0\n").expect("writable");
    let check = |variables: &[(&str, &str)]| {
        madang(&["check-config"])
            .env("MADANG_CONFIG", &path)
            .envs(variables.iter().copied())
            .output()
            .expect("the program starts")
    };
    let wrong = check(&[]);
    assert!(text(&wrong.stderr).contains("file.toml:2: play.ping_ms: 0 is too small"));
    fs::write(&path, "[server]\ndrain_ms = 5\n").expect("writable");
    assert_eq!(check(&[]).status.code(), Some(2), "the notice alone is longer");
    assert_eq!(check(&[("MADANG_SERVER_DRAIN_MS", "1000")]).status.code(), Some(0));
}

#[test]
fn an_address_in_use_is_named_with_what_to_do() {
    for key in ["play.listen", "watch.listen"] {
        let taken = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = taken.local_addr().expect("bound");
        let free = ["--set", "play.listen=127.0.0.1:0", "--set", "watch.listen=127.0.0.1:0"];
        let set = format!("{key}={address}");
        let output = output(&[&free[..], &["--set", &set]].concat());
        let errors = text(&output.stderr);
        let expected = format!("madang: {key}: cannot listen on {address}: ");
        assert!(errors.lines().any(|line| line.starts_with(&expected)), "{errors}");
        assert!(errors.contains("choose another port"), "{errors}");
        assert_eq!(output.status.code(), Some(1));
    }
}

#[test]
fn serving_says_where_and_a_signal_ends_it_well() {
    for signal in [Signal::TERM, Signal::INT] {
        let mut serving = Serving::start(&[]);
        let watch = serving.address("demo");
        for page in ["game", "watch", "board"] {
            assert_eq!(serving.address(page), watch, "{page}");
        }
        let play = serving.address("play");
        assert_eq!(serving.line(), format!("raw    ws://{play}/raw/{{room}}"));
        let fit = serving.line();
        assert!(fit.starts_with("clients that fit: ") && fit.contains(" (descriptors "), "{fit}");
        assert!(watch.port() != 0 && play.port() != 0 && watch != play);
        for path in [
            "/healthz",
            "/readyz",
            "/metrics",
            "/",
            "/arena/",
            "/arena/watch/",
            "/board/",
            "/client/index.js",
            "/demo.json",
        ] {
            assert_eq!(status(watch, path, "").1, "HTTP/1.1 200 OK", "{path}");
        }
        assert_eq!(status(watch, "/nothing", "").1, "HTTP/1.1 404 Not Found");
        serving.signal(signal);
        assert_eq!(serving.exit_code(), Some(0));
    }
}

#[test]
fn a_second_signal_ends_the_drain_at_once() {
    let mut serving = Serving::start(&[
        "--set",
        "server.drain_ms=600000",
        "--set",
        "server.drain_notice_ms=600000",
    ]);
    let watch = serving.address("demo");
    let play = serving.address("play");
    let handshake = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
                     Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
    let (client, answer) = status(play, "/raw/room", handshake);
    assert_eq!(answer, "HTTP/1.1 101 Switching Protocols");
    serving.signal(Signal::TERM);
    let deadline = Instant::now() + DEADLINE;
    while !status(watch, "/readyz", "").1.contains(" 503 ") {
        assert!(Instant::now() < deadline, "never not ready");
    }
    serving.signal(Signal::TERM);
    assert_eq!(serving.exit_code(), Some(1));
    drop(client);
}

#[test]
fn logs_can_be_json_and_then_nothing_else_is_said() {
    let mut serving = Serving::start(&["--log-format", "json"]);
    let first = serving.errors.recv_timeout(DEADLINE).expect("a line in time");
    let event: serde_json::Value = serde_json::from_str(&first).expect("JSON");
    assert_eq!((&event["message"], &event["level"]), (&"serving".into(), &"INFO".into()));
    assert!(event["play"].as_str().is_some_and(|address| address.starts_with("127.0.0.1:")));
    serving.signal(Signal::TERM);
    assert_eq!(serving.exit_code(), Some(0));
    for line in &serving.errors {
        serde_json::from_str::<serde_json::Value>(&line).expect("JSON");
    }
    assert_eq!(serving.out.iter().next(), None);
}
