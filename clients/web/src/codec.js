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
  fixed,
  float,
  int,
  list,
  oneOf,
  option,
  pair,
  struct,
  text,
  triple,
  u16,
  u32,
  u53,
} from './schema.js';
import { Reader, Writer } from './wire.js';

/** @template S @typedef {import('./schema.js').Shape<S>} Shape */
/** @template S @typedef {import('./schema.js').Of<S>} Of */

/** Largest message or batch, in bytes. */
export const MESSAGE_BYTES_CAP = 16 * 1024 * 1024;

const epoch = fixed(8);
const sessionId = fixed(16);
const resumeKey = fixed(24);

/** An attribute's value: scalars only. @type {Shape<WireValue>} */
const value = {
  put(w, it) {
    if (it === null) {
      w.byte(0);
    } else if (typeof it === 'boolean') {
      w.byte(1);
      w.bool(it);
    } else if (typeof it === 'string') {
      w.byte(4);
      w.text(it);
    } else if ('int' in it) {
      w.byte(2);
      w.int(it.int);
    } else if ('float' in it) {
      w.byte(3);
      w.float(it.float);
    } else {
      w.byte(5);
      w.bytes(it.bytes);
    }
  },
  get(r) {
    const tag = r.u32();
    switch (tag) {
      case 0:
        return null;
      case 1:
        return r.bool();
      case 2:
        return { int: r.int() };
      case 3:
        return { float: r.float() };
      case 4:
        return r.text();
      case 5:
        return { bytes: r.bytes() };
      default:
        throw new UnknownTagError(`no value has the tag ${tag}`);
    }
  },
};

/** A type's name, or the number the room gave it. @type {Shape<string | number>} */
const typeRef = {
  put(w, it) {
    if (typeof it === 'number') {
      w.byte(0);
      u32.put(w, it);
    } else {
      w.byte(1);
      w.text(it);
    }
  },
  get(r) {
    const tag = r.u32();
    if (tag > 1) {
      throw new UnknownTagError(`no type reference has the tag ${tag}`);
    }
    return tag === 0 ? r.u32() : r.text();
  },
};

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

const join = struct({
  ref: u32,
  target: oneOf({ name: text, match: struct({ kind: text, filter: labels }) }),
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
const counts = struct({ sent: u53, dropped: u53, conflated: u53 });
const stats = struct({
  ref: u32,
  reliable: counts,
  latest: counts,
  volatile: counts,
  control: counts,
  queued_messages: u32,
  queued_bytes: u53,
  resumes: u32,
  state: counts,
});
const errorRef = oneOf({
  session: null,
  join: u32,
  cseq: struct({ channel: u32, cseq: u53 }),
});

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

const manageAction = oneOf({
  kick: struct({ member: u32 }),
  ban: struct({ user: text, seconds: u32 }),
  unban: struct({ user: text }),
  close: null,
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
  get_stats: struct({ ref: u32 }),
  resync: struct({ channel: u32, part, tick: u53, hash: u32 }),
  edit,
  renew: struct({ ref: u32, token: text }),
  manage: struct({ channel: u32, cseq: u53, action: manageAction }),
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
  presence_count: struct({ channel: u32, count: u32 }),
  ack,
  reply: struct({ channel: u32, cseq: u53, payload }),
  gap: struct({ channel: u32, from_seq: u53, to_seq: u53 }),
  pong: struct({ id: u53, server_time_us: u53 }),
  stats,
  error: struct({ code: u16, ref: errorRef, message: text }),
  draining: struct({ retry_after_ms: u32 }),
  redirect: struct({ url: text }),
  moved: struct({ channel: u32, epoch }),
  types: struct({ channel: u32, first: u32, names: list(text) }),
  snapshot,
  delta,
  input_ack: struct({ channel: u32, tick: u53, cseq: u53 }),
  part_gone: struct({ channel: u32, part }),
  edited,
  expiring: struct({ close_ms: u32 }),
  renewed: struct({ ref: u32, expires_ms: option(u53) }),
});

/** @typedef {null | boolean | string | { int: number } | { float: number } | { bytes: Uint8Array }} WireValue */
/** @typedef {Of<typeof payload>} WirePayload */
/** @typedef {[string, WireValue][]} WireAttributes */
/** @typedef {Of<typeof deliveryClass>} WireClass */
/** @typedef {Of<typeof leaveReason>} LeaveReason */
/** @typedef {Of<typeof presenceMode>} PresenceMode */
/** @typedef {Of<typeof memberInfo>} MemberInfo */
/** @typedef {Of<typeof welcome>} Welcome */
/** @typedef {Of<typeof limits>} Limits */
/** @typedef {Of<typeof join>} Join */
/** @typedef {Of<typeof joined>} Joined */
/** @typedef {Of<typeof message>} Message */
/** @typedef {Of<typeof directMessage>} DirectMessage */
/** @typedef {Of<typeof ephemeral>} Ephemeral */
/** @typedef {Of<typeof presence>} Presence */
/** @typedef {Of<typeof presenceEvent>} PresenceEvent */
/** @typedef {Of<typeof stats>} Stats */
/** @typedef {Of<typeof part>} Part */
/** @typedef {Of<typeof snapshot>} Snapshot */
/** @typedef {Of<typeof delta>} Delta */
/** @typedef {Of<typeof scalarValue>} ScalarValue */
/** @typedef {Of<typeof fieldValue>} FieldValue */
/** @typedef {Of<typeof entityRef>} EntityRef */
/** @typedef {Of<typeof stateEdit>} StateEdit */
/** @typedef {Of<typeof edited>} Edited */
/** @typedef {Of<typeof editRefusal>} EditRefusal */

/**
 * A message: its name and its fields.
 *
 * @template {Record<string, Shape<any>>} M
 * @typedef {{ [K in keyof M]: { tag: K, body: Of<M[K]> } }[keyof M]} Tagged
 */
/** @typedef {Tagged<typeof CLIENT>} ClientMessage */
/** @typedef {Tagged<typeof SERVER>} ServerMessage */

const clientEntries = Object.entries(CLIENT);
const serverEntries = Object.entries(SERVER);

/**
 * One message from a client, without a length in front.
 *
 * @param {ClientMessage} it
 * @returns {Uint8Array}
 */
export function encodeClient(it) {
  return encode(clientEntries, it);
}

/**
 * One message from the server, without a length in front.
 *
 * @param {ServerMessage} it
 * @returns {Uint8Array}
 */
export function encodeServer(it) {
  return encode(serverEntries, it);
}

/**
 * Decodes one message from a client; an unknown tag is an error.
 *
 * @param {Uint8Array} encoded
 * @returns {ClientMessage}
 */
export function decodeClient(encoded) {
  const it = decode(clientEntries, encoded);
  if (it === null) {
    throw new DecodeError('no client message has this tag');
  }
  return /** @type {ClientMessage} */ (it);
}

/**
 * Decodes one message from the server; `null` for a tag of a later version, to be skipped.
 *
 * @param {Uint8Array} encoded
 * @returns {ServerMessage | null}
 */
export function decodeServer(encoded) {
  return /** @type {ServerMessage | null} */ (decode(serverEntries, encoded));
}

/**
 * @param {[string, Shape<any>][]} entries
 * @param {{ tag: string, body: any }} it
 */
function encode(entries, it) {
  const tag = entries.findIndex(([name]) => name === it.tag);
  if (tag < 0) {
    throw new RangeError(`no such message: ${it.tag}`);
  }
  const writer = new Writer();
  writer.uint(tag);
  entries[tag][1].put(writer, it.body);
  return writer.finish();
}

/**
 * @param {[string, Shape<any>][]} entries
 * @param {Uint8Array} encoded
 */
function decode(entries, encoded) {
  if (encoded.length > MESSAGE_BYTES_CAP) {
    throw new DecodeError(`the message is larger than ${MESSAGE_BYTES_CAP} bytes`);
  }
  const reader = new Reader(encoded);
  const entry = entries[reader.u32()];
  if (entry === undefined) {
    return null;
  }
  const body = entry[1].get(reader);
  reader.end();
  return { tag: entry[0], body };
}
