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
import { watchPage } from './page.js';
import { Places } from './places.js';
import { Room } from './room.js';
import { firstWay, loadWay, memory } from './ways.js';

/** @typedef {import('./codec.js').ClientMessage} ClientMessage */
/** @typedef {import('./codec.js').ServerMessage} ServerMessage */
/** @typedef {import('./codec.js').Welcome} Welcome */
/** @typedef {import('./stats.js').Stats} Stats */
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
  /** What the parts of a client need of it. @type {import('./room.js').Link} */
  #link;
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
  /** Whether it is the one that has worked, or should: the first attempt, and those behind a welcome. */
  #isProven = true;
  /** @type {Status} */
  #status = 'connecting';
  /** @type {Connection | null} */
  #connection = null;
  /** @type {Welcome | null} */
  #welcome = null;
  /** The newest key; outlives connections. @type {string | null} */
  #resumeKey = null;
  /** Who waits for numbers of the server, and is told null when the connection is lost. @type {Map<number, (stats: Stats | null) => void>} */
  #statsAsked = new Map();
  #ref = 0;
  #redirects = 0;
  #resumes = 0;
  /** When the server asked to be tried next. @type {number | null} */
  #hintAtMs = null;
  /** Counts attempts, so that a token that arrives late meets nothing. */
  #attempt = 0;
  /** What is to be there before the first attempt. @type {Promise<any>} */
  #ready = Promise.resolve();
  /** What puts memberships aside, where there is a storage. @type {typeof import('./tickets.js') | null} */
  #shelf = null;
  /** Ends with the client. */
  #until = new AbortController();

  /**
   * @param {string} url `ws://` or `wss://`, up to and including the path
   * @param {ClientOptions} [options]
   */
  constructor(url, options = {}) {
    super();
    const { timers = REAL_TIMERS, random = Math.random, pingMs, pendingMax = 1_000, queueMax = 100, queueBytesMax = 2 ** 20, state } = options;
    this.#baseUrl = this.#url = url;
    this.#options = options;
    this.#timers = timers;
    this.#random = random;
    this.#says = tableOf([...CLIENT_SECTIONS, ...(state?.client ?? [])]);
    this.#hears = tableOf([...SERVER_SECTIONS, ...(state?.server ?? [])]);
    this.#due = new Due(timers);
    this.#backoff = new Backoff(random);
    this.#link = {
      timers,
      random,
      due: this.#due,
      pendingMax,
      queueMax,
      queueBytesMax,
      state,
      isOpen: () => this.#isOpen,
      nextRef: () => ++this.#ref,
      encode: (message) => encode(this.#says, message),
      post: (encoded) => this.#connection?.send(encoded),
      send: (message) => this.#send(message),
      congested: () => this.#congested(),
      messageBytesMax: () => this.#welcome?.limits.message_bytes_max ?? Infinity,
      leave: (room) => this.#places.leave(room),
      stats: (rooms) => this.#stats(rooms),
      ticket: (room) => this.#ticket(room),
      report: (error) => this.emit('error', error),
      silent: () => this.#lose('the server is silent'),
    };
    this.#heartbeat = new Heartbeat(this.#link, pingMs);
    this.#places = new Places(this.#link);
    if (options.storage) {
      const shelved = this.#loadTickets().then((shelf) => {
        this.#shelf = shelf;
        this.#takeUp();
      });
      // What cannot be loaded costs the resume and nothing else.
      this.#ready = Promise.allSettled([shelved]);
    }
    watchPage(this.#until.signal, () => this.#wake(), () => this.suspend(), () => this.#show());
    // The application gets to listen, and to join, before the first attempt.
    queueMicrotask(() => {
      if (this.#status === 'connecting') {
        this.#setStatus('connecting');
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
  async reconnect(ticket, options) {
    const isInTime = this.#attempt === 0;
    const shelf = this.#loadTickets();
    this.#ready = Promise.allSettled([this.#ready, shelf]);
    const found = (await shelf).readTicket(ticket);
    if (!found) {
      throw new MadangError('invalid', 'this is no ticket of a room');
    }
    if (!isInTime || (this.#resumeKey ?? found.key) !== found.key) {
      throw new SessionGoneError();
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
      this.#lose('dropped by the application', forMs);
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
    this.#shelf?.putTickets(this.#options.storage, this.#baseUrl, this.rooms);
    this.#cut('suspended');
    this.#setStatus('suspended');
    this.rooms.forEach((room) => room.dropped({ retryInMs: null, reason: 'suspended' }));
  }

  // --- Connecting ---

  get #isOpen() {
    return this.#connection !== null && this.#welcome !== null;
  }

  async #connect() {
    const attempt = ++this.#attempt;
    const { token = null, getToken = () => token, transports, connectTimeoutMs = 10_000, probeMs = 3_000, rememberMs } = this.#options;
    this.#hintAtMs = null;
    if (this.#status === 'suspended') {
      this.#setStatus('reconnecting');
    }
    if (this.#isProven && !transports) {
      this.#transport = firstWay(this.#url, this.#timers.now(), rememberMs);
    }
    this.#isProven = false;
    const way = this.#transport % (transports?.length ?? 2);
    /** @type {string | null} */
    let credential = null;
    /** @type {any} */
    let transport = transports?.[way];
    try {
      await this.#ready;
      credential = await getToken();
      transport ??= await loadWay(way);
    } catch (cause) {
      if (attempt === this.#attempt) {
        if (!transports) {
          // What could not be loaded is not asked for again at once.
          this.#transport = 0;
        }
        this.#lose('no token');
        this.emit('error', /** @type {Error} */ (cause));
      }
    }
    if (attempt !== this.#attempt) {
      return;
    }
    this.#welcome = null;
    this.#heartbeat.heard();
    try {
      this.#connection = new Connection((hears) => transport(this.#url, hears, this.#options, memory), this.#hears, {
        opened: () => this.#hello(credential),
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
    this.#due.start('connect', transports || way ? connectTimeoutMs : Math.min(probeMs, connectTimeoutMs), () => {
      this.#transport += 1;
      this.#lose('no welcome');
    });
  }

  /** @param {string | null} token */
  #hello(token) {
    const rooms = this.#places.positions();
    const { name } = this.#options;
    this.#send(/** @type {any} */ ({
      tag: 'hello',
      body: {
        version_min: 1,
        version_max: 1,
        client: name ? `${CLIENT_NAME} ${name}` : CLIENT_NAME,
        token,
        resume: this.#resumeKey && { key: this.#resumeKey, rooms },
      },
    }));
  }

  /** @param {Welcome} welcome */
  #welcomed(welcome) {
    const { resumed } = welcome;
    this.#due.stop('connect');
    this.#isProven = true;
    this.#welcome = welcome;
    this.#resumeKey = welcome.resume_key;
    this.#redirects = 0;
    /** @type {Connection} */ (this.#connection).messageBytesMax = welcome.limits.message_bytes_max;
    this.#heartbeat.clock.guess(welcome.server_time_ms, this.#timers.now());
    this.#resumes += Number(resumed);
    this.#places.welcomed(resumed);
    // The first message under the new key is what retires the old one.
    this.#heartbeat.start(welcome.heartbeat_ms);
    this.#due.start('settled', SETTLED_MS, () => this.#backoff.reset());
    this.#setStatus('open');
    this.emit('session', { resumed });
  }

  /**
   * The connection closed.
   *
   * @param {number} code
   * @param {string} reason
   */
  #closed(code, reason) {
    const { name, resumable, meaning } = closeRule(code, reason);
    if (!resumable) {
      this.#finish(new ClosedError(code, name, meaning), 'disconnected');
      return;
    }
    if (!this.#welcome) {
      // What does not work here may elsewhere: by another transport, or at the address that was given
      // first, where a redirect led astray.
      this.#transport += 1;
      this.#url = this.#baseUrl;
    }
    this.#lose(name);
  }

  /**
   * The connection is gone, and with it all that was on it.
   *
   * @param {string} reason
   */
  #cut(reason) {
    this.#connection?.drop(CLOSE_RESUMING, reason);
    this.#connection = null;
    this.#attempt += 1;
    this.#due.stopAll();
    this.#heartbeat.stop();
    this.rooms.forEach((room) => room.suspend());
    this.#statsAsked.forEach((tell) => tell(null));
    this.#statsAsked.clear();
  }

  /**
   * The connection is gone, and another one is due.
   *
   * @param {string} reason
   * @param {number} [afterMs] what was asked for, by the server or the application
   */
  #lose(reason, afterMs) {
    this.#cut(reason);
    const hintMs = this.#hintAtMs === null ? undefined : Math.max(0, this.#hintAtMs - this.#timers.now());
    const waitMs = this.#backoff.next(afterMs ?? hintMs);
    const retryInMs = globalThis.navigator?.onLine !== false ? waitMs : Math.max(waitMs, this.#random() * OFFLINE_MS);
    // Before anybody hears of it: a listener may close the client, and then nothing is due any more.
    this.#due.start('reconnect', retryInMs, () => void this.#connect());
    this.#setStatus('reconnecting', { retryInMs });
    this.rooms.forEach((room) => room.dropped({ retryInMs, reason }));
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
      this.#takeUp();
      this.reconnectNow();
    }
  }

  #loadTickets() {
    return import('./tickets.js');
  }

  /** Takes what was put aside in the storage. */
  #takeUp() {
    if (this.#shelf) {
      const tickets = this.#shelf.takeTickets(this.#options.storage, this.#baseUrl);
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
    this.#cut('');
    this.#until.abort();
    this.#resumeKey = null;
    this.#places.close(error, reason, () => this.#setStatus('closed', { error }));
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
        this.#statsAsked.get(body.ref)?.(body);
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

  /** @param {number} retryInMs */
  #draining(retryInMs) {
    this.#hintAtMs = this.#timers.now() + retryInMs;
    this.#due.start('drain', retryInMs, () => this.#lose('draining', 0));
    this.#setStatus('draining', { retryInMs });
  }

  /** @param {string} url */
  #redirect(url) {
    const isFollowed = ++this.#redirects <= REDIRECTS_MAX && mayFollow(url, this.#baseUrl);
    if (!isFollowed) {
      this.#redirects = 0;
    }
    this.#url = isFollowed ? url : this.#baseUrl;
    this.#heartbeat.clock.forget();
    this.#lose('redirected', isFollowed ? 0 : undefined);
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
    if (signal?.aborted || this.#status === 'closed') {
      return Promise.reject(signal?.reason ?? closedError());
    }
    return this.#places.enter(new Room(target, options, this.#link), onlyResumed, signal);
  }

  /** @param {Room} room */
  #ticket(room) {
    const { position, id, outbox } = room;
    const { channel } = outbox;
    // In the form that `readTicket` reads.
    return this.#resumeKey && position && channel !== null
      ? [this.#resumeKey, channel, position.epoch, position.seq, outbox.cseq, id].join('.')
      : null;
  }

  /**
   * @param {Room[]} rooms
   * @returns {Promise<RoomStats>}
   */
  async #stats(rooms) {
    // Few ask, so few load it.
    const { learnStats, summary } = await import('./stats.js');
    learnStats(this.#says, this.#hears);
    /** @type {Promise<Stats | null>} */
    const answer = new Promise((resolve) => {
      if (this.#isOpen) {
        const ref = ++this.#ref;
        this.#statsAsked.set(ref, resolve);
        this.#send({ tag: 'get_stats', body: { ref } });
      } else {
        resolve(null);
      }
    });
    const found = await answer;
    if (!found) {
      throw new DroppedError('offline', 'there is no connection');
    }
    return summary(found, this.#heartbeat.clock, this.#resumes, rooms);
  }

  #congested() {
    const congested = /** @type {Connection} */ (this.#connection).bufferedAmount > CONGESTED_BYTES;
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

  /**
   * @param {Status} status
   * @param {Partial<StatusEvent>} [more]
   */
  #setStatus(status, more) {
    this.#status = status;
    this.emit('status', { status, ...more });
  }
}

function closedError() {
  return new ClosedError(NORMAL, 'normal', 'the client was closed');
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
