//! What a room's home tells those who watch it: spectators' threads keep a log of their own from
//! this feed, so that a spectator costs its room nothing.
//!
//! Items of a room come in the order of its log. Nothing is encoded for spectators here: an entry
//! shares the native frame that members get. Direct messages are never among them.

use crate::frame::Frame;
use crate::room::Room;
use crate::room::history::{Entry, EntryKind};
use madang_protocol::ids::Epoch;
use madang_protocol::state::Schema;
use std::sync::Arc;

/// Rooms, of any kind but `raw`, whose name begins with the prefix may be watched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WatchRule {
    /// What their names begin with.
    pub prefix: Box<str>,
    /// Least delay of what is shown, in milliseconds. The engine does not delay anything: this is
    /// for those who show it.
    pub delay_min_ms: u32,
}

/// One thing that happened in a room that may be watched.
#[derive(Clone, Debug)]
pub struct WatchItem {
    /// The room's number: unique among living rooms.
    pub channel: u32,
    /// [`crate::peer::name_hash`] of the room's name, by which its thread is chosen.
    pub name_hash: u64,
    /// What happened.
    pub event: WatchEvent,
}

/// What happened.
#[derive(Clone, Debug)]
pub enum WatchEvent {
    /// The room began; or, as the answer to [`crate::Input::WatchResync`], it is still there and
    /// its history follows.
    Opened(Box<WatchOpened>),
    /// The room numbered a type name: the next number.
    TypeNamed(Box<str>),
    /// A logged message to everyone.
    Entry {
        /// Its number.
        seq: u64,
        /// When, in milliseconds since 1970 UTC; never less than an earlier entry's.
        at_ms: u64,
        /// The native form.
        frame: Frame,
        /// Whether a backend published it: then its type is the event's name and its payload the data.
        is_published: bool,
    },
    /// The state that spectators see, whole: once behind [`WatchEvent::Opened`] where the room has state.
    Snapshot(Box<WatchState>),
    /// What changed in it in a tick.
    Delta(Box<WatchState>),
    /// The number of members changed.
    Members(u32),
    /// The room is gone; nothing of this channel follows.
    Closed,
}

/// A snapshot or a delta of the state that spectators see.
#[derive(Clone, Debug)]
pub struct WatchState {
    /// The tick's number in the room's log; a snapshot's is the newest that it is not older than.
    pub seq: u64,
    /// When, in milliseconds since 1970 UTC; never less than an earlier entry's.
    pub at_ms: u64,
    /// The tick before that changed what spectators see; its own tick for a snapshot.
    pub base_tick: u64,
    /// The tick.
    pub tick: u64,
    /// The hash of what spectators see then.
    pub hash: u32,
    /// The bytes (SPEC.md, "State").
    pub bytes: Arc<[u8]>,
}

/// What is known of a room from its beginning, and how far it is.
#[derive(Clone, Debug)]
pub struct WatchOpened {
    /// Its name.
    pub name: Box<str>,
    /// Its incarnation.
    pub epoch: Epoch,
    /// When the epoch began, in milliseconds since 1970 UTC.
    pub epoch_at_ms: u64,
    /// Its kind.
    pub kind: &'static str,
    /// Labels.
    pub labels: Vec<(String, String)>,
    /// Whether it may be listed.
    pub public: bool,
    /// Type names by number.
    pub types: Vec<Box<str>>,
    /// Members now.
    pub members: u32,
    /// What its state is made of, if it has one.
    pub schema: Option<Arc<Schema>>,
    /// Entries up to this one existed before and will not follow; what is between this one and
    /// the next entry that follows was a direct message.
    pub before: u64,
}

impl Room {
    /// What those who watch this room are told; `None` for a room that may not be watched.
    pub(crate) fn watch_item(&self, event: impl FnOnce() -> WatchEvent) -> Option<WatchItem> {
        let name_hash = self.watch?;
        Some(WatchItem { channel: self.channel, name_hash, event: event() })
    }

    /// The room from its beginning, as far as its history reaches back.
    pub(crate) fn watch_anew(&self) -> Vec<WatchItem> {
        let before = self.history.floor();
        let opened = self.watch_item(|| {
            WatchEvent::Opened(Box::new(WatchOpened {
                name: self.name.clone(),
                epoch: self.epoch,
                epoch_at_ms: self.epoch_at_ms,
                kind: self.kind.name(),
                labels: self.labels.clone(),
                public: self.public,
                types: self.types.clone(),
                members: self.members.len(),
                schema: self.play.as_ref().map(|play| Arc::clone(play.schema())),
                before,
            }))
        });
        let (earlier, later): (Vec<&Entry>, Vec<&Entry>) = self
            .history
            .after(before)
            .filter(|entry| !matches!(entry.kind, EntryKind::Direct(_)))
            .partition(|entry| self.play.as_ref().is_some_and(|play| entry.seq <= play.seq));
        let told = |entry: &Entry| {
            let (seq, at_ms, frame) = (entry.seq, entry.at_ms, entry.frame.clone());
            let is_published = entry.kind == EntryKind::Published;
            self.watch_item(|| WatchEvent::Entry { seq, at_ms, frame, is_published })
        };
        let state = self.watch_state().map(Box::new);
        let state = state.and_then(|state| self.watch_item(|| WatchEvent::Snapshot(state)));
        opened
            .into_iter()
            .chain(earlier.into_iter().filter_map(told))
            .chain(state)
            .chain(later.into_iter().filter_map(told))
            .collect()
    }
}
