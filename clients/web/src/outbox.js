/**
 * What a member sends to its room: numbers it, keeps what must be answered until it is, and holds
 * back the newest of class latest while the connection takes no more. It outlives connections: after
 * a resume the room says how far it got, and the rest is sent again under the same numbers, so that
 * nothing is applied twice.
 *
 * Deliberately absent: what the messages say, and what the room answers to the application.
 *
 * @module
 */

import { DroppedError, LeftError, LimitError, OutcomeUnknownError } from './errors.js';

/** @typedef {import('./codec.js').ClientMessage} ClientMessage */
/** @typedef {import('./codec.js').ServerMessage} ServerMessage */
/** @typedef {import('./codec.js').Limits} Limits */
/** @typedef {import('./types.js').ClientOptions} ClientOptions */
/** @typedef {import('./types.js').Receipt} Receipt */

/**
 * What it needs of the client.
 *
 * @typedef {object} Wire
 * @property {(message: ClientMessage) => Uint8Array} encode
 * @property {(encoded: Uint8Array) => void} post sends it
 * @property {() => boolean} congested whether the connection has more than it can take for now
 * @property {Limits | null} limits
 * @property {ClientOptions} options
 */

/**
 * Makes a message of the room's number and the sending's, anew for every sending: the numbers of
 * types may change.
 *
 * @typedef {(head: { channel: number, cseq: number }) => ClientMessage} Build
 */

/**
 * What was sent and is not answered yet.
 *
 * @typedef {object} Entry
 * @property {number} cseq
 * @property {'publish' | 'volatile' | 'direct' | 'request' | 'attributes' | 'edit'} kind
 * @property {Build} build
 * @property {any} local the application's own mark; of a change of attributes what takes it over
 * @property {number} bytes
 * @property {boolean} sent whether it ever went into a connection
 * @property {Promise<any>} done
 * @property {(value: any) => void} resolve
 * @property {(error: Error) => void} reject
 */

/**
 * Something sent: a promise of its answer that knows its number, 0 if it was not sent.
 *
 * @template T
 * @typedef {Promise<T> & { readonly cseq: number }} Sending
 */

/** The sendings of one room. */
export class Outbox {
  #wire;
  /** By cseq, ascending. @type {Map<number, Entry>} */
  #pending = new Map();
  /** @type {Map<number, Build>} */
  #latestWaiting = new Map();

  /** The room's number, `null` while it has none. @type {number | null} */
  channel = null;
  /** The channel is open for sending: joined, and not waiting for a resume. */
  live = false;
  /** The highest number used so far. */
  cseq = 0;
  /** Volatile messages that found no connection that takes them. */
  dropped = 0;
  /** Messages of class latest whose place a newer one took before they were sent. */
  conflated = 0;

  /** @param {Wire} wire */
  constructor(wire) {
    this.#wire = wire;
  }

  /** How much waits for an answer. */
  get unanswered() {
    return this.#pending.size;
  }

  /**
   * Sends what must be answered: now, or with `queue` once the room can be reached.
   *
   * @param {Exclude<Entry['kind'], 'volatile'>} kind
   * @param {Build} build
   * @param {{ local?: any, queue?: boolean }} [options]
   * @returns {Sending<any>}
   */
  send(kind, build, { local, queue = false } = {}) {
    const encoded = this.#encode(build);
    if (encoded instanceof Error) {
      return unsent(encoded);
    }
    if (!this.live) {
      if (!queue) {
        return unsent(new DroppedError('offline', 'not connected; queue: true waits'));
      }
      const waiting = [...this.#pending.values()].filter(({ sent }) => !sent);
      const bytes = waiting.reduce((sum, it) => sum + it.bytes, encoded.length);
      const { queueMax = 100, queueBytesMax = 2 ** 20 } = this.#wire.options;
      if (waiting.length >= queueMax || bytes > queueBytesMax) {
        return unsent(queueFull(waiting.length));
      }
    }
    return this.#add(kind, build, encoded, local);
  }

  /**
   * Sends what is dealt with by a room with rules, now or never.
   *
   * @param {Build} build
   * @param {boolean} isAnswered whether the room says when it has dealt with it
   * @returns {Sending<any>}
   */
  sendVolatile(build, isAnswered) {
    const encoded = this.#encode(build);
    if (encoded instanceof Error) {
      return unsent(encoded);
    }
    if (!this.live || this.#wire.congested()) {
      this.dropped += 1;
      return unsent(new DroppedError('dropped', 'not connected'));
    }
    if (isAnswered) {
      return this.#add('volatile', build, encoded);
    }
    this.#wire.post(encoded);
    return sent(++this.cseq);
  }

  /**
   * Sends what only matters until the next of its key: now, or later if it still is the newest.
   *
   * @param {Build} build
   * @param {number} key
   * @returns {Sending<any>}
   */
  sendLatest(build, key) {
    const encoded = this.#encode(build);
    if (encoded instanceof Error) {
      return unsent(encoded);
    }
    this.conflated += Number(this.#latestWaiting.delete(key));
    if (this.live && !this.#wire.congested()) {
      this.#wire.post(encoded);
      return sent(++this.cseq);
    }
    this.#latestWaiting.set(key, build);
    return sent(0);
  }

  /** Sends what waited for the connection to take more. */
  flushLatest() {
    if (this.live && !this.#wire.congested()) {
      this.#latestWaiting.forEach((build) => this.#wire.post(this.#encoded(build, ++this.cseq)));
      this.#latestWaiting.clear();
    }
  }

  /**
   * The room is entered, or found again: what it has not dealt with is sent again.
   *
   * @param {number} appliedCseq
   */
  sendAgain(appliedCseq) {
    this.#reject(({ cseq, kind }) => kind === 'volatile' && cseq > appliedCseq, new DroppedError('dropped', 'not connected'));
    this.#pending.forEach((entry) => entry.cseq > appliedCseq && this.#sendEntry(entry));
    // Answers are not in the log, so a request that was dealt with is simply asked anew.
    this.takeAll(({ cseq, kind }) => kind === 'request' && cseq <= appliedCseq).forEach((entry) => this.#askAnew(entry));
    this.flushLatest();
  }

  /**
   * What the room has dealt with and did not come back was answered on the lost connection.
   *
   * @param {number} appliedCseq
   */
  settle(appliedCseq) {
    this.takeAll(({ cseq }) => cseq <= appliedCseq).forEach((entry) => settleRepeated(entry, { seq: null, repeated: true }));
  }

  /**
   * What was sent under this number, to be settled by the caller.
   *
   * @param {number} cseq
   */
  take(cseq) {
    const entry = this.#pending.get(cseq);
    this.#pending.delete(cseq);
    return entry;
  }

  /** @param {Extract<ServerMessage, { tag: 'ack' }>['body']} body */
  ack({ cseq, seq, durability }) {
    const entry = this.take(cseq);
    if (entry?.kind === 'request') {
      this.#askAnew(entry);
    } else if (entry !== undefined) {
      // A change of attributes has no number where presence is not logged.
      const repeated = seq === null && entry.kind !== 'attributes';
      settleRepeated(entry, { seq, repeated, durability });
    }
  }

  /**
   * Nobody waits for the answer any more; what was not sent yet is not sent.
   *
   * @param {Promise<any>} sending
   * @param {Error} error
   */
  giveUp(sending, error) {
    this.#reject(({ done }) => done === sending, error);
  }

  /** What was sent and not answered has become unknown. */
  giveUpSent() {
    this.#reject(({ sent, kind, local }) => sent && (kind !== 'attributes' || local()), new OutcomeUnknownError());
  }

  /** Edits name entities of the state that there was: in another they would mean something else. */
  dropEdits() {
    this.#reject(({ kind }) => kind === 'edit', new DroppedError('dropped', 'the state is gone'));
  }

  /**
   * The room is left for good.
   *
   * @param {Error} error
   */
  end(error) {
    this.channel = null;
    this.#latestWaiting.clear();
    this.#reject(() => true, error);
  }

  /**
   * Takes out all for which `test` holds, ascending, to be settled by the caller.
   *
   * @param {(entry: Entry) => boolean} test
   */
  takeAll(test) {
    const taken = [...this.#pending.values()].filter(test);
    taken.forEach(({ cseq }) => this.#pending.delete(cseq));
    return taken;
  }

  /**
   * @param {(entry: Entry) => boolean} test
   * @param {Error} error
   */
  #reject(test, error) {
    this.takeAll(test).forEach(({ reject }) => reject(error));
  }

  /**
   * The message under the next number, or why it cannot be sent, now or later.
   *
   * @param {Build} build
   * @returns {Uint8Array | Error}
   */
  #encode(build) {
    if (this.channel === null) {
      return new LeftError('left');
    }
    const { limits, options } = this.#wire;
    if (this.#pending.size >= (options.pendingMax ?? 1_000)) {
      return queueFull(this.#pending.size);
    }
    const encoded = this.#encoded(build, this.cseq + 1);
    return encoded.length + 9 > (limits?.message_bytes_max ?? Infinity)
      ? new LimitError('too_large', `${encoded.length} bytes`)
      : encoded;
  }

  /**
   * @param {Entry['kind']} kind
   * @param {Build} build
   * @param {Uint8Array} encoded under the next number
   * @param {any} [local]
   * @returns {Sending<any>}
   */
  #add(kind, build, encoded, local) {
    const cseq = ++this.cseq;
    /** @type {any} */
    const entry = { cseq, kind, local, build, bytes: encoded.length, sent: this.live };
    entry.done = new Promise((resolve, reject) => {
      entry.reject = reject;
      entry.resolve = (/** @type {any} */ value) => {
        if (kind === 'attributes') {
          local(); // At once: the next join may be said before who waits is told.
        }
        resolve(value);
      };
    });
    this.#pending.set(cseq, entry);
    if (this.live) {
      this.#wire.post(encoded);
    }
    return numbered(entry.done, cseq);
  }

  /** @param {Entry} entry */
  #sendEntry(entry) {
    entry.sent = true;
    this.#wire.post(this.#encoded(entry.build, entry.cseq));
  }

  /** @param {Entry} entry a request that is not pending any more */
  #askAnew(entry) {
    entry.cseq = ++this.cseq;
    this.#pending.set(entry.cseq, entry);
    this.#sendEntry(entry);
  }

  /**
   * @param {Build} build
   * @param {number} cseq
   */
  #encoded(build, cseq) {
    return this.#wire.encode(build({ channel: this.channel ?? 0, cseq }));
  }
}

/**
 * Something was dealt with on a lost connection, and so was the answer. What became of an edit is
 * more than that, and cannot be said again.
 *
 * @param {Entry} entry
 * @param {Receipt} receipt
 */
function settleRepeated(entry, receipt) {
  if (entry.kind === 'edit') {
    entry.reject(new OutcomeUnknownError());
  } else {
    entry.resolve(receipt);
  }
}

/** @param {number} count */
function queueFull(count) {
  return new LimitError('queue_full', `${count} wait`);
}

/**
 * @param {number} cseq
 * @returns {Sending<Receipt>}
 */
function sent(cseq) {
  return numbered(Promise.resolve({ seq: null, repeated: false }), cseq);
}

/**
 * @param {Error} error
 * @returns {Sending<never>}
 */
export function unsent(error) {
  return numbered(Promise.reject(error), 0);
}

/**
 * @template T
 * @param {Promise<T>} done
 * @param {number} cseq
 * @returns {Sending<T>}
 */
function numbered(done, cseq) {
  // Whoever does not care for the answer need not catch.
  done.catch(() => {});
  return Object.assign(done, { cseq });
}
