//! Known defects, switched on one at a time by the simulator to show that it finds them. Compiled
//! only with the feature `planted-bugs`, which no release has.

/// A planted defect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bug {
    /// A resume voids the old key at once, so a lost Welcome loses the session.
    LostWelcome,
    /// A member does what it has no right to.
    RightsIgnored,
    /// Anybody who has the key takes a session, whoever it is.
    ForeignResume,
    /// A ban removes a user and does not keep it out.
    BanForgotten,
    /// A connection outlives its credential.
    ExpiredStays,
    /// A resync that stopped half-way clears the lag all the same.
    LagClearedEarly,
    /// A retried publication is applied again.
    DoubleApply,
    /// The answer to an earlier resume is taken for the answer to the newest.
    StaleResume,
    /// Replay starts one message too late.
    ReplayOffByOne,
    /// A resumed member is live before its replay has come.
    LiveBeforeReplay,
    /// A resume says `recovered` although the history no longer reaches back.
    HistoryTooShortIgnored,
    /// A reliable message that does not fit the queue is dropped and nothing is said.
    SilentOverflow,
    /// Class latest conflates by key alone and mixes up senders.
    ConflateAcrossSenders,
    /// A room that is created again keeps its old epoch.
    EpochReused,
    /// The end of a session is not told to its rooms.
    GhostMember,
    /// Direct messages are replayed to everyone.
    DirectLeaks,
    /// Quiescing does not wait for the second round.
    QuiescedEarly,
    /// A backend's retry is published again.
    RetryPublished,
    /// A member that is owed a snapshot gets deltas all the same.
    DeltaToTheOwed,
    /// Who is owed the state is never sent it.
    OwedForgotten,
    /// A snapshot says that it is of the tick that is to come.
    SnapshotOfTheFuture,
    /// What only an owner sees is sent to everybody.
    OwnerPartLeaks,
    /// Members on a shard that fell behind are not told that their state did.
    StateLagForgotten,
    /// A resume brings no state.
    ResumeWithoutState,
    /// Who changes teams is not sent what the new one sees.
    TeamWithoutSnapshot,
    /// Who moves away from a cell goes on having it.
    CellStays,
    /// Who enters a part is sent what changed in it and the whole of it.
    DeltaBeforeSnapshot,
    /// A delta says that it applies to an earlier tick only: the one before it.
    DeltaBaseTooLate,
    /// Inputs are acknowledged a tick late.
    AckBehindDelta,
    /// Those who watch are not told of the first tick.
    WatchersMissDelta,
    /// What was said before a member was removed is not sent to it.
    RemovedBeforeTold,
}

impl Bug {
    /// Every planted defect.
    pub const ALL: [Bug; 31] = [
        Bug::LostWelcome,
        Bug::RightsIgnored,
        Bug::ForeignResume,
        Bug::BanForgotten,
        Bug::ExpiredStays,
        Bug::LagClearedEarly,
        Bug::DoubleApply,
        Bug::StaleResume,
        Bug::ReplayOffByOne,
        Bug::LiveBeforeReplay,
        Bug::HistoryTooShortIgnored,
        Bug::SilentOverflow,
        Bug::ConflateAcrossSenders,
        Bug::EpochReused,
        Bug::GhostMember,
        Bug::DirectLeaks,
        Bug::QuiescedEarly,
        Bug::RetryPublished,
        Bug::DeltaToTheOwed,
        Bug::OwedForgotten,
        Bug::SnapshotOfTheFuture,
        Bug::OwnerPartLeaks,
        Bug::StateLagForgotten,
        Bug::ResumeWithoutState,
        Bug::TeamWithoutSnapshot,
        Bug::CellStays,
        Bug::DeltaBeforeSnapshot,
        Bug::DeltaBaseTooLate,
        Bug::AckBehindDelta,
        Bug::WatchersMissDelta,
        Bug::RemovedBeforeTold,
    ];
}
