//! What only TLS can have wrong.

use crate::stage::attacked;
use std::io::{Read as _, Write as _};

/// The beginning of a client's hello that announces so many bytes.
fn hello(length: u16) -> Vec<u8> {
    [&[0x16, 3, 1], &length.to_be_bytes()[..], &[1, 0]].concat()
}

#[test]
fn broken_and_unfinished_handshakes_end() {
    attacked(&["tls.handshake_ms=2000"], |stage| {
        let dribble = hello(16_000);
        for (sent, ends_at_once) in [
            // Not TLS; a record that is too long; a version that there is not; an alert; data before
            // there is a session; an empty handshake.
            (vec![0; 4096], true),
            (hello(u16::MAX), true),
            ([&[0x16, 9, 9, 0, 5], &[0; 5][..]].concat(), true),
            (vec![0x15, 3, 3, 0, 2, 2, 40], true),
            ([&[0x17, 3, 3, 0, 5], &[0; 5][..]].concat(), true),
            // What never becomes whole.
            (dribble.clone(), false),
            (dribble[..3].to_vec(), false),
        ] {
            let mut sockets: Vec<_> = (0..20).map(|_| stage.dial().tcp()).collect();
            for socket in &mut sockets {
                // It may be refused while it is written.
                let _ = socket.write_all(&sent);
            }
            if !ends_at_once {
                stage.go_on();
            }
            for mut socket in sockets {
                let mut said = Vec::new();
                match socket.read_to_end(&mut said) {
                    Ok(_) => {}
                    Err(error) => assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset),
                }
            }
        }
        stage.go_on();
    });
}

#[test]
fn storms_of_handshakes_do_not_hold_up_who_is_there() {
    attacked(&[], |stage| {
        let dial = stage.dial();
        let strangers: Vec<_> = (0..4)
            .map(|_| {
                std::thread::spawn(move || {
                    for _ in 0..50 {
                        let mut stream = dial.stream();
                        stream
                            .write_all(b"GET /nothing HTTP/1.1\r\nHost: h\r\n\r\n")
                            .expect("sent");
                        assert_eq!(crate::support::http::read(&mut stream).status, 404);
                    }
                })
            })
            .collect();
        stage.go_on();
        for stranger in strangers {
            stranger.join().expect("let in");
        }
    });
}
