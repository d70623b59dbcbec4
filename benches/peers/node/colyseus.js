// A relay on Colyseus. Its best settings: ws as its transport, no state and so no patches, binary messages, nothing
// logged, no pings, bufferutil for masks. (uWebSockets.js, its faster transport, is not on npm.)
import http from "node:http";
import { LocalDriver, Room, Server } from "@colyseus/core";
import { WebSocketTransport } from "@colyseus/ws-transport";
import { listen } from "./common.js";

class Relay extends Room {
  patchRate = null;
  maxClients = Infinity;

  onCreate({ echo }) {
    this.onMessage("m", (client, payload) => {
      this.broadcastBytes("m", payload, echo ? undefined : { except: client });
    });
  }
}

const server = http.createServer();
const colyseus = new Server({
  greet: false,
  driver: new LocalDriver(),
  transport: new WebSocketTransport({ server, maxPayload: 1 << 20, pingInterval: 0 }),
});
// Rooms are told apart by what the load tool calls a room; `name` is a word of the library.
colyseus.define("relay", Relay).filterBy(["topic"]);
listen(server, colyseus);
