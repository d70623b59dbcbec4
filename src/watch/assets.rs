//! The demos' files, embedded in the binary: their pages, and the client library that they import.

/// A file of the demo.
pub(super) struct Asset {
    /// The path that it is served at.
    pub(super) path: &'static str,
    /// Its bytes.
    pub(super) bytes: &'static [u8],
}

macro_rules! assets {
    ($($path:literal = $file:literal,)+) => {
        /// Every file of the demo.
        pub(super) static ASSETS: &[Asset] = &[$(
            Asset { path: $path, bytes: include_bytes!(concat!("../../", $file)) },
        )+];
    };
}

assets! {
    "/" = "examples/courtyard/index.html",
    "/main.js" = "examples/courtyard/main.js",
    "/style.css" = "examples/courtyard/style.css",
    "/places.css" = "examples/places.css",
    "/places.js" = "examples/places.js",
    "/arena/" = "examples/arena/web/index.html",
    "/arena/arena.css" = "examples/arena/web/arena.css",
    "/arena/controls.js" = "examples/arena/web/controls.js",
    "/arena/dancer.js" = "examples/arena/web/dancer.js",
    "/arena/effects.js" = "examples/arena/web/effects.js",
    "/arena/emotes.js" = "examples/arena/web/emotes.js",
    "/arena/ground.js" = "examples/arena/web/ground.js",
    "/arena/happenings.js" = "examples/arena/web/happenings.js",
    "/arena/look.js" = "examples/arena/web/look.js",
    "/arena/main.js" = "examples/arena/web/main.js",
    "/arena/movement.js" = "examples/arena/web/movement.js",
    "/arena/panel.js" = "examples/arena/web/panel.js",
    "/arena/predict.js" = "examples/arena/web/predict.js",
    "/arena/remember.js" = "examples/arena/web/remember.js",
    "/arena/spectate.js" = "examples/arena/web/spectate.js",
    "/arena/stage.js" = "examples/arena/web/stage.js",
    "/arena/surroundings.js" = "examples/arena/web/surroundings.js",
    "/arena/timeline.js" = "examples/arena/web/timeline.js",
    "/arena/watch/" = "examples/arena/web/watch/index.html",
    "/arena/watch/lobby.js" = "examples/arena/web/watch/lobby.js",
    "/arena/watch/main.js" = "examples/arena/web/watch/main.js",
    "/arena/watch/watch.css" = "examples/arena/web/watch/watch.css",
    "/board/" = "examples/board/index.html",
    "/board/cursors.js" = "examples/board/cursors.js",
    "/board/history.js" = "examples/board/history.js",
    "/board/main.js" = "examples/board/main.js",
    "/board/notes.js" = "examples/board/notes.js",
    "/board/page.js" = "examples/board/page.js",
    "/board/schema.js" = "examples/board/schema.js",
    "/board/sheet.js" = "examples/board/sheet.js",
    "/board/strokes.js" = "examples/board/strokes.js",
    "/board/style.css" = "examples/board/style.css",
    "/client/asking.js" = "clients/web/src/asking.js",
    "/client/backoff.js" = "clients/web/src/backoff.js",
    "/client/batch.js" = "clients/web/src/batch.js",
    "/client/cells.js" = "clients/web/src/cells.js",
    "/client/client.js" = "clients/web/src/client.js",
    "/client/clock.js" = "clients/web/src/clock.js",
    "/client/codec.js" = "clients/web/src/codec.js",
    "/client/connection.js" = "clients/web/src/connection.js",
    "/client/due.js" = "clients/web/src/due.js",
    "/client/edits.js" = "clients/web/src/edits.js",
    "/client/emitter.js" = "clients/web/src/emitter.js",
    "/client/errors.js" = "clients/web/src/errors.js",
    "/client/eventsource.js" = "clients/web/src/eventsource.js",
    "/client/fieldlisteners.js" = "clients/web/src/fieldlisteners.js",
    "/client/hash.js" = "clients/web/src/hash.js",
    "/client/http.js" = "clients/web/src/http.js",
    "/client/index.js" = "clients/web/src/index.js",
    "/client/joins.js" = "clients/web/src/joins.js",
    "/client/messages.js" = "clients/web/src/messages.js",
    "/client/outbox.js" = "clients/web/src/outbox.js",
    "/client/page.js" = "clients/web/src/page.js",
    "/client/parts.js" = "clients/web/src/parts.js",
    "/client/places.js" = "clients/web/src/places.js",
    "/client/presence.js" = "clients/web/src/presence.js",
    "/client/replica.js" = "clients/web/src/replica.js",
    "/client/room.js" = "clients/web/src/room.js",
    "/client/roomstate.js" = "clients/web/src/roomstate.js",
    "/client/rules.js" = "clients/web/src/rules.js",
    "/client/schema.js" = "clients/web/src/schema.js",
    "/client/seldom.js" = "clients/web/src/seldom.js",
    "/client/state.js" = "clients/web/src/state.js",
    "/client/statecodec.js" = "clients/web/src/statecodec.js",
    "/client/statemodel.js" = "clients/web/src/statemodel.js",
    "/client/statereader.js" = "clients/web/src/statereader.js",
    "/client/types.js" = "clients/web/src/types.js",
    "/client/values.js" = "clients/web/src/values.js",
    "/client/vigil.js" = "clients/web/src/vigil.js",
    "/client/watch.js" = "clients/web/src/watch.js",
    "/client/watchstate.js" = "clients/web/src/watchstate.js",
    "/client/ways.js" = "clients/web/src/ways.js",
    "/client/websocket.js" = "clients/web/src/websocket.js",
    "/client/wire.js" = "clients/web/src/wire.js",
}

impl Asset {
    /// Its media type, by the extension of its name; what ends in `/` is a page.
    pub(super) fn content_type(&self) -> &'static str {
        match self.path.rsplit_once('.').map_or("html", |(_, extension)| extension) {
            "html" => "text/html; charset=utf-8",
            "css" => "text/css; charset=utf-8",
            "js" => "text/javascript; charset=utf-8",
            "svg" => "image/svg+xml",
            "png" => "image/png",
            "json" => "application/json",
            _ => "application/octet-stream",
        }
    }
}
