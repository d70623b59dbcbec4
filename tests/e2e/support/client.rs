//! A blocking client of the players' listener: one connection, both subprotocols, no policy.

use super::line::{Came, Line, Way};
use super::stream::Stream;
use super::{PATIENCE, Patience};
use madang_protocol::client::{Class, Publish, Resume};
use madang_protocol::client::{GetStats, Hello, Join, JoinMode, JoinOptions, JoinTarget, Ping};
use madang_protocol::ids::{Channel, Cseq};
use madang_protocol::server::{ErrorRef, Joined, Stats, Welcome};
use madang_protocol::value::{Payload, TypeRef};
use madang_protocol::{
    ClientMessage, ErrorCode, SUBPROTOCOL, SUBPROTOCOL_JSON, ServerMessage, codec, json,
};
use socket2::{Domain, SockRef, Socket, Type};
use std::collections::VecDeque;
use std::io;
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpStream};
use std::time::{Duration, Instant};
use tungstenite::client::{ClientRequestBuilder, client_with_config};
use tungstenite::protocol::WebSocketConfig;
use tungstenite::{Error, Message as WsMessage, WebSocket};

/// The name of every type that the tests publish.
pub(crate) const TYPE: &str = "test";

/// What messages look like on a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wire {
    Native,
    Json,
}

/// How a connection ended, as the client sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Closed {
    /// A Close frame with this code came.
    Code(u16),
    /// The socket ended without one.
    Lost,
}

/// How to open a connection.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Dial {
    pub(crate) addr: SocketAddr,
    /// `SO_RCVBUF`, for a client that is to be slow.
    pub(crate) receive_bytes: Option<usize>,
    /// By what.
    pub(crate) way: Way,
    /// The address to come from: all of 127.0.0.0/8 is this machine's.
    pub(crate) from: Option<Ipv4Addr>,
}

impl From<SocketAddr> for Dial {
    fn from(addr: SocketAddr) -> Self {
        Self { addr, receive_bytes: None, way: crate::WAY, from: None }
    }
}

impl Dial {
    /// For a client that is to be slow.
    pub(crate) fn slow(addr: SocketAddr, receive_bytes: usize) -> Self {
        Self { receive_bytes: Some(receive_bytes), ..Self::from(addr) }
    }

    /// The same by another way.
    pub(crate) fn by(self, way: Way) -> Self {
        Self { way, ..self }
    }

    /// A TCP connection.
    pub(crate) fn tcp(self) -> TcpStream {
        self.try_tcp().expect("the server accepts")
    }

    pub(crate) fn try_tcp(self) -> io::Result<TcpStream> {
        let socket = Socket::new(Domain::for_address(self.addr), Type::STREAM, None)?;
        if let Some(bytes) = self.receive_bytes {
            socket.set_recv_buffer_size(bytes)?;
        }
        if let Some(from) = self.from {
            socket.bind(&SocketAddr::from((from, 0)).into())?;
        }
        socket.connect(&self.addr.into())?;
        socket.set_tcp_nodelay(true)?;
        let stream = TcpStream::from(socket);
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        Ok(stream)
    }

    /// A connection that speaks what this program's servers speak.
    pub(crate) fn try_stream(self) -> io::Result<Stream> {
        self.try_tcp().map(Stream::new)
    }

    pub(crate) fn stream(self) -> Stream {
        self.try_stream().expect("the server accepts")
    }

    /// A WebSocket.
    pub(crate) fn websocket(
        self,
        path: &str,
        subprotocol: Option<&str>,
    ) -> Result<WebSocket<Stream>, Box<Error>> {
        let uri = format!("ws://{}{path}", self.addr).parse().expect("a valid URI");
        let mut request = ClientRequestBuilder::new(uri);
        if let Some(subprotocol) = subprotocol {
            request = request.with_sub_protocol(subprotocol);
        }
        // The default buffers are too large for thousands of connections in a test.
        let config = WebSocketConfig::default().read_buffer_size(4096).write_buffer_size(0);
        let stream = self.try_stream().map_err(|error| Box::new(error.into()))?;
        match client_with_config(request, stream, Some(config)) {
            Ok((socket, _)) => Ok(socket),
            Err(tungstenite::HandshakeError::Failure(error)) => Err(Box::new(error)),
            Err(tungstenite::HandshakeError::Interrupted(_)) => panic!("no handshake in time"),
        }
    }
}

/// What carries a connection.
enum Link {
    Socket(Box<WebSocket<Stream>>),
    Line(Box<Line>),
}

impl Link {
    fn tcp(&self) -> &TcpStream {
        match self {
            Link::Socket(socket) => socket.get_ref().tcp(),
            Link::Line(line) => line.tcp(),
        }
    }

    fn send(&mut self, bytes: Vec<u8>, is_text: bool) -> Result<(), Box<Error>> {
        match self {
            Link::Socket(socket) => {
                let message = if is_text {
                    WsMessage::text(String::from_utf8(bytes).expect("JSON is UTF-8"))
                } else {
                    WsMessage::binary(bytes)
                };
                socket.send(message).map_err(Box::new)
            }
            Link::Line(line) => line.send(&bytes).map_err(|error| Box::new(error.into())),
        }
    }
}

/// A connection to `/play`, or a line.
pub(crate) struct Client {
    link: Link,
    pub(crate) wire: Wire,
    inbox: VecDeque<ServerMessage<'static>>,
    /// WebSocket pings that came.
    pub(crate) pings: u32,
    next_ref: u32,
}

impl Client {
    /// Opens a connection and says nothing yet.
    pub(crate) fn dial(dial: impl Into<Dial>, wire: Wire) -> Self {
        Self::try_dial(dial, wire).expect("the handshake succeeds")
    }

    pub(crate) fn try_dial(dial: impl Into<Dial>, wire: Wire) -> Result<Self, Box<Error>> {
        let subprotocol = match wire {
            Wire::Native => SUBPROTOCOL,
            Wire::Json => SUBPROTOCOL_JSON,
        };
        let dial = dial.into();
        let link = match dial.way {
            Way::Socket => Link::Socket(Box::new(dial.websocket("/play", Some(subprotocol))?)),
            _ => {
                Link::Line(Box::new(Line::new(dial, wire).map_err(|error| Box::new(error.into()))?))
            }
        };
        Ok(Self { link, wire, inbox: VecDeque::new(), pings: 0, next_ref: 1 })
    }

    /// Opens a connection by this path with further header lines, and says nothing yet.
    pub(crate) fn dial_with(addr: SocketAddr, path: &str, lines: &str, wire: Wire) -> Self {
        let subprotocol = if wire == Wire::Native { SUBPROTOCOL } else { SUBPROTOCOL_JSON };
        let uri = format!("ws://{addr}{path}").parse().expect("a valid URI");
        let mut request = ClientRequestBuilder::new(uri).with_sub_protocol(subprotocol);
        for (name, value) in lines.lines().filter_map(|line| line.split_once(": ")) {
            request = match name {
                "Sec-WebSocket-Protocol" => request.with_sub_protocol(value),
                _ => request.with_header(name, value),
            };
        }
        let stream = Dial::from(addr).stream();
        let (socket, _) =
            client_with_config(request, stream, None).expect("the handshake succeeds");
        let link = Link::Socket(Box::new(socket));
        Self { link, wire, inbox: VecDeque::new(), pings: 0, next_ref: 1 }
    }

    /// Everything that comes until the end of a WebSocket, as text.
    pub(crate) fn last_words(self) -> String {
        let Link::Socket(mut socket) = self.link else { panic!("a line has no close frame") };
        let mut words = String::new();
        loop {
            match socket.read() {
                Ok(WsMessage::Close(Some(frame))) => words.push_str(&frame.reason),
                Ok(message) => words.push_str(message.to_text().unwrap_or_default()),
                Err(_) => return words,
            }
        }
    }

    /// Asks for a room and gives the code of the refusal.
    pub(crate) fn refused_join(&mut self, room: &str) -> ErrorCode {
        let r#ref = self.send_join(room, JoinOptions::default());
        self.until(|message| match message {
            ServerMessage::Error(error) if error.r#ref == ErrorRef::Join(r#ref) => Some(error.code),
            _ => None,
        })
    }

    /// Opens a connection with a new session.
    pub(crate) fn connect(dial: impl Into<Dial>, wire: Wire) -> (Self, Welcome) {
        let mut client = Self::dial(dial, wire);
        client.send(&hello(None));
        let welcome = client.welcome();
        assert!(!welcome.resumed);
        (client, welcome)
    }

    pub(crate) fn welcome(&mut self) -> Welcome {
        match self.next() {
            Ok(ServerMessage::Welcome(welcome)) => welcome,
            other => panic!("a welcome comes first, not {other:?}"),
        }
    }

    pub(crate) fn send(&mut self, message: &ClientMessage<'_>) {
        self.try_send(std::slice::from_ref(message)).expect("the connection is open");
    }

    /// Sends messages, in one WebSocket message where the wire has batches.
    pub(crate) fn try_send(&mut self, messages: &[ClientMessage<'_>]) -> Result<(), Box<Error>> {
        let mut bytes = Vec::new();
        for message in messages {
            match self.wire {
                Wire::Native => codec::encode_client(message, &mut bytes),
                Wire::Json => {
                    let mut text = Vec::new();
                    json::encode_client(message, &mut text);
                    self.link.send(text, true)?;
                }
            }
        }
        if self.wire == Wire::Native {
            self.link.send(bytes, false)?;
        }
        Ok(())
    }

    /// Sends a WebSocket message as it is.
    pub(crate) fn send_raw(&mut self, message: WsMessage) {
        match &mut self.link {
            Link::Socket(socket) => socket.send(message).expect("the connection is open"),
            // The answer may say that it was the last.
            Link::Line(line) => drop(line.send(&message.into_data())),
        }
    }

    /// The next message.
    pub(crate) fn next(&mut self) -> Result<ServerMessage<'static>, Closed> {
        let patience = Patience::new("a message");
        loop {
            if let Some(message) = self.inbox.pop_front() {
                return Ok(message);
            }
            self.receive(patience.left())?;
        }
    }

    /// A message that has come already, if there is one.
    pub(crate) fn poll(&mut self) -> Result<Option<ServerMessage<'static>>, Closed> {
        if self.inbox.is_empty() {
            self.link.tcp().set_nonblocking(true).expect("a socket");
            let received = self.receive_once();
            self.link.tcp().set_nonblocking(false).expect("a socket");
            received?;
        }
        Ok(self.inbox.pop_front())
    }

    /// Reads until `find` returns something; everything else is discarded.
    pub(crate) fn until<T>(
        &mut self,
        mut find: impl FnMut(ServerMessage<'static>) -> Option<T>,
    ) -> T {
        let patience = Patience::new("the message that was waited for");
        loop {
            patience.check();
            match self.next() {
                Ok(message) => {
                    if let Some(found) = find(message) {
                        return found;
                    }
                }
                Err(closed) => panic!("the connection ended: {closed:?}"),
            }
        }
    }

    /// Reads to the end of the connection, discarding messages.
    pub(crate) fn closed(&mut self) -> Closed {
        loop {
            if let Err(closed) = self.next() {
                return closed;
            }
        }
    }

    /// Waits for a ping of the server; messages stay.
    pub(crate) fn await_pings(&mut self, count: u32) {
        let patience = Patience::new("pings");
        while self.pings < count {
            self.receive(patience.left()).expect("the connection is open");
        }
    }

    fn receive(&mut self, within: Duration) -> Result<(), Closed> {
        let until = Instant::now() + within;
        let stream = self.link.tcp();
        stream.set_read_timeout(Some(within.max(Duration::from_millis(1)))).expect("a socket");
        while !self.receive_once()? {
            assert!(Instant::now() < until, "nothing came in time");
        }
        Ok(())
    }

    /// Reads one WebSocket message; false when none has come.
    fn receive_once(&mut self) -> Result<bool, Closed> {
        let came = match &mut self.link {
            Link::Socket(socket) => match socket.read() {
                Ok(WsMessage::Binary(bytes)) => Came::Batch(bytes.to_vec()),
                Ok(WsMessage::Text(text)) => Came::Texts(vec![text.as_str().to_owned()]),
                Ok(WsMessage::Ping(_)) => Came::Ping,
                Ok(WsMessage::Close(frame)) => {
                    return Err(Closed::Code(frame.map_or(1005, |frame| frame.code.into())));
                }
                Ok(_) => return Ok(true),
                Err(Error::Io(error)) if is_timeout(&error) => return Ok(false),
                Err(_) => return Err(Closed::Lost),
            },
            // What comes in parts is not there yet.
            Link::Line(line) => match line.receive()? {
                Some(came) => came,
                None => return Ok(false),
            },
        };
        match came {
            Came::Batch(bytes) => {
                assert_eq!(self.wire, Wire::Native);
                for message in codec::split_batch(&bytes) {
                    let message = message.expect("a batch is well formed");
                    let message =
                        codec::decode_server(message).expect("the server's messages decode");
                    self.inbox.push_back(message.into_owned());
                }
            }
            Came::Texts(texts) => {
                assert_eq!(self.wire, Wire::Json);
                for text in texts {
                    let message = json::decode_server(&text).expect("the server's messages decode");
                    self.inbox.push_back(message.into_owned());
                }
            }
            Came::Ping => self.pings += 1,
        }
        Ok(true)
    }

    /// Joins a room that may be created, with echo.
    pub(crate) fn join(&mut self, room: &str) -> Joined {
        self.join_with(room, JoinOptions::default())
    }

    pub(crate) fn join_with(&mut self, room: &str, options: JoinOptions) -> Joined {
        let r#ref = self.send_join(room, options);
        self.until(|message| match message {
            ServerMessage::Joined(joined) if joined.r#ref == Some(r#ref) => Some(joined),
            ServerMessage::Error(error) => panic!("the join was refused: {error:?}"),
            _ => None,
        })
    }

    /// Asks for a room; returns the `ref` that the answer will have.
    pub(crate) fn send_join(&mut self, room: &str, options: JoinOptions) -> u32 {
        let r#ref = self.next_ref;
        self.next_ref += 1;
        self.send(&join(r#ref, room, options));
        r#ref
    }

    /// A round trip: what the server wrote before it has come, and its counters are of this turn.
    /// Messages that come meanwhile are kept.
    pub(crate) fn round_trip(&mut self, id: u64) {
        self.send(&ClientMessage::Ping(Ping { id }));
        let mut kept = VecDeque::new();
        loop {
            match self.next().expect("the connection is open") {
                ServerMessage::Pong(pong) if pong.id == id => break,
                other => kept.push_back(other),
            }
        }
        kept.append(&mut self.inbox);
        self.inbox = kept;
    }

    pub(crate) fn stats(&mut self) -> Stats {
        self.send(&ClientMessage::GetStats(GetStats { r#ref: 7 }));
        self.until(|message| match message {
            ServerMessage::Stats(stats) => Some(stats),
            _ => None,
        })
    }

    /// Ends the connection without a Close frame: by RST.
    pub(crate) fn reset(self) {
        match &self.link {
            Link::Socket(socket) => SockRef::from(socket.get_ref().tcp())
                .set_linger(Some(Duration::ZERO))
                .expect("a socket"),
            Link::Line(line) => line.reset(),
        }
    }

    /// Ends the connection without a Close frame: by FIN. What is returned keeps the socket open,
    /// so that no RST follows.
    pub(crate) fn half_close(self) -> Self {
        match &self.link {
            // The server may have closed it already.
            Link::Socket(socket) => drop(socket.get_ref().tcp().shutdown(Shutdown::Write)),
            Link::Line(line) => line.half_close(),
        }
        self
    }

    /// Ends the session: by a Close frame with 1000.
    pub(crate) fn leave(mut self) {
        let code = tungstenite::protocol::frame::coding::CloseCode::Normal;
        let frame = tungstenite::protocol::CloseFrame { code, reason: "".into() };
        match &mut self.link {
            Link::Socket(socket) => socket.close(Some(frame)).expect("the connection is open"),
            Link::Line(line) => assert_eq!(line.leave(), 204),
        }
        assert_eq!(self.closed(), Closed::Code(1000));
    }
}

pub(crate) fn hello(resume: Option<Resume>) -> ClientMessage<'static> {
    ClientMessage::Hello(Hello {
        version_min: 1,
        version_max: 1,
        client: "madang-e2e".to_owned(),
        resume,
        ..Hello::default()
    })
}

pub(crate) fn join(r#ref: u32, room: &str, options: JoinOptions) -> ClientMessage<'static> {
    ClientMessage::Join(Join {
        r#ref,
        target: JoinTarget::Name(room.to_owned()),
        mode: JoinMode::Either,
        options,
        since: None,
        history: 0,
        ext: Vec::new(),
    })
}

/// A publication of bytes.
pub(crate) fn publish(
    channel: Channel,
    cseq: u64,
    class: Class,
    bytes: &[u8],
) -> ClientMessage<'_> {
    ClientMessage::Publish(Publish {
        channel,
        cseq: Cseq(cseq),
        class,
        r#type: TypeRef::Name(TYPE.into()),
        payload: Payload::Bytes(bytes.into()),
    })
}

/// The bytes of a payload.
pub(crate) fn bytes(payload: &Payload<'_>) -> Vec<u8> {
    match payload {
        Payload::Bytes(bytes) => bytes.to_vec(),
        Payload::Text(text) | Payload::Json(text) => text.as_bytes().to_vec(),
    }
}

pub(crate) fn is_timeout(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut)
}
