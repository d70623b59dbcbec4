//! The transport's limits. Every one is a bound that holds for each connection or each turn.

/// What a [`super::Reactor`] allows. Sizes are in bytes, times in milliseconds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NetConfig {
    /// Most connections of the whole process; more are answered 503.
    pub connections_max: usize,
    /// Most connections from one address, an IPv6 /64 counted as one and loopback not counted; more
    /// are answered 429.
    pub connections_per_ip_max: u32,
    /// What the 503 and the 429 tell the client to wait, in seconds.
    pub retry_after_s: u32,
    /// Most connections accepted in a turn.
    pub accepts_per_turn: usize,
    /// Most connections that are said goodbye to in a turn, and as many that are given up: their last write and the
    /// descriptor's end cost more than all else that a connection needs in a turn.
    pub closes_per_turn: usize,
    /// Most bytes read from a connection in a turn; also the size of the receive buffer.
    pub read_bytes_per_turn: usize,
    /// Most WebSocket frames handled for a connection in a turn.
    pub read_messages_per_turn: usize,
    /// Most messages of all connections together in a turn, while some are behind.
    pub read_messages_shared: usize,
    /// And so few of them that a turn takes about so long.
    pub turn_ms: u64,
    /// But each gets so many.
    pub read_messages_least: usize,
    /// Messages that are taken of one of those that are behind before it is another's turn, at least.
    pub read_messages_behind: usize,
    /// Most write calls in a turn.
    pub writes_per_turn: usize,
    /// Largest WebSocket message from a client; larger ones end with 1009.
    pub message_bytes_max: usize,
    /// Largest binary message that batched frames share; a larger frame goes alone.
    pub batch_bytes_max: usize,
    /// How much one write call carries before a fill ends; also the bound of what waits for a
    /// blocked socket, but for the frame that ends the fill (less than
    /// [`super::write::SHARE_BYTES_MIN`] copied, or one shared frame).
    pub fill_bytes_max: usize,
    /// `TCP_NOTSENT_LOWAT`: how much unsent data the kernel takes before it reports the socket as
    /// full. What waits in the driver's queues instead can still be replaced or dropped.
    pub notsent_bytes_max: u32,
    /// Largest HTTP head; larger ones are answered 431.
    pub head_bytes_max: usize,
    /// Longest request target; longer ones are answered 414.
    pub target_bytes_max: usize,
    /// Largest HTTP body; larger ones are answered 413.
    pub body_bytes_max: usize,
    /// From accept to a complete TLS handshake; then the connection is closed.
    pub handshake_ms: u64,
    /// Most reads in a turn from connections whose TLS handshake is not complete.
    pub handshakes_per_turn: usize,
    /// From accept, from the end of the TLS handshake, or from the first byte of a later request, to its complete head; then 408.
    pub head_ms: u64,
    /// From a request's complete head to its complete body, where that did not come with it; then
    /// 408.
    pub body_ms: u64,
    /// From an answer to the next request's first byte; then the connection is closed.
    pub idle_ms: u64,
    /// Most requests of a connection; the last answer says `Connection: close`.
    pub requests_max: u16,
    /// How long a closed connection waits for the peer to take what is left and to close.
    pub linger_ms: u64,
    /// How long accepting waits after the process ran out of descriptors.
    pub accept_retry_ms: u64,
}

impl NetConfig {
    /// No connection of a reactor has a slot of this number or above.
    pub fn slots_max(&self) -> u32 {
        u32::try_from(self.connections_max.saturating_add(super::conns::SHED_MAX))
            .unwrap_or(u32::MAX)
    }
}

impl Default for NetConfig {
    fn default() -> Self {
        Self {
            connections_max: 19_000,
            connections_per_ip_max: 256,
            retry_after_s: 5,
            accepts_per_turn: 64,
            closes_per_turn: 64,
            read_bytes_per_turn: 64 << 10,
            read_messages_per_turn: 64,
            read_messages_shared: 16_384,
            turn_ms: 5,
            read_messages_least: 2,
            read_messages_behind: 8,
            writes_per_turn: 1024,
            message_bytes_max: 64 << 10,
            batch_bytes_max: 64 << 10,
            fill_bytes_max: 64 << 10,
            notsent_bytes_max: 32 << 10,
            head_bytes_max: 8 << 10,
            target_bytes_max: 4 << 10,
            body_bytes_max: 64 << 10,
            handshake_ms: 10_000,
            handshakes_per_turn: 4,
            head_ms: 10_000,
            body_ms: 10_000,
            idle_ms: 30_000,
            requests_max: 1000,
            linger_ms: 2_000,
            accept_retry_ms: 100,
        }
    }
}
