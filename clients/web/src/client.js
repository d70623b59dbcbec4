/**
 * The session with a server: connects, resumes, takes turns with the server's hints, and hands
 * each message to the room it is about. Rooms know what they have seen; the client decides when
 * to tell the server.
 *
 * @module
 */

import { Backoff } from './backoff.js';
import { CLIENT_SECTIONS, SERVER_SECTIONS, encode, tableOf } from './codec.js';
import { Connection } from './connection.js';
import { Due, REAL_TIMERS } from './due.js';
import { Emitter } from './emitter.js';
import { ClosedError, DroppedError, MadangError, RefusedError, SessionGoneError, closeRule } from './errors.js';
import { Heartbeat } from './heartbeat.js';
import { isOnline, watchPage } from './page.js';
import { Places } from './places.js';
import { Room } from './room.js';
import { putTickets, readTicket, takeTickets, writeTicket } from './tickets.js';
import { webSocket } from './websocket.js';

/** @typedef {import('./codec.js').ClientMessage} ClientMessage */
/** @typedef {import('./codec.js').ServerMessage} ServerMessage */
/** @typedef {import('./codec.js').Welcome} Welcome */
/** @typedef {import('./codec.js').Stats} Stats */
/** @typedef {import('./types.js').JoinOptions} JoinOptions */
/** @typedef {import('./types.js').Target} Target */
/** @typedef {import('./types.js').RoomStats} RoomStats */
/** @typedef {import('./types.js').Status} Status */
/** @typedef {import('./types.js').StatusEvent} StatusEvent */
/** @typedef {import('./types.js').ClientEvents} ClientEvents */
/** @typedef {import('./types.js').ClientOptions} ClientOptions */

const VERSION = 1;
const CLIENT_NAME = 'madang-web/0.2.0';
const CONNECT_TIMEOUT_MS = 10_000;
const PENDING_MAX = 1_000;
const QUEUE_MAX = 100;
const QUEUE_BYTES_MAX = 1024 * 1024;
/** A connection that lasted so long was a good one: the next waiting time starts small again. */
const SETTLED_MS = 10_000;
/** Whoever hears at once that the network is back comes back within so long, each in its own time. */
const WAKE_MS = 500;
/** Without a network attempts are only made for the case that there is one after all. */
const OFFLINE_MS = 20_000;
/** Beyond so many bytes in the connection, `latest` waits and `volatile` is dropped. */
const CONGESTED_BYTES = 64 * 1024;
const CONGESTED_RETRY_MS = 50;
/** Redirects in a row before the client goes back to the address it was given. */
const REDIRECTS_MAX = 5;
/** Close code of a connection that this client drops and means to resume. */
const CLOSE_RESUMING = 4000;
const NORMAL = 1000;

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
  #random;
  #backoff;
  /** What this client says, and what it hears. */
  #says;
  #hears;
  /** Timers by what they are for. */
  #due;
  #places;
  #heartbeat;
  /** The one of `options.transports` in use. */
  #transport = 0;
  /** @type {Status} */
  #status = 'connecting';
  /** @type {Connection | null} */
  #connection = null;
  /** @type {Welcome | null} */
  #welcome = null;
  /** The newest key; outlives connections. @type {string | null} */
  #resumeKey = null;
  /** @type {Map<number, { resolve: (stats: Stats) => void, reject: (error: Error) => void }>} */
  #statsAsked = new Map();
  #ref = 0;
  #redirects = 0;
  #resumes = 0;
  /** When the server asked to be tried next. @type {number | null} */
  #hintAtMs = null;
  /** Counts attempts, so that a token that arrives late meets nothing. */
  #attempt = 0;
  #forgetPage;

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
    this.#random = options.random ?? Math.random;
    this.#says = tableOf([...CLIENT_SECTIONS, ...(options.state?.client ?? [])]);
    this.#hears = tableOf([...SERVER_SECTIONS, ...(options.state?.server ?? [])]);
    this.#due = new Due(this.#timers);
    this.#backoff = new Backoff(this.#random);
    this.#heartbeat = new Heartbeat(this.#timers, this.#due, options.pingMs, {
      ping: (id) => this.#send({ tag: 'ping', body: { id } }),
      silent: () => {
        this.#loseConnection('the server is silent');
        this.#reconnect(null, 'lost');
      },
    });
    this.#places = new Places({
      send: (message) => this.#send(message),
      isOpen: () => this.#isOpen,
      nextRef: () => this.#nextRef(),
      random: this.#random,
      due: this.#due,
    });
    this.#takeUp();
    this.#forgetPage = watchPage({ wake: () => this.#wake(), hide: () => this.suspend(), show: () => this.#show() });
    // The application gets to listen, and to join, before the first attempt.
    queueMicrotask(() => {
      if (this.#status === 'connecting') {
        this.#setStatus({ status: 'connecting' });
        void this.#connect();
      }
    });
  }

  /** @returns {Status} */
  get status() {
    return this.#status;
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
    return this.#places.rooms;
  }

  /**
   * Enters a room, and creates it if there is none. The promise waits for a connection if need be,
   * and rejects when the server refuses (`RefusedError`) or the client closes (`ClosedError`).
   *
   * @param {Target} target the room's name, or what to look for
   * @param {JoinOptions} [options]
   * @returns {Promise<Room>}
   */
  joinOrCreate(target, options) {
    return this.#enterNew(target, { ...options, mode: 'either' });
  }

  /**
   * Enters a room that must be there.
   *
   * @param {Target} target
   * @param {JoinOptions} [options]
   * @returns {Promise<Room>}
   */
  join(target, options) {
    return this.#enterNew(target, { ...options, mode: 'join' });
  }

  /**
   * Enters a room that must not be there yet.
   *
   * @param {Target} target
   * @param {JoinOptions} [options]
   * @returns {Promise<Room>}
   */
  create(target, options) {
    return this.#enterNew(target, { ...options, mode: 'create' });
  }

  /**
   * Enters the room of this `room.id`, also one that a match found; it must be there.
   *
   * @param {string} id
   * @param {JoinOptions} [options]
   * @returns {Promise<Room>}
   */
  joinById(id, options) {
    return this.join(id, options);
  }

  /**
   * Takes a membership up by its `room.ticket`, in another page or process than it came from. For a
   * client that has not connected yet; several tickets of one session are taken up together. Rejects
   * with `SessionGoneError` when it is over.
   *
   * @param {string} ticket
   * @param {JoinOptions} [options] `history`: how much of what was seen before to receive again
   * @returns {Promise<Room>}
   */
  reconnect(ticket, options = {}) {
    const found = readTicket(ticket);
    if (found === null) {
      return Promise.reject(new MadangError('invalid', 'this is no ticket of a room'));
    }
    if (this.#attempt > 0 || (this.#resumeKey ?? found.key) !== found.key) {
      return Promise.reject(new SessionGoneError());
    }
    this.#resumeKey = found.key;
    this.#places.tickets.push(found);
    return this.#enterNew(found.name, { ...options, mode: 'join' }, true);
  }

  /**
   * What this session was sent and has missed, the round trip and the clock.
   *
   * @returns {Promise<RoomStats>}
   */
  stats() {
    return this.#stats(this.rooms);
  }

  /** Ends the session: the rooms are left, and nothing is resumed. */
  close() {
    if (this.#status !== 'closed') {
      this.#connection?.drop(NORMAL, 'closed by the application');
      this.#finish(new ClosedError(NORMAL, 'closed by the application'), 'left');
    }
  }

  /**
   * Drops the connection as if the network had, and connects again: to see what that is like.
   *
   * @param {number} [forMs] how long to stay away; by default as long as after a real loss
   */
  drop(forMs) {
    if (this.#connection !== null) {
      this.#loseConnection('dropped by the application');
      this.#reconnect(forMs ?? null, 'lost');
    }
  }

  /** Tries at once, if the client is waiting to connect again or was suspended. */
  reconnectNow() {
    if (this.#due.has('reconnect') || this.#status === 'suspended') {
      this.#due.stop('reconnect');
      void this.#connect();
    }
  }

  /**
   * Drops the connection and stays away until `reconnectNow`; the server holds the session for its
   * grace period. With a `storage` the next page takes it up. Pages do this by themselves when they
   * are put away.
   */
  suspend() {
    if (this.#status === 'closed' || this.#status === 'suspended') {
      return;
    }
    const { storage } = this.#options;
    if (storage !== undefined) {
      const tickets = this.rooms.map((room) => room.ticket).filter((it) => it !== null);
      putTickets(storage, this.#baseUrl, tickets);
    }
    this.#loseConnection('suspended');
    this.#setStatus({ status: 'suspended' });
    this.rooms.forEach((room) => room.dropped({ retryInMs: null, reason: 'suspended' }));
  }

  // --- Connecting ---

  get #isOpen() {
    return this.#connection !== null && this.#welcome !== null;
  }

  /** What goes into a hello: where a refreshed one would come from as well. */
  #token() {
    const { token = null, getToken } = this.#options;
    return getToken === undefined ? token : getToken();
  }

  async #connect() {
    const attempt = ++this.#attempt;
    this.#hintAtMs = null;
    if (this.#status === 'suspended') {
      this.#setStatus({ status: 'reconnecting' });
    }
    let token;
    try {
      token = await this.#token();
    } catch (cause) {
      if (attempt === this.#attempt) {
        this.#reconnect(null, 'no token');
        this.emit('error', /** @type {Error} */ (cause));
      }
      return;
    }
    if (attempt !== this.#attempt) {
      return;
    }
    this.#welcome = null;
    this.#heartbeat.heard();
    const { transports = [webSocket], connectTimeoutMs = CONNECT_TIMEOUT_MS } = this.#options;
    const transport = transports[this.#transport % transports.length];
    try {
      this.#connection = new Connection((hears) => transport(this.#url, hears, this.#options), this.#hears, {
        opened: () => this.#hello(token),
        received: (message) => this.#receive(message),
        ended: () => this.rooms.forEach((room) => room.endBatch()),
        closed: (code, reason) => this.#closed(code, reason),
        garbled: (error) => {
          // Resuming would bring the same bytes again.
          this.#connection?.drop(4004, 'bad_message');
          this.#finish(error, 'disconnected');
        },
      });
    } catch (error) {
      this.#finish(/** @type {Error} */ (error), 'disconnected');
      return;
    }
    this.#due.start('connect', connectTimeoutMs, () => {
      this.#transport += 1;
      this.#loseConnection('no welcome came in time');
      this.#reconnect(null, 'no welcome');
    });
  }

  /** @param {string | null} token */
  #hello(token) {
    const rooms = this.#places.positions();
    const { name } = this.#options;
    this.#send({
      tag: 'hello',
      body: {
        version_min: VERSION,
        version_max: VERSION,
        features: [],
        client: name === undefined ? CLIENT_NAME : `${CLIENT_NAME} ${name}`,
        token,
        resume: this.#resumeKey === null ? null : { key: this.#resumeKey, rooms },
        ext: [],
      },
    });
  }

  /** @param {Welcome} welcome */
  #welcomed(welcome) {
    this.#due.stop('connect');
    this.#welcome = welcome;
    this.#resumeKey = welcome.resume_key;
    this.#redirects = 0;
    if (this.#connection !== null) {
      this.#connection.messageBytesMax = welcome.limits.message_bytes_max;
    }
    this.#heartbeat.clock.guess(welcome.server_time_ms, this.#timers.now());
    this.#resumes += Number(welcome.resumed);
    this.#places.welcomed(welcome.resumed);
    // The first message under the new key is what retires the old one.
    this.#heartbeat.start(welcome.heartbeat_ms);
    this.#due.start('settled', SETTLED_MS, () => this.#backoff.reset());
    this.#setStatus({ status: 'open' });
    this.emit('session', { resumed: welcome.resumed });
  }

  /**
   * The connection closed.
   *
   * @param {number} code
   * @param {string} reason
   */
  #closed(code, reason) {
    const { name, resumable, meaning } = closeRule(code);
    const wasWelcome = this.#welcome !== null;
    this.#loseConnection('');
    if (!resumable) {
      this.#finish(new ClosedError(code, reason === '' || reason === name ? meaning : `${meaning} (${reason})`), 'disconnected');
      return;
    }
    if (!wasWelcome) {
      // What does not work here may elsewhere: by another transport, or at the address that was given
      // first, where a redirect led astray.
      this.#transport += 1;
      this.#url = this.#baseUrl;
    }
    this.#reconnect(null, name);
  }

  /**
   * The connection is gone, and with it all that was on it.
   *
   * @param {string} reason
   */
  #loseConnection(reason) {
    this.#connection?.drop(CLOSE_RESUMING, reason);
    this.#connection = null;
    this.#attempt += 1;
    this.#due.stopAll();
    this.#heartbeat.stop();
    for (const room of this.rooms) {
      room.suspend();
    }
    for (const { reject } of this.#statsAsked.values()) {
      reject(offline());
    }
    this.#statsAsked.clear();
  }

  /**
   * @param {number | null} afterMs what was asked for, by the server or the application
   * @param {string} reason
   */
  #reconnect(afterMs, reason) {
    const hintMs = this.#hintAtMs === null ? null : Math.max(0, this.#hintAtMs - this.#timers.now());
    const waitMs = this.#backoff.next(afterMs ?? hintMs);
    const retryInMs = isOnline() ? waitMs : Math.max(waitMs, this.#random() * OFFLINE_MS);
    // Before anybody hears of it: a listener may close the client, and then nothing is due any more.
    this.#due.start('reconnect', retryInMs, () => void this.#connect());
    this.#setStatus({ status: 'reconnecting', retryInMs });
    for (const room of this.rooms) {
      room.dropped({ retryInMs, reason });
    }
  }

  /** The network is back, or somebody looks at the page again. */
  #wake() {
    if (this.#isOpen) {
      this.#heartbeat.probe();
    } else if (this.#due.has('reconnect') && this.#hintAtMs === null) {
      // Many pages may hear of it at the same moment.
      this.#due.start('reconnect', this.#random() * WAKE_MS, () => void this.#connect());
    }
  }

  /** The page was put away and is shown again; another one may have taken the session up meanwhile. */
  #show() {
    if (this.#status === 'suspended') {
      if (this.#options.storage !== undefined) {
        this.#resumeKey = null;
        this.#takeUp();
        this.#places.tickets = [];
      }
      this.reconnectNow();
    }
  }

  /** Takes what was put aside in the storage. */
  #takeUp() {
    const { storage } = this.#options;
    if (storage !== undefined) {
      const tickets = takeTickets(storage, this.#baseUrl);
      this.#places.tickets = tickets;
      this.#resumeKey = tickets[0]?.key ?? null;
    }
  }

  /**
   * The end: nothing is tried any more.
   *
   * @param {Error} error
   * @param {'left' | 'disconnected'} reason
   */
  #finish(error, reason) {
    this.#connection = null;
    this.#loseConnection('');
    this.#forgetPage();
    this.#resumeKey = null;
    this.#places.close(error, reason, () => this.#setStatus({ status: 'closed', error }));
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
        this.#places.joined(body);
        break;
      case 'left':
        this.#places.left(body.channel, body.reason);
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
        this.#places.room(body.channel)?.handle(message);
        break;
    }
  }

  /** The server asks for a fresh credential. Without one it closes, and the next attempt asks again. */
  async #renew() {
    const connection = this.#connection;
    try {
      const token = await this.#options.getToken?.();
      if (token !== undefined && connection !== null && connection === this.#connection) {
        this.#send({ tag: 'renew', body: { ref: 0, token } });
      }
    } catch (cause) {
      this.emit('error', cause instanceof Error ? cause : new Error(String(cause)));
    }
  }

  /** @param {Extract<ServerMessage, { tag: 'error' }>['body']} body */
  #refused({ code, ref, message }) {
    const error = new RefusedError(code, message);
    if (ref === 'session') {
      this.emit('error', error);
    } else if ('cseq' in ref) {
      this.#places.room(ref.cseq.channel)?.refuse(ref.cseq.cseq, error);
    } else {
      this.#places.refused(ref.join, error);
    }
  }

  /** @param {number} retryAfterMs */
  #draining(retryAfterMs) {
    this.#hintAtMs = this.#timers.now() + retryAfterMs;
    this.#due.start('drain', retryAfterMs, () => {
      this.#loseConnection('draining');
      this.#reconnect(0, 'draining');
    });
    this.#setStatus({ status: 'draining', retryInMs: retryAfterMs });
  }

  /** @param {string} url */
  #redirect(url) {
    this.#redirects += 1;
    this.#loseConnection('redirected');
    if (this.#redirects > REDIRECTS_MAX || !mayFollow(url, this.#baseUrl)) {
      this.#url = this.#baseUrl;
      this.#redirects = 0;
      this.#reconnect(null, 'redirected');
      return;
    }
    this.#url = url;
    this.#heartbeat.clock.forget();
    this.#reconnect(0, 'redirected');
  }

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

  // --- What rooms ask for ---

  /**
   * @param {Target} target
   * @param {JoinOptions} options
   * @param {boolean} [onlyResumed]
   * @returns {Promise<Room>}
   */
  #enterNew(target, options, onlyResumed = false) {
    const { signal } = options;
    if (this.#status === 'closed') {
      return Promise.reject(new ClosedError(NORMAL, 'the client is closed'));
    }
    if (signal?.aborted) {
      return Promise.reject(signal.reason);
    }
    const { pendingMax = PENDING_MAX, queueMax = QUEUE_MAX, queueBytesMax = QUEUE_BYTES_MAX, state } = this.#options;
    const room = new Room(target, options, {
      encode: (message) => encode(this.#says, message),
      send: (encoded) => this.#connection?.send(encoded),
      congested: () => this.#congested(),
      messageBytesMax: () => this.#welcome?.limits.message_bytes_max ?? Infinity,
      leave: (it) => this.#places.leave(it),
      stats: (rooms) => this.#stats(rooms),
      ticket: (it) => this.#ticket(it),
      report: (error) => this.emit('error', error),
      timers: this.#timers,
      pendingMax,
      queueMax,
      queueBytesMax,
      state,
    });
    return this.#places.enter(room, onlyResumed, signal);
  }

  /** @param {Room} room */
  #ticket(room) {
    const { position, channel } = room;
    return this.#resumeKey === null || position === null || channel === null
      ? null
      : writeTicket({ key: this.#resumeKey, name: room.id, channel, ...position, cseq: room.outbox.cseq });
  }

  /**
   * @param {Room[]} rooms
   * @returns {Promise<RoomStats>}
   */
  async #stats(rooms) {
    if (!this.#isOpen) {
      throw offline();
    }
    const ref = this.#nextRef();
    this.#send({ tag: 'get_stats', body: { ref } });
    const { ref: _, resumes: __, queued_messages: queuedMessages, queued_bytes: queuedBytes, ...classes } =
      await /** @type {Promise<Stats>} */ (new Promise((resolve, reject) => this.#statsAsked.set(ref, { resolve, reject })));
    const { rtt, offset: clockOffset } = this.#heartbeat.clock;
    const stats = {
      rtt,
      clockOffset,
      resumes: this.#resumes,
      dropped: 0,
      conflated: 0,
      classes,
      queuedMessages,
      queuedBytes,
      own: { dropped: 0, conflated: 0, unanswered: 0 },
    };
    for (const { dropped, conflated } of Object.values(classes)) {
      stats.dropped += dropped;
      stats.conflated += conflated;
    }
    for (const { outbox } of rooms) {
      stats.own.dropped += outbox.dropped;
      stats.own.conflated += outbox.conflated;
      stats.own.unanswered += outbox.unanswered;
    }
    return stats;
  }

  #congested() {
    const congested = (this.#connection?.bufferedAmount ?? 0) > CONGESTED_BYTES;
    if (congested && !this.#due.has('congested')) {
      this.#due.start('congested', CONGESTED_RETRY_MS, () => this.rooms.forEach(({ outbox }) => outbox.flushLatest()));
    }
    return congested;
  }

  // --- Small things ---

  /** @param {ClientMessage} message */
  #send(message) {
    this.#connection?.send(encode(this.#says, message));
  }

  /** @param {StatusEvent} event */
  #setStatus(event) {
    this.#status = event.status;
    this.emit('status', event);
  }

  #nextRef() {
    this.#ref += 1;
    return this.#ref;
  }
}

/** What cannot be told without a connection. */
function offline() {
  return new DroppedError('offline', 'there is no connection');
}

/**
 * Whether a redirect leads to a server of this kind, and not from an encrypted one to one in the clear.
 *
 * @param {string} url
 * @param {string} from
 */
function mayFollow(url, from) {
  try {
    return (from.startsWith('wss:') ? /^wss:/ : /^wss?:/).test(new URL(url).protocol);
  } catch {
    return false;
  }
}
