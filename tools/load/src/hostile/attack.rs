//! What hostile connections do, and how a server may answer each.

use crate::dialect::{Dialect, hello};
use crate::dice::Dice;
use crate::websocket::{self, BINARY, PING, TEXT};
use clap::ValueEnum;
use madang_protocol::ClientMessage;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// Between two bytes of who is slow on purpose.
const DRIP: Duration = Duration::from_millis(200);
/// Bytes that a flood repeats.
const FLOOD_BYTES: usize = 16 << 10;
/// The mask of frames, which nobody needs to be unable to guess here.
const MASK: [u8; 4] = [1, 2, 3, 4];

/// `{"alg":"none"}`, `{"sub":"ada","exp":4000000000}`, and no signature.
const UNSIGNED: &str = "eyJhbGciOiJub25lIn0.eyJzdWIiOiJhZGEiLCJleHAiOjQwMDAwMDAwMDB9.";

/// A way to be hostile.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum, Serialize, Deserialize)]
pub(crate) enum Attack {
    /// Random bytes in place of a request
    Garbage,
    /// A request whose head comes byte by byte and never ends
    SlowHead,
    /// A connection that says nothing
    Silent,
    /// A head without end
    HugeHead,
    /// A request for a target of 32 KiB
    LongTarget,
    /// A frame that announces 2^62 bytes
    GiantLength,
    /// A frame without a mask
    Unmasked,
    /// A frame with reserved bits
    Reserved,
    /// Fragments of no bytes without end
    Fragments,
    /// Pings without end, of which no answer is read
    Pings,
    /// Text that is not UTF-8
    BadUtf8,
    /// A member whose sending side is closed
    HalfOpen,
    /// Messages far beyond the rate
    Flood,
    /// An upgrade without a hello
    NoHello,
    /// A ping of the protocol before the hello
    Early,
    /// A message with a tag that does not exist
    UnknownTag,
    /// A batch whose lengths do not add up
    BrokenBatch,
    /// An upgrade from a page of another origin
    CrossOrigin,
    /// The header of a proxy from somebody who is none
    SpoofedProxy,
    /// A token that nobody has signed
    ForgedToken,
    /// Keys that were used up, and keys that never were
    Replay,
}

/// What a hostile connection does next.
#[derive(Clone, Debug)]
pub(super) enum Step {
    Send(Vec<u8>),
    /// Waits until the upgrade was accepted.
    Upgraded,
    /// Sends this byte by byte, again and again.
    Drip(Vec<u8>, Duration),
    /// Sends this again and again, as fast as it is taken.
    Flood(Vec<u8>),
    /// Reads no more.
    Deaf,
    /// Ends its own side.
    HalfClose,
}

/// What became of a hostile connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Verdict {
    /// Refused with this HTTP status.
    Status(u16),
    /// Closed with this code.
    Closed(u16),
    /// Ended without a word.
    Ended,
    /// The answer was none of HTTP or WebSocket.
    Strange,
    /// It was still there when all was over.
    Held,
}

impl Attack {
    pub(crate) const ALL: [Self; 21] = [
        Self::Garbage,
        Self::SlowHead,
        Self::Silent,
        Self::HugeHead,
        Self::LongTarget,
        Self::GiantLength,
        Self::Unmasked,
        Self::Reserved,
        Self::Fragments,
        Self::Pings,
        Self::BadUtf8,
        Self::HalfOpen,
        Self::Flood,
        Self::NoHello,
        Self::Early,
        Self::UnknownTag,
        Self::BrokenBatch,
        Self::CrossOrigin,
        Self::SpoofedProxy,
        Self::ForgedToken,
        Self::Replay,
    ];

    /// As it is called in options and reports.
    pub(crate) fn name(self) -> String {
        self.to_possible_value().map_or_else(String::new, |value| value.get_name().to_owned())
    }

    /// What a connection does, to a server of this host, in a room of this name.
    pub(super) fn steps(self, host: &str, room: &str, dice: &mut Dice) -> Vec<Step> {
        let raw = || upgrade(host, &format!("/raw/{room}"), None);
        let native = || upgrade(host, "/play", Dialect::Native.subprotocol());
        let greeted = || {
            let mut bytes = Vec::new();
            Dialect::Native.put(&[hello(None)], &mut bytes);
            [native(), vec![Step::Send(bytes)]].concat()
        };
        let then = |mut steps: Vec<Step>, bytes: Vec<u8>| {
            steps.push(Step::Send(bytes));
            steps
        };
        match self {
            Self::Garbage => {
                let mut bytes = vec![0; 4096];
                dice.fill(&mut bytes);
                vec![Step::Send(bytes)]
            }
            Self::SlowHead => vec![
                Step::Send(format!("GET /play HTTP/1.1\r\nHost: {host}\r\nX-Slow: ").into_bytes()),
                Step::Drip(b"a".to_vec(), DRIP),
            ],
            Self::Silent | Self::Replay => Vec::new(),
            Self::HugeHead => {
                let mut bytes = format!("GET /play HTTP/1.1\r\nHost: {host}\r\n").into_bytes();
                for number in 0..4096 {
                    bytes.extend_from_slice(format!("X-{number}: abcdefgh\r\n").as_bytes());
                }
                vec![Step::Send(bytes)]
            }
            Self::LongTarget => {
                let target = "a".repeat(32 << 10);
                vec![Step::Send(
                    format!("GET /{target} HTTP/1.1\r\nHost: {host}\r\n\r\n").into_bytes(),
                )]
            }
            Self::GiantLength => {
                let mut frame = vec![0x82, 0xff];
                frame.extend_from_slice(&(1_u64 << 62).to_be_bytes());
                frame.extend_from_slice(&MASK);
                frame.extend_from_slice(&[0; 64]);
                then(raw(), frame)
            }
            Self::Unmasked => then(raw(), [&[0x82, 5][..], b"hello"].concat()),
            Self::Reserved => {
                let mut frame = framed(BINARY, b"hello");
                frame[0] |= 1 << (4 + dice.below(3));
                then(raw(), frame)
            }
            Self::Fragments => {
                // Not the last: text first, then more of it, each of no bytes.
                let first = [0x01, 0x80, 1, 2, 3, 4];
                let more = [0x00, 0x80, 1, 2, 3, 4].repeat(FLOOD_BYTES / 6);
                [raw(), vec![Step::Send(first.to_vec()), Step::Flood(more)]].concat()
            }
            Self::Pings => {
                let pings = framed(PING, &[b'x'; 125]).repeat(FLOOD_BYTES / 131);
                [raw(), vec![Step::Deaf, Step::Flood(pings)]].concat()
            }
            Self::BadUtf8 => then(raw(), framed(TEXT, &[b'a', 0xff, 0xc0, b'b'])),
            Self::HalfOpen => [greeted(), vec![Step::HalfClose]].concat(),
            Self::Flood => {
                let messages = framed(BINARY, b"sixteen bytes...").repeat(FLOOD_BYTES / 22);
                [raw(), vec![Step::Flood(messages)]].concat()
            }
            Self::NoHello => native(),
            Self::Early => {
                let mut bytes = Vec::new();
                let ping = madang_protocol::client::Ping { id: 1 };
                Dialect::Native.put(&[ClientMessage::Ping(ping)], &mut bytes);
                then(native(), bytes)
            }
            Self::UnknownTag => then(greeted(), framed(BINARY, &[2, 200, 1])),
            Self::BrokenBatch => then(greeted(), framed(BINARY, &[100, 1, 2])),
            Self::CrossOrigin => {
                let mut bytes = websocket::request(host, "/play", Dialect::Native.subprotocol());
                bytes.truncate(bytes.len() - 2);
                bytes.extend_from_slice(b"Origin: https://elsewhere.example\r\n\r\n");
                vec![Step::Send(bytes)]
            }
            Self::SpoofedProxy => {
                let mut bytes = b"PROXY TCP4 192.0.2.1 192.0.2.2 5632 443\r\n".to_vec();
                bytes.extend(websocket::request(host, "/play", Dialect::Native.subprotocol()));
                vec![Step::Send(bytes)]
            }
            Self::ForgedToken => {
                let mut bytes = Vec::new();
                let mut hello = hello(None);
                if let ClientMessage::Hello(hello) = &mut hello {
                    hello.token = Some(UNSIGNED.into());
                }
                Dialect::Native.put(&[hello], &mut bytes);
                then(native(), bytes)
            }
        }
    }

    /// Whether a connection may be there for as long as it likes, because its load is bounded.
    pub(super) fn may_last(self) -> bool {
        matches!(self, Self::Flood | Self::Pings | Self::Fragments)
    }

    /// Whether a server may answer so. Ending without a word is always right.
    pub(super) fn allows(self, verdict: Verdict) -> bool {
        let statuses: &[u16] = match self {
            Self::Garbage => &[400, 408, 431],
            Self::SlowHead | Self::Silent => &[408],
            Self::HugeHead => &[400, 431],
            Self::LongTarget => &[414, 431],
            Self::CrossOrigin => &[403],
            Self::SpoofedProxy => &[400],
            Self::ForgedToken => &[401, 403],
            _ => &[],
        };
        let codes: &[u16] = match self {
            Self::GiantLength => &[1009],
            Self::Unmasked | Self::Reserved => &[1002],
            Self::Fragments => &[1002, 1008, 1009],
            Self::Pings | Self::Flood => &[1008, 4007, 4013],
            Self::BadUtf8 => &[1007],
            Self::HalfOpen => &[1000, 1005],
            Self::NoHello => &[4003],
            Self::Early | Self::UnknownTag | Self::BrokenBatch => &[4004],
            Self::ForgedToken => &[4001],
            _ => &[],
        };
        match verdict {
            // A server that is full says so.
            Verdict::Status(status) => statuses.contains(&status) || [429, 503].contains(&status),
            Verdict::Closed(code) => codes.contains(&code),
            Verdict::Ended | Verdict::Held => true,
            Verdict::Strange => false,
        }
    }
}

fn upgrade(host: &str, path: &str, subprotocol: Option<&str>) -> Vec<Step> {
    vec![Step::Send(websocket::request(host, path, subprotocol)), Step::Upgraded]
}

fn framed(opcode: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    websocket::put_frame(&mut bytes, opcode, payload, MASK);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_attack_is_listed_and_has_a_name_and_a_right_answer() {
        assert_eq!(Attack::ALL.as_slice(), Attack::value_variants());
        for attack in Attack::ALL {
            assert!(!attack.name().is_empty());
            assert!(attack.allows(Verdict::Ended) && !attack.allows(Verdict::Strange));
            assert!(!attack.allows(Verdict::Status(200)) && !attack.allows(Verdict::Closed(1011)));
            let steps = attack.steps("host", "room", &mut Dice::new(1, 1));
            let is_quiet = matches!(attack, Attack::Silent | Attack::Replay);
            assert_eq!(steps.is_empty(), is_quiet, "{attack:?}");
        }
    }
}
