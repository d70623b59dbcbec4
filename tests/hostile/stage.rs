//! A process, the bystanders, and what the process has before and after.

use crate::support::client::{Client, Dial, Wire, bytes, publish};
use crate::support::http::{handshake, read};
use crate::support::process::Process;
use crate::support::stream::Stream;
use crate::support::wait_for;
use madang_protocol::ServerMessage;
use madang_protocol::client::Class;
use std::fs;
use std::io::{Read as _, Write as _};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};

/// What the process may hold more than before: what its allocator keeps of what was freed, and tables
/// that have grown once.
const MEMORY_ALLOWANCE_KIB: u64 = 24 << 10;
/// Deadlines short enough for a test, and long enough for an honest client of a busy machine.
const SETTINGS: [&str; 5] = [
    "play.head_ms=2000",
    "play.hello_ms=2000",
    "play.linger_ms=200",
    "play.grace_ms=200",
    "server.drain_notice_ms=0",
];

/// A server, and those who only want to talk.
pub(crate) struct Stage {
    pub(crate) process: Process,
    bystanders: Bystanders,
}

/// Has strangers do something to a server with these settings, and checks that it was nobody's loss.
pub(crate) fn attacked(settings: &[&str], attack: impl FnOnce(&Stage)) {
    let process = Process::start(&[&SETTINGS, settings].concat());
    let stage = Stage { bystanders: Bystanders::begin(process.play), process };
    // What the first stranger costs once and for all is no loss.
    let _ = stage.open("/raw/first");
    stage.go_on();
    let before = Vitals::of(&stage.process);
    attack(&stage);
    stage.go_on();
    wait_for("descriptors to be what they were", || {
        (Vitals::of(&stage.process).descriptors <= before.descriptors).then_some(())
    });
    let after = Vitals::of(&stage.process);
    assert!(after.kib <= before.kib + MEMORY_ALLOWANCE_KIB, "{before:?}, and after it {after:?}");
    stage.bystanders.end();
    stage.process.terminate();
    let (code, log) = stage.process.wait();
    assert_eq!(code, 0, "{log}");
    assert!(!log.contains("panicked"), "{log}");
}

impl Stage {
    pub(crate) fn dial(&self) -> Dial {
        self.process.play.into()
    }

    /// An open WebSocket, of which nothing is read.
    pub(crate) fn open(&self, path: &str) -> Stream {
        open_by(self.dial(), path)
    }

    /// Waits until the bystanders have said something more to each other, many times.
    pub(crate) fn go_on(&self) {
        self.bystanders.go_on();
    }
}

/// An open WebSocket, dialled in a way of its own.
pub(crate) fn open_by(dial: Dial, path: &str) -> Stream {
    let mut stream = dial.stream();
    stream.write_all(handshake(path, "").as_bytes()).expect("sent");
    assert_eq!(read(&mut stream).status, 101);
    stream
}

/// What a process has.
#[derive(Clone, Copy, Debug)]
struct Vitals {
    descriptors: usize,
    /// Anonymous memory.
    kib: u64,
}

impl Vitals {
    fn of(process: &Process) -> Self {
        let directory = format!("/proc/{}", process.child.id());
        let descriptors = fs::read_dir(format!("{directory}/fd")).expect("it runs").count();
        let status = fs::read_to_string(format!("{directory}/status")).expect("it runs");
        let kib = status.lines().find_map(|line| {
            line.strip_prefix("RssAnon:")?.trim().strip_suffix(" kB")?.parse().ok()
        });
        Self { descriptors, kib: kib.expect("it says its memory") }
    }
}

/// Two members of a room who answer each other.
struct Bystanders {
    over: Arc<AtomicBool>,
    /// Messages that were heard.
    heard: Arc<AtomicU64>,
    thread: JoinHandle<u64>,
}

impl Bystanders {
    fn begin(addr: SocketAddr) -> Self {
        let (over, heard) = (Arc::<AtomicBool>::default(), Arc::<AtomicU64>::default());
        let (until, count) = (Arc::clone(&over), Arc::clone(&heard));
        let thread = thread::spawn(move || talk(addr, &until, &count));
        Self { over, heard, thread }
    }

    fn go_on(&self) {
        let from = self.heard.load(Ordering::Relaxed);
        wait_for("the bystanders to talk on", || {
            assert!(!self.thread.is_finished(), "the bystanders gave up");
            (self.heard.load(Ordering::Relaxed) >= from + 40).then_some(())
        });
    }

    fn end(self) {
        self.over.store(true, Ordering::Relaxed);
        let said = self.thread.join().expect("the bystanders are content");
        assert_eq!(said, self.heard.load(Ordering::Relaxed), "all that was said was heard");
    }
}

/// Each message must come to the other one, unchanged, once, and in order. How many were said.
fn talk(addr: SocketAddr, over: &AtomicBool, heard: &AtomicU64) -> u64 {
    let mut pair = [Wire::Native, Wire::Json].map(|wire| Client::connect(addr, wire).0);
    let channels = pair.each_mut().map(|client| client.join("courtyard").channel);
    let mut said = 0_u64;
    while !over.load(Ordering::Relaxed) {
        for (speaker, listener) in [(0, 1), (1, 0)] {
            said += 1;
            let text = said.to_le_bytes();
            let message = publish(channels[speaker], said, Class::Reliable, &text);
            pair[speaker].send(&message);
            for client in [listener, speaker] {
                let came = pair[client].until(|message| match message {
                    ServerMessage::Message(message) => Some(bytes(&message.payload)),
                    _ => None,
                });
                assert_eq!(came, text, "message {said}");
            }
            heard.fetch_add(1, Ordering::Relaxed);
        }
    }
    pair.into_iter().for_each(Client::leave);
    said
}

/// The code of a Close frame, of all that still comes; none where the connection ended without.
pub(crate) fn close_code(stream: &mut Stream) -> Option<u16> {
    loop {
        let mut head = [0; 2];
        stream.read_exact(&mut head).ok()?;
        let len = match head[1] {
            126 => {
                let mut len = [0; 2];
                stream.read_exact(&mut len).ok()?;
                u16::from_be_bytes(len).into()
            }
            127 => {
                let mut len = [0; 8];
                stream.read_exact(&mut len).ok()?;
                u64::from_be_bytes(len) as usize
            }
            len => usize::from(len),
        };
        let mut payload = vec![0; len];
        stream.read_exact(&mut payload).ok()?;
        if head[0] == 0x88 {
            return Some(payload.first_chunk().map_or(1005, |code| u16::from_be_bytes(*code)));
        }
    }
}

/// Whether the connection ends; what comes before is nobody's business. How is not either.
pub(crate) fn ends(stream: &mut Stream) {
    let mut buffer = [0; 4096];
    loop {
        match stream.read(&mut buffer) {
            Ok(0) => return,
            Ok(_) => {}
            Err(error) => {
                assert!(!crate::support::client::is_timeout(&error), "it does not end: {error}");
                return;
            }
        }
    }
}

/// A client's frame, its mask of zeros.
pub(crate) fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let len = payload.len();
    let mut bytes = match len {
        0..126 => vec![first, 0x80 | len as u8],
        126..65_536 => [&[first, 0xfe], &(len as u16).to_be_bytes()[..]].concat(),
        _ => [&[first, 0xff], &(len as u64).to_be_bytes()[..]].concat(),
    };
    bytes.extend_from_slice(&[0; 4]);
    bytes.extend_from_slice(payload);
    bytes
}

/// Writes again and again until the other side takes no more for as long as the bystanders talk on, or
/// ends the connection. Whether it was ended.
pub(crate) fn flood(stage: &Stage, stream: &mut Stream, bytes: &[u8]) -> bool {
    stream.tcp().set_nonblocking(true).expect("a socket");
    let (mut at, mut refused) = (0, 0);
    while refused < 3 {
        match stream.write(&bytes[at..]) {
            Ok(taken) => (at, refused) = ((at + taken) % bytes.len(), 0),
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {
                refused += 1;
                stage.go_on();
            }
            Err(_) => return true,
        }
    }
    stream.tcp().set_nonblocking(false).expect("a socket");
    false
}
