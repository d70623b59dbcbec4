/**
 * The messages about a room's state, both ways: what the plug-in adds to the codec.
 *
 * @module
 */

import { bool, bytes, float, int, list, oneOf, option, pair, struct, text, u32, u53 } from './schema.js';

/** @template S @typedef {import('./schema.js').Shape<S>} Shape */
/** @template S @typedef {import('./schema.js').Of<S>} Of */
/** @template {Record<string, Shape<any>>} M @typedef {import('./codec.js').Tagged<M>} Tagged */
/** @typedef {import('./codec.js').Section} Section */

const part = oneOf({ members: null, team: u32, owner: null, cell: u32, spectators: null });
const scalarValue = oneOf({
  bool,
  int,
  uint: u53,
  number: float,
  text,
  bytes,
  vec2: pair(float, float),
  vec3: triple(float, float, float),
});
const fieldValue = oneOf({ one: scalarValue, list: list(scalarValue) });
const entityRef = oneOf({ id: u32, temp: u32 });
const stateEdit = oneOf({
  create: struct({ temp: u32, kind: u32, fields: list(pair(u32, fieldValue)) }),
  set: struct({
    entity: entityRef,
    field: u32,
    value: option(fieldValue),
    if_version: option(u53),
  }),
  remove: struct({ entity: entityRef }),
  give: struct({ entity: entityRef, to: u32 }),
});
const edit = struct({ channel: u32, cseq: u53, edits: list(stateEdit) });

const snapshot = struct({ channel: u32, part, tick: u53, seq: u53, hash: u32, state: bytes });
const delta = struct({
  channel: u32,
  part,
  base_tick: u53,
  tick: u53,
  seq: u53,
  hash: u32,
  changes: bytes,
});
const editRefusal = oneOf({
  unknown: null,
  invalid: null,
  not_owner: null,
  changed: null,
  full: null,
  no_such_member: null,
});
const edited = struct({
  channel: u32,
  cseq: u53,
  tick: u53,
  created: list(pair(u32, u32)),
  refused: list(pair(u32, editRefusal)),
});

/** From tag 9 on. */
const CLIENT = /** @type {const} */ ({
  resync: struct({ channel: u32, part, tick: u53, hash: u32 }),
  edit,
});
/** From tag 18 on. */
const SERVER_18 = /** @type {const} */ ({ snapshot, delta });
/** From tag 21 on. */
const SERVER_21 = /** @type {const} */ ({ part_gone: struct({ channel: u32, part }), edited });

/** @type {Section[]} */
export const STATE_CLIENT_SECTIONS = [[9, CLIENT]];
/** @type {Section[]} */
export const STATE_SERVER_SECTIONS = [[18, SERVER_18], [21, SERVER_21]];

/** @typedef {Of<typeof part>} Part */
/** @typedef {Of<typeof snapshot>} Snapshot */
/** @typedef {Of<typeof delta>} Delta */
/** @typedef {Of<typeof scalarValue>} ScalarValue */
/** @typedef {Of<typeof fieldValue>} FieldValue */
/** @typedef {Of<typeof entityRef>} EntityRef */
/** @typedef {Of<typeof stateEdit>} StateEdit */
/** @typedef {Of<typeof edited>} Edited */
/** @typedef {Of<typeof editRefusal>} EditRefusal */
/** @typedef {Tagged<typeof CLIENT>} StateClientMessage */
/** @typedef {Tagged<typeof SERVER_18> | Tagged<typeof SERVER_21>} StateServerMessage */

/**
 * Three values in a row.
 *
 * @template A, B, C
 * @param {Shape<A>} first
 * @param {Shape<B>} second
 * @param {Shape<C>} third
 * @returns {Shape<[A, B, C]>}
 */
export function triple(first, second, third) {
  return (io, value) => [first(io, value?.[0]), second(io, value?.[1]), third(io, value?.[2])];
}
