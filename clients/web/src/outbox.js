/**
 * What a member sends to its room: numbers it, keeps what must be answered until it is, and holds
 * back the newest of class latest while the socket takes no more. It outlives connections.
 *
 * Deliberately absent: what the messages say, and what the room answers to the application.
 *
 * @module
 */

import { encodeClient } from './codec.js';
import { DroppedError, LeftError, LimitError, OutcomeUnknownError } from './errors.js';
import { Pending } from './pending.js';

/** @typedef {import('./codec.js').ClientMessage} ClientMessage */
/** @typedef {import('./codec.js').ServerMessage} ServerMessage */
/** @typedef {import('./pending.js').Entry} Entry */

/**
 * What it needs of the client.
 *
 * @typedef {object} Socket
 * @property {(message: ClientMessage) => void} send
 * @property {() => boolean} congested whether the socket has more than it can take for now
 * @property {() => number} messageBytesMax
 * @property {number} pendingMax most unanswered sendings of a room
 */

/**
 * Something that was sent, or waits for it: its number and its answer.
 *
 * @typedef {{ cseq: number, done: Promise<any> }} Sending
 */

/** The sendings of one room. */
export class Outbox {
  #socket;
  #typeRef;
  #pending = new Pending();
  /** @type {Map<number, ClientMessage & { tag: 'publish' }>} */
  #latestWaiting = new Map();

  /** The room's number, `null` while it has none. @type {number | null} */
  channel = null;
  /** The channel is open for sending: joined, and not waiting for a resume. */
  live = false;
  /** The highest number used so far. */
  cseq = 0;

  /**
   * @param {Socket} socket
   * @param {(type: string) => string | number} typeRef what to call a type by, for now
   */
  constructor(socket, typeRef) {
    this.#socket = socket;
    this.#typeRef = typeRef;
  }

  /** How much waits for an answer. */
  get unanswered() {
    return this.#pending.size;
  }

  /**
   * Sends what must be answered, now or once the room can be reached.
   *
   * @param {Exclude<Entry['kind'], 'volatile'>} kind
   * @param {any} local
   * @param {(head: { channel: number, cseq: number }) => ClientMessage} build
   * @returns {Sending}
   */
  send(kind, local, build) {
    const refused = this.#refusal(build);
    return refused === null ? this.#add(kind, local, build) : unsent(refused);
  }

  /**
   * Sends what is dealt with by a room with rules, now or never.
   *
   * @param {(head: { channel: number, cseq: number }) => ClientMessage} build
   * @returns {Sending}
   */
  sendVolatile(build) {
    const refused = this.#refusal(build);
    if (refused !== null) {
      return unsent(refused);
    }
    if (!this.live || this.#socket.congested()) {
      return unsent(new DroppedError('the room cannot be reached for now'));
    }
    return this.#add('volatile', undefined, build);
  }

  /**
   * Sends what is not answered: now, later if it is the newest of its key, or never.
   *
   * @param {string} type
   * @param {import('./codec.js').WirePayload} payload
   * @param {'latest' | 'volatile'} deliveryClass
   * @param {number} key
   */
  sendEphemeral(type, payload, deliveryClass, key) {
    const open = this.live && !this.#socket.congested();
    if (!open && deliveryClass === 'volatile') {
      return;
    }
    /** @type {ClientMessage & { tag: 'publish' }} */
    const message = {
      tag: 'publish',
      body: {
        ...this.#head(open ? ++this.cseq : 0),
        class: deliveryClass === 'latest' ? { latest: key } : 'volatile',
        // By name while it waits: the numbers may be others by then.
        type: open ? this.#typeRef(type) : type,
        payload,
      },
    };
    if (open) {
      this.#latestWaiting.delete(key);
      this.#socket.send(message);
    } else {
      this.#latestWaiting.set(key, message);
    }
  }

  /** Sends what waited for the socket to take more. */
  flushLatest() {
    if (!this.live || this.#socket.congested()) {
      return;
    }
    for (const message of this.#latestWaiting.values()) {
      message.body.cseq = ++this.cseq;
      message.body.channel = this.channel ?? 0;
      this.#socket.send(message);
    }
    this.#latestWaiting.clear();
  }

  /**
   * The room is entered, or found again: what it has not dealt with is sent again.
   *
   * @param {number} appliedCseq
   */
  sendAgain(appliedCseq) {
    for (const { reject } of this.#pending.takeAll(
      ({ cseq, kind }) => kind === 'volatile' && cseq > appliedCseq,
    )) {
      reject(new DroppedError('the connection was lost'));
    }
    for (const entry of this.#pending.all()) {
      if (entry.cseq > appliedCseq) {
        this.#sendEntry(entry);
      }
    }
    // Answers are not in the log, so a request that was dealt with is simply asked anew.
    for (const entry of this.#pending.takeAll(
      ({ cseq, kind }) => kind === 'request' && cseq <= appliedCseq,
    )) {
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
   * A room with rules has dealt with everything published up to here, and what it refused was said.
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

  /** Edits name entities of the state that there was: in another they would mean something else. */
  dropEdits() {
    for (const entry of this.#pending.takeAll(({ kind }) => kind === 'edit')) {
      entry.reject(new DroppedError('the state that it was for is gone'));
    }
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
   * Why a message cannot be sent, now or later.
   *
   * @param {(head: { channel: number, cseq: number }) => ClientMessage} build
   */
  #refusal(build) {
    if (this.channel === null) {
      return new LeftError('left');
    }
    if (this.#pending.size >= this.#socket.pendingMax) {
      return new LimitError(`${this.#pending.size} messages wait already`);
    }
    const encoded = encodeClient(build(this.#head(this.cseq + 1))).length;
    return encoded + 9 > this.#socket.messageBytesMax()
      ? new LimitError(`a message of ${encoded} bytes is more than the server takes`)
      : null;
  }

  /**
   * @param {Entry['kind']} kind
   * @param {any} local
   * @param {(head: { channel: number, cseq: number }) => ClientMessage} build
   * @returns {Sending}
   */
  #add(kind, local, build) {
    const cseq = ++this.cseq;
    const done = new Promise((resolve, reject) => {
      const entry = { cseq, kind, local, build, sent: false, resolve, reject };
      this.#pending.add(entry);
      if (this.live) {
        this.#sendEntry(entry);
      }
    });
    // Whoever does not care for the receipt need not catch.
    done.catch(() => {});
    return { cseq, done };
  }

  /** @param {Entry} entry */
  #sendEntry(entry) {
    entry.sent = true;
    this.#socket.send(entry.build(this.#head(entry.cseq)));
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
 * @param {import('./pending.js').Receipt} receipt
 */
function settleRepeated(entry, receipt) {
  if (entry.kind === 'edit') {
    entry.reject(new OutcomeUnknownError('the edit was dealt with, and the answer lost; the state shows what came of it'));
  } else {
    entry.resolve(receipt);
  }
}

/**
 * @param {Error} error
 * @returns {Sending}
 */
function unsent(error) {
  const done = Promise.reject(error);
  done.catch(() => {});
  return { cseq: 0, done };
}
