//! What has to be true of a run, as people write it: `p99<20ms`, `reach>=1`, `cpu_us<4`.
//!
//! A name is a short one of those below, or the place of a number in the run's JSON, as in
//! `lateness.p99_us` or `server.memory.resident`.

use crate::outcome::{Judged, Outcome};
use std::fmt;

/// What has to be true.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Threshold {
    /// As it was written.
    text: String,
    /// Where in the JSON its number is.
    place: String,
    test: Test,
    bound: f64,
}

/// Several, separated by commas.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct List(pub(crate) Vec<Threshold>);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Test {
    Less,
    AtMost,
    Equal,
    AtLeast,
    More,
}

/// Short names, where they are in the JSON, and whether they are times in microseconds.
const NAMES: [(&str, &str, bool); 16] = [
    ("p50", "latency.p50_us", true),
    ("p90", "latency.p90_us", true),
    ("p99", "latency.p99_us", true),
    ("p999", "latency.p999_us", true),
    ("p99.9", "latency.p999_us", true),
    ("max", "latency.max_us", true),
    ("spread", "spread.p99_us", true),
    ("late", "lateness.p99_us", true),
    ("connect", "connect.p99_us", true),
    ("loss", "lost", false),
    ("rate", "deliveries_per_second", false),
    ("cpu_us", "server.us_per_delivery", false),
    ("cores", "server.cores", false),
    ("rss", "server.memory.resident", false),
    ("rss_each", "server.resident_kib_per_connection", false),
    ("generator", "generator_cpu", false),
];

/// Longest first, so that none is the front of another.
const TESTS: [(&str, Test); 6] = [
    ("<=", Test::AtMost),
    (">=", Test::AtLeast),
    ("==", Test::Equal),
    ("<", Test::Less),
    (">", Test::More),
    ("=", Test::Equal),
];

/// Units of times, in microseconds.
const TIMES: [(&str, f64); 4] = [("us", 1.0), ("µs", 1.0), ("ms", 1e3), ("s", 1e6)];
/// Units of everything else.
const UNITS: [(&str, f64); 7] = [
    ("KiB", 1024.0),
    ("MiB", 1_048_576.0),
    ("GiB", 1_073_741_824.0),
    ("%", 0.01),
    ("k", 1e3),
    ("M", 1e6),
    ("", 1.0),
];

/// Reads thresholds, separated by commas.
pub(crate) fn parse_all(text: &str) -> Result<List, String> {
    text.split(',').map(|one| parse(one.trim())).collect::<Result<_, _>>().map(List)
}

fn parse(text: &str) -> Result<Threshold, String> {
    let wrong = |why: &str| format!("{text:?}: {why}; write it as in p99<20ms or reach>=1");
    let at = text.find(['<', '>', '=']).ok_or_else(|| wrong("no <, <=, =, >= or >"))?;
    let (name, rest) = (text[..at].trim(), &text[at..]);
    let (sign, test) =
        TESTS.into_iter().find(|(sign, _)| rest.starts_with(sign)).ok_or_else(|| wrong("?"))?;
    let value = rest[sign.len()..].trim();
    let known = NAMES.into_iter().find(|(short, ..)| *short == name);
    let (place, is_time) = match known {
        Some((_, place, is_time)) => (place, is_time),
        None => (name, false),
    };
    let is_place = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '.';
    if name.is_empty() || !name.chars().all(is_place) {
        return Err(wrong("no name in front"));
    }
    let units: &[(&str, f64)] = if is_time { &TIMES } else { &UNITS };
    let number = |suffix: &str| value.strip_suffix(suffix)?.trim().parse::<f64>().ok();
    let bound = units
        .iter()
        .find_map(|(suffix, factor)| Some(number(suffix)? * factor))
        .filter(|bound| bound.is_finite());
    let bound = bound.ok_or_else(|| {
        wrong(if is_time { "a time needs us, ms or s" } else { "no number behind" })
    })?;
    Ok(Threshold { text: text.to_owned(), place: place.to_owned(), test, bound })
}

/// Judges a run, whose own verdict is there already.
pub(crate) fn judge(thresholds: &[Threshold], outcome: &mut Outcome) {
    let found = found(thresholds, outcome);
    outcome.judged.extend(found);
}

/// What a run has of what was asked for.
pub(crate) fn found(thresholds: &[Threshold], outcome: &Outcome) -> Vec<Judged> {
    if thresholds.is_empty() {
        return Vec::new();
    }
    let json = outcome.flat();
    let judge = |threshold: &Threshold| {
        let found = threshold.place.split('.').try_fold(&json, |value, name| value.get(name));
        let found = found.and_then(serde_json::Value::as_f64);
        Judged {
            expected: threshold.text.clone(),
            found,
            held: found.is_some_and(|found| threshold.test.holds(found, threshold.bound)),
        }
    };
    thresholds.iter().map(judge).collect()
}

impl Test {
    #[expect(clippy::float_cmp, reason = "whoever asks for = means exactly that")]
    fn holds(self, found: f64, bound: f64) -> bool {
        match self {
            Self::Less => found < bound,
            Self::AtMost => found <= bound,
            Self::Equal => found == bound,
            Self::AtLeast => found >= bound,
            Self::More => found > bound,
        }
    }
}

impl fmt::Display for Threshold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outcome::{EXPECTED, LATENCY, LOST, RECEIVED, Times};

    fn outcome() -> Outcome {
        let mut outcome = Outcome::new("relay");
        outcome.add(EXPECTED, 10);
        outcome.add(RECEIVED, 9);
        outcome.add(LOST, 1);
        let mut times = Times::new();
        times.record_us(20_000);
        outcome.add_times(LATENCY, &times);
        outcome
    }

    fn holds(text: &str) -> bool {
        let mut outcome = outcome();
        judge(&parse_all(text).unwrap().0, &mut outcome);
        outcome.passed()
    }

    #[test]
    fn names_units_and_comparisons_are_read() {
        for text in ["p99<21ms", "p99<=0.03s", "p99.9 > 1000 us", "reach>=0.9", "reach >= 90%"] {
            assert!(holds(text), "{text}");
        }
        for text in ["p99<19ms", "loss=0", "reach>=1", "loss<1,p99<21ms", "latency.count>1"] {
            assert!(!holds(text), "{text}");
        }
        assert!(holds("lost==1,loss<1k,latency.count=1"));
        assert!(!holds("cpu_us<4"), "what is not there does not hold");
        assert!(!holds("scenario>0"), "nor does what is no number");
    }

    #[test]
    fn what_cannot_be_read_says_how_to_write_it() {
        for text in ["", "p99", "p99<", "p99<20", "<3", "reach>=x", "p 99<20ms", "p99<20ms,"] {
            let why = parse_all(text).unwrap_err();
            assert!(why.contains("write it as"), "{text}: {why}");
        }
    }
}
