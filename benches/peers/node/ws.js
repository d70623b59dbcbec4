// A relay on ws, and the events of rooms on plain http. Its best settings: no compression, no tracking of clients, no
// UTF-8 check, bufferutil for masks; a frame is made once for all its receivers by `Sender.frame` and
// written straight to their sockets, and what a socket gets in one turn of the loop leaves in one write. Events have no
// chunked encoding around them.
import http from "node:http";
import { Sender, WebSocketServer } from "ws";
import { asked, listen, Scribe } from "./common.js";

const [TEXT, BINARY] = [1, 2];
const rooms = new Map();
/** Sockets that have been written to in this turn. */
const corked = [];
const websockets = new WebSocketServer({
  noServer: true,
  clientTracking: false,
  perMessageDeflate: false,
  skipUTF8Validation: true,
});
const server = http.createServer(watch);
server.on("upgrade", (request, socket, head) => {
  const { relay, echo } = asked(request.url);
  if (relay === undefined) return socket.destroy();
  websockets.handleUpgrade(request, socket, head, (websocket) => join(websocket, socket, relay, echo));
});
listen(server);

function room(name) {
  let found = rooms.get(name);
  if (!found) rooms.set(name, (found = { members: new Set(), watchers: new Set(), scribe: new Scribe() }));
  return found;
}

function join(websocket, socket, name, echo) {
  const { members, watchers, scribe } = room(name);
  members.add(socket);
  // A connection that fails is over; its client says what was lost.
  websocket.on("error", () => {});
  websocket.on("close", () => members.delete(socket));
  websocket.on("message", (payload, isBinary) => {
    const frame = Buffer.concat(
      Sender.frame(payload, { fin: true, rsv1: false, opcode: isBinary ? BINARY : TEXT, mask: false, readOnly: true }),
    );
    for (const member of members) if (echo || member !== socket) write(member, frame);
    if (watchers.size > 0) {
      const event = scribe.message(payload);
      for (const watcher of watchers) watcher.write(event);
    }
  });
}

function write(socket, bytes) {
  if (socket.writableCorked === 0) {
    socket.cork();
    if (corked.push(socket) === 1) setImmediate(uncork);
  }
  socket.write(bytes);
}

function uncork() {
  for (const socket of corked) socket.uncork();
  corked.length = 0;
}

function watch(request, response) {
  const { events } = asked(request.url);
  if (events === undefined) return response.writeHead(404).end();
  const { watchers, scribe } = room(events);
  response.removeHeader("transfer-encoding");
  response.writeHead(200, { "content-type": "text/event-stream", "cache-control": "no-cache", connection: "close" });
  response.write(scribe.resume());
  watchers.add(response);
  response.on("close", () => watchers.delete(response));
}
