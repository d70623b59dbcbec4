//! Scenarios whose sessions come and go, against a real server on loopback: counts and correctness, no
//! times.

#[path = "../server/mod.rs"]
mod server;

mod arena;
mod churn;
mod hostile;
mod slow;
mod storm;
