/**
 * Both directions of the wire as a whole, state included.
 *
 * @module
 */

import { CLIENT_SECTIONS, SERVER_SECTIONS, decode, encode, tableOf } from '../../src/codec.js';
import { DecodeError } from '../../src/errors.js';
import { choice, oneOf, struct, text, u32, u53 } from '../../src/schema.js';
import { learnStats } from '../../src/asking.js';
import { learnSeldom } from '../../src/seldom.js';
import { STATE_CLIENT_SECTIONS, STATE_SERVER_SECTIONS } from '../../src/statecodec.js';

/** @typedef {import('../../src/codec.js').ClientMessage} ClientMessage */
/** @typedef {import('../../src/codec.js').ServerMessage} ServerMessage */

/** What backends say and this client does not. */
const MANAGE = struct({
  channel: u32,
  cseq: u53,
  action: oneOf({ kick: struct({ member: u32 }), ban: struct({ user: text, seconds: u32 }), unban: struct({ user: text }), close: null }),
});

const CLIENT = tableOf([...CLIENT_SECTIONS, ...STATE_CLIENT_SECTIONS, [12, { manage: MANAGE }]]);
const SERVER = tableOf([...SERVER_SECTIONS, ...STATE_SERVER_SECTIONS]);
learnStats(CLIENT, SERVER, struct);
learnSeldom(CLIENT, SERVER, { choice, struct });

/** @param {ClientMessage} message */
export const encodeClient = (message) => encode(CLIENT, message);

/** @param {ServerMessage} message */
export const encodeServer = (message) => encode(SERVER, message);

/**
 * An unknown tag is an error.
 *
 * @param {Uint8Array} bytes
 * @returns {ClientMessage}
 */
export function decodeClient(bytes) {
  const message = decode(CLIENT, bytes);
  if (message === null) {
    throw new DecodeError('no client message has this tag');
  }
  return message;
}

/**
 * Null for an unknown tag, to be skipped.
 *
 * @param {Uint8Array} bytes
 * @returns {ServerMessage | null}
 */
export const decodeServer = (bytes) => decode(SERVER, bytes);
