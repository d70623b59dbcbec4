//! TLS against small servers of this test: counts and correctness, no times.

use crate::double::{Double, Fault};
use crate::server::Running;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use serde_json::Value;
use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Command, Output};
use std::sync::Arc;
use std::thread;

type Secure = StreamOwned<ServerConnection, TcpStream>;

/// Serves each connection on a thread of its own, under a certificate of a new authority; returns the
/// address and the file of the authority. Threads end with their connections, or with the test.
fn serve(name: &str, each: impl Fn(Secure) + Clone + Send + 'static) -> (SocketAddr, PathBuf) {
    let mut authority = CertificateParams::new(Vec::new()).expect("no names");
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority_key = KeyPair::generate().expect("a key");
    let root = authority.self_signed(&authority_key).expect("a certificate");
    let issuer = Issuer::new(authority, authority_key);
    let key = KeyPair::generate().expect("a key");
    let params = CertificateParams::new(vec!["127.0.0.1".to_owned()]).expect("an address");
    let certificate = params.signed_by(&key, &issuer).expect("a certificate");
    let file = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}.pem"));
    fs::write(&file, root.pem()).expect("a file");

    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], key)
        .expect("a configuration");
    let config = Arc::new(config);
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    thread::spawn(move || {
        for socket in listener.incoming().map_while(Result::ok) {
            let session = ServerConnection::new(Arc::clone(&config)).expect("a session");
            let each = each.clone();
            thread::spawn(move || each(StreamOwned::new(session, socket)));
        }
    });
    (address, file)
}

/// Sends every WebSocket message back.
fn echo(stream: Secure) {
    let Ok(mut socket) = tungstenite::accept(stream) else { return };
    while let Ok(message) = socket.read() {
        if message.is_binary() && socket.send(message).is_err() {
            return;
        }
    }
}

/// Passes one request on, and then what is answered.
fn pass_on(mut stream: Secure, to: SocketAddr) -> std::io::Result<()> {
    let mut server = TcpStream::connect(to)?;
    let mut request = Vec::new();
    let mut buffer = [0; 4096];
    while !request.ends_with(b"\r\n\r\n") {
        let bytes = stream.read(&mut buffer)?;
        if bytes == 0 {
            return Ok(());
        }
        request.extend_from_slice(&buffer[..bytes]);
    }
    server.write_all(&request)?;
    loop {
        let bytes = server.read(&mut buffer)?;
        if bytes == 0 {
            return Ok(());
        }
        stream.write_all(&buffer[..bytes])?;
    }
}

fn run(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_madang-load"))
        .args(arguments)
        .arg("--json")
        .output()
        .expect("the tool runs")
}

#[test]
fn what_is_sent_by_tls_comes_back_by_tls() {
    let (address, authority) = serve("echo", echo);
    let url = format!("wss://{address}");
    for trust in [&["--tls-ca", authority.to_str().expect("text")][..], &["--insecure"]] {
        for load in [&["--hz", "50"][..], &["--depth", "8", "--payload", "20000"]] {
            let common =
                ["echo", "--url", &url, "--count", "5", "--warmup", "0", "--duration", "0.4"];
            let output = run(&[&common, trust, load].concat());
            let said = String::from_utf8_lossy(&output.stderr);
            let found: Value =
                serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{said}"));
            assert_eq!(found["passed"], true, "{found}");
            assert!(found["received"].as_u64() > Some(4), "{found}");
            assert_eq!(found["received"], found["sent"], "{found}");
        }
    }
}

#[test]
fn a_storm_by_tls_enters_too() {
    let (address, authority) = serve("storm", echo);
    let url = format!("wss://{address}");
    let authority = authority.to_str().expect("text");
    let storm = ["storm", "--protocol", "raw", "--count", "12", "--tls-ca", authority];
    let output = run(&[&storm[..], &["--url", &url]].concat());
    let said = String::from_utf8_lossy(&output.stderr);
    let found: Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{said}"));
    assert_eq!(found["passed"], true, "{found}");
    assert_eq!(
        (&found["entered"], &found["upgrade"]["count"]),
        (&12.into(), &12.into()),
        "{found}"
    );
}

#[test]
fn requests_go_by_tls_too() {
    let server = Running::start(|_| {});
    for transport in ["events", "polls"] {
        // One that breaks connections too, so that there are handshakes in the middle.
        let double = Double::new(server.play, Fault::Break(20));
        let (address, authority) = serve(transport, move |stream| drop(double.serve(stream)));
        let (url, authority) = (format!("wss://{address}"), authority.to_str().expect("text"));
        let relay = ["relay", "--url", &url, "--tls-ca", authority, "--transport", transport];
        let load = ["--count", "6", "--rooms-of", "3", "--hz", "40", "--warmup", "0"];
        let output = run(&[&relay[..], &load, &["--duration", "0.5"]].concat());
        let said = String::from_utf8_lossy(&output.stderr);
        let found: Value =
            serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{said}"));
        assert_eq!(found["passed"], true, "{found}");
        assert_eq!(found["received"], 6 * 20 * 3, "{found}");
        assert!(found["requests_again"].as_u64() > Some(0), "{found}");
    }
}

#[test]
fn a_server_that_is_not_trusted_is_not_spoken_to() {
    let (address, _) = serve("stranger", echo);
    let (_, other) = serve("other", echo);
    let url = format!("wss://{address}");
    let other = other.to_str().expect("text");
    for (more, why) in [
        (&["--tls-ca", other][..], "certificate"),
        (&["--tls-ca", "/nowhere.pem"], "/nowhere.pem"),
        (&["--tls-ca", "Cargo.toml"], "no certificate"),
    ] {
        let output = run(&[&["echo", "--url", &url, "--count", "2"], more].concat());
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{more:?}: {said}");
        assert!(said.contains(why), "{more:?}: {said}");
    }
    // Nor is one that speaks no TLS.
    let server = Running::start(|_| {});
    let plain = format!("wss://{}", server.play);
    let output = run(&["echo", "--url", &plain, "--count", "2", "--insecure"]);
    assert_eq!(output.status.code(), Some(2), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn spectators_watch_by_https() {
    let server = Running::start(|_| {});
    let watch = server.watch;
    // Who is cut off goes without a word: what becomes of the other end does not matter.
    let (address, authority) = serve("watch", move |stream| drop(pass_on(stream, watch)));
    let (play, events) = (format!("ws://{}", server.play), format!("https://{address}"));
    let output = run(&[
        "spectate",
        "--url",
        &play,
        "--events-url",
        &events,
        "--tls-ca",
        authority.to_str().expect("text"),
        "--spectators",
        "12",
        "--events-hz",
        "50",
        "--duration",
        "0.4",
        "--warmup",
        "0",
        "--reconnect-every",
        "200ms",
    ]);
    let said = String::from_utf8_lossy(&output.stderr);
    let found: Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{said}"));
    assert_eq!(found["passed"], true, "{found}");
    assert_eq!(found["received"], 12 * 20, "{found}");
    assert_eq!(found["recovered"], found["dropped"], "{found}");
}
