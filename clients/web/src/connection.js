/**
 * One WebSocket: bytes to messages and back. Once `drop` was called nothing more is heard of it,
 * whatever the socket still does; a connection that hangs while closing must not hold up the next.
 *
 * Deliberately absent: what the messages mean, and when to connect again.
 *
 * @module
 */

import { packBatches, splitBatch } from './batch.js';
import { decodeServer, encodeClient } from './codec.js';
import { DecodeError, UnknownTagError } from './errors.js';

/** @typedef {import('./codec.js').ClientMessage} ClientMessage */
/** @typedef {import('./codec.js').ServerMessage} ServerMessage */

/** The binary wire's WebSocket subprotocol. */
export const SUBPROTOCOL = 'madang.v1';

/**
 * @typedef {object} Handlers
 * @property {() => void} opened
 * @property {(message: ServerMessage) => void} received
 * @property {() => void} ended everything of a batch was received
 * @property {(code: number, reason: string) => void} closed
 * @property {(error: DecodeError) => void} garbled the server sent what is not a message
 */

/** @typedef {(new (url: string, protocols: string[]) => WebSocket)} WebSocketClass */

/** One WebSocket connection. */
export class Connection {
  #socket;
  #handlers;
  /** @type {Uint8Array[]} */
  #waiting = [];
  #dropped = false;

  /** Largest WebSocket message to send, in bytes; the server says it in its welcome. */
  messageBytesMax = 64 * 1024;

  /** Messages of a later version that were skipped. */
  skipped = 0;

  /**
   * @param {WebSocketClass} WebSocket
   * @param {string} url
   * @param {Handlers} handlers
   */
  constructor(WebSocket, url, handlers) {
    this.#handlers = handlers;
    this.#socket = new WebSocket(url, [SUBPROTOCOL]);
    this.#socket.binaryType = 'arraybuffer';
    this.#socket.onopen = () => this.#unlessDropped(() => handlers.opened());
    this.#socket.onmessage = (event) => this.#unlessDropped(() => this.#read(event.data));
    this.#socket.onclose = (event) =>
      this.#unlessDropped(() => {
        this.#dropped = true;
        handlers.closed(event.code, event.reason);
      });
    // The close that follows every error says all there is to know.
    this.#socket.onerror = () => {};
  }

  /** Bytes handed to the socket and not yet to the network. */
  get bufferedBytes() {
    return this.#socket.bufferedAmount;
  }

  /**
   * Sends a message. Those of one turn of the event loop share a WebSocket message.
   *
   * @param {ClientMessage} message
   */
  send(message) {
    this.sendEncoded(encodeClient(message));
  }

  /** @param {Uint8Array} encoded one message */
  sendEncoded(encoded) {
    if (this.#dropped) {
      return;
    }
    this.#waiting.push(encoded);
    if (this.#waiting.length === 1) {
      queueMicrotask(() => this.#flush());
    }
  }

  /**
   * Closes the socket and forgets it: no handler is called any more.
   *
   * @param {number} code 1000 ends the session, anything else leaves it to be resumed
   * @param {string} reason
   */
  drop(code, reason) {
    if (this.#dropped) {
      return;
    }
    this.#flush();
    this.#dropped = true;
    try {
      this.#socket.close(code, reason);
    } catch {
      // A socket that cannot be closed is closed already.
    }
  }

  #flush() {
    const messages = this.#waiting;
    this.#waiting = [];
    if (this.#dropped || this.#socket.readyState !== 1) {
      return;
    }
    for (const batch of packBatches(messages, this.messageBytesMax)) {
      this.#socket.send(/** @type {Uint8Array<ArrayBuffer>} */ (batch));
    }
  }

  /** @param {unknown} data */
  #read(data) {
    let messages;
    try {
      messages = this.#decode(data);
    } catch (error) {
      if (error instanceof DecodeError) {
        this.#handlers.garbled(error);
        return;
      }
      throw error;
    }
    for (const message of messages) {
      // A message may be the reason to drop the connection: then the rest of its batch is void.
      this.#unlessDropped(() => this.#handlers.received(message));
    }
    this.#unlessDropped(() => this.#handlers.ended());
  }

  /**
   * All of a batch before any of it is acted upon, but for what a later version has put there.
   *
   * @param {unknown} data
   */
  #decode(data) {
    if (!(data instanceof ArrayBuffer)) {
      throw new DecodeError('the binary wire has no text messages');
    }
    const messages = [];
    for (const encoded of splitBatch(new Uint8Array(data))) {
      const message = decodeKnown(encoded);
      if (message === null) {
        this.skipped += 1;
      } else {
        messages.push(message);
      }
    }
    return messages;
  }

  /** @param {() => void} action */
  #unlessDropped(action) {
    if (!this.#dropped) {
      action();
    }
  }
}

/**
 * Whether a redirect leads to a WebSocket, and not from an encrypted one to one in the clear.
 *
 * @param {string} url
 * @param {string} from
 */
export function mayFollow(url, from) {
  const allowed = from.startsWith('wss:') ? ['wss:'] : ['ws:', 'wss:'];
  try {
    return allowed.includes(new URL(url).protocol);
  } catch {
    return false;
  }
}

/** @param {Uint8Array} encoded */
function decodeKnown(encoded) {
  try {
    return decodeServer(encoded);
  } catch (error) {
    if (error instanceof UnknownTagError) {
      return null;
    }
    throw error;
  }
}
