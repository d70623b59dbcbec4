//! The rooms of one shard: names, numbers, matching.

use super::logic::RoomOptions;
use super::play::{NotMade, Play};
use super::record::RecordEnd;
use super::stateful::CLOSED;
use super::{Ctx, Effect, Refusal, Room, refuse};
use crate::access::{Rights, UserKey};
use crate::config::{Kind, RoomConfig};
use crate::input::Shed;
use crate::output::Event;
use crate::peer::JoinRequest;
use crate::time::Time;
use crate::watch::WatchEvent;
use madang_protocol::ErrorCode;
use madang_protocol::client::{CreateOptions, JoinMode, JoinTarget, PresenceMode};
use madang_protocol::ids::Epoch;
use madang_protocol::limits::{LABEL_VALUE_BYTES_MAX, LABELS_MAX, NAME_BYTES_MAX};
use madang_protocol::value::Extension;
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// A channel number is not used again for this long, so that what a client sent to the old room
/// cannot reach the new one.
const CHANNEL_QUARANTINE_MS: u64 = 300_000;

/// Numbers that may be in use or in quarantine for each room that there may be.
const NUMBERS_PER_ROOM: usize = 8;

/// The rooms homed on one shard. A room's channel is `index * shards + shard`, so that its home is
/// in its number and numbers of different shards never meet.
#[derive(Debug)]
pub struct Home {
    shard: u32,
    shards: u32,
    /// The index of the first of `rooms`.
    first: u32,
    rooms: Vec<Option<Box<Room>>>,
    by_name: BTreeMap<Box<str>, u32>,
    public: BTreeSet<u32>,
    free: VecDeque<(Time, u32)>,
    len: usize,
    /// How many rooms each user has made.
    made: BTreeMap<UserKey, usize>,
}

/// What a new room has that no other has.
#[derive(Clone, Copy, Debug)]
pub struct Fresh {
    /// Its epoch.
    pub epoch: Epoch,
    /// The seed of its rules' random numbers: secret, or players could tell what comes.
    pub seed: [u8; 32],
}

/// What became of a match on this shard.
#[derive(Debug)]
pub enum Matched {
    /// A room was found.
    Room(u32),
    /// None here: ask the next shard.
    Ask(Box<JoinRequest>),
}

impl Home {
    /// No rooms; the first will have the index `first`.
    pub fn new(shard: u16, shards: u16, first: u32) -> Self {
        Self {
            shard: u32::from(shard),
            shards: u32::from(shards.max(1)),
            first,
            rooms: Vec::new(),
            by_name: BTreeMap::new(),
            public: BTreeSet::new(),
            free: VecDeque::new(),
            len: 0,
            made: BTreeMap::new(),
        }
    }

    /// How many rooms there are.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The room of this number.
    pub fn get(&self, channel: u32) -> Option<&Room> {
        self.rooms.get(self.place(channel)?)?.as_deref()
    }

    /// The room of this number.
    pub fn get_mut(&mut self, channel: u32) -> Option<&mut Room> {
        let place = self.place(channel)?;
        self.rooms.get_mut(place)?.as_deref_mut()
    }

    /// Where in `rooms` a number is.
    fn place(&self, channel: u32) -> Option<usize> {
        (channel / self.shards).checked_sub(self.first).map(|place| place as usize)
    }

    /// Indices used so far, those before the first included.
    pub fn numbered(&self) -> u32 {
        self.first + self.rooms.len() as u32
    }

    /// The number of the room of this name.
    pub fn find(&self, name: &str) -> Option<u32> {
        self.by_name.get(name).copied()
    }

    /// Every room, by ascending number.
    pub fn iter(&self) -> impl Iterator<Item = &Room> {
        self.rooms.iter().filter_map(|room| room.as_deref())
    }

    /// The numbers of all rooms, ascending.
    pub fn channels(&self) -> Vec<u32> {
        self.iter().map(|room| room.channel).collect()
    }

    /// The room a join by name leads to, created if the join may.
    pub fn find_or_create(
        &mut self,
        name: &str,
        request: &JoinRequest,
        fresh: Fresh,
        now: Time,
        ctx: &mut Ctx<'_>,
    ) -> Result<u32, Refusal> {
        match (self.find(name), request.join.mode) {
            (Some(_), JoinMode::Create) => {
                refuse(ErrorCode::ROOM_EXISTS, format!("there is a room {name:?} already"))
            }
            (Some(channel), _) => Ok(channel),
            (None, JoinMode::Join) => {
                refuse(ErrorCode::NO_SUCH_ROOM, format!("there is no room {name:?}"))
            }
            (None, _) if !request.identity.rights(name).has(Rights::CREATE) => {
                let why = format!("there is no room {name:?}, and the session may not create it");
                refuse(ErrorCode::FORBIDDEN, why)
            }
            (None, _) => {
                let options = request.join.options.create.clone().unwrap_or_default();
                self.create_for(name, request, options, fresh, now, ctx)
            }
        }
    }

    /// Creates a room for a join, as one of those that its user has made.
    pub fn create_for(
        &mut self,
        name: &str,
        request: &JoinRequest,
        options: CreateOptions,
        fresh: Fresh,
        now: Time,
        ctx: &mut Ctx<'_>,
    ) -> Result<u32, Refusal> {
        let (maker, most) = (request.identity.user_key(), ctx.config.user_rooms_max);
        let made = maker.as_ref().and_then(|user| self.made.get(user)).copied().unwrap_or(0);
        if made >= most {
            let why =
                format!("the user has made {most} rooms that are still there, as many as it may");
            return refuse(ErrorCode::TOO_MANY_ROOMS, why);
        }
        let extensions = &request.join.ext;
        let channel = self.create((name, request.kind), options, extensions, fresh, now, ctx)?;
        if let Some(user) = maker
            && let Some(room) = self.get_mut(channel)
        {
            room.maker = Some(user.clone());
            *self.made.entry(user).or_default() += 1;
        }
        Ok(channel)
    }

    /// A public room here that a match may enter and its session is not in, lowest number first.
    pub fn find_match(
        &self,
        request: &JoinRequest,
        may_enter: impl Fn(&str) -> bool,
    ) -> Option<u32> {
        let JoinTarget::Match { filter, .. } = &request.join.target else { return None };
        self.public.iter().copied().find(|channel| {
            self.get(*channel).is_some_and(|room| {
                room.matches(request.kind, filter)
                    && may_enter(&room.name)
                    && room.members.iter().all(|member| member.session != request.session)
            })
        })
    }

    /// Creates a room.
    pub fn create(
        &mut self,
        (name, kind): (&str, Kind),
        options: CreateOptions,
        extensions: &[Extension],
        fresh: Fresh,
        now: Time,
        ctx: &mut Ctx<'_>,
    ) -> Result<u32, Refusal> {
        if let Some(bound) = ctx.config.bound_kind(name).filter(|bound| *bound != kind) {
            let (bound, kind) = (bound.name(), kind.name());
            return refuse(
                ErrorCode::WRONG_KIND,
                format!("rooms of this name are of kind {bound}, not {kind}"),
            );
        }
        if ctx.shed >= Shed::Connections {
            ctx.stats.shed_rooms += 1;
            return refuse(
                ErrorCode::SERVER_FULL,
                "the server is short of memory; try again later",
            );
        }
        if self.len >= ctx.config.rooms_max {
            return refuse(ErrorCode::SERVER_FULL, "the server holds as many rooms as it may");
        }
        let capacity = checked_options(&options, ctx.config)?;
        let labels = &options.labels;
        let asked = RoomOptions { name, labels, capacity, extensions };
        let play = ctx.config.logic_of(kind).map(|logic| {
            Play::make(logic, &asked, ctx.config, fresh.seed)
                .map_err(|why| not_made(name, why, ctx))
        });
        let (play, actions) = play.transpose()?.unzip();
        let has_rules = play.is_some();
        let place = self.allocate(now, ctx.config.rooms_max);
        let channel = (self.first + place) * self.shards + self.shard;
        let presence = match kind {
            Kind::Raw => PresenceMode::None,
            _ => options.presence.unwrap_or_default(),
        };
        let mut room = Room {
            name: name.into(),
            kind,
            channel,
            epoch: if planted!(ctx, EpochReused) { Epoch([7; 8]) } else { fresh.epoch },
            epoch_at_ms: ctx.wall_ms,
            seq: 0,
            last_at: 0,
            members: super::members::Members::default(),
            history: super::history::History::default(),
            latest: super::latest::LatestValues::default(),
            types: Vec::new(),
            presence,
            capacity,
            public: options.public.unwrap_or(false),
            labels: options.labels,
            subscribers: smallvec::SmallVec::new(),
            json_members: 0,
            held: Vec::new(),
            count_due: false,
            publications: None,
            emptied: 0,
            watch: ctx.config.watch_rule(name, kind).map(|_| crate::peer::name_hash(name)),
            flush: ctx.config.flush_of(name),
            play: play.map(Box::new),
            recording: None,
            failed: None,
            is_kept: false,
            maker: None,
            counted: 0,
            is_ticking: false,
            next_tick: now,
        };
        if room.public {
            self.public.insert(channel);
        }
        self.by_name.insert(room.name.clone(), channel);
        ctx.effects.push_back(Effect::Event(Event::RoomCreated {
            room: room.name.clone(),
            kind: kind.name(),
        }));
        ctx.effects.extend(room.watch_anew().into_iter().map(Effect::Watch));
        room.begin_recording(fresh.seed, extensions, ctx);
        room.act(actions.unwrap_or_default(), ctx);
        let is_closed = has_rules && room.play().is_none();
        self.rooms[place as usize] = Some(Box::new(room));
        self.len += 1;
        if is_closed { refuse(ErrorCode::REFUSED, CLOSED) } else { Ok(channel) }
    }

    /// Removes a room that has no members.
    pub fn remove(&mut self, channel: u32, now: Time, ctx: &mut Ctx<'_>) {
        let Some(place) = self.place(channel) else { return };
        let Some(mut room) = self.rooms.get_mut(place).and_then(Option::take) else { return };
        room.end_recording(RecordEnd::Emptied, ctx);
        debug_assert!(room.members.is_empty());
        ctx.stats.room_bytes -= room.counted;
        if let Some(user) = room.maker.take()
            && let Some(count) = self.made.get_mut(&user)
        {
            *count -= 1;
            if *count == 0 {
                self.made.remove(&user);
            }
        }
        self.by_name.remove(&room.name);
        self.public.remove(&channel);
        self.free.push_back((now, place as u32));
        self.len -= 1;
        ctx.effects.extend(room.watch_item(|| WatchEvent::Closed).map(Effect::Watch));
        ctx.effects.push_back(Effect::Event(Event::RoomRemoved { room: room.name }));
    }

    /// A place out of quarantine, or a new one. When rooms come and go so fast that numbers run
    /// out, the oldest is used early.
    fn allocate(&mut self, now: Time, rooms_max: usize) -> u32 {
        let exhausted = self.rooms.len() >= rooms_max.saturating_mul(NUMBERS_PER_ROOM);
        match self.free.front() {
            Some((freed, place)) if exhausted || freed.plus_ms(CHANNEL_QUARANTINE_MS) <= now => {
                let place = *place;
                self.free.pop_front();
                place
            }
            _ => {
                self.rooms.push(None);
                (self.rooms.len() - 1) as u32
            }
        }
    }

    /// Panics where names, numbers and rooms disagree.
    pub fn check(&self, config: &RoomConfig) {
        assert!(self.len <= config.rooms_max);
        assert_eq!(self.len, self.iter().count());
        assert_eq!(self.len, self.by_name.len());
        for room in self.iter() {
            assert_eq!(self.find(&room.name), Some(room.channel));
            assert_eq!(self.public.contains(&room.channel), room.public);
        }
        let made = self.iter().filter(|room| room.maker.is_some()).count();
        assert_eq!(made, self.made.values().sum::<usize>());
        assert!(self.made.values().all(|count| (1..=config.user_rooms_max).contains(count)));
    }
}

/// What somebody is told whose room was not made.
fn not_made(name: &str, why: NotMade, ctx: &mut Ctx<'_>) -> Refusal {
    match why {
        NotMade::Refused(words) => (ErrorCode::REFUSED, words.into()),
        NotMade::Failed(failure) => {
            let why = format!("the rules of the room failed: {}", failure.told());
            ctx.stats.rooms_failed += 1;
            let (room, words) = (name.into(), failure.0.into());
            ctx.effects.push_back(Effect::Event(Event::RoomFailed { room, why: words }));
            (ErrorCode::ROOM_FAILED, why.into())
        }
    }
}

/// Checks what a creator asked for and returns the capacity.
fn checked_options(options: &CreateOptions, config: &RoomConfig) -> Result<u32, Refusal> {
    let capacity = options.capacity.unwrap_or(config.default_capacity.min(config.members_max));
    if !(1..=config.members_max).contains(&capacity) {
        let most = config.members_max;
        return refuse(ErrorCode::INVALID, format!("a room's capacity is between 1 and {most}"));
    }
    let labels = &options.labels;
    let fits = |(name, value): &(String, String)| {
        (1..=NAME_BYTES_MAX).contains(&name.len()) && value.len() <= LABEL_VALUE_BYTES_MAX
    };
    if labels.len() > LABELS_MAX || !labels.iter().all(fits) {
        return refuse(
            ErrorCode::INVALID,
            format!(
                "a room may have {LABELS_MAX} labels with names of 1 to {NAME_BYTES_MAX} bytes and \
                 values of up to {LABEL_VALUE_BYTES_MAX}"
            ),
        );
    }
    Ok(capacity)
}
