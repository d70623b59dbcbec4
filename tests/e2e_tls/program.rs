//! The program: its own certificate, what it says of it, and signals.

use crate::support::signed::{Authority, Scratch, over};
use crate::support::wait_for;
use rustix::process::{Pid, Signal, kill_process};
use rustls::client::Resumption;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::version::TLS13;
use rustls::{ClientConfig, RootCertStore};
use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

/// The program, and what it said of itself; killed if it is still there when dropped.
struct Program {
    child: Child,
    said: String,
    watch: SocketAddr,
}

impl Drop for Program {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_madang"));
    command.args(["serve", "--listen", "127.0.0.1:0", "--watch-listen", "127.0.0.1:0"]);
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

fn start(arguments: &[&str], last: &str) -> Program {
    let mut child = command(arguments).spawn().expect("the program starts");
    let stdout = BufReader::new(child.stdout.take().expect("it is piped"));
    let mut said = String::new();
    for line in stdout.lines() {
        let line = line.expect("it is UTF-8");
        said.push_str(&line);
        said.push('\n');
        if line.starts_with(last) {
            break;
        }
    }
    let watch =
        said.split_once("https://").and_then(|(_, rest)| rest.split('/').next()?.parse().ok());
    let watch = watch.unwrap_or_else(|| panic!("it says where it serves: {said}"));
    Program { child, said, watch }
}

/// The certificate that a server shows, if this client takes it.
fn shown(addr: SocketAddr, clients: &Arc<ClientConfig>) -> CertificateDer<'static> {
    let mut client = over(TcpStream::connect(addr).expect("it accepts"), clients, "127.0.0.1");
    client
        .write_all(b"GET /healthz HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
        .expect("sent");
    let mut answer = String::new();
    client.read_to_string(&mut answer).expect("a clean end");
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    client.conn.peer_certificates().expect("it has shown one")[0].clone()
}

#[test]
fn its_own_certificate_is_kept_and_can_be_trusted_by_what_it_says() {
    let scratch = Scratch::new();
    let directory = scratch.path().join("made");
    let flag = format!("--tls-self-signed={}", directory.display());
    let mut fingerprints = Vec::new();
    for _ in 0..2 {
        let program = start(&[&flag], "another browser");
        let said = &program.said;
        assert!(said.contains("play   wss://127.0.0.1:"), "{said}");
        assert!(
            said.contains("Chromium  chromium --ignore-certificate-errors-spki-list="),
            "{said}"
        );
        let path = said.split("--cacert ").nth(1).and_then(|rest| rest.split(' ').next());
        let path = Path::new(path.expect("it says where the certificate is"));
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(path).expect("it is there")).expect("it is one");
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let clients = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_root_certificates(roots)
            .with_no_client_auth();
        shown(program.watch, &Arc::new(clients));
        let line = said.lines().find_map(|line| line.strip_prefix("SHA-256 "));
        fingerprints.push(line.expect("it says the fingerprint").trim().to_owned());
    }
    assert_eq!(fingerprints[0], fingerprints[1], "it is made once");
}

#[test]
fn a_hangup_and_a_changed_file_have_certificates_read_anew() {
    let authority = Authority::new();
    let files = authority.issue("live", &["127.0.0.1"]);
    let mut clients = authority.clients(&[&TLS13]);
    // A session that is taken up shows what it began with.
    clients.resumption = Resumption::disabled();
    let clients = Arc::new(clients);
    let pair = format!("{}={}", files.certificate.display(), files.key.display());
    let set = format!("tls.certificates={pair}");
    for reload_ms in ["0", "100"] {
        let reload = format!("tls.reload_ms={reload_ms}");
        let program = start(&["--set", &set, "--set", &reload], "clients");
        let first = shown(program.watch, &clients);
        authority.issue("live", &["127.0.0.1", "renewed.test"]);
        if reload_ms == "0" {
            kill_process(Pid::from_child(&program.child), Signal::HUP).expect("it is there");
        }
        wait_for("the new certificate", || (shown(program.watch, &clients) != first).then_some(()));
    }
}

#[test]
fn a_certificate_that_cannot_be_used_keeps_it_from_starting() {
    let authority = Authority::new();
    let files = authority.issue("good", &["127.0.0.1"]);
    let missing = authority.directory().join("missing.pem");
    let set = format!("tls.certificates={}={}", missing.display(), files.key.display());
    let output = command(&["--set", &set]).output().expect("it ends");
    let error = String::from_utf8(output.stderr).expect("text");
    assert_eq!(output.status.code(), Some(1), "{error}");
    assert!(error.contains("tls.certificates: ") && error.contains("missing.pem"), "{error}");

    let output = Command::new(env!("CARGO_BIN_EXE_madang"))
        .args(["check-config", "--set", &set])
        .output()
        .expect("it ends");
    let error = String::from_utf8(output.stderr).expect("text");
    assert_eq!(output.status.code(), Some(2), "{error}");
    assert!(error.contains("missing.pem"), "{error}");

    let scratch = Scratch::new();
    fs::write(scratch.path().join("certificate.pem"), "nonsense").expect("written");
    fs::write(scratch.path().join("key.pem"), "nonsense").expect("written");
    let output = command(&[&format!("--tls-self-signed={}", scratch.path().display())]).output();
    let output = output.expect("it ends");
    let error = String::from_utf8(output.stderr).expect("text");
    assert_eq!(output.status.code(), Some(2), "{error}");
    assert!(error.contains("--tls-self-signed="), "{error}");
}
