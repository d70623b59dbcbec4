//! Doors for the fuzz targets, to what of the net is nobody else's business. Only with the feature
//! `fuzzing`.

use super::NetConfig;
use super::http::{Request, head, upgrade};

/// What is made of a request's head that was read in pieces: `None` while it is incomplete, or the
/// status of its refusal. `then` gets the request, how long its head is and how long its body.
pub fn head<T>(
    bytes: &[u8],
    piece: usize,
    then: impl FnOnce(&Request<'_>, usize, usize) -> T,
) -> Result<Option<T>, u16> {
    let config = NetConfig::default();
    let (mut scanned, mut fields) = (0, head::fields());
    loop {
        let come = bytes.len().min(scanned + piece.max(1));
        let found = head::find_end(&bytes[..come], scanned, &config);
        if let Some(end) = found.map_err(|response| response.status)? {
            let head = head::parse(&bytes[..end], &mut fields, &config);
            let head = head.map_err(|response| response.status)?;
            return Ok(Some(then(&head.request, head.bytes, head.body_bytes)));
        }
        if come == bytes.len() {
            return Ok(None);
        }
        scanned = come;
    }
}

/// The head that accepts a WebSocket, or the status of the refusal.
pub fn handshake(request: &Request<'_>) -> Result<Vec<u8>, u16> {
    upgrade::accept(request, None).map_err(|response| response.status)
}
