//! A member of a room, by the JSON twin: what it says is written by hand.

use crate::server::{PATIENCE, Running};
use madang_protocol::SUBPROTOCOL_JSON;
use serde_json::{Value, json};
use std::collections::VecDeque;
use std::net::TcpStream;
use tungstenite::client::{ClientRequestBuilder, client_with_config};
use tungstenite::{Message, WebSocket};

/// A session in one room.
pub(crate) struct Member {
    socket: WebSocket<TcpStream>,
    pub(crate) joined: Value,
    inbox: VecDeque<Value>,
    cseq: u64,
}

impl Member {
    /// Joins a room, which is made if need be, with echo.
    pub(crate) fn join(server: &Running, room: &str) -> Self {
        Self::join_with(server, room, Value::Null)
    }

    /// The same, with what a new room is to be like.
    pub(crate) fn join_with(server: &Running, room: &str, create: Value) -> Self {
        let addr = server.play_addr();
        let uri = format!("ws://{addr}/play").parse().expect("a valid URI");
        let request = ClientRequestBuilder::new(uri).with_sub_protocol(SUBPROTOCOL_JSON);
        let stream = TcpStream::connect(addr).expect("the server accepts");
        stream.set_read_timeout(Some(PATIENCE)).expect("a socket");
        let (socket, _) =
            client_with_config(request, stream, None).expect("the handshake succeeds");
        let mut member = Self { socket, joined: Value::Null, inbox: VecDeque::new(), cseq: 0 };
        member.send(&json!({ "hello": {
            "version_min": 1, "version_max": 1, "features": [], "client": "test", "token": null,
            "resume": null, "ext": [],
        }}));
        member.send(&json!({ "join": {
            "ref": 1, "target": { "name": room }, "mode": "either",
            "options": { "attributes": [["name", room]], "echo": true, "create": create },
            "since": null, "history": 0, "ext": [],
        }}));
        member.joined = member.until("joined");
        member
    }

    pub(crate) fn epoch(&self) -> &str {
        self.joined["epoch"].as_str().expect("an epoch")
    }

    /// Publishes JSON text as it is, and waits for its echo; returns its seq.
    pub(crate) fn say(&mut self, payload: &str) -> u64 {
        self.publish(payload);
        self.until("message")["seq"].as_u64().expect("a seq")
    }

    /// Publishes JSON text as it is.
    pub(crate) fn publish(&mut self, payload: &str) {
        self.cseq += 1;
        let (channel, cseq) = (&self.joined["channel"], self.cseq);
        let text = format!(
            "{{\"publish\":{{\"channel\":{channel},\"cseq\":{cseq},\"class\":\"reliable\",\
             \"type\":\"chat\",\"payload\":{{\"json\":{payload}}}}}}}"
        );
        self.socket.send(Message::text(text)).expect("the connection is open");
    }

    /// Reads until a room with rules has done everything that was published.
    pub(crate) fn until_applied(&mut self) {
        while self.until("input_ack")["cseq"].as_u64() < Some(self.cseq) {}
    }

    /// Says something to itself alone.
    pub(crate) fn whisper(&mut self, payload: &str) {
        self.cseq += 1;
        self.send(&json!({ "direct": {
            "channel": self.joined["channel"], "cseq": self.cseq, "to": self.joined["member"],
            "type": "whisper", "payload": { "text": payload },
        }}));
        self.until("direct");
    }

    /// The next message of a name; others are passed over.
    #[track_caller]
    pub(crate) fn until(&mut self, name: &str) -> Value {
        loop {
            if let Some(message) = self.inbox.pop_front() {
                if let Some(found) = message.get(name) {
                    return found.clone();
                }
                assert!(message.get("error").is_none(), "{message}");
                continue;
            }
            if let Message::Text(text) = self.socket.read().expect("the connection is open") {
                self.inbox.push_back(serde_json::from_str(&text).expect("JSON"));
            }
        }
    }

    /// Ends the session.
    pub(crate) fn leave(mut self) {
        let code = tungstenite::protocol::frame::coding::CloseCode::Normal;
        let frame = tungstenite::protocol::CloseFrame { code, reason: "".into() };
        self.socket.close(Some(frame)).expect("the connection is open");
        while self.socket.read().is_ok() {}
    }

    fn send(&mut self, message: &Value) {
        self.socket.send(Message::text(message.to_string())).expect("the connection is open");
    }
}
