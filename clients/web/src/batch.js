/**
 * The framing inside a WebSocket message: one or more of (length, message). A reader that does
 * not know a message skips it by its length.
 *
 * @module
 */

import { Reader, Writer } from './wire.js';

/** Longest length prefix of a message, in bytes. */
const PREFIX_BYTES_MAX = 9;

/**
 * The messages of a batch, as parts of it. Throws `DecodeError` when a length does not fit what
 * follows, before any message of the batch has been handed out.
 *
 * @param {Uint8Array} batch
 * @returns {Uint8Array[]}
 */
export function splitBatch(batch) {
  const reader = new Reader(batch);
  const messages = [];
  while (reader.left) {
    messages.push(reader.slice());
  }
  return messages;
}

/**
 * Packs messages into as few batches as their bound allows; the order stays.
 *
 * @param {Uint8Array[]} messages
 * @param {number} bytesMax of one batch; a message alone above it goes alone
 * @returns {Uint8Array[]}
 */
export function packBatches(messages, bytesMax) {
  const writers = [];
  /** @type {Writer | undefined} */
  let writer;
  for (const message of messages) {
    if (!writer || writer.length + message.length + PREFIX_BYTES_MAX > bytesMax) {
      writers.push((writer = new Writer()));
    }
    writer.bytes(message);
  }
  return writers.map((it) => it.finish());
}
