//! Bytes encoded once and shared by everyone they are for.

use std::ops::Deref;
use std::sync::Arc;

/// An encoded message: cheap to clone, sent to any number of receivers on any shard.
///
/// For native receivers it is one length-prefixed message (a batch is such frames end to end);
/// for JSON and raw receivers it is the whole payload of one WebSocket message.
#[derive(Clone, PartialEq, Eq)]
pub struct Frame(Arc<[u8]>);

impl Frame {
    /// Copies the bytes into one shared allocation.
    pub fn new(bytes: &[u8]) -> Self {
        Self(Arc::from(bytes))
    }
}

impl Deref for Frame {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}

impl std::fmt::Debug for Frame {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Frame({} bytes)", self.len())
    }
}

/// What kind of WebSocket frame carries a [`Frame`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FrameKind {
    /// One or more native messages: several may share one binary WebSocket message.
    Batch,
    /// A binary WebSocket message of its own.
    Binary,
    /// A text WebSocket message of its own.
    Text,
    /// A WebSocket ping with an empty payload; the frame is empty.
    Ping,
}
