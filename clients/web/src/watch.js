/**
 * Watching a room without being in it, over Server-Sent Events: live, delayed, or from the past. An entry
 * of its own; it needs nothing of the client.
 *
 * ```js
 * import { watch } from 'madang-client/watch';
 *
 * const arena = watch('arena-1', { url: 'https://watch.example', delay: '10s' });
 * arena.state.on('change', (entity, fields) => draw(entity));
 * arena.on('chat', ({ payload }) => show(payload));
 * ```
 *
 * @module
 */

import { Emitter } from './emitter.js';
import { direct, shared } from './eventsource.js';
import { WatchState } from './watchstate.js';

/** @typedef {import('./emitter.js').ListenOptions} ListenOptions */
/** @typedef {import('./emitter.js').Off} Off */
/** @typedef {import('./eventsource.js').Told} Told */
/** @typedef {import('./types.js').Entity} Entity */
/** @typedef {import('./types.js').Gap} Gap */
/** @typedef {import('./types.js').WatchEnd} WatchEnd */
/** @typedef {import('./types.js').WatchMessage} WatchMessage */
/** @typedef {import('./types.js').WatchOptions} WatchOptions */
/** @typedef {import('./types.js').WatchStateEvents} WatchStateEvents */
/** @typedef {import('./types.js').WatchStatus} WatchStatus */

/**
 * Watches a room.
 *
 * @param {string} room its name
 * @param {WatchOptions} [options]
 * @returns {Watch}
 */
export function watch(room, options) {
  return new Watch(room, options);
}

/** A room that is watched. Use `watch`. */
export class Watch {
  #source;
  /** @type {Emitter<Record<string, WatchMessage>>} */
  #messages = new Emitter();
  /** @type {Emitter<{ status: WatchStatus, presence: any, gap: Gap, recover: { recovered: boolean }, leave: WatchEnd }>} */
  #life = new Emitter();
  /** @type {WatchStatus} */
  #status = 'connecting';
  #hasEnded = false;

  /** The room's state as spectators may see it; empty in rooms without. */
  state = new WatchState();
  /** The room's incarnation. */
  epoch = '';
  /** When that began, by the server's clock, in milliseconds since 1970; 0 before it is known. */
  epochAtMs = 0;
  /** The id of the last event: where `last_event_id` goes on. */
  id = '';

  /**
   * @param {string} room
   * @param {WatchOptions} [options]
   */
  constructor(room, { url = globalThis.location?.origin, delay, from, share = true, ...options } = {}) {
    if (url === undefined) {
      throw new TypeError('there is no page here: say where the server is, watch(room, { url })');
    }
    const asked = Object.entries({ delay: typeof delay === 'number' ? `${delay}ms` : delay, from })
      .filter(([, value]) => value !== undefined)
      .map(([name, value]) => `${name}=${value}`);
    const address = `${url}/rooms/${encodeURIComponent(room)}/events${asked.length > 0 ? '?' : ''}${asked.join('&')}`;
    const open = share && from === undefined ? shared : direct;
    this.#source = open(address, {
      told: (event) => this.#told(event),
      lost: () => {
        this.state.stale = true;
        this.#setStatus('reconnecting');
      },
      over: (status) => this.#end(this.#hasEnded || status === 204 ? { reason: 'ended' } : { reason: 'refused', status }),
      snapshot: () => {
        const state = this.state.toJson();
        return state && JSON.stringify(state);
      },
    }, options);
  }

  /** @returns {WatchStatus} */
  get status() {
    return this.#status;
  }

  /**
   * Listens to messages of a type, or to `*` for all that are logged. What a backend published comes by
   * its type alone.
   *
   * @param {string} type
   * @param {(message: WatchMessage) => void} listener
   * @param {ListenOptions} [options]
   * @returns {Off}
   */
  on(type, listener, options) {
    this.#source.listen(type);
    return this.#messages.on(type, listener, options);
  }

  /**
   * @param {(status: WatchStatus) => void} listener
   * @param {ListenOptions} [options]
   */
  onStatus(listener, options) {
    return this.#life.on('status', listener, options);
  }

  /**
   * A change of the member list, as the server tells it: `{ seq, event }`.
   *
   * @param {(change: any) => void} listener
   * @param {ListenOptions} [options]
   */
  onPresence(listener, options) {
    return this.#life.on('presence', listener, options);
  }

  /**
   * Something will not come: this spectator was too slow, or away for too long.
   *
   * @param {(gap: Gap) => void} listener
   * @param {ListenOptions} [options]
   */
  onGap(listener, options) {
    return this.#life.on('gap', listener, options);
  }

  /**
   * The stream is there, for the first time or again; `recovered` says that nothing is missing.
   *
   * @param {(recovery: { recovered: boolean }) => void} listener
   * @param {ListenOptions} [options]
   */
  onRecover(listener, options) {
    return this.#life.on('recover', listener, options);
  }

  /**
   * It is over, and that is final.
   *
   * @param {(end: WatchEnd) => void} listener
   * @param {ListenOptions} [options]
   */
  onLeave(listener, options) {
    return this.#life.on('leave', listener, options);
  }

  /** Stops watching. */
  close() {
    this.#end({ reason: 'closed' });
  }

  /** @param {Told} event */
  #told({ name, id, data }) {
    if (this.#status === 'closed') {
      return;
    }
    this.id = id;
    const json = name in HANDLED ? JSON.parse(data) : null;
    switch (name) {
      case 'resume':
        if (json.epoch !== this.epoch) {
          // Another life of the room: its ticks and seqs begin again.
          this.epoch = json.epoch;
          this.state.tick = 0;
        }
        this.epochAtMs = json.epoch_at_ms;
        this.#hasEnded = false;
        this.#setStatus('open');
        this.state.stale = !json.recovered || this.state.toJson() === null;
        // A listener of the status may have closed this.
        if (this.status !== 'closed') {
          this.#life.emit('recover', { recovered: json.recovered });
        }
        break;
      case 'snapshot':
        this.state.snapshot(json);
        break;
      case 'delta':
        this.state.delta(json);
        break;
      case 'message': {
        const at = new Date(this.epochAtMs + json.at);
        this.#say({ type: json.type, ...fromJson(json.payload), seq: json.seq, at, from: json.from });
        break;
      }
      case 'presence':
        this.#life.emit('presence', json);
        break;
      case 'gap':
        this.#life.emit('gap', { fromSeq: json.from, toSeq: json.to });
        break;
      case 'end':
        this.#hasEnded = true;
        break;
      default:
        this.#say({ type: name, format: 'text', payload: data, seq: Number(id.slice(17)), at: null, from: 0 });
    }
  }

  /** @param {WatchMessage} message */
  #say(message) {
    this.#messages.emit(message.type, message);
    if (message.type !== '*') {
      this.#messages.emit('*', message);
    }
  }

  /** @param {WatchEnd} end */
  #end(end) {
    if (this.#status !== 'closed') {
      this.#source.close();
      this.#setStatus('closed');
      this.#life.emit('leave', end);
    }
  }

  /** @param {WatchStatus} status */
  #setStatus(status) {
    if (status !== this.#status && this.#status !== 'closed') {
      this.#status = status;
      this.#life.emit('status', status);
    }
  }
}

/** The server's own events. @type {Record<string, true>} */
const HANDLED = { __proto__: /** @type {any} */ (null), resume: true, snapshot: true, delta: true, message: true, presence: true, gap: true, end: true };

/**
 * @param {any} payload as JSON has it: bytes are base64
 * @returns {{ format: 'bytes' | 'text' | 'json', payload: any }}
 */
function fromJson(payload) {
  const [format] = /** @type {('bytes' | 'text' | 'json')[]} */ (Object.keys(payload));
  const value = payload[format];
  return { format, payload: format === 'bytes' ? Uint8Array.from(atob(value), (it) => it.charCodeAt(0)) : value };
}

export { WatchState } from './watchstate.js';
