//! What went wrong with connections, for the reason why a run cannot begin.

use crate::fleet::Tolls;
use std::collections::BTreeMap;

/// What went wrong with connections, in one line.
pub(crate) fn troubles(tolls: &Tolls) -> String {
    endings_of(
        &tolls.refused,
        &tolls.closed,
        tolls.broken,
        tolls.errors,
        tolls.first_error.as_deref(),
    )
}

/// The same, of any kind of connection.
pub(crate) fn endings_of(
    refused: &BTreeMap<u16, u64>,
    closed: &BTreeMap<u16, u64>,
    broken: u64,
    errors: u64,
    first_error: Option<&str>,
) -> String {
    let mut parts: Vec<String> = Vec::new();
    parts.extend(refused.iter().map(|(status, count)| format!("{count} refused with {status}")));
    parts.extend(closed.iter().map(|(code, count)| format!("{count} closed with {code}")));
    if broken > 0 {
        parts.push(format!("{broken} broken off"));
    }
    if errors > 0 {
        parts.push(format!("{errors} errors, the first: {}", first_error.unwrap_or("?")));
    }
    if parts.is_empty() { "none ended".to_owned() } else { parts.join(", ") }
}
