//! Does the steps of a plan, ends it, and judges it.

use crate::access::{self, Access};
use crate::backend::Backend;
use crate::plan::{Ending, Plan, Step, What, pick};
use crate::support::client::{Client, Phase, join_named, text};
use crate::support::draw::Draw;
use crate::support::raw::RawClient;
use crate::support::socket::Gone;
use crate::support::world::World;
use crate::{check, commands, reach};
use madang_engine::Input;
use madang_protocol::client::{
    Class, CreateOptions, Join, JoinMode, JoinOptions, JoinTarget, PresenceMode,
};
use madang_protocol::value::{Payload, Value};
use std::borrow::Cow;
use std::cell::Cell;
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Once;

/// Engines are looked at as a whole after this many steps.
const CHECK_EVERY: usize = 16;

/// What came of a run.
#[derive(Debug)]
pub(crate) struct Outcome {
    /// A hash over everything that came out of the engines.
    pub(crate) trace: u64,
    /// The first thing that was wrong.
    pub(crate) violation: Option<String>,
    pub(crate) reached: BTreeMap<&'static str, u64>,
}

thread_local! {
    /// A panic is expected to be caught and reported with its seed.
    static IS_QUIET: Cell<bool> = const { Cell::new(false) };
}

/// Runs a plan with only the steps of these indices.
pub(crate) fn run(plan: &Plan, steps: &[usize]) -> Outcome {
    run_telling(plan, steps, false)
}

/// The same, printing everything that happens if asked to.
pub(crate) fn run_telling(plan: &Plan, steps: &[usize], is_verbose: bool) -> Outcome {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let usual = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            if !IS_QUIET.get() {
                usual(panic);
            }
        }));
    });
    IS_QUIET.set(true);
    let outcome = run_caught(plan, steps, is_verbose);
    IS_QUIET.set(false);
    outcome
}

fn run_caught(plan: &Plan, steps: &[usize], is_verbose: bool) -> Outcome {
    let run = catch_unwind(AssertUnwindSafe(|| {
        let mut run = Run::new(plan);
        run.world.node.is_verbose = is_verbose;
        run.all(steps);
        run.world.node
    }));
    match run {
        Ok(mut node) => Outcome {
            trace: node.trace,
            violation: std::mem::take(&mut node.violations).into_iter().next(),
            reached: reach::summed(&node),
        },
        Err(panic) => {
            let words = panic.downcast_ref::<String>().cloned();
            let words = words.or_else(|| panic.downcast_ref::<&str>().map(|s| (*s).to_owned()));
            let why = format!("panic: {}", words.unwrap_or_default());
            Outcome { trace: 0, violation: Some(why), reached: BTreeMap::new() }
        }
    }
}

struct Run<'p> {
    plan: &'p Plan,
    world: World,
    backend: Backend,
    access: Access,
    /// For what happens after the steps.
    draw: Draw,
}

impl<'p> Run<'p> {
    fn new(plan: &'p Plan) -> Self {
        let mut world = World::new(&plan.config, plan.shards, plan.seed);
        world.node.answers_at_once = plan.answers_at_once;
        for ((is_json, capacity), token) in plan.clients.iter().zip(&plan.tokens) {
            let client = world.add(*is_json, *capacity);
            world.clients[client].token.clone_from(token);
        }
        world.raws = (0..plan.raws).map(RawClient::new).collect();
        let backend = Backend::default();
        let access = Access::default();
        Self { plan, world, backend, access, draw: Draw::new(plan.seed ^ 0xe4d) }
    }

    fn all(&mut self, steps: &[usize]) {
        for (count, index) in steps.iter().enumerate() {
            let Some(step) = self.plan.steps.get(*index) else { continue };
            if self.world.node.is_verbose {
                println!("{index}: {step:?}");
            }
            self.step(*step);
            self.access.check(&mut self.world);
            if count % CHECK_EVERY == 0 {
                self.world.node.check_invariants();
            }
            if self.is_over() {
                return;
            }
        }
        match self.plan.ending {
            Ending::Heal => self.heal(),
            Ending::Drain => self.drain(),
        }
        if !self.is_over() {
            self.end();
        }
    }

    fn is_over(&self) -> bool {
        !self.world.node.violations.is_empty()
    }

    fn step(&mut self, Step { what, a, b }: Step) {
        let shards = self.world.node.shards();
        let World { node, clients, raws } = &mut self.world;
        let count = clients.len();
        let client = &mut clients[a as usize % count];
        let (x, y) = (a as usize / count, b as usize);
        match what {
            What::Connect => self.connect(a, b),
            What::Cut => {
                client.read(node, x % 4);
                let kept = if y % 3 == 0 { usize::MAX } else { y % 4 };
                let gone = if (y >> 4) % 3 == 0 { Gone::Unnoticed } else { Gone::Noticed };
                client.cut(node, kept, gone);
            }
            What::Close => client.close(node),
            What::Read => {
                client.read(node, [1, 3, usize::MAX][y % 3]);
            }
            What::Stall => {
                if let Some(id) = client.socket {
                    node.sockets[id].is_stalled = !node.sockets[id].is_stalled;
                }
            }
            What::Join => self.join(a, b),
            What::Match => self.match_room(a, b),
            What::Leave => {
                if let Some(channel) = held(client, x) {
                    client.leave(node, channel);
                }
            }
            What::Publish => self.publish(a, b, 1),
            What::Burst => self.publish(a, b, 3 + y % 3),
            What::Latest => {
                let payload = text(&words(client, [8, 60][y % 2]));
                let name = ["move", "aim", "chat", "draw"][y / 8 % 4];
                if let Some(channel) = held(client, x) {
                    client.publish(node, channel, Class::Latest(b / 2 % 3), name, payload);
                }
            }
            What::Volatile => {
                let payload = text(&words(client, 8));
                if let Some(channel) = held(client, x) {
                    client.publish(node, channel, Class::Volatile, "wave", payload);
                }
            }
            What::Direct => {
                let payload = text(&words(client, [8, 100][y % 2]));
                if let Some(channel) = held(client, x) {
                    let members = &client.rooms[&channel].members;
                    let to = members.keys().nth(y / 2 % members.len().max(1)).copied();
                    client.direct(node, channel, to.unwrap_or(1 + b % 3), payload);
                }
            }
            What::Attributes => {
                let name = ["hat", "team"][y % 2].to_owned();
                let value = match y / 2 % 4 {
                    0 => Value::Null,
                    n => Value::Int(n as i64 + i64::from(b / 64 % 1000)),
                };
                if let Some(channel) = held(client, x) {
                    client.set_attributes(node, channel, vec![(name, value)]);
                }
            }
            What::Request => {
                let name = ["info", "members", "history", "nonsense"][y % 4];
                if let Some(channel) = held(client, x) {
                    client.request(node, channel, name, "{}");
                }
            }
            What::Command => {
                let stateful = client.rooms.values().filter(|room| room.state.is_some());
                let channels: Vec<u32> = stateful.map(|room| room.channel).collect();
                if let Some(channel) = channels.get(x % channels.len().max(1)) {
                    let line = commands::command(&words(client, 1), x, b);
                    client.publish(node, *channel, Class::Reliable, "do", text(&line));
                }
            }
            What::Resync => {
                if let Some(channel) = held(client, x) {
                    client.resync(node, channel);
                }
            }
            What::Tick => {
                node.advance_us([20_000, 50_000, 50_000, 400_000][y % 4]);
                node.turn(a as usize % shards, 1 + y / 4 % 4);
            }
            What::Ask if client.is_ready() => {
                client.ping(node, u64::from(b));
                client.get_stats(node);
            }
            What::Turn => {
                node.advance_us(u64::from(b % 4) * 1_000);
                node.turn(a as usize % shards, 1 + y / 4 % 4);
            }
            What::Deliver => self.deliver(a as usize, [1, 2, 5, usize::MAX][y % 4]),
            What::Round => self.world.round(),
            What::Pass => {
                let grace = self.plan.config.session.grace_ms;
                let ms = [10, 60, 250, grace / 2, grace + 20][y % 5];
                self.world.pass_ms(ms, 50);
            }
            What::WallStep => {
                let step = u64::from(b % 3_600) * 1_000_000;
                node.wall_us = if a % 2 == 0 { node.wall_us + step } else { node.wall_us - step };
                node.expiries.clear();
                node.reach("wall clock stepped");
            }
            // Rarer than the least weight.
            What::Crash if b % 4 == 0 => {
                node.crash(a as usize % shards);
                self.access.forget();
                node.reach("shard crash");
            }
            What::Answer if !node.asked.is_empty() => node.answer(y),
            What::Ask | What::Crash | What::Answer => {}
            What::RawConnect => {
                let at = a as usize % raws.len();
                let (shard, room) = (y % shards, ["raw.x", "raw.y", "a"][y / 8 % 3]);
                raws[at].connect(node, shard, room, b / 64 % 2 == 0);
            }
            What::RawSend => {
                let at = a as usize % raws.len();
                raws[at].send_numbered(node, [10, 200][y % 2]);
            }
            What::Backend => {
                let rooms = &self.plan.rooms;
                let room = rooms.get(y / 1024 % (rooms.len() + 1)).copied().unwrap_or("raw.x");
                self.backend.publish(node, room, a, b);
            }
            What::Renew => access::renew(node, client, b),
            What::Manage => {
                if let Some(channel) = held(client, x) {
                    self.access.manage(node, client, channel, b);
                }
            }
            What::Steal => access::steal(node, client, b),
            What::RawCut => {
                let at = a as usize % raws.len();
                raws[at].cut(node, if b % 2 == 0 { Gone::Noticed } else { Gone::Closed });
            }
        }
    }

    fn connect(&mut self, a: u32, b: u32) {
        let World { node, clients, .. } = &mut self.world;
        let count = clients.len();
        let client = &mut clients[a as usize % count];
        // Most of the time only those that have no connection want one.
        if client.phase != Phase::Offline && !b.is_multiple_of(8) {
            return;
        }
        let shard = b as usize / 8 % node.shards();
        let wanted = client.rooms.values().filter(|room| !room.is_leaving);
        let mut wanted: Vec<u32> = wanted.map(|room| room.channel).collect();
        if (b / 64).is_multiple_of(8) {
            wanted.pop();
        }
        client.connect_wanting(node, shard, wanted);
    }

    fn join(&mut self, a: u32, b: u32) {
        let World { node, clients, .. } = &mut self.world;
        let count = clients.len();
        let client = &mut clients[a as usize % count];
        let rooms = self.plan.rooms.len() as u32;
        let room = b % rooms;
        let name = self.plan.rooms[room as usize];
        if client.rooms.values().find(|room| room.name == name).is_some_and(|room| !room.is_leaving)
        {
            return;
        }
        let presence = match (room + (self.plan.seed % 3) as u32) % 5 {
            3 => PresenceMode::Count,
            4 => PresenceMode::None,
            _ => PresenceMode::Full,
        };
        let b = b / rooms;
        let since = client.positions.get(name).copied().filter(|_| b.is_multiple_of(2));
        let mut attributes = vec![("name".to_owned(), Value::Text(format!("c{}", client.index)))];
        if b % 16 == 9 {
            attributes.push(("banned".to_owned(), Value::Bool(true)));
        }
        let create = CreateOptions { presence: Some(presence), ..CreateOptions::default() };
        let join = Join {
            mode: [JoinMode::Either, JoinMode::Either, JoinMode::Join, JoinMode::Create]
                [b as usize / 2 % 4],
            options: JoinOptions {
                attributes,
                echo: !(b / 8).is_multiple_of(3),
                create: Some(create),
            },
            since,
            history: b / 32 % 5,
            ..join_named(name)
        };
        client.join(node, join);
    }

    fn match_room(&mut self, a: u32, b: u32) {
        let World { node, clients, .. } = &mut self.world;
        let count = clients.len();
        let map = ["dust", "ice"][b as usize % 2].to_owned();
        let has_state = self.plan.rooms.iter().any(|room| room.contains('-'));
        let kind = match b / 256 % 4 {
            2 if has_state => "field",
            3 if has_state => "still",
            _ => "relay",
        };
        let target =
            JoinTarget::Match { kind: kind.to_owned(), filter: vec![("map".to_owned(), map)] };
        let create = CreateOptions { capacity: Some(2 + b / 8 % 2), ..CreateOptions::default() };
        let options = JoinOptions { create: Some(create), ..JoinOptions::default() };
        let mode = if (b / 2).is_multiple_of(4) { JoinMode::Join } else { JoinMode::Either };
        let join = Join { target, mode, options, ..join_named("") };
        clients[a as usize % count].join(node, join);
    }

    fn publish(&mut self, a: u32, b: u32, times: usize) {
        let World { node, clients, .. } = &mut self.world;
        let count = clients.len();
        let client = &mut clients[a as usize % count];
        let Some(channel) = held(client, a as usize / count) else { return };
        for time in 0..times {
            let size = [8, 8, 60, 250][(b as usize + time) % 4];
            let token = words(client, size);
            let payload = match b / 4 % 3 {
                0 => Payload::Bytes(Cow::Owned(token.into_bytes())),
                1 => Payload::Text(Cow::Owned(token)),
                _ => Payload::Json(Cow::Owned(format!("{{\"t\":\"{token}\"}}"))),
            };
            let name = ["chat", "move", "edit", "draw", "say"][b as usize / 16 % 5];
            client.publish(node, channel, Class::Reliable, name, payload);
        }
    }

    /// Delivers on one of the links that have something.
    fn deliver(&mut self, which: usize, most: usize) {
        let node = &mut self.world.node;
        let shards = node.shards();
        let busy: Vec<(usize, usize)> = (0..shards * shards)
            .map(|link| (link / shards, link % shards))
            .filter(|(from, to)| node.waiting(*from, *to) > 0)
            .collect();
        if let Some((from, to)) = busy.get(which % busy.len().max(1)) {
            let most = most.min(node.waiting(*from, *to));
            node.deliver(*from, *to, most);
        }
    }

    /// Ends every fault and lets everybody come back.
    fn heal(&mut self) {
        self.world.node.answers_at_once = true;
        access::keep(&mut self.world);
        for socket in &mut self.world.node.sockets {
            socket.is_stalled = false;
        }
        for _ in 0..20 {
            let World { node, clients, .. } = &mut self.world;
            for client in clients.iter_mut().filter(|client| client.phase == Phase::Offline) {
                client.connect(node, pick(&mut self.draw, node.shards()));
            }
            if !self.world.settle() {
                return self.world.node.violate("it never settles");
            }
            // Nobody comes back to sessions that their clients gave up; counts of members come a
            // moment later.
            for _ in 0..200 {
                let clients = self.world.clients.iter().filter(|client| client.socket.is_some());
                let raws = self.world.raws.iter().filter(|raw| raw.socket.is_some());
                let alive = (clients.count() + raws.count()) as u64;
                if self.world.node.level(|stats| stats.sessions) <= alive {
                    break;
                }
                self.world.pass_ms(100, 50);
            }
            // A count, the longest window behind it, and what that made lag.
            self.world.pass_ms(120, 10);
            // What moves by itself comes to rest.
            if self.plan.rooms.iter().any(|room| room.contains('-')) {
                self.world.pass_ms(300, 25);
                self.world.pass_ms(12, 4);
            }
            for _ in 0..1000 {
                let engines = &self.world.node.engines;
                let is_lagging =
                    engines.iter().flat_map(|engine| engine.home().iter()).any(|room| {
                        room.subscribers.iter().any(|subscriber| subscriber.lag_from.is_some())
                    });
                if !is_lagging {
                    break;
                }
                self.world.pass_ms(20, 10);
            }
            if self.is_over() {
                return;
            }
            let is_done = self.world.clients.iter().all(|client| {
                client.is_ready() && client.rooms.values().all(|room| !room.is_awaiting)
            });
            if is_done && self.world.node.is_idle() {
                check::everybody_agrees(&mut self.world);
                return;
            }
        }
        self.world.node.violate("somebody cannot come back");
    }

    /// Drains in the middle of it all: what was accepted has to reach the queues.
    fn drain(&mut self) {
        let shards = self.world.node.shards();
        for shard in 0..shards {
            let (retry_min_ms, retry_max_ms) = (100, 200);
            self.world.node.input(shard, Input::Drain { retry_min_ms, retry_max_ms });
        }
        for _ in 0..pick(&mut self.draw, 4) {
            let shard = pick(&mut self.draw, shards);
            self.world.node.turn(shard, 2);
            let which = pick(&mut self.draw, 64);
            self.deliver(which, 2);
        }
        self.world.node.is_reading = false;
        for shard in 0..shards {
            for _ in 0..pick(&mut self.draw, 4) {
                let which = pick(&mut self.draw, 64);
                self.deliver(which, 2);
            }
            self.world.node.input(shard, Input::Quiesce);
        }
        for _ in 0..20_000 {
            if self.world.node.quiesced.iter().all(|quiesced| *quiesced) {
                break;
            }
            let which = pick(&mut self.draw, 64);
            self.deliver(which, 1 + which % 3);
            // Credit is given once a turn.
            self.world.node.advance_us(100);
            let shard = pick(&mut self.draw, shards);
            self.world.node.timeout(shard);
        }
        if !self.world.node.quiesced.iter().all(|quiesced| *quiesced) {
            return self.world.node.violate("it never quiesces");
        }
        check::everybody_was_told(&mut self.world);
    }

    /// Everybody goes, and nothing may be left.
    fn end(&mut self) {
        let World { node, clients, raws } = &mut self.world;
        node.is_reading = true;
        node.quiesced.fill(false);
        node.answers_at_once = true;
        while !node.asked.is_empty() {
            node.answer(0);
        }
        for client in clients {
            let gone = [Gone::Noticed, Gone::Unnoticed, Gone::Closed][pick(&mut self.draw, 3)];
            client.cut(node, usize::MAX, gone);
        }
        for raw in raws {
            raw.cut(node, Gone::Noticed);
        }
        let session = &self.plan.config.session;
        let ms = session.hello_ms + 3 * session.ping_ms + session.pong_ms + session.grace_ms;
        // What is read late, because its client was paused, is a late sign of life.
        for _ in 0..20 {
            self.world.pass_ms(ms + self.plan.config.room.linger_ms + 200, 100);
            if self.world.node.level(|stats| stats.sessions + stats.rooms) == 0 {
                break;
            }
        }
        self.world.node.check_invariants();
        check::nothing_is_left(&mut self.world);
    }
}

/// Words that nobody else says, of at least `size` bytes.
fn words(client: &mut Client, size: usize) -> String {
    let token = format!("{}.{}", client.index, client.next_token);
    client.next_token += 1;
    format!("{token:=<size$}")
}

fn held(client: &Client, which: usize) -> Option<u32> {
    client.rooms.keys().nth(which % client.rooms.len().max(1)).copied()
}
