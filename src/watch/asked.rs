//! What a request for a room's events asks for: from where, and how much later than the members.

use super::sse::parse_id;
use madang_protocol::ids::Epoch;
use std::borrow::Cow;

/// Where a spectator wants to begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Start {
    /// With what happens from now on.
    Now,
    /// Behind an event that it has seen.
    Behind(Epoch, u64),
    /// Behind an event whose id is none of ours.
    BehindUnknown,
    /// With this seq, whatever the epoch.
    At(u64),
    /// With what happened this many milliseconds ago.
    Ago(u64),
}

/// What was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Wish {
    pub(super) start: Start,
    /// Delay in milliseconds, at least the room's.
    pub(super) delay_ms: u64,
}

/// The bounds of delays.
#[derive(Clone, Copy, Debug)]
pub(super) struct Delays {
    /// What the room's rule says.
    pub(super) min_ms: u64,
    /// What the configuration says.
    pub(super) max_ms: u64,
}

/// Reads the `Last-Event-ID` field and the query's `last_event_id`, `from` and `delay`; the field
/// wins over the query, and a position that was reached over `from`. The error says what to write
/// instead.
pub(super) fn wish<'q>(
    last_event_id: Option<&str>,
    query: impl Iterator<Item = (Cow<'q, str>, Cow<'q, str>)>,
    delays: Delays,
) -> Result<Wish, String> {
    let (mut id, mut from, mut delay) = (None, None, None);
    for (name, value) in query {
        let slot = match &*name {
            "last_event_id" => &mut id,
            "from" => &mut from,
            "delay" => &mut delay,
            _ => continue,
        };
        // An absent value and an empty one are the same; the first one counts.
        if slot.is_none() && !value.is_empty() {
            *slot = Some(value);
        }
    }
    let delay_ms = match &delay {
        None => 0,
        Some(text) => duration_ms(text)
            .filter(|ms| *ms <= delays.max_ms)
            .ok_or_else(|| format!("delay is a time up to {}ms, like 30s", delays.max_ms))?,
    };
    let from = from.as_deref().map(start).transpose()?;
    let id = last_event_id.filter(|id| !id.is_empty()).or(id.as_deref());
    let start = match id {
        Some(id) => parse_id(id).map_or(Start::BehindUnknown, |(e, seq)| Start::Behind(e, seq)),
        None => from.unwrap_or(Start::Now),
    };
    Ok(Wish { start, delay_ms: delay_ms.max(delays.min_ms) })
}

/// `from`: a seq, or a time ago with a `-` in front.
fn start(text: &str) -> Result<Start, String> {
    let start = match text.strip_prefix('-') {
        Some(ago) => duration_ms(ago).map(Start::Ago),
        None => number(text).map(Start::At),
    };
    start.ok_or_else(|| "from is a seq, or a time ago, like -30s".to_owned())
}

/// `30s`, `1500ms` or `2m`, in milliseconds.
fn duration_ms(text: &str) -> Option<u64> {
    let units = [("ms", 1), ("s", 1000), ("m", 60_000)];
    let (digits, unit_ms) =
        units.iter().find_map(|(unit, ms)| Some((text.strip_suffix(unit)?, *ms)))?;
    number(digits)?.checked_mul(unit_ms)
}

fn number(digits: &str) -> Option<u64> {
    let is_number = digits.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| digits.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "0102030405060708-9";
    const SEEN: Start = Start::Behind(Epoch([1, 2, 3, 4, 5, 6, 7, 8]), 9);

    fn ask(header: Option<&str>, query: &[(&'static str, &'static str)]) -> Result<Wish, String> {
        let delays = Delays { min_ms: 2_000, max_ms: 60_000 };
        wish(header, query.iter().map(|(n, v)| (Cow::from(*n), Cow::from(*v))), delays)
    }

    fn begins(header: Option<&str>, query: &[(&'static str, &'static str)]) -> Start {
        ask(header, query).unwrap().start
    }

    #[test]
    fn the_field_wins_over_the_query_and_a_position_over_from() {
        let other = ("last_event_id", "ffffffffffffffff-1");
        assert_eq!(begins(Some(ID), &[other, ("from", "3")]), SEEN);
        assert_eq!(begins(None, &[("from", "3"), ("last_event_id", ID)]), SEEN);
        assert_eq!(begins(Some(""), &[("last_event_id", ID)]), SEEN);
        assert_eq!(begins(None, &[("from", "3"), ("from", "4"), ("x", "y")]), Start::At(3));
        assert_eq!(begins(None, &[("from", "-30s")]), Start::Ago(30_000));
        assert_eq!(begins(None, &[("from", "")]), Start::Now);
        assert_eq!(begins(Some("what"), &[("from", "3")]), Start::BehindUnknown);
    }

    #[test]
    fn a_delay_is_at_least_the_rooms_and_at_most_the_servers() {
        let delay = |text| ask(None, &[("delay", text)]).map(|wish| wish.delay_ms);
        assert_eq!(ask(None, &[]).unwrap().delay_ms, 2_000);
        assert_eq!(delay("1s"), Ok(2_000));
        assert_eq!(delay("2500ms"), Ok(2_500));
        assert_eq!(delay("1m"), Ok(60_000));
        for bad in ["61s", "30", "s", "-1s", "1h", "1.5s", "+1s", "99999999999999999999s"] {
            assert!(delay(bad).is_err(), "{bad}");
        }
        assert!(delay("18446744073709551615m").is_err());
    }

    #[test]
    fn a_broken_from_is_said() {
        for bad in ["x", "-", "-3", "--3s", "3s", "+3", "-3h"] {
            assert!(ask(None, &[("from", bad)]).is_err(), "{bad}");
        }
        // Even where it would not matter: the caller wrote it.
        assert!(ask(Some(ID), &[("from", "x")]).is_err());
    }
}
