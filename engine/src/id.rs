//! Identifiers inside a node.

/// A shard of this node: 0 upwards.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ShardId(pub u16);

/// A connection: a slot of the shell's slab and its generation, so that a stale event misses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnId {
    /// Index in the shell's slab; small and reused.
    pub slot: u32,
    /// How often the slot was used before.
    pub generation: u32,
}

/// A session, as rooms and other shards name it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SessionRef {
    /// The shard that holds it.
    pub shard: ShardId,
    /// Its slot there.
    pub slot: u32,
    /// How often the slot was used before.
    pub generation: u32,
}
