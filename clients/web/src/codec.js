/**
 * The messages of `madang.v1`, both ways. Their shape in JavaScript is that of the JSON twin,
 * with two differences: byte strings are `Uint8Array`, and a JSON payload is its text. Fixed
 * bytes (epochs, keys) are hexadecimal digits in both.
 *
 * @module
 */

import { DecodeError, UnknownTagError } from './errors.js';
import {
  bool,
  bytes,
  choice,
  fixed,
  float,
  int,
  list,
  oneOf,
  option,
  pair,
  struct,
  text,
  u16,
  u32,
  u53,
} from './schema.js';
import { Reader, Writer } from './wire.js';

/** @template S @typedef {import('./schema.js').Shape<S>} Shape */
/** @template S @typedef {import('./schema.js').Of<S>} Of */

/** Largest message or batch: 16 MiB. */
const MESSAGE_BYTES_CAP = 2 ** 24;

const epoch = fixed(8);
const sessionId = fixed(16);
const resumeKey = fixed(24);

/** An attribute's value: scalars only. Those that JavaScript tells apart stand for themselves. @type {Shape<WireValue>} */
const value = choice([() => null, bool, struct({ int }), struct({ float }), text, struct({ bytes })], (it) =>
  it === null ? 0 : typeof it === 'boolean' ? 1 : typeof it === 'string' ? 4 : 'int' in it ? 2 : 'float' in it ? 3 : 5);

/** A type's name, or the number the room gave it. @type {Shape<string | number>} */
const typeRef = choice([u32, text], (it) => Number(typeof it === 'string'));

const payload = oneOf({ bytes, text, json: text });
const attributes = list(pair(text, value));
const labels = list(pair(text, text));
const extensions = list(pair(u16, bytes));
const presenceMode = oneOf({ full: null, count: null, none: null });
const deliveryClass = oneOf({ reliable: null, latest: u32, volatile: null });
const position = struct({ epoch, seq: u53 });

const hello = struct({
  version_min: u16,
  version_max: u16,
  features: list(text),
  client: text,
  token: option(text),
  resume: option(
    struct({ key: resumeKey, rooms: list(struct({ channel: u32, epoch, seq: u53 })) }),
  ),
  ext: extensions,
});

const createOptions = struct({
  capacity: option(u32),
  presence: option(presenceMode),
  public: option(bool),
  labels,
});

const match = struct({ kind: text, filter: labels });

const join = struct({
  ref: u32,
  target: oneOf({ name: text, match }),
  mode: oneOf({ create: null, join: null, either: null }),
  options: struct({ attributes, echo: bool, create: option(createOptions) }),
  since: option(position),
  history: u32,
  ext: extensions,
});

const publish = struct({ channel: u32, cseq: u53, class: deliveryClass, type: typeRef, payload });
const direct = struct({ channel: u32, cseq: u53, to: u32, type: typeRef, payload });
const request = struct({ channel: u32, cseq: u53, type: typeRef, payload });
const setAttributes = struct({ channel: u32, cseq: u53, attributes });

const limits = struct({
  message_bytes_max: u32,
  batch_bytes_max: u32,
  rooms_max: u32,
  history_messages_max: u32,
  attributes_bytes_max: u32,
  messages_per_second: u32,
});

const welcome = struct({
  version: u16,
  features: list(text),
  session: sessionId,
  connection: u53,
  resume_key: resumeKey,
  resumed: bool,
  heartbeat_ms: u32,
  grace_ms: u32,
  limits,
  server_time_ms: u53,
  ext: extensions,
});

const memberInfo = struct({ id: u32, user: option(text), away: bool, attributes });
const roster = oneOf({ full: list(memberInfo), count: u32, none: null });

const joined = struct({
  ref: option(u32),
  channel: u32,
  name: text,
  kind: text,
  epoch,
  epoch_at_ms: u53,
  seq: u53,
  recovered: bool,
  replay: u32,
  member: u32,
  applied_cseq: u53,
  presence: presenceMode,
  roster,
  types: list(text),
  capacity: u32,
  labels,
  ext: extensions,
});

const leaveReason = oneOf({ left: null, gone: null, kicked: null, closed: null, lost: null, failed: null });
const left = struct({ channel: u32, reason: leaveReason });
const message = struct({
  channel: u32,
  seq: u53,
  from: u32,
  at: u53,
  cseq: u53,
  type: typeRef,
  payload,
});
const ephemeral = struct({ channel: u32, from: u32, key: option(u32), type: typeRef, payload });
const directMessage = struct({ channel: u32, seq: u53, from: u32, at: u53, type: typeRef, payload });
const presenceEvent = oneOf({
  join: memberInfo,
  leave: struct({ id: u32, reason: leaveReason }),
  away: u32,
  back: u32,
  attributes: struct({ id: u32, cseq: u53, changes: attributes }),
  collapsed: struct({ count: u32 }),
});
const presence = struct({ channel: u32, seq: u53, event: presenceEvent });
const ack = struct({
  channel: u32,
  cseq: u53,
  seq: option(u53),
  durability: oneOf({ sequenced: null, durable: null }),
});
/** By tag. */
const CLIENT = /** @type {const} */ ({
  hello,
  join,
  leave: struct({ channel: u32 }),
  publish,
  direct,
  request,
  set_attributes: setAttributes,
  ping: struct({ id: u53 }),
});

/** By tag. */
const SERVER = /** @type {const} */ ({
  welcome,
  joined,
  left,
  message,
  ephemeral,
  direct: directMessage,
  presence,
});

/** From tag 8 on. What is missing between and behind these is said seldom, or is what statistics and state read. */
const SERVER_8 = /** @type {const} */ ({
  ack,
  reply: struct({ channel: u32, cseq: u53, payload }),
});
const SERVER_11 = /** @type {const} */ ({
  pong: struct({ id: u53, server_time_us: u53 }),
});

const SERVER_17 = /** @type {const} */ ({ types: struct({ channel: u32, first: u32, names: list(text) }) });
const SERVER_20 = /** @type {const} */ ({ input_ack: struct({ channel: u32, tick: u53, cseq: u53 }) });

/**
 * Messages that a plug-in adds, and the tag of the first of them.
 *
 * @typedef {[first: number, messages: Record<string, Shape<any>>]} Section
 */

/** @type {Section[]} */
export const CLIENT_SECTIONS = [[0, CLIENT]];
/** @type {Section[]} */
export const SERVER_SECTIONS = [[0, SERVER], [8, SERVER_8], [11, SERVER_11], [17, SERVER_17], [20, SERVER_20]];

/** @typedef {null | boolean | string | { int: number } | { float: number } | { bytes: Uint8Array }} WireValue */
/** @typedef {Of<typeof payload>} WirePayload */
/** @typedef {[string, WireValue][]} WireAttributes */
/** @typedef {Of<typeof deliveryClass>} WireClass */
/** @typedef {Of<typeof leaveReason>} LeaveReason */
/** @typedef {Of<typeof presenceMode>} PresenceMode */
/** @typedef {Of<typeof memberInfo>} MemberInfo */
/** @typedef {Of<typeof welcome>} Welcome */
/** @typedef {Of<typeof limits>} Limits */
/** @typedef {Of<typeof createOptions>} Create */
/** @typedef {Of<typeof match>} Match */
/** @typedef {Of<typeof join>} Join */
/** @typedef {Of<typeof joined>} Joined */
/** @typedef {Of<typeof message>} Message */
/** @typedef {Of<typeof directMessage>} DirectMessage */
/** @typedef {Of<typeof ephemeral>} Ephemeral */
/** @typedef {Of<typeof presence>} Presence */
/** @typedef {Of<typeof presenceEvent>} PresenceEvent */

/**
 * A message: its name and its fields.
 *
 * @template {Record<string, Shape<any>>} M
 * @typedef {{ [K in keyof M]: { tag: K, body: Of<M[K]> } }[keyof M]} Tagged
 */
/** @typedef {Tagged<typeof CLIENT> | import('./seldom.js').SeldomClientMessage | import('./asking.js').StatsClientMessage | import('./statecodec.js').StateClientMessage} ClientMessage */
/** @typedef {Tagged<typeof SERVER> | Tagged<typeof SERVER_8> | Tagged<typeof SERVER_11> | Tagged<typeof SERVER_17> | Tagged<typeof SERVER_20> | import('./seldom.js').SeldomServerMessage | import('./asking.js').StatsServerMessage | import('./statecodec.js').StateServerMessage} ServerMessage */

/** The messages of one direction, by tag. @typedef {[name: string, shape: Shape<any>][]} Table */

/**
 * @param {readonly Section[]} sections
 * @param {readonly Section[]} [more] of a plug-in
 * @returns {Table}
 */
export function tableOf(sections, more = []) {
  /** @type {Table} */
  const table = [];
  for (const [first, messages] of [...sections, ...more]) {
    Object.entries(messages).forEach((entry, index) => {
      table[first + index] = entry;
    });
  }
  return table;
}

/**
 * One message, without a length in front.
 *
 * @param {Table} table
 * @param {{ tag: string, body: any }} it
 * @returns {Uint8Array}
 */
export function encode(table, it) {
  const tag = table.findIndex((entry) => entry?.[0] === it.tag);
  const writer = new Writer();
  // One that is not in the table has no number to be written.
  writer.u53(tag);
  table[tag][1](writer, it.body);
  return writer.finish();
}

/**
 * Decodes one message; `null` for a tag that is not in the table, or a variant that is not.
 *
 * @param {Table} table
 * @param {Uint8Array} encoded
 * @returns {any}
 */
export function decode(table, encoded) {
  if (encoded.length > MESSAGE_BYTES_CAP) {
    throw new DecodeError('too long');
  }
  const reader = new Reader(encoded);
  const [tag, shape] = table[reader.u32()] ?? [];
  if (!shape) {
    return null;
  }
  try {
    const body = shape(reader);
    reader.end();
    return { tag, body };
  } catch (error) {
    if (error instanceof UnknownTagError) {
      return null;
    }
    throw error;
  }
}
