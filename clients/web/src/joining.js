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

/** @type {Set<string>} */
const REFUSED_FOR_NOW = new Set(['busy', 'server_full', 'room_full']);

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
  const create = options.create;
  // Whoever asked to create the room has done so: the second time it must only be entered.
  const mode = options.mode === 'create' && entered ? 'either' : options.mode;
  return {
    tag: 'join',
    body: {
      ref,
      target:
        name !== '' || typeof target === 'string'
          ? { name }
          : { match: { kind: target.kind, filter: Object.entries(target.filter ?? {}) } },
      mode: mode ?? 'either',
      options: {
        attributes: toAttributes(attributes),
        echo: options.echo ?? true,
        create: create
          ? {
              capacity: create.capacity ?? null,
              presence: create.presence ?? null,
              public: create.public ?? null,
              labels: Object.entries(create.labels ?? {}),
            }
          : null,
      },
      since,
      history: options.history ?? 0,
      ext: extensions(options),
    },
  };
}

/**
 * What a room of kind `shared` is made with.
 *
 * @param {JoinOptions} options
 * @returns {[number, Uint8Array][]}
 */
function extensions({ schema, onLeave }) {
  /** @type {[number, Uint8Array][]} */
  const list = [];
  if (schema !== undefined) {
    list.push([EXT_SCHEMA, new TextEncoder().encode(JSON.stringify(schema))]);
  }
  if (onLeave !== undefined) {
    list.push([EXT_ON_LEAVE, new Uint8Array([ON_LEAVE.indexOf(onLeave)])]);
  }
  return list;
}

/**
 * Whether a join that was refused may be tried again.
 *
 * @param {import('./errors.js').RefusedError} error
 */
export function mayRetryJoin(error) {
  return REFUSED_FOR_NOW.has(error.code);
}
