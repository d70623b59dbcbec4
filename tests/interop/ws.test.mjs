// An unmodified third-party client, npm `ws`, against the real server: in rooms without an envelope
// (`/raw/{room}`), and in JSON through `/play`.
//
// To run it: `npm ci`, then `MADANG_BIN=../../target/debug/madang npm test`, both in this directory.

import assert from "node:assert/strict";
import { once } from "node:events";
import { after, before, test } from "node:test";
import WebSocket from "ws";

import { startServer } from "./server.mjs";

const DEADLINE_MS = 10_000;
const options = { timeout: 3 * DEADLINE_MS };

let server;
before(async () => {
  server = await startServer();
}, options);
after(async () => assert.equal(await server.stop(), 0), options);

/** A socket that keeps what it receives until somebody asks for it. */
class Peer {
  #received = [];
  #waiting = [];

  constructor(url, protocols) {
    this.socket = new WebSocket(url, protocols);
    this.socket.on("message", (data, isBinary) => {
      const message = isBinary ? Buffer.from(data) : data.toString();
      const waiting = this.#waiting.shift();
      if (waiting) waiting(message);
      else this.#received.push(message);
    });
  }

  async open() {
    await once(this.socket, "open", { signal: AbortSignal.timeout(DEADLINE_MS) });
    return this;
  }

  send(message) {
    this.socket.send(message);
  }

  next() {
    if (this.#received.length > 0) return Promise.resolve(this.#received.shift());
    return new Promise((resolve, reject) => {
      const late = setTimeout(() => reject(new Error("waited in vain for a message")), DEADLINE_MS);
      this.#waiting.push((message) => {
        clearTimeout(late);
        resolve(message);
      });
    });
  }

  /** The body of the next JSON message of a name. */
  async answer(name) {
    for (;;) {
      const message = JSON.parse(await this.next());
      if (name in message) return message[name];
    }
  }

  async close(code) {
    const closed = once(this.socket, "close", { signal: AbortSignal.timeout(DEADLINE_MS) });
    this.socket.close(code);
    return (await closed)[0];
  }
}

function peers(t, ...urls) {
  const opened = urls.map((url) => new Peer(url));
  t.after(() => opened.forEach((peer) => peer.socket.terminate()));
  return Promise.all(opened.map((peer) => peer.open()));
}

async function player(t) {
  const peer = new Peer(server.play, "madang.v1.json");
  t.after(() => peer.socket.terminate());
  await peer.open();
  assert.equal(peer.socket.protocol, "madang.v1.json");
  assert.equal(peer.socket.extensions, "");
  peer.send(JSON.stringify({ hello: { version_min: 1, version_max: 1, client: "ws" } }));
  assert.equal((await peer.answer("welcome")).version, 1);
  return peer;
}

test("raw: text and binary go to the others, verbatim", options, async (t) => {
  const url = server.raw("ws.relay");
  const [one, two, three] = await peers(t, url, url, url);
  const sent = ["hi", Buffer.from([0, 255]), "움직임 🎪", "", Buffer.alloc(0), "x".repeat(60_000)];
  for (const message of sent) one.send(message);
  for (const peer of [two, three]) {
    for (const message of sent) assert.deepEqual(await peer.next(), message);
  }
  two.send("answer");
  assert.equal(await one.next(), "answer", "the sender hears the answer first, none of its own");
});

test("raw: echo=1 includes the sender", options, async (t) => {
  const url = server.raw("ws.echo");
  const [one, two] = await peers(t, `${url}?echo=1`, url);
  for (const message of ["hi", Buffer.from([0, 255])]) {
    one.send(message);
    assert.deepEqual(await one.next(), message);
    assert.deepEqual(await two.next(), message);
  }
  two.send("from the other");
  one.send("end");
  assert.equal(await two.next(), "end", "without echo=1 the sender does not hear itself");
});

test("raw: ping is answered, and a close", options, async (t) => {
  const [one] = await peers(t, server.raw("ws.close"));
  const pong = once(one.socket, "pong", { signal: AbortSignal.timeout(DEADLINE_MS) });
  one.socket.ping("beat");
  assert.equal((await pong)[0].toString(), "beat");
  assert.equal(await one.close(1000), 1000);
});

test("play: two players in JSON", options, async (t) => {
  const [one, two] = [await player(t), await player(t)];
  const joined = [];
  for (const peer of [one, two]) {
    peer.send(JSON.stringify({ join: { ref: 7, target: { name: "ws.play" } } }));
    joined.push(await peer.answer("joined"));
  }
  assert.equal((await one.answer("presence")).event.join.id, joined[1].member);

  const publish = (index, body) => JSON.stringify({ publish: { channel: joined[index].channel, ...body } });
  one.send(publish(0, { cseq: 1, type: "chat", payload: { text: "hi" } }));
  for (const peer of [one, two]) {
    const message = await peer.answer("message");
    assert.equal(message.from, joined[0].member);
    assert.deepEqual(message.payload, { text: "hi" });
  }
  two.send(publish(1, { cseq: 1, class: { latest: 0 }, type: "move", payload: { json: [1, 2] } }));
  const value = await one.answer("ephemeral");
  assert.deepEqual([value.from, value.key, value.payload], [joined[1].member, 0, { json: [1, 2] }]);

  assert.equal(await two.close(1000), 1000);
  assert.deepEqual((await one.answer("presence")).event.leave, { id: joined[1].member, reason: "gone" });
});

test("play: without its subprotocol the handshake is refused with 400", options, async (t) => {
  const peer = new Peer(server.play);
  t.after(() => peer.socket.terminate());
  peer.socket.on("error", () => {}); // What `terminate` says of a handshake that never was.
  const [, response] = await once(peer.socket, "unexpected-response", { signal: AbortSignal.timeout(DEADLINE_MS) });
  assert.equal(response.statusCode, 400);
  response.resume();
});
