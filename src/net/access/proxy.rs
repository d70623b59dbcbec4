//! The header that a proxy puts before a connection's first byte: the PROXY protocol, versions 1 and
//! 2 (<https://www.haproxy.org/download/3.0/doc/proxy-protocol.txt>).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Largest header that is read, with all that may follow the addresses in version 2.
pub const PREAMBLE_BYTES_MAX: usize = 1024;

/// The longest line of version 1, with its end.
const LINE_BYTES_MAX: usize = 107;
const SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";
/// Signature, version and command, family, length.
const FIXED_BYTES: usize = 16;

/// What the first bytes are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Preamble {
    /// The beginning of a header.
    Incomplete,
    /// A header of so many bytes. Without a client the connection is the proxy's own.
    Complete {
        /// Its length.
        bytes: usize,
        /// Whom the proxy was asked by.
        client: Option<IpAddr>,
    },
    /// No header, or one that breaks the rules.
    Malformed,
}

/// Reads the first bytes of a connection.
pub fn read(bytes: &[u8]) -> Preamble {
    let begins = |start: &[u8]| bytes.iter().zip(start).all(|(a, b)| a == b);
    if begins(SIGNATURE) {
        return if bytes.len() < FIXED_BYTES { Preamble::Incomplete } else { version_2(bytes) };
    }
    if begins(b"PROXY ") { version_1(bytes) } else { Preamble::Malformed }
}

/// `PROXY TCP4 192.0.2.1 192.0.2.2 56324 443`
fn version_1(bytes: &[u8]) -> Preamble {
    let within = &bytes[..bytes.len().min(LINE_BYTES_MAX)];
    let Some(end) = within.windows(2).position(|two| two == b"\r\n") else {
        return if bytes.len() < LINE_BYTES_MAX {
            Preamble::Incomplete
        } else {
            Preamble::Malformed
        };
    };
    match line(&within[..end]) {
        Some(client) => Preamble::Complete { bytes: end + 2, client },
        None => Preamble::Malformed,
    }
}

/// The client of a line, where it names one; None if it is malformed.
#[expect(
    clippy::option_option,
    reason = "malformed, and well formed without a client, are two things"
)]
fn line(bytes: &[u8]) -> Option<Option<IpAddr>> {
    let mut words = std::str::from_utf8(bytes).ok()?.split(' ').skip(1);
    let family = words.next()?;
    if family == "UNKNOWN" {
        return Some(None);
    }
    let (source, target) = (words.next()?, words.next()?);
    let ports = [words.next()?, words.next()?];
    let are_ports = ports.iter().all(|port| port.parse::<u16>().is_ok());
    if !are_ports || words.next().is_some() {
        return None;
    }
    let client: IpAddr = match family {
        "TCP4" => source.parse::<Ipv4Addr>().ok().filter(|_| is::<Ipv4Addr>(target))?.into(),
        "TCP6" => source.parse::<Ipv6Addr>().ok().filter(|_| is::<Ipv6Addr>(target))?.into(),
        _ => return None,
    };
    Some(Some(client.to_canonical()))
}

fn is<T: std::str::FromStr>(text: &str) -> bool {
    text.parse::<T>().is_ok()
}

fn version_2(bytes: &[u8]) -> Preamble {
    let (command, family) = (bytes[12], bytes[13]);
    let rest = usize::from(u16::from_be_bytes([bytes[14], bytes[15]]));
    let all = FIXED_BYTES + rest;
    if command >> 4 != 2 || command & 0xf > 1 || all > PREAMBLE_BYTES_MAX {
        return Preamble::Malformed;
    }
    let Some(addresses) = bytes.get(FIXED_BYTES..all) else { return Preamble::Incomplete };
    let client: Option<IpAddr> = match (command & 0xf, family) {
        // The proxy's own connection, or a family that says no address of ours.
        (0, _) | (1, 0x00) => None,
        (1, 0x11) => match addresses.first_chunk::<12>() {
            Some([a, b, c, d, ..]) => Some(Ipv4Addr::new(*a, *b, *c, *d).into()),
            None => return Preamble::Malformed,
        },
        (1, 0x21) => match addresses.first_chunk::<36>().and_then(|all| all.first_chunk::<16>()) {
            Some(source) => Some(Ipv6Addr::from(*source).into()),
            None => return Preamble::Malformed,
        },
        _ => return Preamble::Malformed,
    };
    Preamble::Complete { bytes: all, client: client.map(|client| client.to_canonical()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(command: u8, family: u8, rest: &[u8]) -> Vec<u8> {
        let length = (rest.len() as u16).to_be_bytes();
        [SIGNATURE, &[command, family], &length, rest].concat()
    }

    fn client(bytes: &[u8]) -> Result<Option<String>, Preamble> {
        // However it is cut, nothing but the whole is more than incomplete.
        match read(bytes) {
            Preamble::Complete { bytes: len, client } => {
                for cut in 0..len {
                    assert_eq!(read(&bytes[..cut]), Preamble::Incomplete, "{cut}");
                }
                let longer = [bytes, b"GET / HTTP/1.1"].concat();
                assert_eq!(read(&longer), Preamble::Complete { bytes: len, client });
                assert_eq!(len, bytes.len());
                Ok(client.map(|client| client.to_string()))
            }
            other => Err(other),
        }
    }

    fn of(text: &str) -> Result<Option<String>, Preamble> {
        client(text.as_bytes())
    }

    #[test]
    fn lines_of_version_1() {
        let is = |text: &str| Ok(Some(text.to_owned()));
        assert_eq!(of("PROXY TCP4 192.0.2.1 192.0.2.2 5632 443\r\n"), is("192.0.2.1"));
        assert_eq!(of("PROXY TCP6 2001:db8::1 ::1 5632 443\r\n"), is("2001:db8::1"));
        assert_eq!(of("PROXY TCP6 ::ffff:192.0.2.1 ::1 5632 443\r\n"), is("192.0.2.1"));
        assert_eq!(of("PROXY UNKNOWN\r\n"), Ok(None));
        assert_eq!(of("PROXY UNKNOWN ffff::1 ffff::2 1 2\r\n"), Ok(None));
        for bad in [
            "PROXY TCP4 192.0.2.1 192.0.2.2 5632\r\n",
            "PROXY TCP4 192.0.2.1 192.0.2.2 5632 443 1\r\n",
            "PROXY TCP4 2001:db8::1 ::1 5632 443\r\n",
            "PROXY TCP4 192.0.2.1 192.0.2.2 5632 65536\r\n",
            "PROXY TCP4  192.0.2.1 192.0.2.2 5632 443\r\n",
            "PROXY TCP5 192.0.2.1 192.0.2.2 5632 443\r\n",
            "PROXY \r\n",
            "PROXY TCP4 192.0.2.999 192.0.2.2 5632 443\r\n",
            "GET / HTTP/1.1\r\n",
            "PROXX",
            &format!("PROXY UNKNOWN {}\r\n", "x".repeat(100)),
        ] {
            assert_eq!(of(bad), Err(Preamble::Malformed), "{bad}");
        }
        assert_eq!(of(""), Err(Preamble::Incomplete));
    }

    #[test]
    fn headers_of_version_2() {
        let v4 = [192, 0, 2, 1, 10, 0, 0, 1, 1, 2, 3, 4];
        let mut v6 = [0; 36];
        v6[..4].copy_from_slice(&[0x20, 1, 0xd, 0xb8]);
        assert_eq!(client(&header(0x21, 0x11, &v4)), Ok(Some("192.0.2.1".into())));
        assert_eq!(client(&header(0x21, 0x21, &v6)), Ok(Some("2001:db8::".into())));
        let with_more = [&v4[..], &[0; 200]].concat();
        assert_eq!(client(&header(0x21, 0x11, &with_more)), Ok(Some("192.0.2.1".into())));
        assert_eq!(client(&header(0x20, 0x00, &[])), Ok(None));
        assert_eq!(client(&header(0x20, 0x11, &v4)), Ok(None));
        assert_eq!(client(&header(0x21, 0x00, &[])), Ok(None));
        for bad in [
            header(0x31, 0x11, &v4),
            header(0x22, 0x11, &v4),
            header(0x21, 0x11, &v4[..11]),
            header(0x21, 0x21, &v6[..35]),
            header(0x21, 0x12, &v4),
            header(0x21, 0x31, &[0; 216]),
            header(0x21, 0x11, &[0; 2000]),
        ] {
            assert_eq!(client(&bad), Err(Preamble::Malformed), "{bad:?}");
        }
    }
}
