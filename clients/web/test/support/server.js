/**
 * A small server for tests over real sockets where the real one is not at hand: rooms of kind
 * relay with history and presence, resume, and the demo page's files. It keeps what matters to
 * a client and bounds nothing.
 *
 * Run by itself it serves the demo: `node test/support/server.js [port]`.
 *
 * @module
 */

import { randomBytes } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { fileURLToPath } from 'node:url';
import { WebSocketServer } from 'ws';
import { packBatches, splitBatch } from '../../src/batch.js';
import { decodeClient, encodeServer } from './codec.js';

/** @typedef {import('../../src/codec.js').ServerMessage} ServerMessage */
/** @typedef {import('../../src/codec.js').ClientMessage} ClientMessage */
/** @typedef {import('../../src/codec.js').MemberInfo} MemberInfo */

/**
 * @typedef {object} Session
 * @property {string} id
 * @property {string[]} keys the newest, and the one before it
 * @property {import('ws').WebSocket | null} socket
 * @property {Map<number, { room: FakeRoom, member: number, echo: boolean, applied: number }>} rooms
 * @property {ReturnType<typeof setTimeout> | null} grace
 */

const TYPES = { '.html': 'text/html', '.js': 'text/javascript', '.css': 'text/css', '.svg': 'image/svg+xml' };
const GRACE_MS = 60_000;

class FakeRoom {
  epoch = randomBytes(8).toString('hex');
  epochAt = Date.now();
  seq = 0;
  memberIds = 0;
  /** @type {Map<number, MemberInfo & { session: Session }>} */
  members = new Map();
  /** @type {{ seq: number, message: ServerMessage }[]} */
  log = [];
  /** @type {Map<string, ServerMessage>} */
  latest = new Map();

  /**
   * @param {string} name
   * @param {number} channel
   */
  constructor(name, channel) {
    this.name = name;
    this.channel = channel;
  }

  /** @param {(seq: number) => ServerMessage} build */
  append(build) {
    this.seq += 1;
    const message = build(this.seq);
    this.log.push({ seq: this.seq, message });
    this.tell(message);
  }

  /**
   * @param {ServerMessage} message
   * @param {number} [except]
   */
  tell(message, except) {
    for (const { id, session } of this.members.values()) {
      if (id !== except) {
        send(session, message);
      }
    }
  }

  /** @param {import('../../src/codec.js').PresenceEvent} event */
  presence(event) {
    this.append((seq) => ({ tag: 'presence', body: { channel: this.channel, seq, event } }));
  }
}

/**
 * @param {{ port?: number }} [options]
 */
export async function startServer({ port = 0 } = {}) {
  /** @type {Map<string, Session>} */
  const sessions = new Map();
  /** @type {Map<string, FakeRoom>} */
  const rooms = new Map();
  const http = createServer((request, response) => void serveFile(request, response, () => address().port));
  const sockets = new WebSocketServer({ server: http, handleProtocols: () => 'madang.v1' });
  const address = () => /** @type {import('node:net').AddressInfo} */ (http.address());

  sockets.on('connection', (socket) => {
    /** @type {Session | null} */
    let session = null;
    socket.on('message', (data) => {
      for (const encoded of splitBatch(new Uint8Array(/** @type {Buffer} */ (data)))) {
        const message = decodeClient(encoded);
        if (message.tag === 'hello') {
          session = greet(message.body, socket, sessions);
        } else if (session !== null) {
          session.keys = session.keys.slice(0, 1);
          handle(session, message, rooms);
        }
      }
    });
    socket.on('close', (code) => {
      if (session === null || session.socket !== socket) {
        return;
      }
      const gone = session;
      gone.socket = null;
      if (code === 1000) {
        end(gone, sessions, 'left');
        return;
      }
      for (const { room, member } of gone.rooms.values()) {
        const info = room.members.get(member);
        if (info) {
          info.away = true;
          room.presence({ away: member });
        }
      }
      // It may begin after the server was closed, and must not keep the tests waiting.
      gone.grace = setTimeout(() => end(gone, sessions, 'gone'), GRACE_MS).unref();
    });
  });
  await new Promise((resolve) => http.listen(port, '127.0.0.1', () => resolve(null)));
  return {
    port: address().port,
    url: `ws://127.0.0.1:${address().port}/play`,
    /** Every live socket is lost at once. */
    cut: () => sockets.clients.forEach((socket) => socket.terminate()),
    /** Every session is forgotten. */
    forget: () => [...sessions.values()].forEach((session) => end(session, sessions, 'gone')),
    async close() {
      for (const { grace } of sessions.values()) {
        clearTimeout(grace ?? undefined);
      }
      sockets.clients.forEach((socket) => socket.terminate());
      http.closeAllConnections();
      await new Promise((resolve) => http.close(resolve));
    },
  };
}

/**
 * @param {Session} session
 * @param {ServerMessage} message
 */
function send(session, message) {
  session.socket?.send(packBatches([encodeServer(message)], 1 << 20)[0]);
}

/**
 * @param {Extract<ClientMessage, { tag: 'hello' }>['body']} hello
 * @param {import('ws').WebSocket} socket
 * @param {Map<string, Session>} sessions
 */
function greet({ resume }, socket, sessions) {
  const found = [...sessions.values()].find(({ keys }) => resume !== null && keys.includes(resume.key));
  /** @type {Session} */
  const session = found ?? { id: randomBytes(16).toString('hex'), keys: [], socket: null, rooms: new Map(), grace: null };
  sessions.set(session.id, session);
  clearTimeout(session.grace ?? undefined);
  session.socket?.close(4009, 'replaced');
  session.socket = socket;
  session.keys = [randomBytes(24).toString('hex'), ...(resume === null ? [] : [resume.key])];
  send(session, {
    tag: 'welcome',
    body: {
      version: 1,
      features: [],
      session: session.id,
      connection: 1,
      resume_key: session.keys[0],
      resumed: found !== undefined,
      heartbeat_ms: 25_000,
      grace_ms: GRACE_MS,
      limits: {
        message_bytes_max: 65_536,
        batch_bytes_max: 262_144,
        rooms_max: 32,
        history_messages_max: 100,
        attributes_bytes_max: 4096,
        messages_per_second: 200,
      },
      server_time_ms: Date.now(),
      ext: [],
    },
  });
  if (found === undefined) {
    return session;
  }
  const wanted = new Map(resume?.rooms.map((position) => [position.channel, position]));
  for (const [channel, { room, member }] of [...session.rooms]) {
    const position = wanted.get(channel);
    if (position === undefined) {
      depart(session, channel, 'left');
      continue;
    }
    const info = room.members.get(member);
    if (info?.away) {
      // Told to the others at once; to the member itself only as part of its replay.
      info.away = false;
      session.socket = null;
      room.presence({ back: member });
      session.socket = socket;
    }
    admit(session, room, null, position, 100);
  }
  return session;
}

/**
 * @param {Session} session
 * @param {FakeRoom} room
 * @param {number | null} ref
 * @param {{ epoch: string, seq: number } | null} since
 * @param {number} history
 */
function admit(session, room, ref, since, history) {
  const place = session.rooms.get(room.channel);
  const recovered = since !== null && since.epoch === room.epoch;
  const messages = room.log.filter(({ message }) => message.tag === 'message');
  const replay = recovered
    ? room.log.filter(({ seq }) => seq > since.seq)
    : messages.slice(Math.max(0, messages.length - history));
  send(session, {
    tag: 'joined',
    body: {
      ref,
      channel: room.channel,
      name: room.name,
      kind: 'relay',
      epoch: room.epoch,
      epoch_at_ms: room.epochAt,
      seq: room.seq,
      recovered,
      replay: replay.length,
      member: place?.member ?? 0,
      applied_cseq: place?.applied ?? 0,
      presence: 'full',
      roster: { full: [...room.members.values()].map(({ id, user, away, attributes }) => ({ id, user, away, attributes })) },
      types: [],
      capacity: 100,
      labels: [],
      ext: [],
    },
  });
  for (const { message } of replay) {
    send(session, message);
  }
  for (const message of room.latest.values()) {
    send(session, message);
  }
}

/**
 * @param {Session} session
 * @param {Exclude<ClientMessage, { tag: 'hello' }>} message
 * @param {Map<string, FakeRoom>} rooms
 */
function handle(session, { tag, body }, rooms) {
  if (tag === 'ping') {
    send(session, { tag: 'pong', body: { id: body.id, server_time_us: Date.now() * 1000 } });
  } else if (tag === 'join') {
    const name = 'name' in body.target ? body.target.name : 'match';
    const room = rooms.get(name) ?? new FakeRoom(name, rooms.size + 1);
    rooms.set(name, room);
    const member = (room.memberIds += 1);
    const info = { id: member, user: null, away: false, attributes: body.options.attributes };
    room.presence({ join: info });
    room.members.set(member, { ...info, session });
    session.rooms.set(room.channel, { room, member, echo: body.options.echo, applied: 0 });
    admit(session, room, body.ref, body.since, body.history);
  } else if (tag === 'leave') {
    depart(session, body.channel, 'left');
    send(session, { tag: 'left', body: { channel: body.channel, reason: 'left' } });
  } else if (tag !== 'get_stats') {
    act(session, /** @type {any} */ ({ tag, body }));
  }
}

/**
 * @param {Session} session
 * @param {Extract<ClientMessage, { tag: 'publish' | 'direct' | 'request' | 'set_attributes' }>} message
 */
function act(session, { tag, body }) {
  const place = session.rooms.get(body.channel);
  if (place === undefined) {
    return;
  }
  const { room, member } = place;
  const { channel, cseq } = body;
  if (cseq <= place.applied) {
    send(session, { tag: 'ack', body: { channel, cseq, seq: null, durability: 'sequenced' } });
    return;
  }
  place.applied = cseq;
  if (tag === 'publish' && body.class === 'reliable') {
    const { type, payload } = body;
    const at = Date.now() - room.epochAt;
    room.append((seq) => ({ tag: 'message', body: { channel, seq, from: member, at, cseq, type, payload } }));
  } else if (tag === 'publish') {
    const key = typeof body.class === 'object' ? body.class.latest : null;
    /** @type {ServerMessage} */
    const message = { tag: 'ephemeral', body: { channel, from: member, key, type: body.type, payload: body.payload } };
    if (key !== null) {
      room.latest.set(`${member} ${key}`, message);
    }
    room.tell(message, member);
  } else if (tag === 'set_attributes') {
    const info = room.members.get(member);
    if (info) {
      const changed = new Map([...info.attributes, ...body.attributes]);
      info.attributes = [...changed].filter(([, value]) => value !== null);
    }
    room.presence({ attributes: { id: member, cseq, changes: body.attributes } });
  } else if (tag === 'request') {
    send(session, { tag: 'reply', body: { channel, cseq, payload: { json: JSON.stringify({ members: room.members.size }) } } });
  } else {
    send(session, { tag: 'error', body: { code: 105, ref: { cseq: { channel, cseq } }, message: '' } });
  }
}

/**
 * @param {Session} session
 * @param {number} channel
 * @param {'left' | 'gone'} reason
 */
function depart(session, channel, reason) {
  const place = session.rooms.get(channel);
  if (place !== undefined) {
    session.rooms.delete(channel);
    place.room.members.delete(place.member);
    for (const slot of [...place.room.latest.keys()].filter((it) => it.startsWith(`${place.member} `))) {
      place.room.latest.delete(slot);
    }
    place.room.presence({ leave: { id: place.member, reason } });
  }
}

/**
 * @param {Session} session
 * @param {Map<string, Session>} sessions
 * @param {'left' | 'gone'} reason
 */
function end(session, sessions, reason) {
  sessions.delete(session.id);
  clearTimeout(session.grace ?? undefined);
  for (const channel of [...session.rooms.keys()]) {
    depart(session, channel, reason);
  }
}

/**
 * @param {import('node:http').IncomingMessage} request
 * @param {import('node:http').ServerResponse} response
 * @param {() => number} playPort
 */
async function serveFile(request, response, playPort) {
  const path = new URL(request.url ?? '/', 'http://x').pathname;
  if (path === '/demo.json') {
    response.setHeader('content-type', 'application/json');
    response.end(JSON.stringify({ play_port: playPort() }));
    return;
  }
  const base = path.startsWith('/client/') ? '../../src/' : '../../../../examples/courtyard/';
  const name = path === '/' ? 'index.html' : path.replace(/^\/client\//, '/').slice(1);
  try {
    if (!/^[a-z-]+\.[a-z]+$/.test(name)) {
      throw new Error('no such file');
    }
    const content = await readFile(new URL(base + name, import.meta.url));
    response.setHeader('content-type', TYPES[/** @type {'.js'} */ (name.slice(name.lastIndexOf('.')))] ?? 'text/plain');
    // As strict as the real server, so that what is not allowed there shows here.
    response.setHeader(
      'content-security-policy',
      "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self' ws:; base-uri 'none'; form-action 'none'",
    );
    response.end(content);
  } catch {
    response.statusCode = 404;
    response.end('no such file\n');
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const { port } = await startServer({ port: Number(process.argv[2] ?? 0) });
  console.log(`demo  http://127.0.0.1:${port}/`);
  console.log(`play  ws://127.0.0.1:${port}/play`);
}
