//! Credentials of tests: `ada`, who may do all; `ada;5000`, who may until so many milliseconds from now;
//! `ada;*=join+watch;lobby=manage`, who may do just that; `;*=join`, nobody with these rights.

use madang_engine::access::{Grant, Identity, Pattern, Rights};
use std::sync::Arc;

/// Who a credential stands for at this time.
pub(crate) fn identity(token: Option<&str>, wall_ms: u64) -> Arc<Identity> {
    let mut parts = token.unwrap_or_default().split(';');
    let user = parts.next().filter(|user| !user.is_empty()).map(Box::from);
    let mut identity = Identity { user, ..Identity::default() };
    for part in parts {
        match part.split_once('=') {
            Some(("name", name)) => {
                let name = madang_protocol::value::Value::Text(name.to_owned());
                identity.attributes.push(("name".to_owned(), name));
            }
            Some((rooms, may)) => {
                let rights = may.split('+').filter_map(Rights::named);
                let may = rights.fold(Rights::NONE, Rights::and);
                identity
                    .grants
                    .push(Grant { rooms: Pattern::read(rooms).into_iter().collect(), may });
            }
            None => identity.expires_ms = part.parse().ok().map(|in_ms: u64| wall_ms + in_ms),
        }
    }
    if identity.grants.is_empty() {
        identity.grants = vec![Grant::everywhere(Rights::ALL)];
    }
    Arc::new(identity)
}
