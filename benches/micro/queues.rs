//! Queues of sessions: fan-out, and what the delivery classes do under pressure.

use crate::case::Case;
use crate::wire;
use madang_engine::config::SessionConfig;
use madang_engine::encode::Encoder;
use madang_engine::frame::{Frame, FrameKind};
use madang_engine::peer::Wire;
use madang_engine::session::outbound::{LatestKey, Moment, Pool, Pushed, Queue, QueueClass};

const SESSIONS: usize = 1_000;
const LATEST: QueueClass = QueueClass::Latest(LatestKey { channel: 3, member: 17, key: 1 });

/// Sessions' queues and a frame for them.
struct Audience {
    pool: Pool,
    queues: Vec<Queue>,
    limits: SessionConfig,
    frame: Frame,
    turn: u32,
}

impl Audience {
    fn of(sessions: usize) -> Self {
        let frame = Encoder::default().frame(&wire::message(), Wire::Native, &[]);
        Self {
            pool: Pool::default(),
            queues: vec![Queue::default(); sessions],
            limits: SessionConfig::default(),
            frame,
            turn: 0,
        }
    }

    /// Something is waiting for everybody.
    fn behind(sessions: usize, class: QueueClass) -> Self {
        let mut audience = Self::of(sessions);
        audience.push(class, Pushed::First);
        audience.turn += 1;
        audience
    }

    /// Nothing more fits into any queue.
    fn full(sessions: usize) -> Self {
        let mut audience = Self::of(sessions);
        let waiting = audience.limits.outbound_messages_max;
        audience.limits.outbound_messages_max = waiting.min(64);
        for waiting in 0..audience.limits.outbound_messages_max {
            let pushed = if waiting == 0 { Pushed::First } else { Pushed::Waiting };
            audience.push(QueueClass::Reliable, pushed);
        }
        audience
    }

    /// The frame to everybody, who do with it what is expected.
    fn push(&mut self, class: QueueClass, expected: Pushed) {
        let moment = Moment { turn: self.turn, ms: self.turn };
        for (slot, queue) in self.queues.iter_mut().enumerate() {
            let frame = (&self.frame, FrameKind::Batch);
            let pushed = self.pool.push(queue, slot as u32, moment, &self.limits, frame, class);
            assert_eq!(pushed, expected);
        }
    }

    fn pop(&mut self) {
        for (slot, queue) in self.queues.iter_mut().enumerate() {
            assert!(self.pool.pop(queue, slot as u32).is_some());
        }
        self.turn = self.turn.wrapping_add(1);
    }
}

pub(crate) fn cases() -> Vec<Case> {
    let sessions = SESSIONS as u64;
    let ready = |name, prepare: fn(&mut Audience), run: fn(&mut Audience)| {
        Case::prepared(("queues", name), Audience::of(SESSIONS), prepare, run)
            .per(sessions, "session")
            .allocates(0)
    };
    let mut late = Audience::behind(SESSIONS, LATEST);
    let mut busy = Audience::behind(SESSIONS, QueueClass::Reliable);
    let mut full = Audience::full(SESSIONS);
    vec![
        ready(
            "push",
            |audience| {
                // The first time nothing waits yet.
                if audience.turn > 0 {
                    audience.pop();
                }
                audience.turn += 1;
            },
            |audience| audience.push(QueueClass::Reliable, Pushed::First),
        ),
        ready("pop", |audience| audience.push(QueueClass::Reliable, Pushed::First), Audience::pop),
        Case::new(("queues", "conflate_latest"), move || late.push(LATEST, Pushed::Waiting))
            .per(sessions, "session")
            .allocates(0),
        Case::new(("queues", "drop_volatile"), move || {
            busy.push(QueueClass::Volatile, Pushed::Dropped);
        })
        .per(sessions, "session")
        .allocates(0),
        Case::new(("queues", "overflow"), move || {
            full.push(QueueClass::Reliable, Pushed::Overflow);
        })
        .per(sessions, "session")
        .allocates(0),
    ]
}
