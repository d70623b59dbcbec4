//! A delivery costs no heap allocation: what a broadcast allocates does not depend on how many
//! hear it.
//!
//! The whole process is counted, so that the clients have to be another process: this test starts
//! its own binary again, which then finds a role in its environment.

use madang::Server;
use madang::config::Config;
use madang::metrics::Counter;
use madang_protocol::client::{
    Class, ClientMessage, CreateOptions, Hello, Join, JoinMode, JoinOptions, JoinTarget,
    PresenceMode, Publish,
};
use madang_protocol::ids::{Channel, Cseq};
use madang_protocol::value::{Payload, TypeRef};
use madang_protocol::{SUBPROTOCOL, ServerMessage, codec};
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};
use std::alloc::System;
use std::env;
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use tungstenite::client::{ClientRequestBuilder, client_with_config};
use tungstenite::protocol::WebSocketConfig;
use tungstenite::{Message, WebSocket};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

const NAME: &str = "a_delivery_allocates_nothing";
/// In the environment of the process with the clients: how many, and where what is.
const ROLE: &str = "MADANG_TEST_ROLE";
const BROADCASTS: u64 = 200;
const FEW: usize = 10;
const MANY: usize = 500;
const PATIENCE: Duration = Duration::from_secs(300);
/// Messages that the room keeps: it is full before anything is counted.
const HISTORY: u32 = 512;

#[test]
fn a_delivery_allocates_nothing() {
    if let Ok(role) = env::var(ROLE) {
        let role: Vec<&str> = role.split(' ').collect();
        let [members, play, control] = role[..] else { panic!("a role has three parts") };
        return be_clients(
            members.parse().expect("a number"),
            play.parse().expect("an address"),
            control.parse().expect("an address"),
        );
    }
    let few = allocations(FEW);
    let many = allocations(MANY);
    // Each broadcast is decoded, encoded and logged: that allocates, and shows that counting works.
    assert!(few >= BROADCASTS, "{few} allocations for {BROADCASTS} broadcasts");
    let deliveries = BROADCASTS * (MANY - FEW) as u64;
    let more = many.saturating_sub(few);
    // What is kept for later (a longer list, say) may grow once; a delivery may not.
    assert!(
        more < deliveries / 100,
        "{more} more allocations for {deliveries} more deliveries ({few} against {many})"
    );
}

/// Allocations of a server's process for so many broadcasts to so many members.
fn allocations(members: usize) -> u64 {
    let mut config = Config::default();
    // Rooms that play by themselves would be counted with what is tested.
    config.rooms.open = Vec::new();
    let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    (config.play.listen, config.watch.listen) = (any, any);
    config.rooms.history_messages_max = HISTORY;
    config.server.shards = 2;
    config.server.drain_notice_ms = 0;
    config.server.drain_ms = 0;
    config.play.messages_burst = 1_000_000;
    config.play.ping_ms = 3_600_000;
    let server = Server::start(config).expect("the server starts");
    let listener = TcpListener::bind(any).expect("a free port");
    let control = listener.local_addr().expect("bound");
    let mut clients = Clients(
        Command::new(env::current_exe().expect("this test"))
            .args(["--exact", NAME, "--nocapture"])
            .env(ROLE, format!("{members} {} {control}", server.play_addr()))
            // Its summary would be counted as a test's.
            .stdout(Stdio::null())
            .spawn()
            .expect("this test starts again"),
    );
    let (mut clients_say, _) = listener.accept().expect("the clients connect");
    clients_say.set_read_timeout(Some(PATIENCE)).expect("a socket");
    let delivered = || -> u64 {
        (0..2).map(|shard| server.metrics().shard(shard).get(Counter::DeliveriesReliable)).sum()
    };

    let mut done = [0];
    clients_say.read_exact(&mut done).expect("the room is warm");
    let before = delivered();
    let region = Region::new(ALLOCATOR);
    clients_say.write_all(&done).expect("the clients are there");
    clients_say.read_exact(&mut done).expect("everything is delivered");
    let change = region.change();
    assert_eq!(delivered() - before, BROADCASTS * members as u64);

    clients_say.write_all(&done).expect("the clients are there");
    assert!(clients.0.wait().expect("a child").success());
    server.drain();
    assert!(server.join());
    (change.allocations + change.reallocations) as u64
}

/// The process with the clients; killed if it is still there when dropped.
struct Clients(Child);

impl Drop for Clients {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Fills a room and talks in it: once to warm up, once to be counted.
fn be_clients(members: usize, play: SocketAddr, control: SocketAddr) {
    let mut control = TcpStream::connect(control).expect("the test listens");
    control.set_read_timeout(Some(PATIENCE)).expect("a socket");
    let mut room: Vec<(WebSocket<TcpStream>, Channel)> = (0..members)
        // The speaker sits at the room's home whatever the kernel chooses, so that a broadcast
        // takes the same way each time; the others sit on both shards.
        .map(|number| enter(play, if number == 0 { "/play?room=hall" } else { "/play" }))
        .collect();
    let mut said = 0;
    // The first time warms up: queues, lists and the history get the size that they keep.
    for count in [2 * u64::from(HISTORY), BROADCASTS] {
        for cseq in said + 1..=said + count {
            broadcast(&mut room, cseq);
        }
        said += count;
        control.write_all(&[1]).expect("the test listens");
        control.read_exact(&mut [0]).expect("the test goes on");
    }
}

fn enter(play: SocketAddr, path: &str) -> (WebSocket<TcpStream>, Channel) {
    let uri = format!("ws://{play}{path}").parse().expect("a valid URI");
    let request = ClientRequestBuilder::new(uri).with_sub_protocol(SUBPROTOCOL);
    let stream = TcpStream::connect(play).expect("the server accepts");
    stream.set_read_timeout(Some(PATIENCE)).expect("a socket");
    stream.set_nodelay(true).expect("a socket");
    let config = WebSocketConfig::default().read_buffer_size(4096);
    let (mut socket, _) =
        client_with_config(request, stream, Some(config)).expect("the handshake succeeds");
    let presence = Some(PresenceMode::None);
    let create = Some(CreateOptions { presence, ..CreateOptions::default() });
    say(
        &mut socket,
        &[
            ClientMessage::Hello(Hello { version_min: 1, version_max: 1, ..Hello::default() }),
            ClientMessage::Join(Join {
                r#ref: 1,
                target: JoinTarget::Name("hall".to_owned()),
                mode: JoinMode::Either,
                options: JoinOptions { create, ..JoinOptions::default() },
                since: None,
                history: 0,
                ext: Vec::new(),
            }),
        ],
    );
    let channel = hear(&mut socket, |message| match message {
        ServerMessage::Joined(joined) => Some(joined.channel),
        _ => None,
    });
    (socket, channel)
}

fn say(socket: &mut WebSocket<TcpStream>, messages: &[ClientMessage<'_>]) {
    let mut bytes = Vec::new();
    for message in messages {
        codec::encode_client(message, &mut bytes);
    }
    socket.send(Message::binary(bytes)).expect("the connection is open");
}

fn hear<T>(
    socket: &mut WebSocket<TcpStream>,
    mut find: impl FnMut(ServerMessage<'_>) -> Option<T>,
) -> T {
    loop {
        let Message::Binary(batch) = socket.read().expect("a message comes") else { continue };
        for message in codec::split_batch(&batch) {
            let message = codec::decode_server(message.expect("well formed")).expect("it decodes");
            if let Some(found) = find(message) {
                return found;
            }
        }
    }
}

/// One message to all, and everybody has it.
fn broadcast(room: &mut [(WebSocket<TcpStream>, Channel)], cseq: u64) {
    let (speaker, channel) = &mut room[0];
    let publish = ClientMessage::Publish(Publish {
        channel: *channel,
        cseq: Cseq(cseq),
        class: Class::Reliable,
        r#type: TypeRef::Name("test".into()),
        payload: Payload::Bytes(b"to everybody".into()),
    });
    say(speaker, &[publish]);
    for (socket, _) in room {
        hear(socket, |message| match message {
            ServerMessage::Message(message) => (message.cseq.0 == cseq).then_some(()),
            _ => None,
        });
    }
}
