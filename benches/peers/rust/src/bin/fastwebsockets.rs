//! A relay on fastwebsockets, with hyper's upgrade. Its best settings: one thread, one task and one channel for each
//! connection, the socket itself instead of hyper's wrapper, and a write buffer of 4 KiB in front of it that is
//! flushed when nothing more waits: by itself the library makes one write of every frame.

use bytes::Bytes;
use clap::Parser;
use fastwebsockets::{
    FragmentCollectorRead, Frame, OpCode, Payload, Role, WebSocket, WebSocketError, upgrade,
};
use http_body_util::Empty;
use hyper::body::Incoming;
use hyper::header::SEC_WEBSOCKET_ACCEPT;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::upgrade::{Parts, Upgraded};
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use madang_peers::{Asked, Hub, listen};
use std::io;
use std::sync::Arc;
use tokio::io::BufWriter;
use tokio::net::{TcpListener, TcpStream};

const BUFFER_BYTES: usize = 4096;
/// Most messages of a channel that are written before a flush.
const BATCH_MAX: usize = 1024;

#[derive(Debug, Parser)]
struct Options {
    /// Where to listen; 0 takes a free port
    #[arg(long, default_value_t = 0)]
    port: u16,
}

#[derive(Clone)]
struct Message {
    opcode: OpCode,
    payload: Bytes,
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
            let service = service_fn(|request| answer(request, Arc::clone(&hub)));
            let http = http1::Builder::new();
            // A connection that fails is over; its client says what was lost.
            let _ = http.serve_connection(TokioIo::new(socket), service).with_upgrades().await;
        });
    }
}

async fn answer(
    mut request: Request<Incoming>,
    hub: Arc<Hub<Message>>,
) -> Result<Response<Empty<Bytes>>, WebSocketError> {
    let path = request.uri().to_string();
    let is_known = matches!(Asked::read(&path), Some(Asked::Relay(..)));
    if !is_known || !upgrade::is_upgrade_request(&request) {
        let mut refused = Response::new(Empty::new());
        *refused.status_mut() = StatusCode::NOT_FOUND;
        return Ok(refused);
    }
    let upgraded = hyper::upgrade::on(&mut request);
    let (response, _) = upgrade::upgrade(&mut request)?;
    debug_assert!(response.headers().contains_key(SEC_WEBSOCKET_ACCEPT));
    tokio::spawn(async move {
        let Ok(upgraded) = upgraded.await else { return };
        let _ = serve(upgraded, &path, &hub).await;
    });
    Ok(response)
}

async fn serve(upgraded: Upgraded, path: &str, hub: &Hub<Message>) -> Result<(), WebSocketError> {
    let Some(Asked::Relay(room, echo)) = Asked::read(path) else { return Ok(()) };
    let Ok(parts) = upgraded.downcast::<TokioIo<TcpStream>>() else { return Ok(()) };
    let Parts { io, read_buf, .. } = parts;
    debug_assert!(read_buf.is_empty(), "a client waits for the answer");
    // Empty as it is, it would keep the whole buffer of the request.
    drop(read_buf);
    let socket = WebSocket::after_handshake(io.into_inner(), Role::Server);
    let (read, mut write) = socket.split(|socket| {
        let (read, write) = socket.into_split();
        (read, BufWriter::with_capacity(BUFFER_BYTES, write))
    });
    let mut read = FragmentCollectorRead::new(read);
    let (seat, mut waiting) = hub.enter(room);

    let reading = async {
        loop {
            // Pongs and the answer to a close go the way of all messages.
            let mut answer = async |frame: Frame<'_>| {
                seat.to_self(Message {
                    opcode: frame.opcode,
                    payload: Bytes::copy_from_slice(&frame.payload),
                });
                Ok::<_, io::Error>(())
            };
            let frame = read.read_frame(&mut answer).await?;
            match frame.opcode {
                opcode @ (OpCode::Binary | OpCode::Text) => {
                    let payload = match frame.payload {
                        Payload::Bytes(bytes) => bytes.freeze(),
                        other => Bytes::copy_from_slice(&other),
                    };
                    seat.relay(&Message { opcode, payload }, echo);
                }
                OpCode::Close => return Ok(()),
                _ => {}
            }
        }
    };
    let writing = async {
        let mut batch = Vec::new();
        loop {
            waiting.recv_many(&mut batch, BATCH_MAX).await;
            for Message { opcode, payload } in batch.drain(..) {
                write
                    .write_frame(Frame::new(true, opcode, None, Payload::Borrowed(&payload)))
                    .await?;
            }
            write.flush().await?;
        }
    };
    tokio::select! {
        ended = reading => ended,
        ended = writing => ended,
    }
}
