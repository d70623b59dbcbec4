//! Ends, bounds and fairness.

use crate::client::{
    connect, frame, handshake, read_all, read_answer, read_frame, read_text, text,
};
use crate::driver::{Command, PATIENCE};
use crate::server::{Local, local, serve};
use madang::net::{Ended, NetConfig};
use madang_engine::frame::{Frame, FrameKind};
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::Instant;

#[test]
fn an_end_at_any_byte_leaves_nothing_behind() {
    let server = serve(&NetConfig::default());
    let stream = [handshake("/ws").into_bytes(), frame(0x02, b"ab"), frame(0x80, b"c"), text("d")];
    let stream = stream.concat();
    for at in 0..=stream.len() {
        let mut client = connect(server.addr);
        client.write_all(&stream[..at]).unwrap();
        if at % 2 == 0 {
            client.shutdown(Shutdown::Write).unwrap();
            read_all(&mut client);
        }
    }
    let wanted = stream.len() as u64 + 1;
    server.seen[0].wait("all accepted", |state| state.counters.accepted == wanted);
    server.wait_empty();
    let state = server.seen[0].get();
    assert_eq!(state.ended.len() as u64, state.opened);
    assert!(state.ended.iter().all(|why| *why == Ended::Lost));
}

#[test]
fn a_thousand_connections_come_and_go() {
    let server = serve(&NetConfig::default());
    for round in 0..10 {
        let clients: Vec<_> = (0..100)
            .map(|_| {
                let mut client = connect(server.addr);
                client.write_all(handshake("/ws").as_bytes()).unwrap();
                client
            })
            .collect();
        server.seen[0].wait("a hundred upgrades", |state| state.opened == (round + 1) * 100);
        drop(clients);
    }
    server.wait_empty();
    let state = server.seen[0].get();
    assert_eq!((state.counters.accepted, state.ended.len()), (1000, 1000));
}

#[test]
fn connections_beyond_the_budget_hear_503() {
    let config = NetConfig { connections_max: 2, retry_after_s: 9, ..NetConfig::default() };
    let server = serve(&config);
    let kept = [server.open("/ws"), server.open("/ws")];
    for _ in 0..3 {
        let mut client = connect(server.addr);
        client.write_all(handshake("/ws").as_bytes()).unwrap();
        let (head, _) = read_answer(&mut client);
        assert!(head.starts_with("HTTP/1.1 503 ") && head.contains("\r\nRetry-After: 9\r\n"));
        assert_eq!(read_all(&mut client), b"");
    }
    drop(kept);
    server.wait_empty();
    drop(server.open("/ws"));
    assert_eq!(server.seen[0].get().counters.shed, 3);
}

#[test]
fn one_write_call_for_each_connection_and_turn() {
    let mut local = local(NetConfig { writes_per_turn: 7, ..NetConfig::default() });
    let mut clients = local.open(10, "/batched");
    let before = local.reactor.counters().write_calls;
    for n in 0..20 {
        let frame = Frame::new(format!("message {n}").as_bytes());
        local.inbox.send(Command::Broadcast(frame, FrameKind::Batch)).unwrap();
    }
    let calls = |local: &Local| local.reactor.counters().write_calls - before;
    local.reactor.run_turn().unwrap();
    assert_eq!(calls(&local), 7, "the turn's budget");
    local.reactor.run_turn().unwrap();
    assert_eq!(calls(&local), 10, "one call for twenty frames to each of ten");
    local.reactor.run_turn().unwrap();
    assert_eq!(calls(&local), 10);
    assert_eq!(local.seen.get().popped, 200);
    let expected: String = (0..20).fold(String::new(), |all, n| all + &format!("message {n}"));
    for client in &mut clients {
        assert_eq!(read_frame(client), (0x82, expected.clone().into_bytes()));
    }
    drop(clients);
    local.turn_until("no connections", |_, connections| connections == 0);
    assert_eq!(local.shared.budget.taken(), 0);
}

#[test]
fn a_crowd_that_leaves_at_once_gives_way_to_those_who_stay() {
    let mut local = local(NetConfig { closes_per_turn: 10, ..NetConfig::default() });
    let mut clients = local.open(101, "/ws");
    let mut stays = clients.pop().unwrap();
    // A Close frame of 1000 without a mask of any effect (RFC 6455 section 5.5.1).
    let goodbye = [0x88, 0x82, 0, 0, 0, 0, 0x03, 0xe8];
    for client in &mut clients {
        client.write_all(&goodbye).unwrap();
    }
    stays.write_all(&text("one")).unwrap();
    let calls = |local: &Local| local.reactor.counters().write_calls;
    let first = calls(&local);
    let mut turns = 0;
    while calls(&local) < first + 101 {
        let before = calls(&local);
        local.reactor.run_turn().unwrap();
        assert!(calls(&local) - before <= 11, "{} writes in a turn", calls(&local) - before);
        turns += usize::from(local.seen.get().messages.is_empty());
    }
    assert!(turns <= 3, "the one that stays waited for {turns} turns");
    assert_eq!(read_text(&mut stays), "one");
    for client in &mut clients {
        assert_eq!(read_frame(client), (0x88, vec![0x03, 0xe8]));
    }
    drop(clients);
    while local.reactor.connections() > 1 {
        let before = local.reactor.connections();
        local.reactor.run_turn().unwrap();
        let ended = before - local.reactor.connections();
        assert!(ended <= 10, "{ended} were given up in a turn");
    }
}

#[test]
fn a_flooding_client_gets_its_share_and_no_more() {
    let mut local = local(NetConfig { read_messages_per_turn: 16, ..NetConfig::default() });
    let mut clients = local.open(2, "/ws");
    let flood = text("flood").repeat(1000);
    clients[0].write_all(&flood).unwrap();
    let mut last = local.reactor.counters().messages_in;
    local.turn_until("the flood", |counters, _| counters.messages_in > last);
    clients[1].write_all(&text("one")).unwrap();
    let mut turns = 0;
    while local.seen.get().messages.iter().filter(|one| *one == b"one").count() == 0 {
        last = local.reactor.counters().messages_in;
        local.reactor.run_turn().unwrap();
        assert!(local.reactor.counters().messages_in - last <= 17);
        turns += 1;
        assert!(turns < 40, "the flood keeps the other one waiting");
    }
    local.turn_until("everything", |counters, _| counters.messages_in == 1001);
    assert_eq!(read_text(&mut clients[1]), "one");
    for _ in 0..1000 {
        assert_eq!(read_text(&mut clients[0]), "flood");
    }
}

#[test]
fn who_sends_little_does_not_wait_for_a_crowd_that_is_behind() {
    let mut local = local(NetConfig {
        read_messages_shared: 64,
        read_messages_behind: 16,
        ..NetConfig::default()
    });
    let mut clients = local.open(51, "/ws");
    let mut quiet = clients.pop().unwrap();
    let flood = text("flood").repeat(100);
    for client in &mut clients {
        client.write_all(&flood).unwrap();
    }
    let messages = |local: &Local| local.reactor.counters().messages_in;
    let ones =
        |local: &Local| local.seen.get().messages.iter().filter(|one| *one == b"one").count();
    // Whatever has come is read: from now on all of them are behind.
    local.turn_until("half of the flood", |counters, _| counters.messages_in > 2_500);
    for sent in 1..=5 {
        let before = messages(&local);
        quiet.write_all(&text("one")).unwrap();
        // It need not be there at once, but as soon as it is there it is the next to be read.
        local.turn_until("its message", |counters, _| counters.messages_in > before);
        assert!(messages(&local) - before <= 64 + 16 + 1, "a turn stays short");
        while ones(&local) < sent {
            let before = messages(&local);
            assert!(before < 5_000, "it is read before the rest of the crowd's");
            local.reactor.run_turn().unwrap();
        }
    }
    local.turn_until("everything", |counters, _| counters.messages_in == 5_005);
    for _ in 0..5 {
        assert_eq!(read_text(&mut quiet), "one");
    }
    for client in &mut clients {
        (0..100).for_each(|_| assert_eq!(read_text(client), "flood"));
    }
}

#[test]
fn those_of_a_group_that_are_behind_are_read_one_after_the_other() {
    const CLIENTS: usize = 10;
    let mut local = local(NetConfig {
        read_messages_shared: 16,
        read_messages_behind: 8,
        ..NetConfig::default()
    });
    let mut clients = local.open(CLIENTS, "/ws");
    for (number, client) in clients.iter_mut().enumerate() {
        client.write_all(&text(&number.to_string()).repeat(100)).unwrap();
    }
    local.turn_until("everything", |counters, _| counters.messages_in == 100 * CLIENTS as u64);
    let messages = local.seen.get().messages;
    let mut turns: Vec<u8> = messages.iter().map(|message| message[0]).collect();
    turns.dedup();
    let groups_alternate = turns.windows(2).filter(|two| two[0] % 2 != two[1] % 2).count();
    // Twelve rounds and a rest, before which each was read once as it came.
    assert!(turns.len() > 12 * CLIENTS, "{turns:?}");
    assert!(groups_alternate <= CLIENTS + 2 * 14, "{groups_alternate}: {turns:?}");
}

#[test]
fn a_turn_is_not_longer_for_a_crowd_whose_messages_are_large() {
    const LARGE: usize = 32 << 10;
    let mut local = local(NetConfig { read_messages_shared: 64, ..NetConfig::default() });
    let clients = local.open(20, "/ws");
    let large = text(&"l".repeat(LARGE)).repeat(20);
    let crowd: Vec<_> = clients
        .into_iter()
        .map(|mut client| {
            let (mut writer, large) = (client.try_clone().unwrap(), large.clone());
            let writing = std::thread::spawn(move || writer.write_all(&large));
            let reading = std::thread::spawn(move || {
                (0..20).for_each(|_| assert_eq!(read_text(&mut client).len(), LARGE));
            });
            (writing, reading)
        })
        .collect();
    let bytes = |local: &Local| local.reactor.counters().bytes_in;
    let mut turns_behind = 0;
    while local.reactor.counters().messages_in < 400 {
        let before = bytes(&local);
        let behind = local.reactor.behind();
        local.reactor.run_turn().unwrap();
        if behind == 20 {
            // None had a right to be read at once.
            turns_behind += 1;
            let most = (64 + 16) * (4 << 10) + (64 << 10);
            assert!(bytes(&local) - before <= most, "{} bytes", bytes(&local) - before);
        }
    }
    assert!(turns_behind > 3, "{turns_behind}");
    for (writing, reading) in crowd {
        while !reading.is_finished() {
            local.reactor.run_turn().unwrap();
        }
        writing.join().unwrap().unwrap();
        reading.join().unwrap();
    }
}

#[test]
fn a_reader_that_stops_leaves_its_frames_with_the_driver() {
    let mut local = local(NetConfig::default());
    let mut clients = local.open(2, "/batched");
    let frame = |n: u32| Frame::new(&[n.to_le_bytes().to_vec(), vec![7; 8000]].concat());
    // The first one reads nothing; the second one reads all the time.
    let mut reading = clients.pop().unwrap();
    let mut stalled = clients.pop().unwrap();
    let reader = std::thread::spawn(move || {
        let mut bytes = 0;
        while bytes < 2000 * 8004 {
            bytes += read_frame(&mut reading).1.len();
        }
        reading
    });
    for n in 0..2000 {
        local.inbox.send(Command::Broadcast(frame(n), FrameKind::Batch)).unwrap();
        local.reactor.run_turn().unwrap();
    }
    let deadline = Instant::now() + PATIENCE;
    while !reader.is_finished() {
        assert!(Instant::now() < deadline, "the reading one waits for the stalled one");
        local.reactor.run_turn().unwrap();
    }
    let _reading = reader.join().unwrap();
    let stuck = local.seen.get().popped;
    assert!(stuck < 3500, "{stuck} of 4000 frames were taken though one client reads nothing");
    for _ in 0..50 {
        local.reactor.run_turn().unwrap();
    }
    let state = local.seen.get();
    assert_eq!(state.popped, stuck, "a blocked socket asks for nothing");
    assert_eq!(state.connections, 2);

    // Once it reads, it gets everything, once and in order.
    let reader = std::thread::spawn(move || {
        let mut all = Vec::new();
        while all.len() < 2000 * 8004 {
            all.extend(read_frame(&mut stalled).1);
        }
        all
    });
    while !reader.is_finished() {
        assert!(Instant::now() < deadline);
        local.reactor.run_turn().unwrap();
    }
    let all = reader.join().unwrap();
    assert!(all.chunks(8004).enumerate().all(|(n, got)| got == &frame(n as u32)[..]));
}

#[test]
fn a_peer_that_takes_no_close_frame_is_dropped_at_the_deadline() {
    let config = NetConfig { linger_ms: 30, ..NetConfig::default() };
    let server = serve(&config);
    let stalled = server.open("/ws");
    server.tell(Command::Broadcast(Frame::new(&vec![1; 32 << 20]), FrameKind::Binary));
    server.seen[0].wait("a blocked write", |state| state.counters.short_writes > 0);
    server.tell(Command::CloseAll);
    server.wait_empty();
    let state = server.seen[0].get();
    assert_eq!(state.counters.linger_timeouts, 1);
    assert!(state.counters.bytes_out < 32 << 20 && state.ended.is_empty());
    drop(stalled);
}

/// Runs the next test in a process of its own, for it changes a limit of the process.
#[test]
fn running_out_of_descriptors_is_survived() {
    let output = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "bounds::out_of_descriptors_in_a_process_of_its_own", "--ignored"])
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && text.contains("1 passed"), "{text}");
}

#[test]
#[ignore = "run by running_out_of_descriptors_is_survived"]
fn out_of_descriptors_in_a_process_of_its_own() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let mut local = local(NetConfig { accept_retry_ms: 10, ..NetConfig::default() });
    local.inbox.send(Command::Rest).unwrap();
    let mut clients: Vec<_> = (0..20).map(|_| connect(local.addr)).collect();
    // Room for ten more descriptors: fewer than the twenty that wait to be accepted.
    let next = std::fs::File::open("/dev/null").unwrap();
    let used = std::os::fd::AsRawFd::as_raw_fd(&next) as u64;
    let maximum = getrlimit(Resource::Nofile).maximum;
    setrlimit(Resource::Nofile, Rlimit { current: Some(used + 11), maximum }).unwrap();
    local.turn_until("some failures", |counters, _| counters.accept_failures > 10);
    assert_eq!(local.reactor.counters().accepted, 10);
    // Room comes back without any event at the listener.
    clients.truncate(10);
    local.turn_until("the rest", |counters, _| counters.accepted == 20);
    for client in &mut clients {
        client.write_all(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n").unwrap();
    }
}

#[test]
fn large_frames_are_shared_and_survive_short_writes() {
    let server = serve(&NetConfig::default());
    let mut client = server.open("/batched");
    let large: Vec<u8> = (0..5_000_000_u32).map(|n| (n / 3) as u8).collect();
    for kind in [FrameKind::Batch, FrameKind::Binary, FrameKind::Batch] {
        server.tell(Command::Broadcast(Frame::new(&large), kind));
        server.tell(Command::Broadcast(Frame::new(b"small"), FrameKind::Batch));
    }
    server.seen[0].wait("a blocked write", |state| state.counters.short_writes > 0);
    for _ in 0..3 {
        let (first, payload) = read_frame(&mut client);
        assert!(first == 0x82 && payload == large);
        assert_eq!(read_frame(&mut client), (0x82, b"small".to_vec()));
    }
}

#[test]
fn a_client_that_does_not_read_its_pongs_is_not_read() {
    let mut local = local(NetConfig::default());
    let mut clients = local.open(1, "/ws");
    let client = &mut clients[0];
    client.set_nonblocking(true).unwrap();
    let pings = frame(0x89, &[1; 125]).repeat(1000);
    let deadline = Instant::now() + PATIENCE;
    // Until the client's own socket takes no more for a hundred turns.
    let (mut at, mut refused) = (0, 0);
    while refused < 100 {
        assert!(Instant::now() < deadline, "its pings are read without end");
        match client.write(&pings[at..]) {
            Ok(n) => (at, refused) = ((at + n) % pings.len(), 0),
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::WouldBlock);
                refused += 1;
            }
        }
        local.reactor.run_turn().unwrap();
    }
    assert_eq!(local.reactor.connections(), 1);
    // It goes on once the pongs are read.
    let before = local.reactor.counters().bytes_in;
    let mut pongs = vec![0; 1 << 16];
    while local.reactor.counters().bytes_in == before {
        assert!(Instant::now() < deadline);
        let _ = client.read(&mut pongs);
        local.reactor.run_turn().unwrap();
    }
}

#[test]
fn a_listener_that_is_stopped_accepts_nobody() {
    let server = serve(&NetConfig::default());
    let mut kept = server.open("/ws");
    server.tell(Command::StopAccepting);
    let deadline = Instant::now() + PATIENCE;
    while TcpStream::connect(server.addr).is_ok() {
        assert!(Instant::now() < deadline, "the listener is still there");
    }
    kept.write_all(&text("a")).unwrap();
    assert_eq!(read_text(&mut kept), "a");
}

/// A reactor that turns without a cause would do so thousands of times between the echoes.
#[test]
fn turns_have_causes() {
    let server = serve(&NetConfig::default());
    let mut client = server.open("/ws");
    // Of every kind one that only waits: half a head, a linger, a pause, a blocked write.
    let mut half = connect(server.addr);
    half.write_all(b"GET /").unwrap();
    let mut closing = server.open("/ws");
    closing.write_all(&text("close")).unwrap();
    assert_eq!(read_frame(&mut closing).0, 0x88);
    let mut paused = server.open("/ws");
    paused.write_all(&[text("pause"), text("a")].concat()).unwrap();
    paused.shutdown(Shutdown::Write).unwrap();
    let blocked = server.open("/ws");
    let mut large = connect(server.addr);
    large.write_all(b"GET /big HTTP/1.1\r\nHost: h\r\n\r\n").unwrap();
    large.shutdown(Shutdown::Write).unwrap();
    server.tell(Command::Broadcast(Frame::new(&vec![1; 16 << 20]), FrameKind::Binary));
    while read_frame(&mut client).1.len() < 16 << 20 {}
    server.seen[0].wait("the pause", |state| state.messages.contains(&b"pause".to_vec()));
    server.tell(Command::Rest);
    client.write_all(&text("resting")).unwrap();
    while read_frame(&mut client).1 != b"resting" {}
    let before = server.seen[0].get().turns;
    for _ in 0..200 {
        client.write_all(&text("echo")).unwrap();
        assert_eq!(read_text(&mut client), "echo");
    }
    let turns = server.seen[0].get().turns - before;
    assert!(turns < 300, "{turns} turns for 200 echoes");
    drop(blocked);
}
