//! The address behind a proxy, from the fields of a request: `X-Forwarded-For`, or `Forwarded` (RFC
//! 7239).
//!
//! Both are lists to which each proxy adds whom it was asked by, so that what stands on the left is
//! whatever the client has made up. Reading goes from the right and stops at the first address that
//! is none of our proxies'.

use std::net::{IpAddr, SocketAddr};

/// Which field is believed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Forwarded {
    /// None.
    #[default]
    None,
    /// `X-Forwarded-For`.
    XForwardedFor,
    /// `Forwarded`.
    Standard,
}

impl Forwarded {
    /// The field's name, if one is believed.
    pub fn field(self) -> Option<&'static str> {
        match self {
            Self::None => None,
            Self::XForwardedFor => Some("x-forwarded-for"),
            Self::Standard => Some("forwarded"),
        }
    }
}

/// The client's address in the elements of the list, from left to right. None when there is no list,
/// or when what our own proxy has added says no address.
pub fn client<'a>(
    kind: Forwarded,
    elements: impl Iterator<Item = &'a str>,
    is_proxy: impl Fn(IpAddr) -> bool,
) -> Option<IpAddr> {
    let mut found = None;
    // A list has no end that can be read first; heads are bounded.
    let elements: Vec<&str> = elements.collect();
    for element in elements.into_iter().rev() {
        let node = match kind {
            Forwarded::None => return None,
            Forwarded::XForwardedFor => Some(element),
            Forwarded::Standard => for_of(element),
        };
        let Some(address) = node.and_then(address) else { break };
        found = Some(address);
        if !is_proxy(address) {
            break;
        }
    }
    found
}

/// The `for` of an element like `for=192.0.2.60;proto=https;by=203.0.113.43`.
fn for_of(element: &str) -> Option<&str> {
    element.split(';').find_map(|pair| {
        let (name, value) = pair.split_once('=')?;
        if !name.trim().eq_ignore_ascii_case("for") {
            return None;
        }
        let value = value.trim();
        Some(value.strip_prefix('"').and_then(|value| value.strip_suffix('"')).unwrap_or(value))
    })
}

/// An address, alone or with a port; of version 6 also in brackets.
fn address(text: &str) -> Option<IpAddr> {
    let text = text.trim();
    let bracketed = text.strip_prefix('[').and_then(|text| text.strip_suffix(']'));
    let alone = bracketed.unwrap_or(text).parse().ok();
    let address = alone.or_else(|| Some(text.parse::<SocketAddr>().ok()?.ip()));
    address.map(|address| address.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(kind: Forwarded, list: &str) -> Option<String> {
        let is_proxy = |address: IpAddr| address.to_string().starts_with("10.");
        client(kind, list.split(','), is_proxy).map(|address| address.to_string())
    }

    #[test]
    fn the_last_one_that_is_no_proxy_is_the_client() {
        for (list, client) in [
            ("192.0.2.1", Some("192.0.2.1")),
            ("192.0.2.1, 10.0.0.1", Some("192.0.2.1")),
            ("192.0.2.1, 10.0.0.1,10.0.0.2", Some("192.0.2.1")),
            // Made up by the client.
            ("127.0.0.1, 192.0.2.1, 10.0.0.1", Some("192.0.2.1")),
            ("10.0.0.9, 192.0.2.1", Some("192.0.2.1")),
            ("nonsense, 192.0.2.1", Some("192.0.2.1")),
            ("10.0.0.3, 10.0.0.1", Some("10.0.0.3")),
            ("nonsense, 10.0.0.1", Some("10.0.0.1")),
            ("192.0.2.1:4711", Some("192.0.2.1")),
            ("[2001:db8::1]:4711", Some("2001:db8::1")),
            ("[2001:db8::1]", Some("2001:db8::1")),
            ("2001:db8::1", Some("2001:db8::1")),
            ("::ffff:192.0.2.1", Some("192.0.2.1")),
            ("192.0.2.1, unknown", None),
            ("192.0.2.1, ", None),
            ("", None),
        ] {
            assert_eq!(of(Forwarded::XForwardedFor, list).as_deref(), client, "{list}");
        }
        assert_eq!(of(Forwarded::None, "192.0.2.1"), None);
    }

    #[test]
    fn the_standard_field_is_read_with_its_parameters() {
        for (list, client) in [
            ("for=192.0.2.1", Some("192.0.2.1")),
            ("For=\"192.0.2.1:80\";proto=https", Some("192.0.2.1")),
            ("by=10.0.0.1; for=\"[2001:db8::1]:4711\"", Some("2001:db8::1")),
            ("for=192.0.2.1, for=10.0.0.1;by=10.0.0.2", Some("192.0.2.1")),
            ("for=127.0.0.1, for=192.0.2.1", Some("192.0.2.1")),
            ("for=192.0.2.1, for=_hidden", None),
            ("for=192.0.2.1, for=unknown", None),
            ("for=192.0.2.1, proto=https", None),
            ("192.0.2.1", None),
            ("for=\"192.0.2.1", None),
        ] {
            assert_eq!(of(Forwarded::Standard, list).as_deref(), client, "{list}");
        }
    }
}
