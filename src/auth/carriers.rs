//! Where a request carries a token. What is found goes nowhere but to be checked: no message names it.

use super::Refusal;
use crate::net::http::Request;
use madang_protocol::SUBPROTOCOL;
use madang_protocol::value::Token;

/// What the subprotocol that carries a token begins with: `madang.bearer.`; browsers can set no other
/// header of a WebSocket. It is never answered with.
pub const BEARER_SUBPROTOCOL: &str = "madang.bearer.";
/// Names under which a query may carry a token.
const QUERY_NAMES: [&str; 2] = ["token", "access_token"];

/// Which ways are looked at.
#[derive(Clone, Copy, Debug)]
pub enum Ways<'a> {
    /// Every one, and the cookie of this name if there is one.
    All(Option<&'a str>),
    /// Those alone that a page of another site cannot have a browser use by itself: for what changes
    /// something.
    Deliberate,
}

/// The token of a request: of the `Authorization` header, else of a subprotocol, the query or the cookie.
///
/// # Errors
///
/// When one of these is there and is not what it should be.
pub fn find(request: &Request<'_>, ways: Ways<'_>) -> Result<Option<Token>, Refusal> {
    const { assert!(SUBPROTOCOL.len() < BEARER_SUBPROTOCOL.len()) };
    if let Some(token) = header(request)? {
        return Ok(Some(token));
    }
    if let Some(token) =
        request.subprotocols().find_map(|name| name.strip_prefix(BEARER_SUBPROTOCOL))
    {
        return Ok(Some(token.into()));
    }
    for name in QUERY_NAMES {
        match request.query_value(name) {
            Ok(Some(token)) => return Ok(Some((*token).into())),
            Ok(None) => {}
            Err(_) => return Err(Refusal::Malformed),
        }
    }
    match ways {
        Ways::All(Some(name)) => Ok(cookie(request, name)),
        _ => Ok(None),
    }
}

/// `Authorization: Bearer`; other schemes are for somebody else.
fn header(request: &Request<'_>) -> Result<Option<Token>, Refusal> {
    let mut fields = request.raw_headers("authorization");
    let Some(field) = fields.next() else { return Ok(None) };
    if fields.next().is_some() {
        return Err(Refusal::Malformed);
    }
    let field = std::str::from_utf8(field).map_err(|_| Refusal::Malformed)?;
    let (scheme, given) = field.split_once(' ').unwrap_or((field, ""));
    Ok(scheme.eq_ignore_ascii_case("bearer").then(|| given.trim_ascii().into()))
}

/// The value of a cookie (RFC 6265 section 4.2.1).
fn cookie(request: &Request<'_>, name: &str) -> Option<Token> {
    let pairs = request.headers("cookie").flat_map(|field| field.split(';'));
    let mut values = pairs.filter_map(|pair| {
        let (key, value) = pair.split_once('=')?;
        (key.trim_ascii() == name).then(|| value.trim_ascii().trim_matches('"'))
    });
    values.next().map(Token::from)
}
