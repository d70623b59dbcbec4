//! Values of options, as people write them.

use std::net::{SocketAddr, ToSocketAddrs};
use std::time::Duration;

/// Longest time of anything, in seconds.
const SECONDS_MAX: f64 = 86_400.0;
/// Least time between two cuts of a connection.
const PERIOD_MIN: Duration = Duration::from_millis(10);

/// Where a URL goes.
#[derive(Debug)]
pub(super) struct Address {
    /// For the `Host` field.
    pub(super) host: String,
    pub(super) target: SocketAddr,
    pub(super) is_secure: bool,
}

/// Reads a URL of one of two schemes, in plaintext or by TLS.
pub(super) fn resolve(
    option: &str,
    (plain, secure): (&str, &str),
    url: &str,
) -> Result<Address, String> {
    let rest = |scheme: &str| url.strip_prefix(scheme)?.strip_prefix("://");
    let (host, is_secure) = rest(plain)
        .map(|host| (host, false))
        .or_else(|| rest(secure).map(|host| (host, true)))
        .ok_or_else(|| {
            format!("{option} {url}: write {plain}:// or {secure}://, as in {plain}://127.0.0.1")
        })?;
    let host = host.trim_end_matches('/');
    let port = if is_secure { 443 } else { 80 };
    let address = if host.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok()) {
        host.to_owned()
    } else {
        format!("{host}:{port}")
    };
    let mut found =
        address.to_socket_addrs().map_err(|error| format!("{option} {url}: {error}"))?;
    let target = found.next().ok_or_else(|| format!("{option} {url}: no address"))?;
    Ok(Address { host: host.to_owned(), target, is_secure })
}

pub(super) fn count(text: &str) -> Result<usize, String> {
    in_range(text, 1.0, 1e6).map(|value| value as usize)
}

pub(super) fn none_or_count(text: &str) -> Result<usize, String> {
    in_range(text, 0.0, 1e6).map(|value| value as usize)
}

pub(super) fn part(text: &str) -> Result<f64, String> {
    in_range(text, 0.0, 1.0)
}

/// A time with its unit; 0 needs none.
pub(super) fn span(text: &str) -> Result<Duration, String> {
    let unit = |suffix: &str, seconds: f64| Some((text.strip_suffix(suffix)?, seconds));
    let (number, seconds) = unit("ms", 0.001)
        .or_else(|| unit("s", 1.0))
        .or_else(|| unit("m", 60.0))
        .or((text == "0").then_some((text, 1.0)))
        .ok_or("a number with ms, s or m")?;
    in_range(number, 0.0, SECONDS_MAX / seconds)
        .map(|value| Duration::from_secs_f64(value * seconds))
}

/// A time that something can be done again and again after.
pub(super) fn period(text: &str) -> Result<Duration, String> {
    let period = span(text)?;
    if period < PERIOD_MIN { Err(format!("at least {PERIOD_MIN:?}")) } else { Ok(period) }
}

pub(super) fn payload(text: &str) -> Result<usize, String> {
    in_range(text, crate::stamp::BYTES_MIN as f64, 1e6).map(|value| value as usize)
}

pub(super) fn hz(text: &str) -> Result<f64, String> {
    in_range(text, 0.001, 1e6)
}

/// A part that can be reached: a rate is known to no more than this.
pub(super) fn precision(text: &str) -> Result<f64, String> {
    in_range(text, 0.005, 1.0)
}

pub(super) fn tries(text: &str) -> Result<usize, String> {
    in_range(text, 1.0, 100.0).map(|value| value as usize)
}

pub(super) fn seconds(text: &str) -> Result<Duration, String> {
    in_range(text, 0.0, SECONDS_MAX).map(Duration::from_secs_f64)
}

/// A key and a value.
pub(super) fn pair(text: &str) -> Result<(String, String), String> {
    let (key, value) = text.split_once('=').ok_or("a key, = and a value")?;
    Ok((key.to_owned(), value.to_owned()))
}

fn in_range(text: &str, least: f64, most: f64) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(value) if (least..=most).contains(&value) => Ok(value),
        _ => Err(format!("a number from {least} to {most}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_resolved_or_refused() {
        let resolve = |url| resolve("--url", ("ws", "wss"), url);
        assert_eq!(resolve("ws://127.0.0.1:7700/").unwrap().host, "127.0.0.1:7700");
        let of = |url| resolve(url).map(|found| (found.target.port(), found.is_secure)).unwrap();
        assert_eq!((of("ws://127.0.0.1"), of("wss://127.0.0.1")), ((80, false), (443, true)));
        assert!(resolve("http://127.0.0.1").is_err() && resolve("ws:127.0.0.1").is_err());
    }

    #[test]
    fn numbers_are_bounded() {
        assert!(count("0").is_err() && count("x").is_err() && hz("0").is_err());
        assert_eq!(payload("23"), Err("a number from 24 to 1000000".to_owned()));
        assert_eq!(seconds("0.5"), Ok(Duration::from_millis(500)));
        assert_eq!((none_or_count("0"), part("1.1").is_err()), (Ok(0), true));
        assert_eq!(
            (span("2s"), span("1.5m")),
            (Ok(Duration::from_secs(2)), Ok(Duration::from_secs(90)))
        );
        assert_eq!((span("0"), span("20ms")), (Ok(Duration::ZERO), Ok(Duration::from_millis(20))));
        assert!(period("0").is_err() && period("10ms").is_ok());
        assert!(span("2").is_err() && span("s").is_err() && span("2h").is_err());
    }
}
