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
 * @property {() => void} opened
 * @property {(message: ServerMessage) => void} received
 * @property {() => void} ended everything of a batch was received
 * @property {(code: number, reason: string) => void} closed
 * @property {(error: DecodeError) => void} garbled the server sent what is not a message
 */

/** One connection. */
export class Connection {
  #pipe;
  #table;
  #handlers;
  /** @type {Uint8Array[]} */
  #waiting = [];
  #opened = false;
  #dropped = false;

  /** Largest batch to send, in bytes; the server says it in its welcome. */
  messageBytesMax = 64 * 1024;

  /** Messages of a later version that were skipped. */
  skipped = 0;

  /**
   * @param {(hears: PipeEvents) => Pipe} open
   * @param {Table} table of what the server says
   * @param {Handlers} handlers
   */
  constructor(open, table, handlers) {
    this.#table = table;
    this.#handlers = handlers;
    this.#pipe = open({
      opened: () =>
        this.#unlessDropped(() => {
          this.#opened = true;
          handlers.opened();
        }),
      received: (data) => this.#unlessDropped(() => this.#read(data)),
      closed: (code, reason) =>
        this.#unlessDropped(() => {
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
    this.#unlessDropped(() => {
      this.#flush();
      this.#dropped = true;
      try {
        this.#pipe.close(code, reason);
      } catch {
        // What cannot be closed is closed already.
      }
    });
  }

  #flush() {
    const messages = this.#waiting;
    this.#waiting = [];
    if (this.#opened && !this.#dropped) {
      for (const batch of packBatches(messages, this.messageBytesMax)) {
        this.#pipe.send(/** @type {Uint8Array<ArrayBuffer>} */ (batch));
      }
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
      messages = splitBatch(new Uint8Array(data)).map((encoded) => decode(this.#table, encoded));
    } catch (error) {
      this.#handlers.garbled(/** @type {DecodeError} */ (error));
      return;
    }
    for (const message of messages) {
      if (message === null) {
        this.skipped += 1;
      } else {
        // A message may be the reason to drop the connection: then the rest of its batch is void.
        this.#unlessDropped(() => this.#handlers.received(message));
      }
    }
    this.#unlessDropped(() => this.#handlers.ended());
  }

  /** @param {() => void} action */
  #unlessDropped(action) {
    if (!this.#dropped) {
      action();
    }
  }
}
