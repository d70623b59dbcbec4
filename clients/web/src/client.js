/**
 * The session with a server: connects, resumes, takes turns with the server's hints, and hands
 * each message to the room it is about. Rooms know what they have seen; the client decides when
 * to tell the server.
 *
 * @module
 */

import { Backoff } from './backoff.js';
import { Connection, mayFollow } from './connection.js';
import { Due, REAL_TIMERS } from './due.js';
import { Emitter } from './emitter.js';
import { ClosedError, LeftError, RefusedError, closeRule } from './errors.js';
import { Heartbeat } from './heartbeat.js';
import { mayRetryJoin } from './joining.js';
import { putSaved, takeSaved, watchPage } from './memory.js';
import { Room } from './room.js';

/** @typedef {import('./codec.js').ServerMessage} ServerMessage */
/** @typedef {import('./codec.js').Welcome} Welcome */
/** @typedef {import('./codec.js').Joined} Joined */
/** @typedef {import('./codec.js').Stats} Stats */
/** @typedef {import('./codec.js').LeaveReason} LeaveReason */
/** @typedef {import('./connection.js').WebSocketClass} WebSocketClass */
/** @typedef {import('./types.js').JoinOptions} JoinOptions */
/** @typedef {import('./types.js').Target} Target */
/** @typedef {import('./types.js').State} State */
/** @typedef {import('./types.js').StateEvent} StateEvent */
/** @typedef {import('./types.js').ClientEvents} ClientEvents */
/** @typedef {import('./types.js').ClientOptions} ClientOptions */

const VERSION = 1;
const CLIENT_NAME = 'madang-web/0.1.0';
const CONNECT_TIMEOUT_MS = 10_000;
const PENDING_MAX = 1_000;
/** A connection that lasted so long was a good one: the next waiting time starts small again. */
const SETTLED_MS = 10_000;
/** Beyond so many bytes in the socket, `latest` waits and `volatile` is dropped. */
const CONGESTED_BYTES = 64 * 1024;
const CONGESTED_RETRY_MS = 50;
/** Redirects in a row before the client goes back to the address it was given. */
const REDIRECTS_MAX = 5;
/** Close code of a socket that this client drops and means to resume. */
const CLOSE_RESUMING = 4000;
const NORMAL = 1000;

/**
 * @typedef {object} PendingJoin
 * @property {Room} room
 * @property {boolean} first whether the application waits for it; otherwise the room is entered again
 * @property {Backoff} backoff between attempts
 * @property {(room: Room) => void} resolve
 * @property {(error: Error) => void} reject
 */

/**
 * A client of one server. It connects by itself and stays connected until `close`.
 *
 * @extends {Emitter<ClientEvents>}
 */
export class Client extends Emitter {
  #baseUrl;
  #url;
  #options;
  #timers;
  #backoff;
  /** Timers by what they are for. */
  #due;
  #heartbeat;
  /** @type {State} */
  #state = 'connecting';
  /** @type {Connection | null} */
  #connection = null;
  /** @type {Welcome | null} */
  #welcome = null;
  /** The newest key; outlives connections. @type {string | null} */
  #resumeKey = null;
  /** Rooms of an earlier page that may be taken up. @type {import('./memory.js').SavedRoom[]} */
  #savedRooms = [];
  /** @type {Map<number, Room>} */
  #rooms = new Map();
  /** By the `ref` of the join. @type {Map<number, PendingJoin>} */
  #joins = new Map();
  /** Rooms put into a Hello that no page-local join has answered yet. @type {Map<number, PendingJoin>} */
  #restoring = new Map();
  /** @type {Map<Room, () => void>} */
  #leaving = new Map();
  /** @type {Map<number, { resolve: (stats: Stats) => void, reject: (error: Error) => void }>} */
  #statsAsked = new Map();
  #ref = 0;
  #redirects = 0;
  #resumes = 0;
  /** What the server asked for before the next attempt. @type {{ atMs: number } | null} */
  #hint = null;
  /** Counts attempts, so that a token that arrives late meets nothing. */
  #attempt = 0;
  /** @type {() => void} */
  #forgetPage = () => {};

  /**
   * @param {string} url `ws://` or `wss://`, up to and including the path
   * @param {ClientOptions} [options]
   */
  constructor(url, options = {}) {
    super();
    this.#baseUrl = url;
    this.#url = url;
    this.#options = options;
    this.#timers = options.timers ?? REAL_TIMERS;
    this.#due = new Due(this.#timers);
    this.#heartbeat = new Heartbeat(this.#timers, this.#due, options.pingMs, {
      ping: (id) => this.#connection?.send({ tag: 'ping', body: { id } }),
      silent: () => {
        this.#loseConnection('the server is silent');
        this.#reconnect(null);
      },
    });
    this.#backoff = new Backoff(options.random);
    if (options.storage !== undefined) {
      const saved = takeSaved(options.storage, url);
      this.#resumeKey = saved?.resumeKey ?? null;
      this.#savedRooms = saved?.rooms ?? [];
    }
    this.#forgetPage = watchPage(() => this.reconnectNow(), options.storage && (() => this.suspend()));
    // The application gets to listen, and to join, before the first attempt.
    queueMicrotask(() => {
      if (this.#state === 'connecting') {
        this.emit('state', { state: 'connecting' });
        void this.#connect();
      }
    });
  }

  /** @returns {State} */
  get state() {
    return this.#state;
  }

  /** The newest round trip in milliseconds; null before the first. */
  get rtt() {
    return this.#heartbeat.clock.rtt;
  }

  /** The session's public id, once there is one. */
  get session() {
    return this.#welcome?.session ?? null;
  }

  /** What the server accepts, once it has said so. */
  get limits() {
    return this.#welcome?.limits ?? null;
  }

  /** Messages of this connection that a later version's server sent and this client skipped. */
  get skipped() {
    return this.#connection?.skipped ?? 0;
  }

  /** How often the session was resumed by this client. */
  get resumes() {
    return this.#resumes;
  }

  /** The server's wall clock in milliseconds since 1970, as well as it is known. */
  serverTime() {
    return this.#timers.now() + this.#heartbeat.clock.offset;
  }

  /** The rooms this client is in. */
  get rooms() {
    return [...this.#rooms.values()];
  }

  /**
   * Enters a room. The promise waits for a connection if need be, and rejects when the server
   * refuses (`RefusedError`) or the client closes (`ClosedError`).
   *
   * @param {Target} target the room's name, or what to look for
   * @param {JoinOptions} [options]
   * @returns {Promise<Room>}
   */
  join(target, options = {}) {
    if (this.#state === 'closed') {
      return Promise.reject(new ClosedError(NORMAL, 'the client is closed'));
    }
    const room = new Room(target, options, {
      send: (message) => this.#connection?.send(message),
      congested: () => this.#congested(),
      messageBytesMax: () => this.#welcome?.limits.message_bytes_max ?? Number.MAX_SAFE_INTEGER,
      pendingMax: this.#options.pendingMax ?? PENDING_MAX,
      leave: (it) => this.#leave(it),
      report: (error) => this.emit('error', error),
    });
    return new Promise((resolve, reject) => {
      this.#startJoin({ room, first: true, backoff: new Backoff(this.#options.random), resolve, reject });
    });
  }

  /**
   * What this session has been sent and has missed.
   *
   * @returns {Promise<Stats>}
   */
  stats() {
    if (this.#welcome === null || this.#connection === null) {
      return Promise.reject(new ClosedError(1006, 'not connected'));
    }
    const ref = this.#nextRef();
    this.#connection.send({ tag: 'get_stats', body: { ref } });
    return new Promise((resolve, reject) => this.#statsAsked.set(ref, { resolve, reject }));
  }

  /** Ends the session: the rooms are left, and nothing is resumed. */
  close() {
    if (this.#state !== 'closed') {
      this.#connection?.drop(NORMAL, 'closed by the application');
      this.#finish(new ClosedError(NORMAL, 'closed by the application'), 'left');
    }
  }

  /**
   * Drops the socket as if the network had, and connects again: to see what that is like.
   *
   * @param {number} [forMs] how long to stay away; by default as long as after a real loss
   */
  drop(forMs) {
    if (this.#connection !== null && this.#state !== 'closed') {
      this.#loseConnection('dropped by the application');
      this.#reconnect(forMs ?? null);
    }
  }

  /** Tries at once, if the client is waiting to connect again. */
  reconnectNow() {
    if (this.#state === 'reconnecting' && this.#due.has('reconnect')) {
      this.#due.stop('reconnect');
      void this.#connect();
    }
  }

  /** Puts the session aside in the storage and stops; the next page takes it up. */
  suspend() {
    const { storage } = this.#options;
    if (storage === undefined || this.#state === 'closed') {
      return;
    }
    if (this.#resumeKey !== null) {
      const rooms = [];
      for (const [channel, room] of this.#rooms) {
        const position = room.position;
        if (position !== null) {
          rooms.push({ name: room.name, channel, ...position, cseq: room.cseq });
        }
      }
      putSaved(storage, this.#baseUrl, { resumeKey: this.#resumeKey, rooms });
    }
    this.#connection?.drop(CLOSE_RESUMING, 'suspended');
    this.#finish(new ClosedError(NORMAL, 'suspended'), 'disconnected');
  }

  // --- Connecting ---

  async #connect() {
    const attempt = ++this.#attempt;
    let token = this.#options.token ?? null;
    if (this.#options.getToken !== undefined) {
      try {
        token = await this.#options.getToken();
      } catch (cause) {
        if (attempt === this.#attempt && this.#state !== 'closed') {
          this.emit('error', cause instanceof Error ? cause : new Error(String(cause)));
          this.#reconnect(null);
        }
        return;
      }
      if (attempt !== this.#attempt || this.#state === 'closed') {
        return;
      }
    }
    this.#welcome = null;
    this.#heartbeat.heard();
    const WebSocket = /** @type {WebSocketClass} */ (this.#options.WebSocket ?? globalThis.WebSocket);
    if (WebSocket === undefined) {
      this.#finish(new ClosedError(1006, 'there is no WebSocket here: pass one as an option'), 'disconnected');
      return;
    }
    const connection = new Connection(WebSocket, this.#url, {
      opened: () => this.#hello(connection, token),
      received: (message) => this.#receive(message),
      ended: () => {
        for (const room of this.#rooms.values()) {
          room.endBatch();
        }
      },
      closed: (code, reason) => this.#closed(code, reason),
      garbled: (error) => {
        // Resuming would bring the same bytes again.
        connection.drop(4004, 'bad_message');
        this.#finish(error, 'disconnected');
      },
    });
    this.#connection = connection;
    this.#due.start('connect', this.#options.connectTimeoutMs ?? CONNECT_TIMEOUT_MS, () => {
      this.#loseConnection('no welcome came in time');
      this.#reconnect(null);
    });
  }

  /**
   * @param {Connection} connection
   * @param {string | null} token
   */
  #hello(connection, token) {
    this.#offerSavedRooms();
    const rooms = [];
    for (const [channel, room] of this.#rooms) {
      const position = room.position;
      if (position !== null && !this.#leaving.has(room)) {
        rooms.push({ channel, ...position });
      }
    }
    const app = this.#options.name;
    connection.send({
      tag: 'hello',
      body: {
        version_min: VERSION,
        version_max: VERSION,
        features: [],
        client: app === undefined ? CLIENT_NAME : `${CLIENT_NAME} ${app}`,
        token,
        resume: this.#resumeKey === null ? null : { key: this.#resumeKey, rooms },
        ext: [],
      },
    });
  }

  /**
   * A room that an earlier page was in and this one asks for is taken up instead of entered. This
   * page has shown nothing yet, so it asks for as much of the past as a join would.
   */
  #offerSavedRooms() {
    for (const saved of this.#savedRooms) {
      for (const [ref, pending] of this.#joins) {
        if (pending.room.target === saved.name && !this.#rooms.has(saved.channel)) {
          const seq = Math.max(0, saved.seq - (pending.room.options.history ?? 0));
          pending.room.restore({ epoch: saved.epoch, seq, cseq: saved.cseq });
          this.#joins.delete(ref);
          this.#rooms.set(saved.channel, pending.room);
          this.#restoring.set(saved.channel, pending);
        }
      }
    }
    this.#savedRooms = [];
  }

  /** @param {Welcome} welcome */
  #welcomed(welcome) {
    this.#due.stop('connect');
    this.#welcome = welcome;
    this.#resumeKey = welcome.resume_key;
    this.#redirects = 0;
    this.#hint = null;
    if (this.#connection !== null) {
      this.#connection.messageBytesMax = welcome.limits.message_bytes_max;
    }
    this.#heartbeat.clock.guess(welcome.server_time_ms, this.#timers.now());
    // Rooms being left were not asked for, or are gone with the old session.
    for (const room of [...this.#leaving.keys()]) {
      this.#left(room, 'left');
    }
    if (welcome.resumed) {
      this.#resumes += 1;
    } else {
      this.#enterAgain();
    }
    for (const [ref, { room }] of this.#joins) {
      this.#connection?.send(room.joinMessage(ref));
    }
    // The first message under the new key is what retires the old one.
    this.#heartbeat.start(welcome.heartbeat_ms);
    this.#due.start('settled', SETTLED_MS, () => this.#backoff.reset());
    this.#setState({ state: 'open' });
    this.emit('session', { resumed: welcome.resumed });
  }

  /** A new session: every room is entered anew, and told so when it is. */
  #enterAgain() {
    const rooms = [...this.#rooms];
    this.#rooms.clear();
    for (const [channel, room] of rooms) {
      room.forgetSession();
      const restoring = this.#restoring.get(channel);
      this.#joins.set(this.#nextRef(), restoring ?? this.#again(room));
    }
    this.#restoring.clear();
  }

  /**
   * @param {Room} room
   * @returns {PendingJoin}
   */
  #again(room) {
    return {
      room,
      first: false,
      backoff: new Backoff(this.#options.random),
      resolve: () => {},
      reject: (error) => room.end({ reason: 'refused', error }),
    };
  }

  /**
   * The socket closed.
   *
   * @param {number} code
   * @param {string} reason
   */
  #closed(code, reason) {
    const rule = closeRule(code);
    const wasWelcome = this.#welcome !== null;
    this.#connection = null;
    this.#disconnected();
    if (!rule.resumable) {
      const words = reason !== '' && reason !== rule.name ? `${rule.meaning} (${reason})` : rule.meaning;
      this.#finish(new ClosedError(code, words), 'disconnected');
      return;
    }
    if (!wasWelcome && this.#url !== this.#baseUrl) {
      // Where the server sent us nobody answers; it may know better by now.
      this.#url = this.#baseUrl;
    }
    this.#reconnect(null);
  }

  /** @param {string} reason */
  #loseConnection(reason) {
    this.#connection?.drop(CLOSE_RESUMING, reason);
    this.#connection = null;
    this.#disconnected();
  }

  /** What a lost connection means to everything that was on it. */
  #disconnected() {
    this.#attempt += 1;
    this.#due.stopAll();
    this.#heartbeat.stop();
    for (const room of this.#rooms.values()) {
      room.suspend();
    }
    for (const { reject } of this.#statsAsked.values()) {
      reject(new ClosedError(1006, 'the connection was lost'));
    }
    this.#statsAsked.clear();
  }

  /** @param {number | null} afterMs what was asked for, by the server or the application */
  #reconnect(afterMs) {
    const hintMs = this.#hint === null ? null : Math.max(0, this.#hint.atMs - this.#timers.now());
    this.#hint = null;
    const retryInMs = this.#backoff.next(afterMs ?? hintMs);
    this.#setState({ state: 'reconnecting', retryInMs });
    this.#due.start('reconnect', retryInMs, () => void this.#connect());
  }

  /**
   * The end: nothing is tried any more.
   *
   * @param {Error} error
   * @param {'left' | 'disconnected'} reason
   */
  #finish(error, reason) {
    this.#connection = null;
    this.#disconnected();
    this.#forgetPage();
    this.#resumeKey = null;
    const rooms = [...this.#rooms.values()];
    this.#rooms.clear();
    const joins = [...this.#joins.values(), ...this.#restoring.values()];
    this.#joins.clear();
    this.#restoring.clear();
    for (const done of this.#leaving.values()) {
      done();
    }
    this.#leaving.clear();
    this.#setState({ state: 'closed', error });
    for (const room of rooms) {
      room.end({ reason, error });
    }
    for (const { reject } of joins) {
      reject(error);
    }
  }

  // --- Receiving ---

  /** @param {ServerMessage} message */
  #receive(message) {
    this.#heartbeat.heard();
    const { tag, body } = message;
    switch (tag) {
      case 'welcome':
        this.#welcomed(body);
        break;
      case 'joined':
        this.#entered(body);
        break;
      case 'left':
        this.#leftByServer(body.channel, body.reason);
        break;
      case 'pong':
        this.#pong(body.id, body.server_time_us / 1000);
        break;
      case 'stats':
        this.#statsAsked.get(body.ref)?.resolve(body);
        this.#statsAsked.delete(body.ref);
        break;
      case 'error':
        this.#refused(body);
        break;
      case 'draining':
        this.#draining(body.retry_after_ms);
        break;
      case 'redirect':
        this.#redirect(body.url);
        break;
      case 'expiring':
        void this.#renew();
        break;
      case 'renewed':
        break;
      default:
        this.#rooms.get(body.channel)?.handle(message);
        break;
    }
  }

  /** The server asks for a fresh credential. Without one it closes, and the next attempt asks again. */
  async #renew() {
    const connection = this.#connection;
    try {
      const token = await this.#options.getToken?.();
      if (token !== undefined && connection !== null && connection === this.#connection) {
        connection.send({ tag: 'renew', body: { ref: 0, token } });
      }
    } catch (cause) {
      this.emit('error', cause instanceof Error ? cause : new Error(String(cause)));
    }
  }

  /** @param {Joined} joined */
  #entered(joined) {
    if (joined.ref === null) {
      const restoring = this.#restoring.get(joined.channel);
      this.#restoring.delete(joined.channel);
      const room = this.#rooms.get(joined.channel);
      if (room !== undefined) {
        this.#enter(room, joined, { first: restoring !== undefined, resumed: true });
      }
      restoring?.resolve(restoring.room);
      return;
    }
    const pending = this.#joins.get(joined.ref);
    this.#joins.delete(joined.ref);
    if (pending === undefined) {
      // Left before it was entered.
      this.#connection?.send({ tag: 'leave', body: { channel: joined.channel } });
      return;
    }
    this.#rooms.set(joined.channel, pending.room);
    this.#enter(pending.room, joined, { first: pending.first, resumed: false });
    pending.resolve(pending.room);
  }

  /**
   * @param {Room} room
   * @param {Joined} joined
   * @param {{ first: boolean, resumed: boolean }} how
   */
  #enter(room, joined, how) {
    if (how.first) {
      // The room's past is behind this message, likely in the same batch, and the application
      // can only listen once its `await` has come back.
      room.hold();
      this.#due.start(`release ${joined.channel}`, 0, () => room.release());
    }
    room.enter(joined, how);
  }

  /**
   * @param {number} channel
   * @param {LeaveReason} reason
   */
  #leftByServer(channel, reason) {
    const room = this.#rooms.get(channel);
    if (room === undefined) {
      return;
    }
    const restoring = this.#restoring.get(channel);
    if ((reason === 'lost' || restoring !== undefined) && !this.#leaving.has(room)) {
      this.#rooms.delete(channel);
      this.#restoring.delete(channel);
      room.forgetSession();
      this.#startJoin(restoring ?? this.#again(room));
      return;
    }
    this.#left(room, reason);
  }

  /**
   * @param {Room} room
   * @param {LeaveReason} reason
   */
  #left(room, reason) {
    const channel = room.channel;
    for (const [known, it] of this.#rooms) {
      if (it === room) {
        this.#rooms.delete(known);
        this.#restoring.get(known)?.reject(new LeftError(reason));
        this.#restoring.delete(known);
      }
    }
    const done = this.#leaving.get(room);
    this.#leaving.delete(room);
    if (channel !== null) {
      room.end({ reason });
    }
    done?.();
  }

  /** @param {Extract<ServerMessage, { tag: 'error' }>['body']} body */
  #refused({ code, ref, message }) {
    const error = new RefusedError(code, message);
    if (ref === 'session') {
      this.emit('error', error);
    } else if ('cseq' in ref) {
      this.#rooms.get(ref.cseq.channel)?.refuse(ref.cseq.cseq, error);
    } else {
      const pending = this.#joins.get(ref.join);
      if (error.reason === 'draining') {
        return; // It stays, and goes to the server that this one is replaced by.
      }
      this.#joins.delete(ref.join);
      if (pending !== undefined && !pending.first && mayRetryJoin(error)) {
        this.#joinLater(pending);
      } else {
        pending?.reject(error);
      }
    }
  }

  /**
   * A room that was entered before is worth waiting for.
   *
   * @param {PendingJoin} pending
   */
  #joinLater(pending) {
    const ref = this.#nextRef();
    this.#joins.set(ref, pending);
    this.#due.start(`join ${ref}`, pending.backoff.next(), () => {
      this.#connection?.send(pending.room.joinMessage(ref));
    });
  }

  /** @param {number} retryAfterMs */
  #draining(retryAfterMs) {
    this.#hint = { atMs: this.#timers.now() + retryAfterMs };
    this.#setState({ state: 'draining', retryInMs: retryAfterMs });
    this.#due.start('drain', retryAfterMs, () => {
      this.#loseConnection('draining');
      this.#reconnect(0);
    });
  }

  /** @param {string} url */
  #redirect(url) {
    this.#redirects += 1;
    this.#loseConnection('redirected');
    if (!mayFollow(url, this.#baseUrl) || this.#redirects > REDIRECTS_MAX) {
      this.#url = this.#baseUrl;
      this.#redirects = 0;
      this.#reconnect(null);
      return;
    }
    this.#url = url;
    this.#heartbeat.clock.forget();
    this.#reconnect(0);
  }

  // --- Time ---

  /**
   * @param {number} id
   * @param {number} serverMs
   */
  #pong(id, serverMs) {
    if (this.#heartbeat.pong(id, serverMs)) {
      const { rtt, offset } = this.#heartbeat.clock;
      this.emit('rtt', { rtt: rtt ?? 0, offset });
    }
  }

  #congested() {
    const congested = (this.#connection?.bufferedBytes ?? 0) > CONGESTED_BYTES;
    if (congested && !this.#due.has('congested')) {
      this.#due.start('congested', CONGESTED_RETRY_MS, () => {
        for (const room of this.#rooms.values()) {
          room.flushLatest();
        }
      });
    }
    return congested;
  }

  // --- Small things ---

  /** @param {PendingJoin} pending */
  #startJoin(pending) {
    const ref = this.#nextRef();
    this.#joins.set(ref, pending);
    if (this.#welcome !== null && this.#connection !== null) {
      this.#connection.send(pending.room.joinMessage(ref));
    }
  }

  /**
   * @param {Room} room
   * @returns {Promise<void>}
   */
  #leave(room) {
    const channel = [...this.#rooms].find(([, it]) => it === room)?.[0];
    if (channel === undefined || this.#leaving.has(room)) {
      return Promise.resolve();
    }
    return new Promise((resolve) => {
      this.#leaving.set(room, resolve);
      if (this.#welcome !== null && this.#connection !== null) {
        this.#connection.send({ tag: 'leave', body: { channel } });
      }
    });
  }

  /** @param {StateEvent} event */
  #setState(event) {
    this.#state = event.state;
    this.emit('state', event);
  }

  #nextRef() {
    this.#ref += 1;
    return this.#ref;
  }
}
