//! A relay on tokio-tungstenite. Its best settings: one thread (`current_thread`), one task and one channel for each
//! connection, read and write buffers of 4 KiB instead of 128, and whatever waits for a connection is fed before one
//! flush, so that it leaves in one write.

use clap::Parser;
use futures_util::{SinkExt as _, StreamExt as _};
use madang_peers::{Asked, Hub, listen};
use std::io;
use std::sync::Arc;
use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::accept_hdr_async_with_config;
use tokio_tungstenite::tungstenite::handshake::server::{ErrorResponse, Request, Response};
use tokio_tungstenite::tungstenite::http::StatusCode;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{Error, Message};

const BUFFER_BYTES: usize = 4096;
/// Most messages of a channel that are fed before a flush.
const BATCH_MAX: usize = 1024;

#[derive(Debug, Parser)]
struct Options {
    /// Where to listen; 0 takes a free port
    #[arg(long, default_value_t = 0)]
    port: u16,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> io::Result<()> {
    let listener = TcpListener::from_std(listen(Options::parse().port)?)?;
    let hub = Arc::new(Hub::default());
    loop {
        let (socket, _) = listener.accept().await?;
        socket.set_nodelay(true)?;
        let hub = Arc::clone(&hub);
        tokio::spawn(async move {
            // A connection that fails is over; its client says what was lost.
            let _ = serve(socket, &hub).await;
        });
    }
}

async fn serve(socket: TcpStream, hub: &Hub<Message>) -> Result<(), Error> {
    let config =
        WebSocketConfig::default().read_buffer_size(BUFFER_BYTES).write_buffer_size(BUFFER_BYTES);
    let mut path = String::new();
    #[expect(clippy::result_large_err, reason = "the library's signature")]
    let look = |request: &Request, response: Response| {
        path = request.uri().to_string();
        if let Some(Asked::Relay(..)) = Asked::read(&path) {
            return Ok(response);
        }
        let mut refused = ErrorResponse::new(None);
        *refused.status_mut() = StatusCode::NOT_FOUND;
        Err(refused)
    };
    let mut socket = accept_hdr_async_with_config(socket, look, Some(config)).await?;
    let Some(Asked::Relay(room, echo)) = Asked::read(&path) else { return Ok(()) };
    let (seat, mut waiting) = hub.enter(room);
    drop(path);
    let mut batch = Vec::new();
    loop {
        tokio::select! {
            message = socket.next() => match message {
                Some(Ok(message @ (Message::Binary(_) | Message::Text(_)))) => seat.relay(&message, echo),
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
