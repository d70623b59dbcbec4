//! Room logic: what an application writes.
//!
//! A [`RoomLogic`] is called by its room and acts through a [`Context`]: state, messages, kicks, timers,
//! a seeded random generator, the room's time. It runs inside the engine and must be deterministic: no
//! clock, threads, files or unordered iteration, so that the same inputs and seed give the same outputs
//! and a recorded match replays. What it changes of the state is seen at once by itself and by
//! everybody else at the end of the tick; what it asks for beside that is done after the call.
//!
//! Each call has a budget of context operations and the state has bounds; a logic that exceeds either,
//! or panics, loses its room and no other (`play.rs`).

use super::state::{Belonging, Plane, State};
use madang_protocol::client::{Class, Edit};
use madang_protocol::server::EditRefusal;
use madang_protocol::state::{FieldValue, Schema, StateError};
use madang_protocol::value::{Extension, Payload, Value};
use rand_chacha::ChaCha12Rng;
use rand_chacha::rand_core::RngCore;
use std::borrow::Cow;
use std::sync::Arc;

/// The rules of one room. Every method but [`Self::schema`] has a default that does nothing and refuses
/// nothing that a room can do without rules.
pub trait RoomLogic: Send {
    /// What the room's state is made of. Asked once, before anything else.
    fn schema(&self) -> Arc<Schema>;

    /// The room begins.
    fn on_create(&mut self, _ctx: &mut Context<'_>) {}

    /// Whether a session may enter; if not, why, for people. The member has no place yet.
    ///
    /// # Errors
    ///
    /// The words of a refusal.
    fn may_join(&mut self, _ctx: &mut Context<'_>, _member: &MemberView<'_>) -> Result<(), String> {
        Ok(())
    }

    /// A member entered.
    fn on_join(&mut self, _ctx: &mut Context<'_>, _member: &MemberView<'_>) {}

    /// A member is gone. It is not among [`Context::members`] any more.
    fn on_leave(&mut self, _ctx: &mut Context<'_>, _member: u32) {}

    /// A member published something. It goes to nobody unless the logic sends it on, as its own word
    /// ([`Context::send`]) or as the member's ([`Context::pass_on`]).
    ///
    /// # Errors
    ///
    /// The words of a refusal, told to the sender.
    fn on_message(
        &mut self,
        _ctx: &mut Context<'_>,
        _member: u32,
        _message: &Incoming<'_>,
    ) -> Result<(), String> {
        Ok(())
    }

    /// A member asked something that the room does not answer by itself. Nothing is an error to the
    /// one who asked.
    fn on_request(
        &mut self,
        _ctx: &mut Context<'_>,
        _member: u32,
        _request: &Incoming<'_>,
    ) -> Option<Payload<'static>> {
        None
    }

    /// A member wants to edit the state. Nothing says that this room takes no edits.
    fn on_edit(
        &mut self,
        _ctx: &mut Context<'_>,
        _member: u32,
        _edit: &Edit,
    ) -> Option<EditOutcome> {
        None
    }

    /// A step of the room's time has passed; the tick ends with this call.
    fn on_tick(&mut self, _ctx: &mut Context<'_>) {}

    /// A timer of [`Context::set_timer`] is due.
    fn on_timer(&mut self, _ctx: &mut Context<'_>, _timer: u32) {}

    /// The last member is gone.
    fn on_empty(&mut self, _ctx: &mut Context<'_>) {}

    /// What the logic knows beside the state, to go on from later; nothing if it cannot.
    fn save(&self) -> Option<Vec<u8>> {
        None
    }

    /// Takes up what [`Self::save`] gave; the state is there already, members are not.
    ///
    /// # Errors
    ///
    /// The words of a refusal.
    fn restore(&mut self, _ctx: &mut Context<'_>, _saved: &[u8]) -> Result<(), String> {
        Err("this kind of room cannot be restored".into())
    }
}

/// A member, as logic sees it.
#[derive(Clone, Debug, PartialEq)]
pub struct MemberView<'a> {
    /// Its id; 0 while it may not have entered.
    pub id: u32,
    /// The authenticated user.
    pub user: Option<&'a str>,
    /// Its attributes.
    pub attributes: &'a [(String, Value)],
}

/// Something that a member sent.
#[derive(Clone, Debug, PartialEq)]
pub struct Incoming<'a> {
    /// Its type.
    pub r#type: &'a str,
    /// Its class; reliable for requests.
    pub class: Class,
    /// Its content.
    pub payload: &'a Payload<'a>,
}

/// What became of an edit.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EditOutcome {
    /// Temporary numbers and the ids that the entities got.
    pub created: Vec<(u32, u32)>,
    /// Edits that were refused, by their place.
    pub refused: Vec<(u32, EditRefusal)>,
}

/// What a room is made with.
#[derive(Clone, Copy, Debug)]
pub struct RoomOptions<'a> {
    /// Its name.
    pub name: &'a str,
    /// Its labels.
    pub labels: &'a [(String, String)],
    /// Most members.
    pub capacity: u32,
    /// The extensions of the join that creates it.
    pub extensions: &'a [Extension],
}

/// Makes the logic of a room, or says why it will not, for people.
pub type Factory = dyn Fn(&RoomOptions<'_>) -> Result<Box<dyn RoomLogic>, String> + Send + Sync;

/// A kind of room with logic.
#[derive(Clone)]
pub struct LogicKind {
    /// The kind's name.
    pub name: &'static str,
    /// Ticks a second, 1 to [`TICK_HZ_MAX`]; 0 for logic that is only called by events, where each call
    /// is a tick.
    pub tick_hz: u32,
    /// Near which point of the plane members see entities; nothing: everywhere.
    pub interest: Option<Interest>,
    /// Makes the logic of a room.
    pub factory: Arc<Factory>,
}

/// The most ticks a second.
pub const TICK_HZ_MAX: u32 = 60;

/// What members of a room see of its plane: the cells that are, in part, within a square around their
/// point. A member without a point sees no cell.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Interest {
    /// Where entities are.
    pub plane: Plane,
    /// Half the edge of the square, in the units of positions; at most [`RADIUS_CELLS_MAX`] cells.
    pub radius: f64,
}

/// The furthest that a member may see, in cells.
pub const RADIUS_CELLS_MAX: f64 = 8.0;

impl std::fmt::Debug for LogicKind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "LogicKind({}, {} Hz)", self.name, self.tick_hz)
    }
}

/// Whom a message of the room goes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Audience {
    /// Every member; and spectators, if the message is reliable.
    Everyone,
    /// The members of a team.
    Team(u32),
    /// One member.
    Member(u32),
}

/// What logic asked for; the room does it after the call.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// Send a message as the room.
    Send {
        /// To whom.
        to: Audience,
        /// How.
        class: Class,
        /// Its type.
        r#type: String,
        /// Its content.
        payload: Payload<'static>,
    },
    /// Remove a member.
    Kick {
        /// Whom.
        member: u32,
    },
    /// End the room.
    Close,
}

/// What a call left behind beside the state.
#[derive(Debug, Default)]
pub(super) struct Asked {
    pub(super) actions: Vec<Action>,
    pub(super) timers: Vec<(u64, u32)>,
    pub(super) teams: Vec<(u32, u32)>,
    pub(super) views: Vec<(u32, [f64; 2])>,
    /// Context operations so far.
    pub(super) operations: u32,
    /// Whether the state was to grow beyond its bounds.
    pub(super) is_over: bool,
    /// Whether the message that the call is about goes on to everyone.
    pub(super) passes_on: bool,
}

/// What logic acts through during one call.
pub struct Context<'a> {
    pub(super) state: &'a mut State,
    pub(super) rng: &'a mut ChaCha12Rng,
    pub(super) asked: &'a mut Asked,
    pub(super) operations_max: u32,
    pub(super) tick: u64,
    pub(super) tick_hz: u32,
    pub(super) members: &'a [u32],
}

impl Context<'_> {
    /// The newest tick: in [`RoomLogic::on_tick`] the one that is being made, elsewhere the last one, so
    /// that what is changed now shows in the next.
    pub fn tick(&self) -> u64 {
        self.tick
    }

    /// Ticks a second; 0 where each call is a tick.
    pub fn tick_hz(&self) -> u32 {
        self.tick_hz
    }

    /// The room's time in seconds: ticks times the step.
    pub fn seconds(&self) -> f64 {
        self.tick as f64 / f64::from(self.tick_hz.max(1))
    }

    /// The members' ids, ascending.
    pub fn members(&self) -> &[u32] {
        self.members
    }

    /// A random number below `bound` (0 gives 0), from the room's seeded stream.
    pub fn random(&mut self, bound: u32) -> u32 {
        ((u64::from(self.rng.next_u32()) * u64::from(bound)) >> 32) as u32
    }

    /// A random number from 0 to below 1, from the room's seeded stream.
    pub fn random_unit(&mut self) -> f64 {
        f64::from(self.rng.next_u32()) / 4_294_967_296.0
    }

    /// How many more operations the call may make: what would need more has to wait for another.
    pub fn operations_left(&self) -> u32 {
        self.operations_max.saturating_sub(self.asked.operations)
    }

    /// The state, to be read.
    pub fn state(&self) -> &State {
        self.state
    }

    /// Adds an entity with every field zero and returns its id. The room is lost if there are more
    /// than there may be.
    ///
    /// # Errors
    ///
    /// As [`State::create`], and when the budget is spent.
    pub fn create(&mut self, kind: u32, belonging: Belonging) -> Result<u32, StateError> {
        let created = self.try_create(kind, belonging);
        self.asked.is_over |= created == Err(StateError::Full);
        created
    }

    /// As [`Self::create`], but a full state is only an error.
    ///
    /// # Errors
    ///
    /// As [`Self::create`].
    pub fn try_create(&mut self, kind: u32, belonging: Belonging) -> Result<u32, StateError> {
        self.spend()?;
        self.state.create(kind, belonging)
    }

    /// Removes an entity.
    ///
    /// # Errors
    ///
    /// As [`State::remove`], and when the budget is spent.
    pub fn remove(&mut self, id: u32) -> Result<(), StateError> {
        self.spend()?;
        self.state.remove(id)
    }

    /// Sets a field; entity 0 is the room. The room is lost if the state is larger than it may be.
    ///
    /// # Errors
    ///
    /// As [`State::set`], and when the budget is spent.
    pub fn set(&mut self, id: u32, field: usize, value: &FieldValue) -> Result<(), StateError> {
        let set = self.try_set(id, field, value);
        self.asked.is_over |= set == Err(StateError::Full);
        set
    }

    /// As [`Self::set`], but a full state is only an error.
    ///
    /// # Errors
    ///
    /// As [`Self::set`].
    pub fn try_set(&mut self, id: u32, field: usize, value: &FieldValue) -> Result<(), StateError> {
        self.spend()?;
        self.state.set(id, field, value)
    }

    /// Gives an entity to another owner or team.
    ///
    /// # Errors
    ///
    /// As [`State::give`], and when the budget is spent.
    pub fn give(&mut self, id: u32, belonging: Belonging) -> Result<(), StateError> {
        self.spend()?;
        self.state.give(id, belonging)
    }

    /// Sends a message as the room (member 0).
    pub fn send(&mut self, to: Audience, class: Class, r#type: &str, payload: Payload<'_>) {
        let (r#type, payload) = (r#type.to_owned(), payload.into_owned());
        self.act(Action::Send { to, class, r#type, payload });
    }

    /// Sends the message that [`RoomLogic::on_message`] is about to everyone, as the member's and in
    /// its class, as a room without rules does. Means nothing in other calls.
    pub fn pass_on(&mut self) {
        if self.spend().is_ok() {
            self.asked.passes_on = true;
        }
    }

    /// Sends text to everyone, reliably.
    pub fn announce(&mut self, r#type: &str, text: &str) {
        let payload = Payload::Text(Cow::Borrowed(text));
        self.send(Audience::Everyone, Class::Reliable, r#type, payload);
    }

    /// Puts a member into a team, from the end of this tick on; 0 is none.
    pub fn set_team(&mut self, member: u32, team: u32) {
        if self.spend().is_ok() {
            self.asked.teams.push((member, team));
        }
    }

    /// Sets the point near which a member sees, from the end of this tick on. Means nothing in a kind
    /// without [`LogicKind::interest`].
    pub fn set_view(&mut self, member: u32, at: [f64; 2]) {
        if self.spend().is_ok() {
            self.asked.views.push((member, at));
        }
    }

    /// Removes a member.
    pub fn kick(&mut self, member: u32) {
        self.act(Action::Kick { member });
    }

    /// Ends the room: every member is told.
    pub fn close(&mut self) {
        self.act(Action::Close);
    }

    /// Has [`RoomLogic::on_timer`] called at the tick after so many others (at least one), before
    /// its [`RoomLogic::on_tick`].
    pub fn set_timer(&mut self, ticks: u64, timer: u32) {
        if self.spend().is_ok() {
            self.asked.timers.push((self.tick.saturating_add(ticks.max(1)), timer));
        }
    }

    /// Counts an operation. Beyond the budget nothing is done any more and the room is lost after the
    /// call; the call itself goes on, because it cannot be stopped from here.
    fn spend(&mut self) -> Result<(), StateError> {
        self.asked.operations = self.asked.operations.saturating_add(1);
        let is_left = self.asked.operations <= self.operations_max;
        if is_left { Ok(()) } else { Err(StateError::Spent) }
    }

    fn act(&mut self, action: Action) {
        if self.spend().is_ok() {
            self.asked.actions.push(action);
        }
    }
}

impl std::fmt::Debug for Context<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Context(tick {})", self.tick)
    }
}
