//! What the side listener answers to which request.

use super::Readiness;
use super::assets::{ASSETS, Asset};
use crate::metrics::{self, Metrics};
use crate::net::http::Response;
use std::hash::{DefaultHasher, Hasher as _};
use std::sync::Arc;

/// What is asked for.
#[derive(Clone, Copy, Debug, Default)]
pub struct Asked<'a> {
    /// The method.
    pub method: &'a str,
    /// The path, without the query.
    pub path: &'a str,
    /// The `Host` field.
    pub host: Option<&'a str>,
    /// The `If-None-Match` field.
    pub if_none_match: Option<&'a str>,
}

/// Everything that the side listener answers; shared by its threads.
#[derive(Debug)]
pub struct Site {
    readiness: Arc<Readiness>,
    metrics: Arc<Metrics>,
    /// None when the demo is switched off.
    demo: Option<Demo>,
}

#[derive(Debug)]
struct Demo {
    /// Where the page finds the players' listener: on the same host.
    play_port: u16,
    /// Entity tags, as [`ASSETS`].
    tags: Vec<String>,
}

impl Site {
    /// A site whose demo, if any, plays on a port of the same host.
    pub fn new(
        readiness: Arc<Readiness>,
        metrics: Arc<Metrics>,
        demo_play_port: Option<u16>,
    ) -> Self {
        let demo = demo_play_port.map(|play_port| Demo {
            play_port,
            tags: ASSETS.iter().map(|asset| tag(asset.bytes)).collect(),
        });
        Self { readiness, metrics, demo }
    }

    /// The answer to a request; for `HEAD` the same as for `GET`, and the bytes are left out later.
    pub fn answer(&self, asked: &Asked<'_>) -> Response {
        let Some(response) = self.resource(asked) else {
            let demo = if self.demo.is_some() { ", and the demo at /" } else { "" };
            let text = format!(
                "not found; here are /rooms, /rooms/{{room}}/events, /rooms/events, /healthz, /readyz \
                 and /metrics{demo}"
            );
            return Response::text(404, &text);
        };
        if !["GET", "HEAD"].contains(&asked.method) {
            return Response::text(405, "this can only be read: use GET or HEAD")
                .header("Allow", "GET, HEAD");
        }
        response
    }

    /// Whether the process is going away.
    pub(super) fn is_draining(&self) -> bool {
        self.readiness.is_draining()
    }

    /// What is at a path, if anything.
    fn resource(&self, asked: &Asked<'_>) -> Option<Response> {
        match asked.path {
            "/healthz" => Some(Response::text(200, "ok")),
            "/readyz" => Some(match self.readiness.missing() {
                None => Response::text(200, "ready"),
                Some(why) => Response::text(503, why),
            }),
            "/metrics" => {
                let text = self.metrics.exposition().into_bytes();
                let response = Response::with_body(200, metrics::CONTENT_TYPE, text);
                Some(response.header("Cache-Control", "no-store"))
            }
            _ => self.demo.as_ref()?.resource(asked),
        }
    }
}

impl Demo {
    fn resource(&self, asked: &Asked<'_>) -> Option<Response> {
        if asked.path == "/demo.json" {
            let body = format!("{{\"play_port\":{}}}\n", self.play_port).into_bytes();
            let response = Response::with_body(200, "application/json", body);
            return Some(response.header("Cache-Control", "no-store"));
        }
        let place = ASSETS.iter().position(|asset| asset.path == asked.path)?;
        let (asset, tag) = (&ASSETS[place], &self.tags[place]);
        let known = asked.if_none_match.is_some_and(|tags| names(tags, tag));
        let response = if known {
            Response::new(304)
        } else {
            Response::with_body(200, asset.content_type(), asset.bytes)
        };
        Some(with_policy(response, asset, asked.host).header("ETag", tag.clone()))
    }
}

fn with_policy(response: Response, asset: &Asset, host: Option<&str>) -> Response {
    // The browser asks again each time, so that a new binary is a new page at once.
    let response =
        response.header("Cache-Control", "no-cache").header("X-Content-Type-Options", "nosniff");
    if !asset.content_type().starts_with("text/html") {
        return response;
    }
    response
        .header("Referrer-Policy", "no-referrer")
        .header("Content-Security-Policy", content_security_policy(host))
}

/// Everything from here, and any WebSocket port of the same host: the players' listener has
/// another one.
fn content_security_policy(host: Option<&str>) -> String {
    let connect = match host.and_then(host_name) {
        Some(name) => format!("ws://{name}:* wss://{name}:*"),
        // A policy cannot name an IPv6 address.
        None => "ws: wss:".to_owned(),
    };
    format!(
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; \
         connect-src 'self' {connect}; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
}

/// The name in a `Host` field without its port, if it can stand in a policy as it is.
fn host_name(host: &str) -> Option<&str> {
    let name = host.rsplit_once(':').map_or(host, |(name, _)| name);
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'.';
    (!name.is_empty() && name.bytes().all(fits)).then_some(name)
}

/// An entity tag for content: equal in every process that runs the same binary.
pub(super) fn tag(bytes: &[u8]) -> String {
    let mut hasher = DefaultHasher::new();
    hasher.write(bytes);
    format!("\"{:016x}\"", hasher.finish())
}

/// Whether an `If-None-Match` field names a tag (RFC 9110 section 13.1.2; the comparison is weak).
pub(super) fn names(field: &str, tag: &str) -> bool {
    field.trim() == "*"
        || field.split(',').any(|one| one.trim().strip_prefix("W/").unwrap_or(one.trim()) == tag)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn site(demo_play_port: Option<u16>) -> Site {
        let site = Site::new(Arc::default(), Metrics::new(1, 1), demo_play_port);
        site.readiness.set_ready();
        site
    }

    fn get(path: &str) -> Asked<'_> {
        Asked { method: "GET", path, host: Some("127.0.0.1:7701"), ..Asked::default() }
    }

    fn field<'a>(response: &'a Response, name: &str) -> &'a str {
        let found = response.headers.iter().find(|(found, _)| *found == name);
        found.map_or("", |(_, value)| value)
    }

    fn body(response: &Response) -> &str {
        std::str::from_utf8(&response.body).expect("text")
    }

    #[test]
    fn health_is_told_while_the_process_lives_and_readiness_while_it_serves() {
        let site = Site::new(Arc::default(), Metrics::new(1, 1), None);
        let readiness = |site: &Site| {
            let response = site.answer(&get("/readyz"));
            (response.status, body(&response).to_owned())
        };
        assert_eq!(readiness(&site), (503, "starting\n".to_owned()));
        site.readiness.set_ready();
        assert_eq!(readiness(&site), (200, "ready\n".to_owned()));
        site.readiness.set_draining();
        site.readiness.set_ready();
        assert_eq!(readiness(&site), (503, "draining\n".to_owned()));
        let health = site.answer(&get("/healthz"));
        assert_eq!((health.status, body(&health)), (200, "ok\n"));
    }

    #[test]
    fn metrics_have_their_own_type() {
        let response = site(None).answer(&get("/metrics"));
        assert_eq!(response.status, 200);
        assert!(field(&response, "Content-Type").starts_with("application/openmetrics-text"));
        assert!(body(&response).contains("\nmadang_messages_received_total 0\n"));
    }

    #[test]
    fn every_file_is_served_with_its_type_and_a_tag_that_saves_the_bytes() {
        let site = site(Some(7700));
        for asset in ASSETS {
            let response = site.answer(&get(asset.path));
            assert_eq!((response.status, &*response.body), (200, asset.bytes), "{}", asset.path);
            assert!(!field(&response, "Content-Type").starts_with("application/octet-stream"));
            assert_eq!(field(&response, "X-Content-Type-Options"), "nosniff");
            let tag = field(&response, "ETag").to_owned();
            for known in [tag.clone(), format!("\"x\", W/{tag}"), "*".to_owned()] {
                let again = Asked { if_none_match: Some(&known), ..get(asset.path) };
                let response = site.answer(&again);
                assert_eq!((response.status, response.body.len()), (304, 0), "{known}");
                assert_eq!(field(&response, "ETag"), tag);
            }
            let other = Asked { if_none_match: Some("\"x\""), ..get(asset.path) };
            assert_eq!(site.answer(&other).status, 200);
        }
    }

    #[test]
    fn the_page_learns_the_port_and_may_connect_to_it() {
        let site = site(Some(7712));
        let found = site.answer(&get("/demo.json"));
        assert_eq!(body(&found), "{\"play_port\":7712}\n");
        let policy = |host| {
            let asked = Asked { host, ..get("/") };
            field(&site.answer(&asked), "Content-Security-Policy").to_owned()
        };
        assert!(policy(Some("play.example:80")).contains(" ws://play.example:* "));
        assert!(policy(Some("localhost")).contains(" ws://localhost:* "));
        for odd in [Some("[::1]:7701"), Some("a;script-src *"), Some(""), None] {
            assert!(policy(odd).contains("connect-src 'self' ws: wss:; "), "{odd:?}");
        }
    }

    #[test]
    fn without_the_demo_there_is_no_page() {
        let site = site(None);
        for path in ["/", "/demo.json", "/main.js"] {
            assert_eq!(site.answer(&get(path)).status, 404, "{path}");
        }
    }

    #[test]
    fn what_is_not_there_is_404_and_what_cannot_be_done_is_405() {
        let site = site(Some(7700));
        for path in ["/nothing", "/client/", "/../Cargo.toml", "*", "//"] {
            let response = site.answer(&Asked { method: "POST", ..get(path) });
            assert_eq!(response.status, 404, "{path}");
        }
        for path in ["/healthz", "/readyz", "/metrics", "/", "/demo.json"] {
            for method in ["POST", "PUT", "DELETE", "OPTIONS", "get"] {
                let response = site.answer(&Asked { method, ..get(path) });
                assert_eq!((response.status, field(&response, "Allow")), (405, "GET, HEAD"));
            }
            let head = site.answer(&Asked { method: "HEAD", ..get(path) });
            assert_eq!(head.status, 200, "{path}");
        }
    }
}
