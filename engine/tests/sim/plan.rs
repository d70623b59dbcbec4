//! What a seed stands for: bounds, clients, a mix of faults, and a list of steps.

use crate::access;
use crate::support::draw::Draw;
use crate::support::field;
use madang_engine::Config;
use madang_engine::bugs::Bug;
use madang_engine::config::RoomConfig;
use madang_engine::room::Flush;
use madang_engine::watch::WatchRule;

/// One thing that happens. Its numbers are read modulo what there is when it happens, so that
/// every part of a list of steps is a list of steps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Step {
    pub(crate) what: What,
    pub(crate) a: u32,
    pub(crate) b: u32,
}

macro_rules! steps {
    ($($name:ident $weight:literal $is_needed:literal;)*) => {
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(crate) enum What { $($name),* }
        /// Each kind of step, its usual weight, and whether no seed does without.
        const KINDS: &[(What, u64, bool)] = &[$((What::$name, $weight, $is_needed)),*];
    };
}

steps! {
    Connect 10 true;
    Cut 5 false;
    Close 1 false;
    Read 14 true;
    Stall 3 false;
    Join 9 true;
    Match 2 false;
    Leave 2 false;
    Publish 16 true;
    Burst 3 false;
    Latest 7 false;
    Volatile 4 false;
    Direct 4 false;
    Attributes 3 false;
    Request 2 false;
    Command 30 false;
    Resync 1 false;
    Tick 9 false;
    Ask 1 false;
    Turn 26 true;
    Deliver 22 true;
    Round 6 true;
    Pass 3 false;
    WallStep 1 false;
    Crash 1 false;
    Answer 5 true;
    RawConnect 2 false;
    RawSend 4 false;
    RawCut 1 false;
    Backend 4 false;
    Renew 6 false;
    Manage 3 false;
    Steal 2 false;
}

/// How a run ends before everybody goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    /// All faults end, everybody comes back, and all must agree.
    Heal,
    /// The server drains in the middle of it all.
    Drain,
}

#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) seed: u64,
    pub(crate) shards: u16,
    pub(crate) config: Config,
    /// Whether each speaks JSON, and what the kernel takes for it.
    pub(crate) clients: Vec<(bool, usize)>,
    /// What each brings to say who it is.
    pub(crate) tokens: Vec<Option<String>>,
    pub(crate) raws: usize,
    /// The names of the rooms that they join.
    pub(crate) rooms: Vec<&'static str>,
    pub(crate) answers_at_once: bool,
    pub(crate) ending: Ending,
    pub(crate) steps: Vec<Step>,
}

impl Plan {
    pub(crate) fn new(seed: u64, bug: Option<Bug>) -> Self {
        let mut draw = Draw::new(seed.wrapping_mul(0x2545_f491_4f6c_dd1d) ^ 0x6d61_6461_6e67);
        let shards = [1, 2, 2, 3, 3, 4][pick(&mut draw, 6)];
        let mut config = Config { bug, ..Config::default() };
        bounds(&mut config, &mut draw);
        let clients: Vec<_> = (0..2 + pick(&mut draw, 4))
            .map(|_| {
                let capacity = [150, 400, 4_000, 60_000][pick(&mut draw, 4)];
                (pick(&mut draw, 4) == 0, capacity)
            })
            .collect();
        let raws = [0, 0, 2, 3][pick(&mut draw, 4)];
        let rooms = rooms(&mut draw);
        let has_state = rooms.iter().any(|name| name.contains('-'));
        let tokens = access::tokens(&mut config, &mut draw, clients.len());
        let is_guarded = tokens.iter().any(Option::is_some);
        let weights = weights(&mut draw, (raws > 0, has_state, is_guarded));
        let count = 60 + pick(&mut draw, 500);
        let arrival = arrival(&clients);
        let steps = arrival.into_iter().chain((0..count).map(|_| step(&mut draw, &weights)));
        let steps = steps.collect();
        let is_draining = pick(&mut draw, 4) == 0;
        Self {
            seed,
            shards,
            config,
            clients,
            tokens,
            raws,
            rooms,
            answers_at_once: pick(&mut draw, 3) > 0,
            ending: if is_draining { Ending::Drain } else { Ending::Heal },
            steps,
        }
    }
}

/// Everybody comes and joins the first room, so that most of the run is about something.
fn arrival(clients: &[(bool, usize)]) -> Vec<Step> {
    let all = |what| (0..clients.len() as u32).map(move |a| Step { what, a, b: 8 * a });
    let round = Step { what: What::Round, a: 0, b: 0 };
    let mut steps: Vec<Step> = all(What::Connect).collect();
    steps.extend([round, round]);
    steps.extend(all(What::Join));
    steps.extend([round, round]);
    steps
}

/// Rooms of kind relay, or some, or most, of the kinds with rules.
fn rooms(draw: &mut Draw) -> Vec<&'static str> {
    const RELAYS: [&str; 4] = ["a", "b", "c", "d"];
    const FIELDS: [&str; 6] = ["field-a", "still-a", "plain-a", "maze-a", "field-b", "still-b"];
    let mix = pick(draw, 4);
    let count = 1 + pick(draw, 4);
    let room = |place: usize| match (mix, pick(draw, 2)) {
        (0, _) | (1, 0) => RELAYS[place],
        _ => FIELDS[(pick(draw, FIELDS.len()) + place) % FIELDS.len()],
    };
    (0..count).map(room).collect()
}

/// A number below `below`.
pub(crate) fn pick(draw: &mut Draw, below: usize) -> usize {
    (draw.next() % below as u64) as usize
}

/// Bounds are tiny, each of several sizes, so that all of them are met.
fn bounds(config: &mut Config, draw: &mut Draw) {
    config.peer_window_bytes = [300, 700, 2_000, 1 << 20][pick(draw, 4)];
    let session = &mut config.session;
    session.hello_ms = 400;
    session.ping_ms = [150, 500, 3_000][pick(draw, 3)];
    session.pong_ms = [60, 200][pick(draw, 2)];
    session.grace_ms = [200, 600, 600, 5_000][pick(draw, 4)];
    session.outbound_messages_max = [4, 12, 64, 64][pick(draw, 4)];
    session.outbound_bytes_max = [500, 2_000, 1 << 16][pick(draw, 3)];
    session.replay_bytes_max = 1 << 20;
    session.control_messages_max = [8, 64][pick(draw, 2)];
    session.control_bytes_max = 4_000;
    session.messages_per_second = [0, 0, 100][pick(draw, 3)];
    session.messages_burst = 8;
    session.bytes_per_second = 0;
    session.joins_per_second = [0, 0, 20][pick(draw, 3)];
    session.joins_burst = 5;
    session.requests_per_second = [0, 0, 20][pick(draw, 3)];
    session.requests_burst = 5;
    session.rate_close_ms = [0, 0, 300][pick(draw, 3)];
    room_bounds_of_users(&mut config.room, draw);
    let session = &mut config.session;
    session.rooms_max = [2, 8, 8][pick(draw, 3)];
    let room = &mut config.room;
    room.history_messages_max = [8, 16, 200][pick(draw, 3)];
    room.history_bytes_max = [700, 1 << 16, 1 << 16][pick(draw, 3)];
    room.join_history_messages_max = [3, 10][pick(draw, 2)];
    room.default_capacity = [3, 50, 50][pick(draw, 3)];
    room.latest_keys_max = [3, 100][pick(draw, 2)];
    room.presence_full_max = [2, 3, 100, 100][pick(draw, 4)];
    room.presence_count_ms = 50;
    room.linger_ms = [0, 100, 2_000][pick(draw, 3)];
    room.flush_ms = [0, 0, 5, 40][pick(draw, 4)];
    field::add_kinds(room);
    for (prefix, ..) in field::KINDS {
        let flush = [Flush::Immediate, Flush::Tick, Flush::Window(7)][pick(draw, 3)];
        room.flush.push((prefix.into(), flush));
        room.watch.push(WatchRule { prefix: prefix.into(), delay_min_ms: 0 });
    }
    room.state_entities_max = [5, 50, 50][pick(draw, 3)];
    room.state_bytes_max = [4_000, 1 << 17, 1 << 17][pick(draw, 3)];
    room.logic_operations_max = [40, 1_000][pick(draw, 2)];
    room.catch_up_ticks_max = [0, 2, 5][pick(draw, 3)];
    session.state_wait_ms = [5, 40, 250][pick(draw, 3)];
}

fn room_bounds_of_users(room: &mut RoomConfig, draw: &mut Draw) {
    room.user_rooms_max = [1, 2, 100][pick(draw, 3)];
}

/// Each seed has its own mix: some kinds of step not at all, some often.
fn weights(
    draw: &mut Draw,
    (has_raw, has_state, is_guarded): (bool, bool, bool),
) -> Vec<(What, u64)> {
    let weigh = |(what, weight, is_needed): &(What, u64, bool)| {
        let is_raw = matches!(what, What::RawConnect | What::RawSend | What::RawCut);
        let is_state = matches!(what, What::Command | What::Resync | What::Tick);
        let factor = [0, 1, 1, 2, 4][pick(draw, 5)];
        let factor = if *is_needed { factor.max(1) } else { factor };
        let is_access = matches!(what, What::Renew | What::Manage | What::Steal);
        let is_out = (is_raw && !has_raw) || (is_state && !has_state) || (is_access && !is_guarded);
        (*what, if is_out { 0 } else { weight * factor })
    };
    KINDS.iter().map(weigh).collect()
}

fn step(draw: &mut Draw, weights: &[(What, u64)]) -> Step {
    let total: u64 = weights.iter().map(|(_, weight)| weight).sum();
    let mut left = draw.next() % total;
    let mut what = What::Turn;
    for (kind, weight) in weights {
        if left < *weight {
            what = *kind;
            break;
        }
        left -= weight;
    }
    let (a, b) = (draw.next() as u32, draw.next() as u32);
    Step { what, a, b }
}
