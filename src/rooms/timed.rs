//! Times the calls of rooms' rules, which the engine, having no clock, cannot.
//!
//! A [`Timed`] stands around a logic and is one itself. What it finds goes into the [`Meter`] of its
//! shard: how many calls were slow, and since when one is running, so that one that never returns can be
//! told while its shard hangs. What a room does never depends on it: a replay comes to the same.

use madang_engine::room::logic::{
    Context, EditOutcome, Incoming, LogicKind, MemberView, RoomLogic, RoomOptions,
};
use madang_protocol::client::Edit;
use madang_protocol::state::Schema;
use madang_protocol::value::Payload;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// A room's slow calls are logged at most this often.
const SAY_EVERY: Duration = Duration::from_secs(1);

/// What one shard's rooms took.
#[derive(Debug)]
pub struct Meter {
    origin: Instant,
    slow_after: Duration,
    /// Calls that took longer than they should.
    slow: AtomicU64,
    /// When the running call began, in milliseconds since `origin`, plus 1; 0 if none runs.
    running: AtomicU64,
}

impl Meter {
    /// Calls longer than `slow_after` are slow.
    pub fn new(slow_after: Duration) -> Self {
        Self {
            origin: Instant::now(),
            slow_after,
            slow: AtomicU64::new(0),
            running: AtomicU64::new(0),
        }
    }

    /// Calls that took longer than they should, so far.
    pub fn slow(&self) -> u64 {
        self.slow.load(Ordering::Relaxed)
    }

    /// How long the running call has been running, if one is.
    pub fn running(&self) -> Option<Duration> {
        let since = self.running.load(Ordering::Relaxed).checked_sub(1)?;
        Some(self.origin.elapsed().saturating_sub(Duration::from_millis(since)))
    }
}

/// The kind with every call of its rooms timed.
pub fn timed(kind: &LogicKind, meter: &Arc<Meter>) -> LogicKind {
    let (make, meter) = (Arc::clone(&kind.factory), Arc::clone(meter));
    let factory = move |options: &RoomOptions<'_>| {
        let inner = make(options)?;
        let timed =
            Timed { inner, room: options.name.into(), meter: Arc::clone(&meter), said: None };
        Ok(Box::new(timed) as Box<dyn RoomLogic>)
    };
    LogicKind { factory: Arc::new(factory), ..kind.clone() }
}

struct Timed {
    inner: Box<dyn RoomLogic>,
    room: Box<str>,
    meter: Arc<Meter>,
    said: Option<Instant>,
}

/// A call that is running, until it returns or panics.
struct Running<'m>(&'m AtomicU64);

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.0.store(0, Ordering::Relaxed);
    }
}

impl Timed {
    fn time<T>(&mut self, what: &'static str, call: impl FnOnce(&mut dyn RoomLogic) -> T) -> T {
        let begin = Instant::now();
        let since = begin.duration_since(self.meter.origin).as_millis() as u64 + 1;
        self.meter.running.store(since, Ordering::Relaxed);
        let running = Running(&self.meter.running);
        let result = call(&mut *self.inner);
        drop(running);
        let took = begin.elapsed();
        if took > self.meter.slow_after {
            self.meter.slow.fetch_add(1, Ordering::Relaxed);
            if self.said.is_none_or(|said| said.elapsed() > SAY_EVERY) {
                self.said = Some(Instant::now());
                let took_ms = took.as_millis() as u64;
                tracing::warn!(room = %self.room, what, took_ms, "a call of a room's rules was slow");
            }
        }
        result
    }
}

impl RoomLogic for Timed {
    fn schema(&self) -> Arc<Schema> {
        self.inner.schema()
    }

    fn on_create(&mut self, ctx: &mut Context<'_>) {
        self.time("on_create", |logic| logic.on_create(ctx));
    }

    fn may_join(&mut self, ctx: &mut Context<'_>, member: &MemberView<'_>) -> Result<(), String> {
        self.time("may_join", |logic| logic.may_join(ctx, member))
    }

    fn on_join(&mut self, ctx: &mut Context<'_>, member: &MemberView<'_>) {
        self.time("on_join", |logic| logic.on_join(ctx, member));
    }

    fn on_leave(&mut self, ctx: &mut Context<'_>, member: u32) {
        self.time("on_leave", |logic| logic.on_leave(ctx, member));
    }

    fn on_message(
        &mut self,
        ctx: &mut Context<'_>,
        member: u32,
        message: &Incoming<'_>,
    ) -> Result<(), String> {
        self.time("on_message", |logic| logic.on_message(ctx, member, message))
    }

    fn on_request(
        &mut self,
        ctx: &mut Context<'_>,
        member: u32,
        request: &Incoming<'_>,
    ) -> Option<Payload<'static>> {
        self.time("on_request", |logic| logic.on_request(ctx, member, request))
    }

    fn on_edit(&mut self, ctx: &mut Context<'_>, member: u32, edit: &Edit) -> Option<EditOutcome> {
        self.time("on_edit", |logic| logic.on_edit(ctx, member, edit))
    }

    fn on_tick(&mut self, ctx: &mut Context<'_>) {
        self.time("on_tick", |logic| logic.on_tick(ctx));
    }

    fn on_timer(&mut self, ctx: &mut Context<'_>, timer: u32) {
        self.time("on_timer", |logic| logic.on_timer(ctx, timer));
    }

    fn on_empty(&mut self, ctx: &mut Context<'_>) {
        self.time("on_empty", |logic| logic.on_empty(ctx));
    }

    fn save(&self) -> Option<Vec<u8>> {
        self.inner.save()
    }

    fn restore(&mut self, ctx: &mut Context<'_>, saved: &[u8]) -> Result<(), String> {
        self.time("restore", |logic| logic.restore(ctx, saved))
    }
}
