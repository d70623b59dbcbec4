//! Doors for the fuzz targets, to what the side listener reads. Only with the feature `fuzzing`.

use super::asked::{Delays, Start, wish};
use super::directory::Filter;
use super::publish::probe_events;
use super::sse;
use crate::net::http::Request;
use madang_protocol::ids::Epoch;

/// The longest delay that [`spectator`] allows, in milliseconds.
pub const DELAY_MS_MAX: u64 = 60_000;

/// What a request for events asks for: the position it comes back with, if it has one, and its delay.
pub fn spectator(request: &Request<'_>) -> Result<(Option<(Epoch, u64)>, u64), String> {
    let pairs: Result<Vec<_>, _> = request.query_pairs().collect();
    let pairs = pairs.map_err(|malformed| malformed.to_string())?;
    // The directory reads the same query in its own way.
    let _ = Filter::read(pairs.iter().cloned());
    let delays = Delays { min_ms: 0, max_ms: DELAY_MS_MAX };
    let wish = wish(request.header("last-event-id"), pairs.into_iter(), delays)?;
    let position = match wish.start {
        Start::Behind(epoch, seq) => Some((epoch, seq)),
        _ => None,
    };
    Ok((position, wish.delay_ms))
}

/// The position in the id of an event.
pub fn event_id(text: &str) -> Option<(Epoch, u64)> {
    sse::parse_id(text)
}

/// Names and payloads of what a request publishes, or what is wrong with it.
pub fn publication(request: &Request<'_>, body: &[u8]) -> Result<Vec<(String, String)>, String> {
    probe_events(request, body)
}
