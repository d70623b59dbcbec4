//! What happens when time has passed. Timers are never cancelled: each checks whether it still
//! means anything.

use super::Engine;
use crate::id::ConnId;
use crate::output::Output;
use crate::session::QueueClass;
use crate::session::pause;
use crate::time::Time;
use madang_protocol::CloseCode;

/// What a timer is for.
#[derive(Clone, Copy, Debug)]
pub(super) enum TimerKey {
    /// The hello of a connection is due.
    Hello(ConnId),
    /// A session's silence is to be looked at.
    Live { slot: u32, generation: u32, attempt: u32 },
    /// A session has been away for the grace period.
    Grace { slot: u32, generation: u32, attempt: u32 },
    /// A session's credential expires, or has.
    /// The client is asked for a new one so long before.
    Token { slot: u32, generation: u32, credential: u16, lead_ms: u32 },
    /// A session may be read again.
    Rate { slot: u32, generation: u32 },
    /// A room's members are to be told how many they are.
    Count { channel: u32 },
    /// A room has been empty for the linger time.
    Linger { channel: u32, emptied: u32 },
}

/// What is due to the microsecond.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Deadline {
    /// The end of a room's window.
    Flush(u32),
    /// A room's next tick, and how often a second it ticks.
    Tick(u32, u32),
}

/// The time between two ticks in microseconds.
pub(super) fn period_us(tick_hz: u32) -> u64 {
    1_000_000 / u64::from(tick_hz.max(1))
}

impl Engine {
    pub(super) fn meet_deadlines(&mut self) {
        let now = self.clock.now;
        while let Some((at, deadline)) = self.deadlines.pop_first() {
            if at > now {
                self.deadlines.insert((at, deadline));
                break;
            }
            match deadline {
                Deadline::Flush(channel) => {
                    self.with_room(channel, crate::room::Room::flush_held);
                }
                Deadline::Tick(channel, tick_hz) => self.tick(at, channel, tick_hz),
            }
            self.settle();
        }
    }

    /// A step of a room's time. A shard that was late makes up for a few steps; what is beyond is left
    /// out, or it would be later still.
    fn tick(&mut self, at: Time, channel: u32, tick_hz: u32) {
        let goes_on = self.with_room(channel, |room, ctx| {
            // A number that is used again early may meet what was due for the room before.
            room.next_tick == at && room.tick(ctx)
        });
        if goes_on != Some(true) {
            return;
        }
        self.stats.ticks += 1;
        let period = period_us(tick_hz);
        let mut next = at + period;
        let now = self.clock.now;
        let late = if next > now { 0 } else { (now.0 - next.0) / period + 1 };
        let most = u64::from(self.config.room.catch_up_ticks_max);
        if late > most {
            self.stats.ticks_skipped += late - most;
            next = next + (late - most) * period;
        }
        self.tick_due(next, channel, tick_hz);
    }

    /// Has a room tick at a time; not any more once the shard quiesces.
    pub(super) fn tick_due(&mut self, at: Time, channel: u32, tick_hz: u32) {
        if self.quiescing == 0 {
            self.with_room(channel, |room, _| room.next_tick = at);
            self.deadlines.insert((at, Deadline::Tick(channel, tick_hz)));
        } else {
            self.gather_no_more(channel);
        }
    }

    pub(super) fn expired(&mut self, key: TimerKey) {
        match key {
            TimerKey::Hello(conn) => self.hello_due(conn),
            TimerKey::Live { slot, generation, attempt } => {
                self.live_due(slot, generation, attempt);
            }
            TimerKey::Grace { slot, generation, attempt } => {
                let session = self.sessions.get(slot);
                let is_due = session.is_some_and(|session| {
                    session.generation == generation
                        && session.attempt == attempt
                        && session.conn.is_none()
                });
                if is_due {
                    self.end_session(slot);
                }
            }
            TimerKey::Token { slot, generation, credential, lead_ms } => {
                self.token_due(slot, (generation, credential), lead_ms);
            }
            TimerKey::Rate { slot, generation } => self.unpause(slot, generation, pause::RATE),
            TimerKey::Count { channel } => {
                self.with_room(channel, crate::room::Room::send_count);
            }
            TimerKey::Linger { channel, emptied } => self.linger_due(channel, emptied),
        }
    }

    /// Silence for `ping_ms`: ask. Silence for `pong_ms` after that: dead.
    pub(super) fn live_due(&mut self, slot: u32, generation: u32, attempt: u32) {
        let config = &self.config.session;
        let (ping_ms, pong_ms) = (config.ping_ms, config.pong_ms);
        let now = self.clock.now;
        let Some(session) = self.sessions.get_mut(slot).filter(|session| {
            session.generation == generation && session.attempt == attempt && session.conn.is_some()
        }) else {
            return;
        };
        let quiet_until = session.last_seen.plus_ms(ping_ms);
        let next = if now < quiet_until {
            session.pinged = false;
            quiet_until
        } else if !session.pinged || now < quiet_until.plus_ms(pong_ms) {
            // Not asked yet, or something came since and it has gone quiet again.
            session.pinged = true;
            self.push_ping(slot);
            now.plus_ms(pong_ms)
        } else {
            self.close_session_conn(slot, CloseCode::LIVENESS_TIMEOUT, "nothing came in time");
            return;
        };
        self.timers.insert(next, TimerKey::Live { slot, generation, attempt });
    }

    fn push_ping(&mut self, slot: u32) {
        let frame = crate::frame::Frame::new(&[]);
        self.push(slot, (&frame, crate::frame::FrameKind::Ping), QueueClass::Control);
    }

    pub(super) fn room_emptied(&mut self, channel: u32) {
        let Some(room) = self.home.get(channel) else { return };
        let linger_ms = match room.kind {
            // A raw room has nothing to remember.
            crate::config::Kind::Raw => 0,
            _ => self.config.room.linger_ms,
        };
        let emptied = room.emptied;
        if linger_ms == 0 {
            self.linger_due(channel, emptied);
        } else {
            let at = self.clock.now.plus_ms(linger_ms);
            self.timers.insert(at, TimerKey::Linger { channel, emptied });
        }
    }

    fn linger_due(&mut self, channel: u32, emptied: u32) {
        let Some(room) = self.home.get(channel) else { return };
        if room.emptied != emptied || !room.members.is_empty() || room.is_kept {
            return;
        }
        let now = self.clock.now;
        // Those who watch a room without members see what backends publish: it stays for them.
        let linger_ms = self.config.room.linger_ms;
        let until = room.publications.as_ref().map(|known| known.lingers_until(linger_ms));
        if let Some(until) = until.filter(|until| *until > now) {
            self.timers.insert(until, TimerKey::Linger { channel, emptied });
            return;
        }
        self.remove_room(channel);
    }

    /// Reads from a client again, unless another reason stands against it.
    pub(super) fn unpause(&mut self, slot: u32, generation: u32, reason: u8) {
        let Some(session) =
            self.sessions.get_mut(slot).filter(|session| session.generation == generation)
        else {
            return;
        };
        if session.pauses & reason == 0 {
            return;
        }
        session.pauses &= !reason;
        match (session.pauses, session.conn) {
            (0, Some(conn)) => self.out.push_back(Output::ReadResume(conn)),
            (pause::REST, Some(_)) => {
                let shard = self.config.shard;
                self.deferred.push_back(crate::id::SessionRef { shard, slot, generation });
            }
            _ => {}
        }
    }

    /// Stops reading from a client.
    pub(super) fn pause(&mut self, slot: u32, reason: u8) {
        let Some(session) = self.sessions.get_mut(slot) else { return };
        let was_reading = session.pauses == 0;
        session.pauses |= reason;
        if let (true, Some(conn)) = (was_reading, session.conn) {
            self.out.push_back(Output::ReadPause(conn));
        }
    }
}
