//! The tool against a real server on loopback, and against small ones of the tests' own: counts and
//! correctness, no times.

mod double;
mod server;

mod arena;
mod churn;
mod hostile;
mod modes;
mod overload;
mod requests;
mod slow;
mod smoke;
mod spectate;
mod storm;
mod tls;
