//! What the engine does, in virtual time: one file for each topic, each test named for what it
//! shows. Every test also fails when a client was told anything that SPEC.md does not allow.

mod bursts;
mod cost;
mod delivery;
mod drain;
mod flush;
mod greeting;
mod helpers;
mod joining;
mod links;
mod liveness;
mod presence;
mod publish;
mod rates;
mod raw;
mod requests;
mod resume;
#[path = "../support/mod.rs"]
mod support;
mod watching;
