/**
 * The message that enters a room, and which refusals of it are worth another try.
 *
 * @module
 */

import { toAttributes } from './values.js';

/** @typedef {import('./codec.js').ClientMessage} ClientMessage */
/** @typedef {import('./types.js').JoinOptions} JoinOptions */
/** @typedef {import('./types.js').Target} Target */

/** The extension of `join` and `joined` that holds a state's schema. */
export const EXT_SCHEMA = 1;
const EXT_ON_LEAVE = 2;
const ON_LEAVE = ['keep', 'remove', 'hand_over'];

/** Refusals of a join that may be tried again. */
export const REFUSED_FOR_NOW = ['busy', 'server_full', 'room_full'];

/**
 * The `join` that enters a room, or enters it again in a new session.
 *
 * @param {number} ref
 * @param {Target} target what was asked for
 * @param {JoinOptions} options
 * @param {object} known
 * @param {string} known.name empty while it is not known
 * @param {boolean} known.entered whether it was entered before
 * @param {{ epoch: string, seq: number } | null} known.since
 * @param {import('./values.js').Attributes} known.attributes
 * @returns {ClientMessage}
 */
export function joinMessage(ref, target, options, { name, entered, since, attributes }) {
  const { create, echo = true, history = 0, mode, schema, onLeave } = options;
  const ext = [
    [EXT_SCHEMA, schema && new TextEncoder().encode(JSON.stringify(schema))],
    // What a room of kind `shared` is made with.
    [EXT_ON_LEAVE, onLeave && new Uint8Array([ON_LEAVE.indexOf(onLeave)])],
  ];
  return /** @type {any} */ ({
    tag: 'join',
    body: {
      ref,
      target: typeof target === 'string' || name ? { name } : { match: { kind: target.kind, filter: pairs(target.filter) } },
      // Whoever asked to create the room has done so: the second time it must only be entered.
      mode: mode === 'create' && entered ? 'either' : mode,
      options: { attributes: toAttributes(attributes), echo, create: create && { ...create, labels: pairs(create.labels) } },
      since,
      history,
      ext: ext.filter(([, bytes]) => bytes),
    },
  });
}

const pairs = (/** @type {Record<string, string>} */ labels = {}) => Object.entries(labels);

