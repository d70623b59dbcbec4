/**
 * What a member sends to its room: numbers it, keeps what must be answered until it is, and holds
 * back the newest of class latest while the connection takes no more. It outlives connections.
 *
 * Deliberately absent: what the messages say, and what the room answers to the application.
 *
 * @module
 */

import { DroppedError, LeftError, LimitError, OutcomeUnknownError } from './errors.js';
import { Pending } from './pending.js';

/** @typedef {import('./codec.js').ClientMessage} ClientMessage */
/** @typedef {import('./codec.js').ServerMessage} ServerMessage */
/** @typedef {import('./pending.js').Entry} Entry */
/** @typedef {import('./types.js').Receipt} Receipt */

/**
 * What it needs of the client.
 *
 * @typedef {object} Wire
 * @property {(message: ClientMessage) => Uint8Array} encode
 * @property {(encoded: Uint8Array) => void} send
 * @property {() => boolean} congested whether the connection has more than it can take for now
 * @property {() => number} messageBytesMax
 * @property {number} pendingMax most unanswered sendings of a room
 * @property {number} queueMax most sendings of a room that wait for a connection
 * @property {number} queueBytesMax and their bytes
 */

/**
 * Makes a message of the room's number and the sending's, anew for every sending: the numbers of
 * types may change.
 *
 * @typedef {(head: { channel: number, cseq: number }) => ClientMessage} Build
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
  #pending = new Pending();
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
        return unsent(new DroppedError('offline', 'the room cannot be reached for now, and the message was not to wait (queue: true)'));
      }
      if (this.#pending.waiting >= this.#wire.queueMax || this.#pending.waitingBytes + encoded.length > this.#wire.queueBytesMax) {
        return unsent(new LimitError('queue_full', `${this.#pending.waiting} messages wait for the connection already`));
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
      return unsent(new DroppedError('dropped', 'the room cannot be reached for now'));
    }
    if (isAnswered) {
      return this.#add('volatile', build, encoded, undefined);
    }
    this.#wire.send(encoded);
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
      this.#wire.send(encoded);
      return sent(++this.cseq);
    }
    this.#latestWaiting.set(key, build);
    return sent(0);
  }

  /** Sends what waited for the connection to take more. */
  flushLatest() {
    if (this.live && !this.#wire.congested()) {
      for (const build of this.#latestWaiting.values()) {
        this.#wire.send(this.#wire.encode(build(this.#head(++this.cseq))));
      }
      this.#latestWaiting.clear();
    }
  }

  /**
   * The room is entered, or found again: what it has not dealt with is sent again.
   *
   * @param {number} appliedCseq
   */
  sendAgain(appliedCseq) {
    for (const { reject } of this.#pending.takeAll(({ cseq, kind }) => kind === 'volatile' && cseq > appliedCseq)) {
      reject(new DroppedError('dropped', 'the connection was lost'));
    }
    for (const entry of this.#pending.all()) {
      if (entry.cseq > appliedCseq) {
        this.#sendEntry(entry);
      }
    }
    // Answers are not in the log, so a request that was dealt with is simply asked anew.
    for (const entry of this.#pending.takeAll(({ cseq, kind }) => kind === 'request' && cseq <= appliedCseq)) {
      this.#askAnew(entry);
    }
    this.flushLatest();
  }

  /**
   * What the room has dealt with and did not come back was answered on the lost connection.
   *
   * @param {number} appliedCseq
   */
  settle(appliedCseq) {
    for (const entry of this.#pending.takeAll(({ cseq }) => cseq <= appliedCseq)) {
      settleRepeated(entry, { seq: null, repeated: true });
    }
  }

  /**
   * A room with rules has dealt with everything sent up to here, and what it refused was said.
   *
   * @param {{ cseq: number, tick: number }} ack
   */
  covered({ cseq, tick }) {
    const isCovered = (/** @type {Entry} */ entry) =>
      entry.cseq <= cseq && (entry.kind === 'publish' || entry.kind === 'volatile');
    for (const entry of this.#pending.takeAll(isCovered)) {
      entry.resolve({ seq: null, repeated: false, tick });
    }
  }

  /**
   * What was sent under this number, to be settled by the caller.
   *
   * @param {number} cseq
   */
  take(cseq) {
    return this.#pending.take(cseq);
  }

  /** @param {Extract<ServerMessage, { tag: 'ack' }>['body']} body */
  ack({ cseq, seq, durability }) {
    const entry = this.#pending.take(cseq);
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
    this.#pending.takeAll((entry) => entry.done === sending)[0]?.reject(error);
  }

  /**
   * What was sent and not answered has become unknown.
   *
   * @param {string} why
   */
  giveUpSent(why) {
    for (const entry of this.#pending.takeAll(({ sent }) => sent)) {
      entry.reject(new OutcomeUnknownError(why));
    }
  }

  /** Edits name entities of the state that there was: in another they would mean something else. */
  dropEdits() {
    for (const entry of this.#pending.takeAll(({ kind }) => kind === 'edit')) {
      entry.reject(new DroppedError('dropped', 'the state that it was for is gone'));
    }
  }

  /**
   * The room is left for good.
   *
   * @param {Error} error
   */
  end(error) {
    this.live = false;
    this.channel = null;
    this.#latestWaiting.clear();
    for (const entry of this.#pending.takeAll(() => true)) {
      entry.reject(error);
    }
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
    if (this.#pending.size >= this.#wire.pendingMax) {
      return new LimitError('queue_full', `${this.#pending.size} messages wait for their answers already`);
    }
    const encoded = this.#wire.encode(build(this.#head(this.cseq + 1)));
    return encoded.length + 9 > this.#wire.messageBytesMax()
      ? new LimitError('too_large', `a message of ${encoded.length} bytes is more than the server takes`)
      : encoded;
  }

  /**
   * @param {Entry['kind']} kind
   * @param {Build} build
   * @param {Uint8Array} encoded under the next number
   * @param {any} local
   * @returns {Sending<any>}
   */
  #add(kind, build, encoded, local) {
    const cseq = ++this.cseq;
    /** @type {any} */
    const entry = { cseq, kind, local, build, bytes: encoded.length, sent: this.live };
    entry.done = new Promise((resolve, reject) => Object.assign(entry, { resolve, reject }));
    this.#pending.add(entry);
    if (this.live) {
      this.#wire.send(encoded);
    }
    return numbered(entry.done, cseq);
  }

  /** @param {Entry} entry */
  #sendEntry(entry) {
    entry.sent = true;
    this.#wire.send(this.#wire.encode(entry.build(this.#head(entry.cseq))));
  }

  /** @param {Entry} entry a request that is not pending any more */
  #askAnew(entry) {
    entry.cseq = ++this.cseq;
    this.#pending.add(entry);
    this.#sendEntry(entry);
  }

  /** @param {number} cseq */
  #head(cseq) {
    return { channel: this.channel ?? 0, cseq };
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
    entry.reject(new OutcomeUnknownError('the edit was dealt with, and the answer lost; the state shows what came of it'));
  } else {
    entry.resolve(receipt);
  }
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
