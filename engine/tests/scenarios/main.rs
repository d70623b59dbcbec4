//! What the engine does, in virtual time: one file for each topic, each test named for what it
//! shows. Every test also fails when a client was told anything that SPEC.md does not allow.

mod access;
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
mod recording;
mod requests;
mod resume;
mod shared;
mod shed;
mod state_failures;
mod state_interest;
mod state_links;
mod state_members;
mod state_rules;
mod state_slow;
mod state_ticks;
mod state_watch;
#[path = "../support/mod.rs"]
mod support;
mod watching;
