//! A relay on axum, and the events of rooms. Its best settings: those of tokio-tungstenite, which it is built on (one
//! thread, buffers of 4 KiB, one flush for all that waits); an event is made once and its bytes are shared by
//! all bodies.

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::extract::ws::{Message, WebSocket, WebSocketUpgrade};
use axum::http::{StatusCode, Uri, header};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use axum::serve::ListenerExt as _;
use bytes::Bytes;
use clap::Parser;
use futures_util::{SinkExt as _, stream};
use madang_peers::{Asked, Hub, Scribe, listen};
use std::convert::Infallible;
use std::io;
use std::sync::Arc;

const BUFFER_BYTES: usize = 4096;
/// Most messages of a channel that are fed before a flush.
const BATCH_MAX: usize = 1024;

#[derive(Debug, Parser)]
struct Options {
    /// Where to listen; 0 takes a free port
    #[arg(long, default_value_t = 0)]
    port: u16,
}

#[derive(Default)]
struct Rooms {
    members: Hub<Message>,
    watchers: Hub<Bytes, Scribe>,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> io::Result<()> {
    let listener = tokio::net::TcpListener::from_std(listen(Options::parse().port)?)?;
    let listener = listener.tap_io(|socket| {
        // Without it messages are only later.
        let _ = socket.set_nodelay(true);
    });
    let app = Router::new()
        .route("/raw/{room}", get(join))
        .route("/rooms/{room}/events", get(watch))
        .with_state(Arc::new(Rooms::default()));
    axum::serve(listener, app).await
}

async fn join(State(rooms): State<Arc<Rooms>>, uri: Uri, upgrade: WebSocketUpgrade) -> Response {
    let upgrade = upgrade.read_buffer_size(BUFFER_BYTES).write_buffer_size(BUFFER_BYTES);
    let Some(Asked::Relay(room, echo)) =
        Asked::read(uri.path_and_query().map_or("", |it| it.as_str()))
    else {
        return StatusCode::NOT_FOUND.into_response();
    };
    // The URI itself would keep the whole buffer of the request.
    let room = room.to_owned();
    upgrade.on_upgrade(async move |socket| {
        // A connection that fails is over; its client says what was lost.
        let _ = relay(socket, &rooms, &room, echo).await;
    })
}

async fn relay(
    mut socket: WebSocket,
    rooms: &Rooms,
    room: &str,
    echo: bool,
) -> Result<(), axum::Error> {
    let (seat, mut waiting) = rooms.members.enter(room);
    let watchers = rooms.watchers.room(room);
    let mut batch = Vec::new();
    loop {
        tokio::select! {
            message = socket.recv() => match message {
                Some(Ok(message @ (Message::Binary(_) | Message::Text(_)))) => {
                    seat.relay(&message, echo);
                    watchers.say(|scribe| Bytes::from(scribe.message(&message.into_data())));
                }
                // Pings are answered by the library.
                Some(Ok(Message::Ping(_))) => socket.flush().await?,
                Some(Ok(_)) => {}
                Some(Err(error)) => return Err(error),
                None => return Ok(()),
            },
            _ = waiting.recv_many(&mut batch, BATCH_MAX) => {
                for message in batch.drain(..) {
                    socket.feed(message).await?;
                }
                socket.flush().await?;
            }
        }
    }
}

async fn watch(State(rooms): State<Arc<Rooms>>, uri: Uri) -> Response {
    let Some(Asked::Events(room)) = Asked::read(uri.path()) else {
        return StatusCode::NOT_FOUND.into_response();
    };
    let (seat, waiting) = rooms.watchers.enter(room);
    let first = seat.own(|scribe| Bytes::from(scribe.resume()));
    let events =
        stream::unfold((Some(first), seat, waiting), async |(first, seat, mut waiting)| {
            let event = match first {
                Some(first) => first,
                None => waiting.recv().await?,
            };
            Some((Ok::<_, Infallible>(event), (None, seat, waiting)))
        });
    let head = [(header::CONTENT_TYPE, "text/event-stream"), (header::CACHE_CONTROL, "no-cache")];
    (head, Body::from_stream(events)).into_response()
}
