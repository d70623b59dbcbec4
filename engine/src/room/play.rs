//! A room's logic at play: its state, its time, and one way in, [`Play::call`].
//!
//! Everything that happens to a logic is a [`Call`], so that a room's calls, written down, replay to the
//! same states (`record.rs`). A call that panics, spends too many operations or lets the state grow
//! beyond its bounds is a [`Failure`]: the play is over then, whatever room it belongs to.
//!
//! Knows members as numbers and nothing of sessions, frames or queues; what goes to whom is decided by
//! `stateful.rs`.

use super::logic::{
    Action, Asked, Context, EditOutcome, Incoming, Interest, LogicKind, MemberView,
    RADIUS_CELLS_MAX, RoomLogic, RoomOptions, TICK_HZ_MAX,
};
use super::state::{Part, PartDelta, State, StateLimits, cell_number};
use crate::config::RoomConfig;
use crate::frame::Frame;
use madang_protocol::client::{Class, Edit};
use madang_protocol::state::Schema;
use madang_protocol::value::{Payload, Value};
use rand_chacha::ChaCha12Rng;
use rand_chacha::rand_core::SeedableRng;
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

/// Something that happens to a room's logic.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", bound(deserialize = "'de: 'a"))]
pub enum Call<'a> {
    /// The room begins.
    Create,
    /// May a session enter?
    MayJoin {
        /// The authenticated user.
        user: Option<Cow<'a, str>>,
        /// Its attributes.
        attributes: Cow<'a, [(String, Value)]>,
    },
    /// A member entered.
    Join {
        /// Its id.
        member: u32,
        /// The authenticated user.
        user: Option<Cow<'a, str>>,
        /// Its attributes.
        attributes: Cow<'a, [(String, Value)]>,
    },
    /// A member is gone.
    Leave {
        /// Its id.
        member: u32,
    },
    /// A member published something.
    Message {
        /// Who.
        member: u32,
        /// Its type.
        r#type: Cow<'a, str>,
        /// Its class.
        class: Class,
        /// Its content.
        payload: Payload<'a>,
    },
    /// A member asked something.
    Request {
        /// Who.
        member: u32,
        /// What.
        r#type: Cow<'a, str>,
        /// Its content.
        payload: Payload<'a>,
    },
    /// A member wants to edit the state.
    Edit {
        /// Who.
        member: u32,
        /// What.
        edit: Cow<'a, Edit>,
    },
    /// A step of time has passed.
    Tick,
    /// The last member is gone.
    Empty,
    /// The room was put away, and is taken up again instead of being created.
    Restore {
        /// What the logic had kept.
        saved: Cow<'a, [u8]>,
    },
}

/// What a logic said to a call.
#[derive(Clone, Debug, PartialEq)]
pub enum Answer {
    /// Nothing that anybody waits for.
    Done,
    /// To [`Call::MayJoin`], [`Call::Message`] and [`Call::Restore`]: no, and why.
    Refused(String),
    /// To [`Call::Message`]: it goes to everyone.
    PassedOn,
    /// To [`Call::Request`].
    Reply(Option<Payload<'static>>),
    /// To [`Call::Edit`].
    Edited(Option<EditOutcome>),
}

/// Why a play is over, in words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure(pub String);

/// What a panic's words begin with.
const PANICKED: &str = "it panicked";

impl Failure {
    /// What members are told: the words of a panic are for the operator, they may hold what is hidden.
    pub fn told(&self) -> &str {
        if self.0.starts_with(PANICKED) { PANICKED } else { &self.0 }
    }
}

/// Why there is no play.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NotMade {
    /// The kind does not want a room with these options, in its words.
    Refused(String),
    /// The making failed.
    Failed(Failure),
}

impl From<Failure> for NotMade {
    fn from(failure: Failure) -> Self {
        NotMade::Failed(failure)
    }
}

/// What the end of a tick brings.
#[derive(Debug, Default)]
pub struct Ticked {
    /// What changed, with the tick at which each part last did.
    pub deltas: Vec<(PartDelta, u64)>,
    /// Members whose inputs were dealt with since the last tick, ascending.
    pub acked: Vec<u32>,
    /// Members that are in another team now, ascending: who, the old and the new one.
    pub teams: Vec<(u32, u32, u32)>,
    /// Cells that members see now and did not before: who, and which; ascending.
    pub entered: Vec<(u32, u32)>,
    /// Cells that members no longer see.
    pub left: Vec<(u32, u32)>,
}

/// A part's snapshot in each form that somebody wanted in this tick.
#[derive(Clone, Debug, Default)]
pub(super) struct SnapshotFrames {
    pub(super) native: Option<Frame>,
    pub(super) json: Option<Frame>,
}

/// Somebody else's code, which may also panic when it is let go.
struct Rules(Option<Box<dyn RoomLogic>>);

impl Drop for Rules {
    fn drop(&mut self) {
        let logic = self.0.take();
        let _ = catch(|| drop(logic));
    }
}

/// Parts whose ticks are kept though some may be empty.
const PARTS_KEPT: usize = 64;

/// Parts whose snapshots are kept until something changes. Where nothing does, members come and go and walk
/// through any number of cells.
pub(super) const SNAPSHOTS_MAX: usize = 1024;

/// A logic with its state and time.
pub struct Play {
    logic: Rules,
    pub(super) state: State,
    pub(super) rng: ChaCha12Rng,
    pub(super) tick: u64,
    tick_hz: u32,
    interest: Option<Interest>,
    operations_max: u32,
    /// Ascending.
    members: Vec<u32>,
    /// The highest id that a member ever had.
    pub(super) highest_member: u32,
    /// By tick, then in the order they were set.
    pub(super) timers: BTreeMap<u64, Vec<u32>>,
    pub(super) timers_waiting: usize,
    teams: BTreeMap<u32, u32>,
    /// The cells that each member sees, and who sees each cell.
    views: BTreeMap<u32, BTreeSet<u32>>,
    seen_by: BTreeMap<u32, BTreeSet<u32>>,
    /// What takes effect at the end of the tick.
    teams_due: BTreeMap<u32, u32>,
    views_due: BTreeMap<u32, [f64; 2]>,
    acks_due: BTreeSet<u32>,
    /// The highest cseq of each member that an input ack has covered; kept here and not with the members,
    /// most of whom are in rooms without rules.
    pub(super) shown: BTreeMap<u32, u64>,
    /// The tick at which each part last changed.
    part_ticks: BTreeMap<Part, u64>,
    /// How many of them were left when those of empty parts were last forgotten.
    parts_kept: usize,
    /// The room's seq of the newest tick that changed something.
    pub(crate) seq: u64,
    /// That tick's time, in milliseconds since 1970 UTC.
    pub(super) at_ms: u64,
    /// Members that are gone and of whom the logic has not been told.
    pub(super) leaving: VecDeque<u32>,
    /// Whether a call, or what follows from one, is going on: then the next waits.
    pub(super) is_busy: bool,
    /// Snapshots of this tick that somebody wanted.
    pub(super) snapshots: BTreeMap<Part, SnapshotFrames>,
    /// The schema as members get it.
    pub(super) schema_json: Box<[u8]>,
}

impl Play {
    /// A play at tick 0, created.
    ///
    /// # Errors
    ///
    /// When the kind refuses the options, its schema is not valid, or its creation fails.
    pub fn new(
        kind: &LogicKind,
        options: &RoomOptions<'_>,
        config: &RoomConfig,
        seed: [u8; 32],
    ) -> Result<(Self, Vec<Action>), Failure> {
        Self::make(kind, options, config, seed).map_err(|why| match why {
            NotMade::Refused(words) => Failure(words),
            NotMade::Failed(failure) => failure,
        })
    }

    /// As [`Self::new`], telling refusals and failures apart.
    ///
    /// # Errors
    ///
    /// As [`Self::new`].
    pub fn make(
        kind: &LogicKind,
        options: &RoomOptions<'_>,
        config: &RoomConfig,
        seed: [u8; 32],
    ) -> Result<(Self, Vec<Action>), NotMade> {
        let mut play = Self::empty(kind, options, config, seed)?;
        let (_, actions) = play.call(&Call::Create)?;
        play.end_tick();
        Ok((play, actions))
    }

    /// A play of which the logic has not been told that it begins.
    pub(super) fn empty(
        kind: &LogicKind,
        options: &RoomOptions<'_>,
        config: &RoomConfig,
        seed: [u8; 32],
    ) -> Result<Self, NotMade> {
        let logic = catch(|| (kind.factory)(options))?.map_err(NotMade::Refused)?;
        let logic = Rules(Some(logic));
        let schema = catch(|| logic.0.as_ref().map_or_else(Arc::default, |logic| logic.schema()))?;
        let limits = StateLimits {
            entities_max: config.state_entities_max,
            bytes_max: config.state_bytes_max,
        };
        let interest = kind.interest.filter(|interest| {
            interest.radius >= 0.0 && interest.radius <= interest.plane.cell * RADIUS_CELLS_MAX
        });
        if interest != kind.interest {
            let why = format!("a member sees at least 0 and at most {RADIUS_CELLS_MAX} cells far");
            return Err(Failure(why).into());
        }
        let plane = interest.map(|interest| interest.plane);
        let schema_json = serde_json::to_vec(&*schema).unwrap_or_default().into();
        let state = State::on_plane(schema, plane, limits)
            .map_err(|error| Failure(format!("the schema: {error}")))?;
        Ok(Self {
            logic,
            state,
            rng: ChaCha12Rng::from_seed(seed),
            tick: 0,
            tick_hz: kind.tick_hz.min(TICK_HZ_MAX),
            interest,
            operations_max: config.logic_operations_max,
            members: Vec::new(),
            highest_member: 0,
            timers: BTreeMap::new(),
            timers_waiting: 0,
            teams: BTreeMap::new(),
            views: BTreeMap::new(),
            seen_by: BTreeMap::new(),
            teams_due: BTreeMap::new(),
            views_due: BTreeMap::new(),
            acks_due: BTreeSet::new(),
            shown: BTreeMap::new(),
            part_ticks: BTreeMap::new(),
            parts_kept: 0,
            seq: 0,
            at_ms: 0,
            leaving: VecDeque::new(),
            is_busy: false,
            snapshots: BTreeMap::new(),
            schema_json,
        })
    }

    /// Makes a call, and returns the answer and what the logic wants the room to do.
    ///
    /// # Errors
    ///
    /// When the call panicked or broke its bounds: the play must not be used any more.
    pub fn call(&mut self, call: &Call<'_>) -> Result<(Answer, Vec<Action>), Failure> {
        match call {
            Call::Tick => self.tick += 1,
            Call::Create | Call::Restore { .. } | Call::MayJoin { .. } => {}
            _ if self.tick_hz == 0 => self.tick += 1,
            _ => {}
        }
        match call {
            // Ids ascend.
            Call::Join { member, .. } => {
                self.members.push(*member);
                self.highest_member = self.highest_member.max(*member);
            }
            Call::Leave { member } => self.forget(*member),
            Call::Message { member, .. } => drop(self.acks_due.insert(*member)),
            _ => {}
        }
        let due = if *call == Call::Tick || self.tick_hz == 0 { self.due_timers() } else { vec![] };
        let mut asked = Asked::default();
        let mut context = Context {
            state: &mut self.state,
            rng: &mut self.rng,
            asked: &mut asked,
            operations_max: self.operations_max,
            tick: self.tick,
            tick_hz: self.tick_hz,
            members: &self.members,
        };
        // It is there until it is let go.
        let Some(logic) = self.logic.0.as_deref_mut() else { return Ok((Answer::Done, vec![])) };
        let answer = catch(|| {
            for timer in due {
                logic.on_timer(&mut context, timer);
            }
            dispatch(logic, &mut context, call)
        })?;
        if asked.operations > self.operations_max {
            let most = self.operations_max;
            return Err(Failure(format!("a call made more than {most} operations")));
        }
        if asked.is_over {
            return Err(Failure("the state is larger than it may be".to_owned()));
        }
        self.timers_waiting += asked.timers.len();
        for (tick, timer) in asked.timers {
            self.timers.entry(tick).or_default().push(timer);
        }
        if self.timers_waiting > self.operations_max as usize {
            return Err(Failure("more timers wait than a call has operations".to_owned()));
        }
        self.teams_due.extend(asked.teams);
        self.views_due.extend(asked.views);
        let is_passed_on = asked.passes_on && answer == Answer::Done;
        let is_message = matches!(call, Call::Message { .. });
        let answer = if is_passed_on && is_message { Answer::PassedOn } else { answer };
        Ok((answer, asked.actions))
    }

    /// Ends a tick: what everybody is to be told.
    pub fn end_tick(&mut self) -> Ticked {
        let tick = self.tick;
        let mut ticked = Ticked::default();
        for delta in self.state.commit() {
            let base = self.part_ticks.insert(delta.part, tick).unwrap_or(0);
            ticked.deltas.push((delta, base));
        }
        if self.part_ticks.len() > 2 * self.parts_kept + PARTS_KEPT {
            // Empty parts are forgotten: of cells, and of members that are gone, there may be any number.
            let state = &self.state;
            self.part_ticks.retain(|part, at| *at == tick || state.hash(*part) != 0);
            self.parts_kept = self.part_ticks.len();
        }
        ticked.acked = std::mem::take(&mut self.acks_due).into_iter().collect();
        for (member, team) in std::mem::take(&mut self.teams_due) {
            if self.members.binary_search(&member).is_err() {
                continue;
            }
            let old = if team == 0 {
                self.teams.remove(&member)
            } else {
                self.teams.insert(member, team)
            };
            let old = old.unwrap_or(0);
            if old != team {
                ticked.teams.push((member, old, team));
            }
        }
        for (member, at) in std::mem::take(&mut self.views_due) {
            self.look(member, at, &mut ticked);
        }
        if !ticked.deltas.is_empty() {
            self.snapshots.clear();
        }
        ticked
    }

    /// The state.
    pub fn state(&self) -> &State {
        &self.state
    }

    /// The schema.
    pub fn schema(&self) -> &Arc<Schema> {
        self.state.schema()
    }

    /// The newest tick.
    pub fn tick(&self) -> u64 {
        self.tick
    }

    /// Ticks a second, 0 where each call is a tick.
    pub fn tick_hz(&self) -> u32 {
        self.tick_hz
    }

    /// A member's team; 0 is none.
    pub fn team(&self, member: u32) -> u32 {
        self.teams.get(&member).copied().unwrap_or(0)
    }

    /// The members of a team, ascending.
    pub fn team_members(&self, team: u32) -> impl Iterator<Item = u32> {
        let is_in = move |(member, of): (&u32, &u32)| (*of == team).then_some(*member);
        self.teams.iter().filter_map(is_in)
    }

    /// The members that see a cell, ascending.
    pub fn cell_members(&self, cell: u32) -> impl Iterator<Item = u32> {
        self.seen_by.get(&cell).into_iter().flatten().copied()
    }

    /// What the logic keeps beside the state, if it can be put away.
    pub(super) fn logic_saved(&self) -> Option<Vec<u8>> {
        let logic = self.logic.0.as_deref()?;
        catch(|| logic.save()).ok()?
    }

    /// Every part that a member sees, the members' common one first.
    pub fn parts_of(&self, member: u32) -> Vec<Part> {
        let (owners, teams) = self.state.has_private_parts();
        let team = self.team(member);
        let cells = self.views.get(&member).into_iter().flatten().copied();
        [Part::Members]
            .into_iter()
            .chain((teams && team != 0).then_some(Part::Team(team)))
            .chain(owners.then_some(Part::Owner(member)))
            .chain(cells.map(Part::Cell))
            .collect()
    }

    fn forget(&mut self, member: u32) {
        self.members.retain(|id| *id != member);
        self.teams.remove(&member);
        self.teams_due.remove(&member);
        self.acks_due.remove(&member);
        self.shown.remove(&member);
        self.views_due.remove(&member);
        for cell in self.views.remove(&member).into_iter().flatten() {
            self.unsee(member, cell);
        }
    }

    fn due_timers(&mut self) -> Vec<u32> {
        let later = self.timers.split_off(&(self.tick + 1));
        let due = std::mem::replace(&mut self.timers, later);
        let due: Vec<u32> = due.into_values().flatten().collect();
        self.timers_waiting -= due.len();
        due
    }

    /// Moves the point near which a member sees.
    fn look(&mut self, member: u32, at: [f64; 2], ticked: &mut Ticked) {
        let Some(Interest { plane, radius }) = self.interest else { return };
        if self.members.binary_search(&member).is_err() {
            return;
        }
        let [columns, rows] = at.map(|at| plane.line(at - radius)..=plane.line(at + radius));
        let cells: BTreeSet<u32> = columns
            .flat_map(|column| rows.clone().map(move |row| cell_number(column, row)))
            .collect();
        let before = self.views.remove(&member).unwrap_or_default();
        for cell in before.difference(&cells) {
            self.unsee(member, *cell);
            ticked.left.push((member, *cell));
        }
        for cell in cells.difference(&before) {
            self.seen_by.entry(*cell).or_default().insert(member);
            ticked.entered.push((member, *cell));
        }
        self.views.insert(member, cells);
    }

    fn unsee(&mut self, member: u32, cell: u32) {
        if let Some(members) = self.seen_by.get_mut(&cell) {
            members.remove(&member);
            if members.is_empty() {
                self.seen_by.remove(&cell);
            }
        }
    }
}

impl Ticked {
    /// Whether a member sees a part from this tick on: it is sent the whole of it, and not what changed.
    pub fn is_new_to(&self, member: u32, part: Part) -> bool {
        match part {
            Part::Team(team) => self
                .teams
                .binary_search_by_key(&member, |(id, ..)| *id)
                .is_ok_and(|at| self.teams[at].2 == team),
            Part::Cell(cell) => self.entered.binary_search(&(member, cell)).is_ok(),
            Part::Members | Part::Owner(_) | Part::Spectators => false,
        }
    }

    /// Whether there is nothing to tell.
    pub fn is_empty(&self) -> bool {
        self.deltas.is_empty()
            && self.acked.is_empty()
            && self.teams.is_empty()
            && self.entered.is_empty()
            && self.left.is_empty()
    }
}

fn dispatch(logic: &mut dyn RoomLogic, context: &mut Context<'_>, call: &Call<'_>) -> Answer {
    let refused =
        |result: Result<(), String>| result.map_or_else(Answer::Refused, |()| Answer::Done);
    match call {
        Call::Create => logic.on_create(context),
        Call::MayJoin { user, attributes } => {
            let view = MemberView { id: 0, user: user.as_deref(), attributes };
            return refused(logic.may_join(context, &view));
        }
        Call::Join { member, user, attributes } => {
            let view = MemberView { id: *member, user: user.as_deref(), attributes };
            logic.on_join(context, &view);
        }
        Call::Leave { member } => logic.on_leave(context, *member),
        Call::Message { member, r#type, class, payload } => {
            let message = Incoming { r#type, class: *class, payload };
            return refused(logic.on_message(context, *member, &message));
        }
        Call::Request { member, r#type, payload } => {
            let request = Incoming { r#type, class: Class::Reliable, payload };
            return Answer::Reply(logic.on_request(context, *member, &request));
        }
        Call::Edit { member, edit } => {
            return Answer::Edited(logic.on_edit(context, *member, edit));
        }
        Call::Tick => logic.on_tick(context),
        Call::Empty => logic.on_empty(context),
        Call::Restore { saved } => return refused(logic.restore(context, saved)),
    }
    Answer::Done
}

/// Runs somebody else's code. What it leaves half done is never looked at again.
fn catch<T>(run: impl FnOnce() -> T) -> Result<T, Failure> {
    catch_unwind(AssertUnwindSafe(run)).map_err(|payload| {
        let words = payload
            .downcast_ref::<&str>()
            .copied()
            .or_else(|| payload.downcast_ref::<String>().map(String::as_str));
        Failure(format!("{PANICKED}: {}", words.unwrap_or("no words")))
    })
}

impl std::fmt::Debug for Play {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Play").field("tick", &self.tick).finish_non_exhaustive()
    }
}
