//! How many TLS handshakes a core of a server does in a second: connections with one small request
//! each, one after the other, by the processor time that the server took for them.
//!
//! `tools/measure-tls.sh` runs it.

use rustls::client::Resumption;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::version::{TLS12, TLS13};
use rustls::{
    ClientConfig, ClientConnection, HandshakeKind, RootCertStore, Stream, SupportedProtocolVersion,
};
use std::error::Error;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Clock ticks of a second in `/proc`, on every Linux there is.
const TICKS: f64 = 100.0;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [addr, pid, certificate, seconds] = arguments.as_slice() else {
        return Err("say ADDRESS PID CERTIFICATE SECONDS".into());
    };
    let (addr, pid) = (addr.parse()?, pid.parse()?);
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(certificate)?)?;
    let duration = Duration::from_secs_f64(seconds.parse()?);
    for (name, version) in [("1.3", &TLS13), ("1.2", &TLS12)] {
        for (what, by_ticket) in [("full", false), ("by ticket", true)] {
            let clients = clients(roots.clone(), version, by_ticket)?;
            let (count, cpu_seconds) = measure(addr, pid, &clients, by_ticket, duration)?;
            let each = f64::from(count) / cpu_seconds;
            println!("TLS {name}, {what}: {each:.0} a second on one core ({count} handshakes)");
        }
    }
    Ok(())
}

fn clients(
    roots: RootCertStore,
    version: &'static SupportedProtocolVersion,
    by_ticket: bool,
) -> Result<Arc<ClientConfig>, Box<dyn Error>> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[version])?
        .with_root_certificates(roots)
        .with_no_client_auth();
    if !by_ticket {
        config.resumption = Resumption::disabled();
    }
    Ok(Arc::new(config))
}

/// How many handshakes there were, and the seconds of a core that they took.
fn measure(
    addr: SocketAddr,
    pid: u32,
    clients: &Arc<ClientConfig>,
    by_ticket: bool,
    duration: Duration,
) -> Result<(u32, f64), Box<dyn Error>> {
    // The first one has no ticket yet.
    connect(addr, clients)?;
    let (before, start) = (cpu_seconds(pid)?, Instant::now());
    let mut count = 0;
    while start.elapsed() < duration {
        let kind = connect(addr, clients)?;
        if by_ticket != (kind == Some(HandshakeKind::Resumed)) {
            return Err(format!("not the handshake that was to be measured: {kind:?}").into());
        }
        count += 1;
    }
    Ok((count, cpu_seconds(pid)? - before))
}

/// One connection, whose request is answered; behind the answer there are the tickets.
fn connect(
    addr: SocketAddr,
    clients: &Arc<ClientConfig>,
) -> Result<Option<HandshakeKind>, Box<dyn Error>> {
    let mut socket = TcpStream::connect(addr)?;
    socket.set_nodelay(true)?;
    let mut session = ClientConnection::new(Arc::clone(clients), "127.0.0.1".try_into()?)?;
    let mut stream = Stream::new(&mut session, &mut socket);
    stream.write_all(b"GET /nothing HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    if !answer.starts_with(b"HTTP/1.1 404 ") {
        return Err("the server answers something else".into());
    }
    Ok(session.handshake_kind())
}

/// The processor time that a process has taken.
fn cpu_seconds(pid: u32) -> Result<f64, Box<dyn Error>> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
    // Behind the name, which may have anything in it.
    let fields = stat.rsplit_once(')').ok_or("no name")?.1.split_whitespace();
    let times: Vec<f64> = fields.skip(11).take(2).map(str::parse).collect::<Result<_, _>>()?;
    Ok(times.iter().sum::<f64>() / TICKS)
}
