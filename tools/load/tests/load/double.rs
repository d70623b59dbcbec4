//! Stands between the tool and a server, and does to requests, answers and events what proxies and faulty servers do.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

/// Base64 from here on is an event with a message of the load, where its payload is as long as in these tests.
const EVENT_BYTES: usize = 600;

/// What is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// One in so many answers to what has a number is not given: the connection breaks instead.
    Break(u64),
    /// In place of one in so many answers comes that of a proxy that got none.
    Busy(u64),
    /// The event, or the answer to a poll, of this number does not come.
    Drop(u64),
    /// It comes twice.
    Repeat(u64),
    /// The stream breaks instead.
    Cut(u64),
    /// Everything comes in chunks of a few bytes.
    Dribble,
}

/// What a double has done so far, on all its connections.
#[derive(Debug)]
pub(crate) struct Double {
    server: SocketAddr,
    fault: Fault,
    /// Answers to what has a number.
    answers: AtomicU64,
    /// Messages that came down.
    messages: AtomicU64,
}

impl Double {
    pub(crate) fn new(server: SocketAddr, fault: Fault) -> Arc<Self> {
        Arc::new(Self { server, fault, answers: AtomicU64::new(0), messages: AtomicU64::new(0) })
    }

    /// Listens; threads end with their connections, or with the test.
    pub(crate) fn listen(self: &Arc<Self>) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address");
        let double = Arc::clone(self);
        thread::spawn(move || {
            for socket in listener.incoming().map_while(Result::ok) {
                let double = Arc::clone(&double);
                // Whoever breaks off has broken off.
                thread::spawn(move || drop(double.serve(socket)));
            }
        });
        address
    }

    /// Passes requests on, one after the other, and their answers back.
    pub(crate) fn serve(&self, mut client: impl Read + Write) -> io::Result<()> {
        let mut server = TcpStream::connect(self.server)?;
        let (mut asked, mut answered) = (Vec::new(), Vec::new());
        loop {
            let (head, body) = take(&mut client, &mut asked)?;
            let (verb, is_numbered) = (verb(&head), head.contains("Madang-Number"));
            server.write_all(&[head.as_bytes(), &body].concat())?;
            let (head, body) = take(&mut server, &mut answered)?;
            if verb == "events" && head.starts_with("HTTP/1.1 200") {
                return self.stream(&head, answered, &mut server, &mut client);
            }
            let answer = match (self.fault, is_numbered) {
                (Fault::Break(every), true) if self.is_due(every) => return Ok(()),
                (Fault::Busy(every), true) if self.is_due(every) => {
                    b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n".to_vec()
                }
                (Fault::Drop(_) | Fault::Repeat(_), _) if verb == "poll" => {
                    let body = body.repeat(self.times(body.len()));
                    let head = "HTTP/1.1 200 OK\r\nContent-Type: application/octet-stream\r\n";
                    let head = format!("{head}Content-Length: {}\r\n\r\n", body.len());
                    [head.as_bytes(), &body].concat()
                }
                _ => [head.as_bytes(), &body].concat(),
            };
            if self.fault == Fault::Dribble {
                answer.chunks(7).try_for_each(|few| client.write_all(few))?;
            } else {
                client.write_all(&answer)?;
            }
            client.flush()?;
        }
    }

    /// Passes a stream on: the events that came with its head, and the others.
    fn stream(
        &self,
        head: &str,
        mut came: Vec<u8>,
        server: &mut impl Read,
        client: &mut impl Write,
    ) -> io::Result<()> {
        let is_chunked = self.fault == Fault::Dribble;
        let head = if is_chunked {
            head.replace("\r\n\r\n", "\r\nTransfer-Encoding: chunked\r\n\r\n")
        } else {
            head.to_owned()
        };
        client.write_all(head.as_bytes())?;
        loop {
            while let Some(at) = came.windows(2).position(|two| two == b"\n\n") {
                let event: Vec<u8> = came.drain(..at + 2).collect();
                let times = self.times(event.len());
                if times == 0 && matches!(self.fault, Fault::Cut(_)) {
                    return Ok(());
                }
                for _ in 0..times {
                    if is_chunked {
                        for few in event.chunks(5) {
                            write!(client, "{:x}\r\n", few.len())?;
                            client.write_all(few)?;
                            client.write_all(b"\r\n")?;
                        }
                    } else {
                        client.write_all(&event)?;
                    }
                }
                client.flush()?;
            }
            read(server, &mut came)?;
        }
    }

    fn is_due(&self, every: u64) -> bool {
        self.answers.fetch_add(1, Ordering::Relaxed) % every == every - 1
    }

    /// How often something of this size comes.
    fn times(&self, bytes: usize) -> usize {
        if bytes < EVENT_BYTES {
            return 1;
        }
        let number = self.messages.fetch_add(1, Ordering::Relaxed);
        match self.fault {
            Fault::Drop(which) | Fault::Cut(which) if which == number => 0,
            Fault::Repeat(which) if which == number => 2,
            _ => 1,
        }
    }
}

/// The last part of a request's path.
fn verb(head: &str) -> String {
    let path = head.split(' ').nth(1).unwrap_or_default();
    let path = path.split('?').next().unwrap_or_default();
    path.rsplit('/').next().unwrap_or_default().to_owned()
}

/// Reads a head and the body that it announces.
fn take(stream: &mut impl Read, buffer: &mut Vec<u8>) -> io::Result<(String, Vec<u8>)> {
    let end = loop {
        if let Some(at) = buffer.windows(4).position(|four| four == b"\r\n\r\n") {
            break at + 4;
        }
        read(stream, buffer)?;
    };
    let head = String::from_utf8(buffer.drain(..end).collect()).expect("a head is text");
    let length = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse::<usize>())
    });
    let length = length.transpose().expect("a length").unwrap_or(0);
    while buffer.len() < length {
        read(stream, buffer)?;
    }
    Ok((head, buffer.drain(..length).collect()))
}

fn read(stream: &mut impl Read, buffer: &mut Vec<u8>) -> io::Result<()> {
    let mut bytes = [0; 4096];
    match stream.read(&mut bytes)? {
        0 => Err(io::ErrorKind::UnexpectedEof.into()),
        n => {
            buffer.extend_from_slice(&bytes[..n]);
            Ok(())
        }
    }
}
