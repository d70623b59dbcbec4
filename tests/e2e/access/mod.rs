//! Tokens: how they come in, what they let do, how they end, and that nothing says them again.

mod canary;
mod keys;
mod limits;
mod tokens;
mod watching;

use crate::support::client::{Client, Closed, Dial, Wire, hello};
use crate::support::{Running, config};
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode, get_current_timestamp};
use madang::config::{Anonymous, Config, KeySource, TokenAlgorithm, TokenKey};
use madang_protocol::client::ClientMessage;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

/// A directory of one test's own, removed with it.
pub(crate) struct Place(PathBuf);

impl Place {
    pub(crate) fn new() -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let path =
            std::env::temp_dir().join(format!("madang-access-{}-{number}", std::process::id()));
        std::fs::create_dir_all(&path).expect("a directory for keys");
        Self(path)
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    pub(crate) fn write(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        // Whoever reads it finds the old or the new one, and nothing between.
        let fresh = self.path(&format!("{name}.new"));
        std::fs::write(&fresh, content).expect("a file for keys");
        std::fs::rename(&fresh, &path).expect("it takes the old one's place");
        path
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        // What is left is a few files of the system's temporary directory.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Text that only the holder of a secret knows.
pub(crate) const SECRET: &str = "a secret of tests, which is long enough to be one";

pub(crate) fn key(kid: Option<&str>, algorithm: TokenAlgorithm, path: &Path) -> TokenKey {
    let from = KeySource::File(path.display().to_string().into());
    TokenKey { kid: kid.map(Box::from), algorithm, from }
}

/// A configuration with a secret for HS256, which lets nobody in without a token.
pub(crate) fn guarded(place: &Place) -> Config {
    let mut config = config();
    config.auth.anonymous = Anonymous::Off;
    config.auth.keys = vec![key(None, TokenAlgorithm::Hs256, &place.write("secret", SECRET))];
    config.auth.reload_ms = 100;
    config
}

/// Claims of a user for an hour.
pub(crate) fn claims(user: &str) -> Value {
    json!({ "sub": user, "exp": get_current_timestamp() + 3600 })
}

/// A token of the secret. A server has to run: it brings the signatures along.
pub(crate) fn token(claims: &Value) -> String {
    let key = EncodingKey::from_secret(SECRET.as_bytes()).expect("a secret");
    encode(&Header::new(Algorithm::HS256), claims, &key).expect("it can be signed")
}

pub(crate) fn hello_with(token: &str) -> ClientMessage<'static> {
    let ClientMessage::Hello(mut said) = hello(None) else { unreachable!("it is a hello") };
    said.token = Some(token.into());
    ClientMessage::Hello(said)
}

/// A client that brings a token in its hello.
pub(crate) fn dial(server: &Running, token: &str) -> Client {
    let mut client = Client::dial(Dial::from(server.play_addr()), Wire::Native);
    client.send(&hello_with(token));
    client
}

/// How a client that brings this in its hello is sent away.
pub(crate) fn refused(server: &Running, token: &str) -> Closed {
    dial(server, token).closed()
}

/// Runs the program to its end: its exit code, standard output and standard error.
pub(crate) fn run(arguments: &[&str], input: &str) -> (i32, String, String) {
    use std::io::Write as _;
    use std::process::Stdio;
    let mut child = Command::new(env!("CARGO_BIN_EXE_madang"))
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program starts");
    // It may end before it has read everything.
    let _ = child.stdin.take().expect("it is piped").write_all(input.as_bytes());
    let output = child.wait_with_output().expect("the program ends");
    let text = |bytes| String::from_utf8(bytes).expect("it writes text");
    (output.status.code().expect("it exits"), text(output.stdout), text(output.stderr))
}
