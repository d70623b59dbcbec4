//! What one engine has done, for metrics. Plain numbers; the shell copies them once per turn.

/// Counts since the start, and levels now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Messages received from clients.
    pub messages_received: u64,
    /// Bytes of them.
    pub message_bytes_received: u64,
    /// Messages put into clients' queues, by class: reliable, latest, volatile, control, state.
    pub queued: [u64; 5],
    /// Messages handed to the transport, by class.
    pub sent: [u64; 5],
    /// Messages dropped, by class.
    pub dropped: [u64; 5],
    /// Messages of class latest replaced while they waited.
    pub conflated: u64,
    /// Reliable messages that waited when a connection ended; a resume replays those of rooms.
    pub unwritten: u64,
    /// Frames encoded.
    pub encodes: u64,
    /// Messages that entered a room's log.
    pub logged: u64,
    /// Publications of every class accepted by rooms.
    pub published: u64,
    /// Retries recognised and not applied again.
    pub repeated: u64,
    /// Errors said to clients.
    pub errors: u64,
    /// Sessions begun.
    pub sessions_opened: u64,
    /// Sessions taken up again.
    pub resumes: u64,
    /// Resume keys that fitted no session.
    pub resumes_refused: u64,
    /// Rooms found again with everything missed replayed.
    pub recovered: u64,
    /// Rooms found again with messages missing.
    pub unrecovered: u64,
    /// Times a shard fell behind with a room.
    pub lagged: u64,
    /// Gaps told to members.
    pub gaps: u64,
    /// Copies of a room's state that clients found to be wrong.
    pub state_mismatches: u64,
    /// Snapshots that were owed to members that were slow, or asked for one.
    pub states_owed: u64,
    /// Rooms lost because their rules failed.
    pub rooms_failed: u64,
    /// Ticks that rooms left out because the shard was late.
    pub ticks_skipped: u64,
    /// Ticks of rooms.
    pub ticks: u64,
    /// Messages of class volatile that rooms dropped for want of memory.
    pub shed_volatile: u64,
    /// Values of class latest that were kept for nobody for want of memory.
    pub shed_latest: u64,
    /// Rooms that were not made for want of memory.
    pub shed_rooms: u64,
    /// Bytes of logs, current values and states of rooms now.
    pub room_bytes: u64,
    /// Connections closed because their credential expired.
    pub expired: u64,
    /// Times a client was read more slowly for its rate.
    pub rate_pauses: u64,
    /// Times a client was read more slowly because a shard was behind.
    pub link_pauses: u64,
    /// Connections now.
    pub connections: u64,
    /// Sessions now, those away included.
    pub sessions: u64,
    /// Sessions without a connection now.
    pub sessions_away: u64,
    /// Rooms homed here now.
    pub rooms: u64,
    /// Queue nodes in use now.
    pub queue_nodes: u64,
}
