//! Messages in both forms, and the files that an operator hands in.

use madang::config::{self, Sources};
use madang::replay::{Verdict, replay};
use madang_protocol::codec::{self, split_batch};
use madang_protocol::json as twin;
use madang_protocol::{ClientMessage, ServerMessage};

/// A batch of binary messages. What is read can be written, and is read as the same again; so is its
/// JSON.
pub fn native(bytes: &[u8]) {
    let mut taken = 0;
    for message in split_batch(bytes) {
        let Ok(message) = message else { break };
        taken += message.len() + 1;
        if let Ok(message) = codec::decode_client(message) {
            check_client(&message);
        }
        if let Ok(message) = codec::decode_server(message) {
            check_server(&message);
        }
    }
    assert!(taken <= bytes.len());
    // The same bytes as one message.
    if let Ok(message) = codec::decode_client(bytes) {
        check_client(&message);
    }
    if let Ok(message) = codec::decode_server(bytes) {
        check_server(&message);
    }
}

/// A message as text.
pub fn json(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    if let Ok(message) = twin::decode_client(text) {
        check_client(&message);
    }
    if let Ok(message) = twin::decode_server(text) {
        check_server(&message);
    }
}

fn check_client(message: &ClientMessage<'_>) {
    let (mut native, mut text) = (Vec::new(), Vec::new());
    codec::encode_client(message, &mut native);
    let one: Vec<_> = split_batch(&native).collect();
    let [Ok(one)] = one.as_slice() else { panic!("one message is a batch of one") };
    // Numbers that are none are equal to nothing, so bytes are compared.
    let again = codec::decode_client(one).expect("what was written can be read");
    assert_eq!(native, rewritten(|out| codec::encode_client(&again, out)));
    twin::encode_client(message, &mut text);
    let text = String::from_utf8(text).expect("JSON is UTF-8");
    let again = twin::decode_client(&text).expect("what was written can be read");
    assert_eq!(text.as_bytes(), rewritten(|out| twin::encode_client(&again, out)));
}

fn check_server(message: &ServerMessage<'_>) {
    let (mut native, mut text) = (Vec::new(), Vec::new());
    codec::encode_server(message, &mut native);
    let one: Vec<_> = split_batch(&native).collect();
    let [Ok(one)] = one.as_slice() else { panic!("one message is a batch of one") };
    let again = codec::decode_server(one).expect("what was written can be read");
    assert_eq!(native, rewritten(|out| codec::encode_server(&again, out)));
    twin::encode_server(message, &mut text);
    let text = String::from_utf8(text).expect("JSON is UTF-8");
    let again = twin::decode_server(&text).expect("what was written can be read");
    assert_eq!(text.as_bytes(), rewritten(|out| twin::encode_server(&again, out)));
}

fn rewritten(write: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let mut out = Vec::new();
    write(&mut out);
    out
}

/// A configuration file. Whatever is wrong is said with its line.
pub fn config(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let sources = Sources { file: Some(("f".to_owned(), text.to_owned())), ..Sources::default() };
    if let Err(problems) = config::load(&sources) {
        assert!(!problems.0.is_empty());
        assert!(problems.0.iter().all(|problem| !problem.trim().is_empty()));
    }
}

/// A recording of a room, which is played again.
pub fn recording(bytes: &[u8]) {
    let outcome = replay(bytes, &madang::rooms::kinds(), None);
    let lines = bytes.iter().filter(|byte| **byte == b'\n').count() as u64;
    assert!(outcome.line <= lines + 1);
    assert!(!outcome.to_string().is_empty());
    if let Verdict::Unusable(why) = outcome.verdict {
        assert!(!why.is_empty());
    }
}
