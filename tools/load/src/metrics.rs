//! What the server says of itself at its metrics endpoint.

use serde::{Deserialize, Serialize};
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// How long the answer may take.
const PATIENCE: Duration = Duration::from_secs(5);
/// The longest answer in bytes.
const BYTES_MAX: u64 = 4 << 20;

/// Where the metrics are.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Source {
    pub(crate) target: SocketAddr,
    /// For the `Host` field.
    pub(crate) host: String,
}

impl Source {
    /// The sums, over everything they are told apart by, of the families of these names.
    pub(crate) fn read<const N: usize>(&self, names: [&str; N]) -> Result<[u64; N], String> {
        let text = self.fetch().map_err(|error| {
            format!("the server's metrics at http://{}/metrics cannot be read: {error}", self.host)
        })?;
        let sums = names.map(|name| sum(&text, name));
        for (name, sum) in names.iter().zip(&sums) {
            if sum.is_none() {
                return Err(format!("http://{}/metrics has no {name}", self.host));
            }
        }
        Ok(sums.map(Option::unwrap_or_default))
    }

    fn fetch(&self) -> std::io::Result<String> {
        let mut socket = TcpStream::connect_timeout(&self.target, PATIENCE)?;
        socket.set_read_timeout(Some(PATIENCE))?;
        socket.set_write_timeout(Some(PATIENCE))?;
        let host = &self.host;
        let request = format!("GET /metrics HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
        socket.write_all(request.as_bytes())?;
        let mut text = String::new();
        socket.take(BYTES_MAX).read_to_string(&mut text)?;
        Ok(text)
    }
}

/// The sum of a family's samples; nothing when there are none.
fn sum(text: &str, name: &str) -> Option<u64> {
    let samples = text.lines().filter_map(|line| {
        let rest = line.strip_prefix(name)?;
        let value = match rest.strip_prefix('{') {
            Some(labels) => labels.split_once('}')?.1,
            None => rest.strip_prefix(' ')?,
        };
        value.split_ascii_whitespace().next()?.parse::<f64>().ok()
    });
    samples.fold(None, |sum, value| Some(sum.unwrap_or_default() + value as u64))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shards_add_up_and_names_are_whole() {
        let text = "HTTP/1.1 200 OK\r\n\r\n# TYPE rooms gauge\nrooms{shard=\"0\"} 3\n\
                    rooms{shard=\"1\"} 4\nrooms_failed_total 9\nsessions 5 1700\n# EOF\n";
        assert_eq!(sum(text, "rooms"), Some(7));
        assert_eq!(sum(text, "sessions"), Some(5));
        assert_eq!(sum(text, "room"), None);
    }
}
