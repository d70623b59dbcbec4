//! A virtual node for the engine's tests: engines, links, sockets, clients and a full log of every
//! room, all deterministic and in virtual time. Shared by the scenarios and by the simulator.

pub(crate) mod access;
pub(crate) mod client;
pub(crate) mod copy;
pub(crate) mod draw;
pub(crate) mod feed;
pub(crate) mod field;
pub(crate) mod log;
pub(crate) mod node;
pub(crate) mod projection;
pub(crate) mod raw;
pub(crate) mod replica;
pub(crate) mod socket;
pub(crate) mod who;
pub(crate) mod world;
