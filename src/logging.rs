//! Logs: to standard error, for people or as JSON.
//!
//! What is logged is decided where it happens; no event anywhere carries a payload, an attribute or
//! a credential.

use crate::config::{Level, Log, LogFormat};
use std::panic;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::util::SubscriberInitExt as _;

/// Starts logging for the whole process; panics are logged as errors from then on.
///
/// Called a second time it changes nothing, as a process logs in one way.
pub fn start(log: &Log) {
    let builder = tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .with_max_level(filter(log.level))
        .with_target(false)
        .with_ansi(false)
        // A log that cannot be written (a full disk) is no reason for a panic where it was written from.
        .log_internal_errors(false);
    let started = match log.format {
        LogFormat::Human => builder.finish().try_init(),
        LogFormat::Json => builder.json().flatten_event(true).finish().try_init(),
    };
    if started.is_ok() && log.level != Level::Off {
        panic::set_hook(Box::new(log_panic));
    }
}

fn filter(level: Level) -> LevelFilter {
    match level {
        Level::Off => LevelFilter::OFF,
        Level::Error => LevelFilter::ERROR,
        Level::Warn => LevelFilter::WARN,
        Level::Info => LevelFilter::INFO,
        Level::Debug => LevelFilter::DEBUG,
        Level::Trace => LevelFilter::TRACE,
    }
}

/// A panic as one event, so that a JSON log stays JSON.
fn log_panic(info: &panic::PanicHookInfo<'_>) {
    let thread = std::thread::current();
    let location = info.location().map(ToString::to_string).unwrap_or_default();
    let payload = info.payload();
    let literal = payload.downcast_ref::<&str>().copied();
    let message = literal.or_else(|| payload.downcast_ref::<String>().map(String::as_str));
    tracing::error!(
        thread = thread.name().unwrap_or("unnamed"),
        location,
        message = message.unwrap_or("a panic without words"),
    );
}
