//! The options of scenarios whose sessions come and go, and the jobs that they describe.

use super::Order;
use super::options::{Asked, ClassName, Common};
use super::values::{
    Address, count, hz, none_or_count, part, payload, period, resolve, seconds, span,
};
use crate::dialect::Dialect;
use crate::fleet::Plan;
use crate::hostile::Attack;
use crate::job::Job;
use crate::metrics::Source;
use crate::slow::Lapses;
use crate::storm::Storm as Kind;
use crate::traffic::{Load, Pace, Speakers};
use crate::transport::Transport;
use crate::{arena, churn, hostile, slow, storm};
use clap::Args;
use madang_protocol::client::Class;
use std::time::Duration;

/// How long a scenario takes.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Times")]
struct Timing {
    /// How long to measure, in seconds
    #[arg(long, default_value = "10", value_parser = seconds)]
    duration: Duration,
    /// How long everything goes on before that, in seconds
    #[arg(long, default_value = "1", value_parser = seconds)]
    warmup: Duration,
    /// How long to wait for what is missing at the end, in seconds
    #[arg(long, default_value = "5", value_parser = seconds)]
    drain: Duration,
}

/// What members of rooms say.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Messages")]
struct Talking {
    /// Messages a second from each that sends
    #[arg(long, default_value = "20", value_parser = hz)]
    hz: f64,
    /// Payload bytes, at least 24
    #[arg(long, default_value_t = 64, value_parser = payload)]
    payload: usize,
}

/// Who plays beside what happens.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Bystanders")]
struct Beside {
    /// Players who are there already, in rooms of 10, and are measured apart
    #[arg(long, default_value_t = 0, value_parser = none_or_count)]
    bystanders: usize,
    /// Messages a second from each of them
    #[arg(long, default_value = "20", value_parser = hz)]
    bystanders_hz: f64,
}

#[derive(Clone, Debug, Args)]
pub(super) struct Arena {
    /// Members
    #[arg(long, default_value_t = 100, value_parser = count)]
    count: usize,
    /// Members of a room, at most 32
    #[arg(long, default_value_t = 16, value_parser = clap::value_parser!(u16).range(1..=32))]
    rooms_of: u16,
    /// Inputs a second of each member
    #[arg(long, default_value = "20", value_parser = hz)]
    hz: f64,
    /// Ticks a second of the rooms, to say how evenly they come
    #[arg(long, default_value = "20", value_parser = hz)]
    tick_hz: f64,
    /// Of so many members one keeps a copy of the state and checks every hash
    #[arg(long, default_value_t = 10, value_parser = count)]
    replica_every: usize,
    /// What the members' movements are drawn from
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Let the server find the rooms by a match, instead of joining them by name
    #[arg(long = "match", conflicts_with = "room")]
    matched: bool,
    /// Seats of a room that bots fill while no member does, at most 32
    #[arg(long, default_value_t = 0, value_parser = clap::value_parser!(u8).range(0..=32))]
    bots: u8,
    /// Length of a round in seconds, 20 to 600
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u16).range(20..=600))]
    round: u16,
    #[command(flatten)]
    common: Common,
    #[command(flatten)]
    timing: Timing,
    #[command(flatten)]
    pub(super) asked: Asked,
}

impl Arena {
    pub(super) fn order(&self) -> Result<Order, String> {
        let Self { common, timing, .. } = self;
        let mut plan = common.native_plan(self.count, usize::from(self.rooms_of), "arena-")?;
        let own = format!("load-{}", std::process::id());
        let mut labels = vec![
            ("bots".to_owned(), self.bots.to_string()),
            ("seconds".to_owned(), self.round.to_string()),
        ];
        if self.matched {
            // No name is known before the server has chosen one.
            if common.path.is_none() {
                "/play".clone_into(&mut plan.path);
            }
            labels.push(("load".to_owned(), own.clone()));
        }
        let job = arena::Job {
            plan,
            hz: self.hz,
            tick_hz: self.tick_hz,
            warmup: timing.warmup,
            duration: timing.duration,
            drain: timing.drain,
            replica_every: self.replica_every,
            seed: self.seed,
            matched: self.matched.then_some(own),
            labels,
            everyone: self.count,
        };
        Ok(common.order(Job::Arena(Box::new(job))))
    }
}

#[derive(Clone, Debug, Args)]
pub(super) struct Storm {
    /// Connections
    #[arg(long, default_value_t = 1000, value_parser = count)]
    count: usize,
    /// Connections in a room
    #[arg(long, default_value_t = 10, value_parser = count)]
    rooms_of: usize,
    /// Let sessions play, reset all their sockets at the same moment and let all come back, instead of
    /// new connections (native and JSON)
    #[arg(long)]
    resume: bool,
    /// With --resume: how often that happens, at equal distances within the duration
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=1000))]
    cuts: u16,
    /// With --resume: the longest that one waits before it comes back, as in 500ms
    #[arg(long, default_value = "1s", value_parser = span)]
    jitter: Duration,
    /// Most tries of a connection that is refused or broken off; Retry-After says when
    #[arg(id = "storm_tries", long = "tries", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=1000))]
    tries: u16,
    /// How long it may take until everybody is in, as in 30s
    #[arg(long, default_value = "60s", value_parser = period)]
    patience: Duration,
    /// What the waiting is drawn from
    #[arg(long, default_value_t = 1)]
    seed: u64,
    #[command(flatten)]
    common: Common,
    #[command(flatten)]
    timing: Timing,
    #[command(flatten)]
    talking: Talking,
    #[command(flatten)]
    beside: Beside,
    #[command(flatten)]
    pub(super) asked: Asked,
}

#[derive(Clone, Debug, Args)]
pub(super) struct Churn {
    /// Members that come and go
    #[arg(long, default_value_t = 200, value_parser = count)]
    count: usize,
    /// Rooms
    #[arg(long, default_value_t = 10, value_parser = count)]
    rooms: usize,
    /// Members of each room that stay and send
    #[arg(long, default_value_t = 2, value_parser = count)]
    staying: usize,
    /// How long one is in a room, about
    #[arg(long, default_value = "1s", value_parser = period)]
    stay: Duration,
    /// How long one is in none, about
    #[arg(long, default_value = "200ms", value_parser = period)]
    pause: Duration,
    /// Which part of those who go leaves the room
    #[arg(long, default_value = "0.4", value_parser = part)]
    leave: f64,
    /// Which part closes its connection; the rest is cut off by a reset
    #[arg(long, default_value = "0.2", value_parser = part)]
    close: f64,
    /// Which part of those who are cut off comes back by a resume
    #[arg(long, default_value = "0.75", value_parser = part)]
    resumed: f64,
    /// The server's side listener, to see that no room and no session is left over
    #[arg(long)]
    events_url: Option<String>,
    /// How long the server may hold rooms and sessions after the run: its `grace_ms` and
    /// `linger_ms`
    #[arg(long, default_value = "90s", value_parser = span)]
    settle: Duration,
    /// What all this is drawn from
    #[arg(long, default_value_t = 1)]
    seed: u64,
    #[command(flatten)]
    common: Common,
    #[command(flatten)]
    timing: Timing,
    #[command(flatten)]
    talking: Talking,
    #[command(flatten)]
    pub(super) asked: Asked,
}

/// More than the server can do.
#[derive(Clone, Debug, Args)]
pub(super) struct Overload {
    /// Members, who all send
    #[arg(long, default_value_t = 300, value_parser = count)]
    count: usize,
    /// Members of a room
    #[arg(long, default_value_t = 10, value_parser = count)]
    rooms_of: usize,
    /// Messages a second from each
    #[arg(long, default_value = "500", value_parser = hz)]
    hz: f64,
    /// Payload bytes, at least 24
    #[arg(long, default_value_t = 64, value_parser = payload)]
    payload: usize,
    /// Delivery class
    #[arg(long, value_enum, default_value_t = ClassName::Latest)]
    class: ClassName,
    #[command(flatten)]
    common: Common,
    #[command(flatten)]
    timing: Timing,
    #[command(flatten)]
    pub(super) asked: Asked,
}

#[derive(Clone, Debug, Args)]
pub(super) struct Slow {
    /// Members
    #[arg(long, default_value_t = 100, value_parser = count)]
    count: usize,
    /// Members of a room
    #[arg(long, default_value_t = 10, value_parser = count)]
    rooms_of: usize,
    /// Messages a second from each that reads in time
    #[arg(long, default_value = "20", value_parser = hz)]
    hz: f64,
    /// Payload bytes, at least 24
    #[arg(long, default_value_t = 1000, value_parser = payload)]
    payload: usize,
    /// Delivery class
    #[arg(long, value_enum, default_value_t = ClassName::Reliable)]
    class: ClassName,
    /// Which part of the members is slow
    #[arg(long = "slow", default_value = "0.2", value_parser = part)]
    share: f64,
    /// How long a slow one does not read at a time, as in 200ms [default: until the end]
    #[arg(long, value_parser = period)]
    pause: Option<Duration>,
    /// The system's buffer for what comes to a slow one, in bytes
    #[arg(long, default_value_t = 4096, value_parser = clap::value_parser!(u32).range(1024..=16_777_216))]
    receive_buffer: u32,
    #[command(flatten)]
    common: Common,
    #[command(flatten)]
    timing: Timing,
    #[command(flatten)]
    pub(super) asked: Asked,
}

#[derive(Clone, Debug, Args)]
pub(super) struct Hostile {
    /// What to do; may be given again, or several with commas [default: all]
    #[arg(long, value_enum, value_delimiter = ',')]
    attack: Vec<Attack>,
    /// Connections of each attack at the same time; one that ended is begun again
    #[arg(long, default_value_t = 10, value_parser = count)]
    each: usize,
    /// How long, in seconds
    #[arg(long, default_value = "15", value_parser = seconds)]
    duration: Duration,
    /// How long the server may keep a connection that it has reason to end: its `head_ms`, `hello_ms` and
    /// `linger_ms`
    #[arg(long, default_value = "14s", value_parser = period)]
    deadline: Duration,
    /// How long it may take to let go of everything afterwards
    #[arg(long, default_value = "10s", value_parser = span)]
    settle: Duration,
    /// Most anonymous memory that the server may hold more than before, in MiB (needs --pid)
    #[arg(long, requires = "pid", allow_negative_numbers = true)]
    mib_max: Option<f64>,
    /// What random bytes are drawn from
    #[arg(long, default_value_t = 1)]
    seed: u64,
    #[command(flatten)]
    common: Common,
    #[command(flatten)]
    beside: Beside,
    #[command(flatten)]
    pub(super) asked: Asked,
}

impl Storm {
    pub(super) fn order(&self) -> Result<Order, String> {
        let Self { common, timing, talking, .. } = self;
        let mut plan = if self.resume {
            common.native_plan(self.count, self.rooms_of, "")?
        } else {
            common.plan(Dialect::Native, self.count, self.rooms_of, Some(true))?
        };
        if plan.dialect != Dialect::Raw && !plan.dialect.has_classes() {
            let name = plan.dialect.name();
            return Err(format!("--protocol {name}: a storm is raw, native or json"));
        }
        plan.patience = self.patience;
        let resumes = storm::Resumes {
            hz: talking.hz,
            payload_bytes: talking.payload,
            warmup: timing.warmup,
            duration: timing.duration,
            drain: timing.drain,
            cuts: u32::from(self.cuts),
            jitter: self.jitter,
            seed: self.seed,
        };
        let job = storm::Job {
            bystanders: self.beside.players(&plan),
            plan,
            storm: if self.resume { Kind::Resumes(resumes) } else { Kind::Connects },
            tries_max: u32::from(self.tries),
            patience: self.patience,
            everyone: self.count,
        };
        common.check_fits(job.connections())?;
        Ok(common.order(Job::Storm(Box::new(job))))
    }
}

impl Churn {
    pub(super) fn order(&self) -> Result<Order, String> {
        let Self { common, timing, talking, .. } = self;
        if self.leave + self.close > 1.0 {
            return Err(format!(
                "--leave {} and --close {}: parts of the same, so together at most 1",
                self.leave, self.close
            ));
        }
        let everyone = self.rooms * self.staying + self.count;
        let plan = common.native_plan(everyone, self.staying, "")?;
        let source = |url: &String| {
            let Address { host, target, is_secure } =
                resolve("--events-url", ("http", "https"), url)?;
            if is_secure {
                return Err(format!("--events-url {url}: metrics are read by http:// alone"));
            }
            Ok::<_, String>((Source { target, host }, self.settle))
        };
        let job = churn::Job {
            plan,
            rooms: self.rooms,
            hz: talking.hz,
            payload_bytes: talking.payload,
            warmup: timing.warmup,
            duration: timing.duration,
            drain: timing.drain,
            stay: self.stay,
            pause: self.pause,
            leave: self.leave,
            close: self.close,
            resume: self.resumed,
            seed: self.seed,
            metrics: self.events_url.as_ref().map(source).transpose()?,
        };
        Ok(common.order(Job::Churn(Box::new(job))))
    }
}

impl Overload {
    pub(super) fn order(&self) -> Result<Order, String> {
        let Self { class, hz, payload, common, timing, asked, .. } = self;
        let crowd = (self.count, self.rooms_of);
        too_much(crowd, (*class, *hz, *payload), None, common, timing, asked)
    }
}

impl Slow {
    pub(super) fn order(&self) -> Result<Order, String> {
        let Self { class, hz, payload, common, timing, asked, .. } = self;
        let crowd = (self.count, self.rooms_of);
        let lapses = Lapses {
            share: self.share,
            pause: self.pause,
            receive_bytes: self.receive_buffer as usize,
        };
        too_much(crowd, (*class, *hz, *payload), Some(lapses), common, timing, asked)
    }
}

/// Members of rooms of which a share does not read, or of which all have too much to do.
fn too_much(
    (count, rooms_of): (usize, usize),
    (class, hz, payload_bytes): (ClassName, f64, usize),
    lapses: Option<Lapses>,
    common: &Common,
    timing: &Timing,
    asked: &Asked,
) -> Result<Order, String> {
    let job = slow::Job {
        plan: common.native_plan(count, rooms_of, "")?,
        class: class.class(),
        hz,
        payload_bytes,
        warmup: timing.warmup,
        duration: timing.duration,
        drain: timing.drain,
        lapses,
        pid: asked.pid,
        everyone: count,
    };
    Ok(common.order(Job::Slow(Box::new(job))))
}

impl Hostile {
    pub(super) fn order(&self) -> Result<Order, String> {
        let Self { common, .. } = self;
        let plan = common.native_plan(1, 1, "")?;
        hostile::check_target(plan.target)?;
        if plan.tls.is_some() {
            return Err(format!("--url {}: attacks are in plaintext, by ws://", common.url));
        }
        if plan.transport != Transport::Ws {
            let name = plan.transport.name();
            return Err(format!("--transport {name}: attacks are on the way of a WebSocket"));
        }
        let mut attacks = self.attack.clone();
        if attacks.is_empty() {
            attacks = Attack::ALL.to_vec();
        }
        attacks.sort_unstable();
        attacks.dedup();
        let job = hostile::Job {
            bystanders: self.beside.players(&plan),
            plan,
            attacks,
            each: self.each,
            duration: self.duration,
            deadline: self.deadline,
            settle: self.settle,
            seed: self.seed,
            pid: self.asked.pid,
            mib_max: self.mib_max,
        };
        common.check_fits(job.connections())?;
        Ok(common.order(Job::Hostile(Box::new(job))))
    }
}

impl Beside {
    /// Who plays beside those of a plan, and what they say.
    fn players(&self, plan: &Plan) -> Option<(Plan, Load)> {
        if self.bystanders == 0 {
            return None;
        }
        let plan = Plan {
            connections: self.bystanders,
            rooms_of: 10,
            room_prefix: format!("{}beside-", plan.room_prefix),
            rate: 0,
            ..plan.clone()
        };
        let load = Load {
            scenario: "relay".to_owned(),
            speakers: Speakers::All,
            pace: Pace::Hz(self.bystanders_hz),
            warmup: Duration::ZERO,
            duration: Duration::ZERO,
            drain: Duration::from_secs(5),
            payload_bytes: 64,
            class: Class::Reliable,
            check_every: 16,
        };
        Some((plan, load))
    }
}

impl Common {
    /// A plan of sessions, in rooms whose names begin so unless something else was asked for.
    fn native_plan(
        &self,
        connections: usize,
        rooms_of: usize,
        prefix: &str,
    ) -> Result<Plan, String> {
        let mut plan = self.plan(Dialect::Native, connections, rooms_of, Some(true))?;
        if !plan.dialect.has_classes() {
            return Err(format!(
                "--protocol {}: this scenario is about sessions, which native and json alone have",
                plan.dialect.name()
            ));
        }
        if self.room.is_none() {
            plan.room_prefix = format!("{prefix}{}", plan.room_prefix);
        }
        Ok(plan)
    }
}
