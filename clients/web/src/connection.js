/**
 * One connection: messages to bytes and back, over whatever transport. Once `drop` was called
 * nothing more is heard of it, whatever the transport still does; a connection that hangs while
 * closing must not hold up the next.
 *
 * Deliberately absent: what the messages mean, and when to connect again.
 *
 * @module
 */

import { packBatches, splitBatch } from './batch.js';
import { decode } from './codec.js';
import { DecodeError } from './errors.js';

/** @typedef {import('./codec.js').ServerMessage} ServerMessage */
/** @typedef {import('./codec.js').Table} Table */
/** @typedef {import('./types.js').Pipe} Pipe */
/** @typedef {import('./types.js').PipeEvents} PipeEvents */

/**
 * @typedef {object} Handlers
 * @property {Table} hears what the server says
 * @property {{ message_bytes_max: number } | null} limits of what it accepts, once it has said so
 * @property {() => void} opened
 * @property {(message: ServerMessage | Uint8Array) => Promise<void> | void} received as it came if it is not known; may say until when what comes behind it has to wait
 * @property {() => void} ended everything of a batch was received
 * @property {(code: number, reason: string) => void} closed
 * @property {(error: Error) => void} garbled the server sent what is not a message
 */

/** Largest batch to send before the server has said what it accepts. */
const BATCH_BYTES_MAX = 64 * 1024;

/** One connection. */
export class Connection {
  #pipe;
  #handlers;
  /** @type {Uint8Array[]} */
  #waiting = [];
  /** What has to wait for what came before it. @type {(() => Promise<void> | void)[] | null} */
  #queue = null;
  #dropped = false;

  /**
   * @param {(hears: PipeEvents) => Pipe} open
   * @param {Handlers} handlers
   */
  constructor(open, handlers) {
    this.#handlers = handlers;
    this.#pipe = open({
      opened: () => this.#inTurn(() => handlers.opened()),
      received: (data) => this.#inTurn(() => this.#read(data)),
      closed: (code, reason) =>
        this.#inTurn(() => {
          this.#dropped = true;
          handlers.closed(code, reason);
        }),
    });
  }

  /** Bytes handed to the transport and not yet to the network. */
  get bufferedAmount() {
    return this.#pipe.bufferedAmount;
  }

  /**
   * Sends a message. Those of one turn of the event loop share a batch.
   *
   * @param {Uint8Array} encoded one message
   */
  send(encoded) {
    if (this.#waiting.push(encoded) === 1) {
      queueMicrotask(() => this.#flush());
    }
  }

  /**
   * Closes the transport and forgets it: no handler is called any more.
   *
   * @param {number} code 1000 ends the session, anything else leaves it to be resumed
   * @param {string} reason
   */
  drop(code, reason) {
    if (!this.#dropped) {
      this.#flush();
      this.#dropped = true;
      try {
        this.#pipe.close(code, reason);
      } catch {
        // What cannot be closed is closed already.
      }
    }
  }

  #flush() {
    const messages = this.#waiting;
    this.#waiting = [];
    if (!this.#dropped) {
      packBatches(messages, this.#handlers.limits?.message_bytes_max ?? BATCH_BYTES_MAX).forEach((batch) => this.#pipe.send(/** @type {Uint8Array<ArrayBuffer>} */ (batch)));
    }
  }

  /** @param {unknown} data */
  #read(data) {
    let messages;
    try {
      if (!(data instanceof ArrayBuffer)) {
        throw new DecodeError('not binary');
      }
      // All of a batch before any of it is acted upon.
      messages = splitBatch(new Uint8Array(data)).map((encoded) => decode(this.#handlers.hears, encoded) ?? encoded);
    } catch (error) {
      this.#handlers.garbled(/** @type {DecodeError} */ (error));
      return;
    }
    // A message may be the reason to drop the connection: then the rest of its batch is void.
    messages.forEach((message) => this.#inTurn(() => this.#handlers.received(message)));
    this.#inTurn(() => this.#handlers.ended());
  }

  /** @param {() => Promise<void> | void} action */
  #inTurn(action) {
    if (this.#queue) {
      this.#queue.push(action);
    } else if (!this.#dropped) {
      const done = action();
      if (done) {
        /** @type {(() => Promise<void> | void)[]} */
        const queue = (this.#queue = []);
        void done.finally(() => {
          this.#queue = null;
          queue.forEach((action) => this.#inTurn(action));
        });
      }
    }
  }
}
