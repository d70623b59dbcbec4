//! Which pages may open a WebSocket.
//!
//! A browser sends cookies and reaches addresses on behalf of any page, and asks nobody first when a
//! page opens a WebSocket; but it says whose page it is. Programs say nothing, or what they like:
//! this is no authentication.

use crate::config::Config;
use crate::net::http::{Request, Response};
use std::net::SocketAddr;
use std::sync::Arc;

/// The rules, shared by all shards.
#[derive(Clone, Debug)]
pub struct Origins(Arc<Rules>);

#[derive(Debug)]
struct Rules {
    /// As browsers write them.
    allowed: Vec<Box<str>>,
    /// All are.
    any: bool,
    /// Pages of the host that the request names are, whatever their port.
    same_host: bool,
    /// No origin is fine too.
    absent: bool,
}

impl Default for Origins {
    /// Everybody may.
    fn default() -> Self {
        let (allowed, any, same_host, absent) = (Vec::new(), true, false, true);
        Self(Arc::new(Rules { allowed, any, same_host, absent }))
    }
}

impl Origins {
    /// What a configuration says, for listeners at these addresses.
    pub fn new(config: &Config, play: SocketAddr, watch: SocketAddr) -> Self {
        let access = &config.access;
        let mut rules = Rules {
            allowed: Vec::new(),
            any: false,
            same_host: false,
            absent: access.origin_absent,
        };
        for origin in &access.origins {
            match &*origin.0 {
                "*" => rules.any = true,
                // Whoever comes from this machine alone asks for this machine: a page elsewhere whose
                // name was made to lead here is not our own, though the request names its host.
                "self" if play.ip().is_loopback() && access.proxies.is_empty() => {
                    rules.allowed.extend(pages_of(watch).chain(pages_of(play)));
                }
                "self" => rules.same_host = true,
                text => rules.allowed.push(text.into()),
            }
        }
        Self(Arc::new(rules))
    }

    /// Whether a request's page may, else the answer.
    pub(super) fn check(&self, request: &Request<'_>) -> Result<(), Response> {
        let rules = &*self.0;
        let mut origins = request.raw_headers("origin");
        let (first, second) = (origins.next(), origins.next());
        let Some(origin) = first else {
            let text = "say an Origin: access.origin_absent is false here";
            return if rules.absent { Ok(()) } else { Err(Response::text(403, text)) };
        };
        let origin = std::str::from_utf8(origin).ok().filter(|_| second.is_none());
        let is_allowed = rules.any
            || origin.is_some_and(|origin| {
                rules.allowed.iter().any(|allowed| allowed.eq_ignore_ascii_case(origin))
                    || rules.same_host && is_same_host(origin, request.header("host"))
            });
        if is_allowed {
            return Ok(());
        }
        let text = "pages of this origin may not connect; access.origins says which may";
        Err(Response::text(403, text))
    }
}

/// The origins of pages that are served at an address of this machine.
fn pages_of(address: SocketAddr) -> impl Iterator<Item = Box<str>> {
    let hosts = ["localhost", "127.0.0.1", "[::1]"];
    let schemes = [("http", 80), ("https", 443)];
    schemes.into_iter().flat_map(move |(scheme, default)| {
        hosts.into_iter().map(move |host| match address.port() {
            port if port == default => format!("{scheme}://{host}").into(),
            port => format!("{scheme}://{host}:{port}").into(),
        })
    })
}

/// Whether an origin's host is the one that was asked for, without regard to ports.
fn is_same_host(origin: &str, asked: Option<&str>) -> bool {
    let host = origin.strip_prefix("https://").or_else(|| origin.strip_prefix("http://"));
    let (Some(host), Some(asked)) = (host.and_then(host_of), asked.and_then(host_of)) else {
        return false;
    };
    host.eq_ignore_ascii_case(asked)
}

/// `HOST` or `HOST:PORT` without its port.
fn host_of(authority: &str) -> Option<&str> {
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => (host, port),
        _ => (authority, ""),
    };
    let is_host = |byte: u8| byte.is_ascii_alphanumeric() || b"-._:[]".contains(&byte);
    let is_whole = !host.is_empty() && host.bytes().all(is_host);
    (is_whole && port.bytes().all(|byte| byte.is_ascii_digit())).then_some(host)
}
