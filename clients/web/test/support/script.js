/**
 * A server that says only what a test makes it say, and time that passes only when a test lets it.
 *
 * @module
 */

import assert from 'node:assert/strict';
import { packBatches, splitBatch } from '../../src/batch.js';
import { decodeClient, encodeServer } from './codec.js';
import { Client, webSocket } from '../../src/index.js';
import { state } from '../../src/state.js';
import './loaded.js';

/** @typedef {import('../../src/codec.js').ClientMessage} ClientMessage */
/** @typedef {import('../../src/codec.js').ServerMessage} ServerMessage */
/** @typedef {import('../../src/codec.js').Joined} Joined */
/** @typedef {import('../../src/codec.js').Welcome} Welcome */
/** @typedef {import('../../src/types.js').ClientOptions} ClientOptions */

export const EPOCH = 'e0e1e2e3e4e5e6e7';
export const KEYS = ['aa', 'bb', 'cc', 'dd', 'ee'].map((digits) => digits.repeat(24));
const GRACE_MS = 60_000;

/** Time by hand. */
export class ManualTimers {
  nowMs = 1_000_000;
  #id = 0;
  /** @type {Map<number, { at: number, callback: () => void }>} */
  #timers = new Map();

  now = () => this.nowMs;

  /**
   * @param {() => void} callback
   * @param {number} ms
   */
  setTimeout = (callback, ms) => {
    this.#id += 1;
    this.#timers.set(this.#id, { at: this.nowMs + ms, callback });
    return this.#id;
  };

  /** @param {number} id */
  clearTimeout = (id) => {
    this.#timers.delete(id);
  };

  /** How many timers are set. */
  get size() {
    return this.#timers.size;
  }

  /**
   * Lets time pass, and everything that is due happen in its order.
   *
   * @param {number} ms
   */
  async pass(ms) {
    const end = this.nowMs + ms;
    await settle();
    for (;;) {
      const due = [...this.#timers].filter(([, { at }]) => at <= end).sort(([, a], [, b]) => a.at - b.at)[0];
      if (due === undefined) {
        break;
      }
      const [id, { at, callback }] = due;
      this.nowMs = Math.max(this.nowMs, at);
      this.#timers.delete(id);
      callback();
      await settle();
    }
    this.nowMs = end;
  }
}

/** One end of a WebSocket whose other end is the test. */
export class FakeSocket {
  /** @type {((event: any) => void) | null} */
  onopen = null;
  /** @type {((event: any) => void) | null} */
  onmessage = null;
  /** @type {((event: any) => void) | null} */
  onclose = null;
  readyState = 0;
  bufferedAmount = 0;
  binaryType = '';
  /** What the client said, one message each. @type {ClientMessage[]} */
  heard = [];
  /** WebSocket messages of the client. */
  frames = 0;
  /** How the client closed it. @type {{ code: number, reason: string } | null} */
  closedByClient = null;

  /**
   * @param {string} url
   * @param {string[]} protocols
   */
  constructor(url, protocols) {
    this.url = url;
    assert.deepEqual(protocols, ['madang.v1']);
  }

  /** @param {Uint8Array} batch */
  send(batch) {
    this.frames += 1;
    this.heard.push(...splitBatch(batch).map(decodeClient));
  }

  /**
   * @param {number} code
   * @param {string} reason
   */
  close(code, reason) {
    this.readyState = 2;
    this.closedByClient = { code, reason };
  }

  /** The server accepts. */
  async open() {
    this.readyState = 1;
    this.onopen?.({});
    await settle();
  }

  /**
   * The server speaks: all messages in one batch.
   *
   * @param {...ServerMessage} messages
   */
  async say(...messages) {
    await this.sayBytes(packBatches(messages.map(encodeServer), 1 << 20)[0]);
  }

  /** @param {Uint8Array} bytes */
  async sayBytes(bytes) {
    this.onmessage?.({ data: bytes.slice().buffer });
    await settle();
  }

  /**
   * The connection ends.
   *
   * @param {number} [code]
   * @param {string} [reason]
   */
  async lose(code = 1006, reason = '') {
    this.readyState = 3;
    this.onclose?.({ code, reason });
    await settle();
  }

  /**
   * What the client said of this kind.
   *
   * @template {ClientMessage['tag']} T
   * @param {T} tag
   * @returns {Extract<ClientMessage, { tag: T }>['body'][]}
   */
  all(tag) {
    return /** @type {any} */ (this.heard.filter((message) => message.tag === tag).map(({ body }) => body));
  }

  /**
   * The last thing of this kind that the client said.
   *
   * @template {ClientMessage['tag']} T
   * @param {T} tag
   * @returns {Extract<ClientMessage, { tag: T }>['body']}
   */
  last(tag) {
    const bodies = this.all(tag);
    assert.ok(bodies.length > 0, `the client said ${tag}`);
    return /** @type {any} */ (bodies.at(-1));
  }
}

/** A `WebSocket` class that remembers its sockets. */
export function fakeWebSocket() {
  /** @type {FakeSocket[]} */
  const sockets = [];
  class Socket extends FakeSocket {
    /**
     * @param {string} url
     * @param {string[]} protocols
     */
    constructor(url, protocols) {
      super(url, protocols);
      sockets.push(this);
    }
  }
  return { WebSocket: Socket, sockets };
}

/**
 * @param {Partial<Welcome>} [some]
 * @returns {ServerMessage}
 */
export function welcome(some = {}) {
  return {
    tag: 'welcome',
    body: {
      version: 1,
      features: [],
      session: '01'.repeat(16),
      connection: 1,
      resume_key: KEYS[0],
      resumed: false,
      heartbeat_ms: 25_000,
      grace_ms: GRACE_MS,
      limits: {
        message_bytes_max: 65_536,
        batch_bytes_max: 262_144,
        rooms_max: 8,
        history_messages_max: 100,
        attributes_bytes_max: 4096,
        messages_per_second: 100,
      },
      server_time_ms: 1_000_000,
      ext: [],
      ...some,
    },
  };
}

/**
 * @param {Partial<Joined>} [some]
 * @returns {ServerMessage}
 */
export function joined(some = {}) {
  return {
    tag: 'joined',
    body: {
      ref: 1,
      channel: 3,
      name: 'lobby',
      kind: 'relay',
      epoch: EPOCH,
      epoch_at_ms: 900_000,
      seq: 0,
      recovered: false,
      replay: 0,
      member: 1,
      applied_cseq: 0,
      presence: 'full',
      roster: { full: [{ id: 1, user: null, away: false, attributes: [] }] },
      types: [],
      capacity: 100,
      labels: [],
      ext: [],
      ...some,
    },
  };
}

/**
 * @param {number} seq
 * @param {string} text
 * @param {{ from?: number, cseq?: number, type?: string | number, channel?: number }} [some]
 * @returns {ServerMessage}
 */
export function said(seq, text, { from = 2, cseq = 0, type = 'chat', channel = 3 } = {}) {
  return { tag: 'message', body: { channel, seq, from, at: seq * 10, cseq, type, payload: { text } } };
}

/**
 * A client that is about to connect.
 *
 * @param {ClientOptions} [options]
 */
export function start(options = {}) {
  const timers = new ManualTimers();
  const { WebSocket, sockets } = fakeWebSocket();
  const client = new Client('ws://example/play', { WebSocket, timers, state, transports: [webSocket], random: () => 0.5, ...options });
  /** @type {any[]} */
  const states = [];
  client.on('status', ({ status }) => states.push(status));
  return { client, timers, sockets, states };
}

/**
 * A client in the room `lobby`, as member 1 on channel 3.
 *
 * @param {ClientOptions} [options]
 * @param {import('../../src/types.js').JoinOptions} [joinOptions]
 * @param {Partial<Joined>} [joinedWith]
 * @param {'joinOrCreate' | 'join' | 'create'} [how]
 */
export async function inLobby(options = {}, joinOptions = {}, joinedWith = {}, how = 'joinOrCreate') {
  const set = start(options);
  const joining = set.client[how]('lobby', joinOptions);
  await settle();
  await until(() => set.sockets.length === 1);
  const socket = set.sockets[0];
  await socket.open();
  await socket.say(welcome());
  await socket.say(joined({ ref: socket.last('join').ref, ...joinedWith }));
  const room = await joining;
  /** @type {any[]} */
  const log = [];
  room.on('message', (message) => log.push(message));
  await set.timers.pass(1000);
  return { ...set, socket, room, log, texts: () => log.map(({ payload }) => payload) };
}

/**
 * The next connection, as far as its hello.
 *
 * @param {{ timers: ManualTimers, sockets: FakeSocket[] }} set
 * @param {number} [ms]
 */
export async function nextSocket({ timers, sockets }, ms = 20_000) {
  const before = sockets.length;
  for (let waited = 0; sockets.length === before && waited <= ms; waited += 10) {
    await timers.pass(10);
  }
  assert.equal(sockets.length, before + 1, 'the client connected again');
  const socket = sockets[before];
  await socket.open();
  return socket;
}

/** A `Storage` of one tab, which outlives its pages. */
export function tabStorage() {
  /** @type {Map<string, string>} */
  const items = new Map();
  return {
    items,
    getItem: (/** @type {string} */ name) => items.get(name) ?? null,
    setItem: (/** @type {string} */ name, /** @type {string} */ value) => void items.set(name, value),
    removeItem: (/** @type {string} */ name) => void items.delete(name),
  };
}

/** Lets everything that waits in the event loop's current turn happen, and what waits for something to be loaded. */
export async function settle() {
  await immediate();
  // What is asked for later comes later.
  await import('./loaded.js');
  await immediate();
}

function immediate() {
  return new Promise((resolve) => setImmediate(resolve));
}

/**
 * Lets things happen until something has.
 *
 * @param {() => boolean} reached
 */
export async function until(reached) {
  while (!reached()) {
    await settle();
  }
}
