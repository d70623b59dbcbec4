// A relay on Socket.IO. Its best settings: WebSocket alone, no compression, no Connection state recovery, the request of
// the handshake is not kept, bufferutil for masks.
import http from "node:http";
import { Server } from "socket.io";
import { listen } from "./common.js";

const server = http.createServer();
const io = new Server(server, {
  transports: ["websocket"],
  serveClient: false,
  perMessageDeflate: false,
  httpCompression: false,
  // The pings of engine.io would be counted as the server's work; nothing else here has any.
  pingInterval: 600_000,
});
io.engine.on("connection", (raw) => {
  raw.request = null;
});
io.on("connection", (socket) => {
  let to;
  socket.on("join", (room, echo, joined) => {
    socket.join(room);
    to = () => (echo ? io.to(room) : socket.to(room));
    joined();
  });
  socket.on("m", (payload) => to?.().emit("m", payload));
});
listen(server);
