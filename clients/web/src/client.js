/**
 * The session with a server: connects, resumes, takes turns with the server's hints, and hands
 * each message to the room it is about. Rooms know what they have seen; the client decides when
 * to tell the server.
 *
 * @module
 */

import { backoffMs } from './backoff.js';
import { CLIENT_SECTIONS, SERVER_SECTIONS, decode, encode, tableOf } from './codec.js';
import { Connection } from './connection.js';
import { Due, REAL_TIMERS } from './due.js';
import { Emitter } from './emitter.js';
import { ClosedError, DroppedError, MadangError, RefusedError, SessionGoneError, TERMINAL_CODES } from './errors.js';
import { Places } from './places.js';
import { Room, schemaOf } from './room.js';
import { choice, struct } from './schema.js';
import { Vigil } from './vigil.js';
import { again, firstWay, loadAsking, loadWay, memory } from './ways.js';

/** @typedef {import('./codec.js').ClientMessage} ClientMessage */
/** @typedef {import('./codec.js').ServerMessage} ServerMessage */
/** @typedef {import('./codec.js').Welcome} Welcome */
/** @typedef {import('./types.js').JoinOptions} JoinOptions */
/** @typedef {import('./types.js').Target} Target */
/** @typedef {import('./types.js').RoomStats} RoomStats */
/** @typedef {import('./types.js').Status} Status */
/** @typedef {import('./types.js').StatusEvent} StatusEvent */
/** @typedef {import('./types.js').ClientEvents} ClientEvents */
/** @typedef {import('./types.js').ClientOptions} ClientOptions */

const CLIENT_NAME = 'madang-web/0.2.0';
/** A connection that lasted so long was a good one: the next waiting time starts small again. */
const SETTLED_MS = 10_000;
/** Without a network attempts are only made for the case that there is one after all. */
const OFFLINE_MS = 20_000;
/** Beyond so many bytes in the connection, `latest` waits and `volatile` is dropped. */
const CONGESTED_BYTES = 64 * 1024;
const CONGESTED_RETRY_MS = 50;
/** Close code of a connection that this client drops and means to resume. */
const CLOSE_RESUMING = 4000;
const NORMAL = 1000;
const LOST = 1006;
/** Close codes from here on are of somebody who was reached. */
const OWN_CODES = 3000;

const joins = () => again(import('./joins.js'));
const seldom = () => again(import('./seldom.js'));

/**
 * A client of one server. It connects by itself and stays connected until `close`.
 *
 * @extends {Emitter<ClientEvents>}
 */
export class Client extends Emitter {
  /** Attempts since a connection was a good one. */
  #attempts = 0;
  #resumes = 0;
  /** The one of `options.transports` in use, or of the ways; undefined where what is remembered decides. @type {any} */
  #transport;
  /** @type {Status} */
  #status = 'connecting';
  /** @type {Connection | null} */
  #connection = null;
  #isWelcome = false;
  /** The session's public id, once there is one. @type {string | null} */
  session = null;
  /** What the server accepts, once it has said so. @type {import('./codec.js').Limits | null} */
  limits = null;
  /** @type {string | null} */
  #credential = null;
  // --- What is marked as internal is for the parts of a client, not for applications. ---

  /** @internal */
  options;
  /** As it was given. @internal */
  baseUrl;
  /** Where it is now. @internal */
  url;
  /** @internal */
  timers;
  /** @internal */
  random;
  /** What this client says. @internal */
  says;
  /** What it hears. @internal */
  hears;
  /** Timers by what they are for. @internal */
  due;
  /** @internal */
  places;
  /** Pings, the server's clock, the page. @internal */
  vigil;
  /** When something came from the server, or a connection to it began. @internal */
  heardAtMs = 0;
  /** What to add to the local wall clock until the pings know better. */
  #firstOffset = 0;
  /** The newest key; outlives connections. @internal @type {string | null} */
  resumeKey = null;
  /** Numbers of what is asked of the server. @internal */
  refs = 0;
  /** Redirects in a row. @internal */
  redirects = 0;
  /** When the server asked to be tried next. @internal @type {number | undefined} */
  hintAtMs;
  /** Counts attempts, so that a token that arrives late meets nothing. @internal */
  attempt = 0;
  /** What is to be there before the first attempt. @internal @type {Promise<any> | null} */
  ready = null;
  /** Takes up memberships of an earlier page. @internal @type {(() => void) | null} */
  takeUp = null;
  /** What rooms with rules need, once there was one. @internal @type {typeof import('./rules.js') | null} */
  rules = null;
  /** What puts memberships aside, where there is a storage. @internal @type {import('./joins.js').Shelf | null} */
  shelf = null;

  /** Messages of this connection that a later version's server sent and this client skipped. */
  skipped = 0;

  /**
   * @param {string} url `ws://` or `wss://`, up to and including the path
   * @param {ClientOptions} [options]
   */
  constructor(url, options = {}) {
    super();
    const { timers = REAL_TIMERS, random = Math.random, storage, state } = options;
    this.baseUrl = this.url = url;
    this.options = options;
    this.timers = timers;
    this.random = random;
    this.says = tableOf(CLIENT_SECTIONS, state?.client);
    this.hears = tableOf(SERVER_SECTIONS, state?.server);
    this.due = new Due(timers);
    this.places = new Places(this);
    this.vigil = new Vigil(this);
    if (storage) {
      // What cannot be loaded costs the resume and nothing else.
      this.ready = joins().then((it) => it.shelve(this, storage)).catch(() => {});
    }
    // The application gets to listen, and to join, before the first attempt.
    queueMicrotask(() => {
      if (this.#status === 'connecting') {
        this.connect();
        this.setStatus('connecting');
      }
    });
  }

  /** @returns {Status} */
  get status() {
    return this.#status;
  }

  /** The newest round trip in milliseconds; null before the first. */
  get rtt() {
    return this.vigil.clock.rtt;
  }

  /** How often the session was resumed by this client. */
  get resumes() {
    return this.#resumes;
  }

  /** The server's wall clock in milliseconds since 1970, as well as it is known. */
  serverTime() {
    return this.timers.now() + this.offset;
  }

  /** @internal */
  get offset() {
    return this.vigil.clock.offset ?? this.#firstOffset;
  }

  /** The rooms this client is in. */
  get rooms() {
    return this.places.rooms;
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
    return this.enterNew(target, { ...options, mode: 'either' });
  }

  /**
   * Enters a room that must be there.
   *
   * @param {Target} target
   * @param {JoinOptions} [options]
   * @returns {Promise<Room>}
   */
  join(target, options) {
    return this.enterNew(target, { ...options, mode: 'join' });
  }

  /**
   * Enters a room that must not be there yet.
   *
   * @param {Target} target
   * @param {JoinOptions} [options]
   * @returns {Promise<Room>}
   */
  create(target, options) {
    return this.enterNew(target, { ...options, mode: 'create' });
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
  async reconnect(ticket, options) {
    const isInTime = this.attempt === 0;
    const loading = joins();
    this.ready = Promise.allSettled([this.ready, loading]);
    return (await loading).takeUpBy(this, ticket, options, isInTime, { MadangError, SessionGoneError });
  }

  /**
   * What this session was sent and has missed, the round trip and the clock.
   *
   * @returns {Promise<RoomStats>}
   */
  stats() {
    return this.askStats(this.rooms);
  }

  /** Ends the session: the rooms are left, and nothing is resumed. */
  close() {
    if (this.#status !== 'closed') {
      this.#connection?.drop(NORMAL, '');
      this.#finish(closedError(), 'left');
    }
  }

  /**
   * Drops the connection as if the network had, and connects again: to see what that is like.
   *
   * @param {number} [forMs] how long to stay away; by default as long as after a real loss
   */
  drop(forMs) {
    if (this.#connection) {
      this.lose('dropped', forMs);
    }
  }

  /** Tries at once, if the client is waiting to connect again or was suspended. */
  reconnectNow() {
    if (this.due.has('reconnect') || this.#status === 'suspended') {
      this.due.stop('reconnect');
      this.connect();
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
    this.shelf?.put();
    this.#away('suspended', 'suspended');
  }

  // --- Connecting ---

  /** @internal */
  get isOpen() {
    return this.#connection !== null && this.#isWelcome;
  }

  /** @internal */
  connect() {
    this.attempt += 1;
    const { token = null, getToken = () => token, transports, connectTimeoutMs = 10_000, probeMs = 3_000, rememberMs } = this.options;
    this.hintAtMs = undefined;
    this.#transport ??= transports ? 0 : firstWay(this.url, this.timers.now(), rememberMs);
    const way = this.#transport % (transports?.length ?? 2);
    const prepare = async () => {
      await this.ready;
      this.#credential = await getToken();
      return /** @type {any} */ (transports?.[way] ?? loadWay(way));
    };
    void this.#first(prepare(), (transport) => {
      this.#isWelcome = false;
      this.skipped = 0;
      this.heardAtMs = this.timers.now();
      try {
        this.#connection = new Connection((hears) => transport(this.url, hears, this.options, memory, this), this);
      } catch (error) {
        this.#finish(/** @type {Error} */ (error), 'disconnected');
        return;
      }
      this.due.start('connect', transports || way ? connectTimeoutMs : Math.min(probeMs, connectTimeoutMs), () => this.closed(LOST, 'no welcome'));
    }, 'no token');
    // Only now: a listener may close the client, and then this attempt is void.
    if (this.#status === 'suspended') {
      this.setStatus('reconnecting');
    }
  }

  /** @internal */
  opened() {
    this.takeUp?.();
    this.say(/** @type {any} */ ({
      tag: 'hello',
      body: {
        version_min: 1,
        version_max: 1,
        client: `${CLIENT_NAME} ${this.options.name ?? ''}`.trim(),
        token: this.#credential,
        resume: this.resumeKey && { key: this.resumeKey, rooms: this.places.positions() },
      },
    }));
  }

  /** @param {Welcome} welcome */
  #welcomed(welcome) {
    const { resumed } = welcome;
    this.due.stop('connect');
    if (!this.options.transports) {
      this.#transport = undefined;
    }
    this.#isWelcome = true;
    this.session = welcome.session;
    this.limits = welcome.limits;
    this.resumeKey = welcome.resume_key;
    this.#firstOffset = welcome.server_time_ms - this.heardAtMs;
    this.#resumes += Number(resumed);
    this.places.welcomed(resumed);
    if (!this.isOpen) {
      return; // A listener has closed the client, or dropped the connection.
    }
    // The first message under the new key is what retires the old one.
    this.vigil.start(welcome.heartbeat_ms);
    this.due.start('settled', SETTLED_MS, () => (this.#attempts = this.redirects = 0));
    this.setStatus('open');
    this.emit('session', { resumed });
  }

  /**
   * All messages of a batch were received.
   *
   * @internal
   */
  ended() {
    this.rooms.forEach((room) => room.endBatch());
  }

  /**
   * The server sent what is no message. Resuming would bring the same bytes again.
   *
   * @internal
   * @param {Error} error
   */
  garbled(error) {
    this.#connection?.drop(4004, 'bad_message');
    this.#finish(error, 'disconnected');
  }

  /**
   * The connection closed.
   *
   * @internal
   * @param {number} code
   * @param {string} reason
   */
  closed(code, reason) {
    const name = reason.split(':')[0] || 'lost';
    if (TERMINAL_CODES.includes(code)) {
      // For good.
      this.#cut('');
      void this.#first(
        seldom().then((it) => it.closeMeaning(code, reason), () => reason),
        (message) => this.#finish(new ClosedError(code, name, message), 'disconnected'),
      );
      return;
    }
    if (!this.#isWelcome) {
      // What does not work here may elsewhere: by another transport, unless it was the server that closed, or
      // at the address that was given first, where a redirect led astray.
      this.#transport += Number(code < OWN_CODES);
      this.url = this.baseUrl;
    }
    this.lose(name);
  }

  /**
   * The connection is gone, and with it all that was on it.
   *
   * @param {string} reason
   */
  #cut(reason) {
    this.#connection?.drop(CLOSE_RESUMING, reason);
    this.#connection = null;
    this.attempt += 1;
    this.due.stopAll();
    this.vigil.stop();
    this.rooms.forEach((room) => room.suspend());
  }

  /**
   * The connection is gone, and another one is due.
   *
   * @internal
   * @param {string} reason
   * @param {number} [afterMs] what was asked for, by the server or the application
   */
  lose(reason, afterMs) {
    const waitMs = afterMs ?? (this.hintAtMs && Math.max(0, this.hintAtMs - this.timers.now())) ?? backoffMs(this.#attempts, this.random);
    this.#attempts += 1;
    this.#away('reconnecting', reason, globalThis.navigator?.onLine !== false ? waitMs : Math.max(waitMs, this.random() * OFFLINE_MS));
  }

  /**
   * @param {Status} status
   * @param {string} reason
   * @param {number} [retryInMs]
   */
  #away(status, reason, retryInMs) {
    this.#cut(reason);
    if (this.#status === 'closed') {
      return; // By a listener who heard what was held back.
    }
    // Before anybody hears of it: a listener may close the client, and then nothing is due any more.
    if (retryInMs !== undefined) {
      this.due.start('reconnect', retryInMs, () => this.connect());
    }
    this.setStatus(status, { retryInMs });
    this.rooms.forEach((room) => room.dropped({ retryInMs: retryInMs ?? null, reason }));
  }

  /**
   * The end: nothing is tried any more.
   *
   * @param {Error} error
   * @param {'left' | 'disconnected'} reason
   */
  #finish(error, reason) {
    this.#cut('');
    this.resumeKey = null;
    this.places.close(error, reason, () => this.setStatus('closed', { error }));
  }

  // --- Receiving ---

  /**
   * @internal
   * @param {ServerMessage | Uint8Array} message
   * @returns {Promise<void> | void} until when what comes behind it has to wait
   */
  received(message) {
    this.heardAtMs = this.timers.now();
    if (message instanceof Uint8Array) {
      return this.#first(seldom(), (it) => it.hearSeldom(this, message, { decode, choice, struct, RefusedError, backoffMs }));
    }
    const { tag, body } = message;
    switch (tag) {
      case 'welcome':
        this.#welcomed(body);
        break;
      case 'joined':
        if (!this.rules && schemaOf(body)) {
          return this.#first(again(import('./rules.js')), (rules) => {
            this.rules = rules;
            this.places.joined(body);
          });
        }
        this.places.joined(body);
        break;
      case 'left':
        this.places.left(body);
        break;
      case 'pong':
        this.vigil.pong(body);
        break;
      case 'stats':
        this.emit(/** @type {any} */ (tag), body);
        break;
      default:
        this.places.entered.get(/** @type {any} */ (body).channel)?.handle(message);
    }
  }

  /**
   * What is to be done needs something that has to be loaded first. If that fails the connection counts as lost:
   * what the server said is as if it had not been heard.
   *
   * @template T
   * @param {Promise<T>} loading
   * @param {(loaded: T) => void} act unless the connection was lost meanwhile
   * @param {string} [reason] of the loss
   */
  #first(loading, act, reason = 'not loaded') {
    const { attempt } = this;
    const isLate = () => attempt !== this.attempt;
    return loading.then(
      (loaded) => {
        if (!isLate()) {
          act(loaded);
        }
      },
      (error) => {
        if (!isLate()) {
          if (!this.options.transports) {
            // What could not be loaded is not asked for again at once.
            this.#transport &&= 0;
          }
          this.lose(reason);
          this.emit('error', error);
        }
      },
    );
  }

  // --- What rooms ask for ---

  /**
   * @internal
   * @param {Target} target
   * @param {JoinOptions} options
   * @param {boolean} [onlyResumed]
   * @returns {Promise<Room>}
   */
  async enterNew(target, options, onlyResumed = false) {
    const { signal, create, schema, onLeave } = options;
    const isPlain = typeof target === 'string' && !create && !schema && !onLeave;
    const making = isPlain ? undefined : (await joins()).making(target, options);
    signal?.throwIfAborted();
    if (this.#status === 'closed') {
      throw closedError();
    }
    return this.places.enter(new Room(target, options, this, onlyResumed, making), signal);
  }

  /**
   * @internal
   * @param {Room[]} rooms
   * @returns {Promise<RoomStats>}
   */
  async askStats(rooms) {
    // Few ask, so few load it.
    return (await loadAsking()).askStats(this, rooms, { DroppedError, struct });
  }

  /**
   * Whether the connection has more than it can take for now.
   *
   * @internal
   */
  congested() {
    const congested = /** @type {Connection} */ (this.#connection).bufferedAmount > CONGESTED_BYTES;
    if (congested && !this.due.has('congested')) {
      this.due.start('congested', CONGESTED_RETRY_MS, () => this.rooms.forEach(({ outbox }) => outbox.flushLatest()));
    }
    return congested;
  }

  // --- Small things ---

  /**
   * @internal
   * @param {ClientMessage} message
   */
  encode(message) {
    return encode(this.says, message);
  }

  /**
   * @internal
   * @param {Uint8Array} encoded
   */
  post(encoded) {
    this.#connection?.send(encoded);
  }

  /**
   * @internal
   * @param {ClientMessage} message
   */
  say(message) {
    this.post(this.encode(message));
  }

  /**
   * @internal
   * @param {Status} status
   * @param {Partial<StatusEvent>} [more]
   */
  setStatus(status, more) {
    this.#status = status;
    this.emit('status', { status, ...more });
  }
}

function closedError() {
  return new ClosedError(NORMAL, 'normal', 'closed');
}
