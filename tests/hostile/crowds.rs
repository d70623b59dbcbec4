//! Too many, too slow, and no descriptors.

use crate::stage::{attacked, ends, frame, open_by};
use crate::support::client::{Client, Closed, Dial, Wire, publish};
use crate::support::http::get;
use crate::support::wait_for;
use madang_protocol::client::Class;
use rustix::process::{Pid, Resource, Rlimit, getrlimit, prlimit};
use socket2::SockRef;
use std::fs;
use std::io::Write as _;
use std::thread;
use std::time::Duration;

#[test]
fn storms_of_connects_are_let_in_and_forgotten() {
    attacked(&[], |stage| {
        let dial = stage.dial();
        let strangers: Vec<_> = (0..4)
            .map(|_| {
                thread::spawn(move || {
                    for at in 0..300 {
                        let mut socket = dial.tcp();
                        match at % 4 {
                            // Gone at once, gone by reset, gone in the middle of a head, and not
                            // gone until told so.
                            0 => {}
                            1 => {
                                let linger = Some(Duration::ZERO);
                                SockRef::from(&socket).set_linger(linger).expect("a socket");
                            }
                            2 => socket.write_all(b"GET /play HT").expect("sent"),
                            _ => {
                                // Refused: this is neither HTTP nor TLS.
                                socket.write_all(&[1; 40]).expect("sent");
                                let mut rest = Vec::new();
                                let _ = std::io::Read::read_to_end(&mut socket, &mut rest);
                            }
                        }
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

#[test]
fn without_descriptors_those_inside_talk_on_and_others_come_in_later() {
    attacked(&[], |stage| {
        let pid = Pid::from_child(&stage.process.child);
        let open = || fs::read_dir(format!("/proc/{}/fd", pid.as_raw_nonzero())).expect("it runs");
        // A few more than there are.
        let maximum = getrlimit(Resource::Nofile).maximum;
        let few = |more: u64| Rlimit { current: Some(open().count() as u64 + more), maximum };
        let before = prlimit(Some(pid), Resource::Nofile, few(6)).expect("ours");
        let waiting: Vec<_> = (0..60).map(|_| stage.dial().tcp()).collect();
        // The bystanders are inside already.
        for _ in 0..5 {
            stage.go_on();
        }
        let counted = |metric: &str| {
            let text = get(stage.process.watch, "/metrics").text().to_owned();
            let lines = text.lines().filter(|line| line.starts_with(metric));
            lines.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum::<f64>()
        };
        drop(waiting);
        prlimit(Some(pid), Resource::Nofile, before).expect("ours");
        wait_for("the count of it", || {
            (counted("madang_accept_failures_total") > 0.0).then_some(())
        });
        let (mut late, _) = Client::connect(stage.process.play, Wire::Native);
        late.join("courtyard");
        late.leave();
    });
}

#[test]
fn readers_that_stop_lose_their_connection_and_nobody_else_anything() {
    attacked(
        &[
            "play.outbound_bytes_max=65536",
            "play.messages_per_second=100000",
            "play.messages_burst=100000",
            "play.bytes_per_second=1073741824",
            "play.bytes_burst=1073741824",
        ],
        |stage| {
            let dial = Dial { receive_bytes: Some(4096), ..stage.dial() };
            let mut deaf: Vec<_> = (0..10).map(|_| Client::connect(dial, Wire::Native).0).collect();
            for client in &mut deaf {
                client.join("loud");
            }
            let mut raw: Vec<_> = (0..10).map(|_| open_by(dial, "/raw/loud-too")).collect();
            let (mut loud, _) = Client::connect(stage.dial(), Wire::Native);
            let channel = loud.join("loud").channel;
            let mut shout = stage.open("/raw/loud-too");
            for cseq in 1..=2000 {
                loud.send(&publish(channel, cseq, Class::Reliable, &[7; 1000]));
                // Its own echo, so that it is no reader that stops.
                loud.round_trip(cseq);
                shout.write_all(&frame(0x82, &[7; 1000])).expect("sent");
            }
            stage.go_on();
            for mut client in deaf {
                let slow = madang_protocol::CloseCode::SLOW_CONSUMER.code;
                // What was written before is still there; the code may have found no place.
                assert!([Closed::Code(slow), Closed::Lost].contains(&client.closed()));
            }
            raw.iter_mut().for_each(ends);
            loud.leave();
        },
    );
}
