/**
 * A copy of what one audience sees of a room's state: applies snapshots and deltas, and hashes.
 * SPEC.md, "State", describes the bytes. Everything is checked before anything changes, so that
 * broken bytes leave the copy as it was.
 *
 * Whole numbers are plain numbers here; only a difference of more than 49 bits goes through BigInt.
 *
 * @module
 */

import { DecodeError } from './errors.js';

/** @typedef {'f32' | 'f64' | { quantised: { min: number, step: number, steps: number } }} NumberType */
/** @typedef {'bool' | 'int' | 'uint' | 'text' | 'bytes' | { number: NumberType } | { vec2: NumberType } | { vec3: NumberType }} ScalarType */
/** @typedef {{ one: ScalarType } | { list: ScalarType }} FieldType */
/** @typedef {{ name: string, type: FieldType, visibility?: string }} Field */
/** @typedef {{ name: string, fields: Field[] }} Kind */
/** @typedef {{ kinds: Kind[] }} Schema */
/** @typedef {boolean | number | string | Uint8Array | number[]} Scalar */
/** @typedef {Scalar | Scalar[]} Value */

/**
 * What a field holds, as it travels: a bool, a whole number, a number or its steps; an array of
 * those; the bytes of a text or of a list's elements.
 *
 * @typedef {boolean | number | number[] | Uint8Array} Cell
 */

/**
 * A type with what its values need at hand.
 *
 * @typedef {object} Type
 * @property {'bool' | 'int' | 'uint' | 'f32' | 'f64' | 'steps' | 'text' | 'bytes'} word what one number of it is
 * @property {number} width 1, the numbers of a vector, 0 for text and bytes
 * @property {boolean} isVector
 * @property {boolean} isList
 * @property {number} min of steps
 * @property {number} step of steps
 * @property {number} steps the most
 */

/** @typedef {{ kind: number, cells: Cell[] }} Entity */

const LIST_MAX = 4096;
const INTEGER_MAX = Number.MAX_SAFE_INTEGER;
const ID_MAX = 0xffffffff;
const TWO_32 = 0x100000000;
/** The place of an entity's existence among its fields in the hash. */
const EXISTENCE = 255;
const NOTHING = new Uint8Array(0);

const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });
/** Turns numbers into their bits and back. */
const bits = new DataView(new ArrayBuffer(8));

/** What one audience sees. */
export class Replica {
  /** @type {Type[][]} */
  #types;
  /** @type {Schema} */
  #schema;
  /** @type {Map<number, Entity>} */
  #entities = new Map();
  #hash = 0;

  /** @param {Schema} schema as the server gives it */
  constructor(schema) {
    this.#schema = schema;
    this.#types = schema.kinds.map((kind) => kind.fields.map((field) => typeOf(field.type)));
  }

  /** The hash of everything in it, an unsigned integer of 32 bits. */
  get hash() {
    return this.#hash;
  }

  /** How many entities there are, the room's own included. */
  get size() {
    return this.#entities.size;
  }

  /** The ids of all entities, in no order; 0 is the room's own. */
  ids() {
    return this.#entities.keys();
  }

  /**
   * The number of an entity's kind; undefined if there is no such entity.
   *
   * @param {number} id
   */
  kind(id) {
    return this.#entities.get(id)?.kind;
  }

  /**
   * A field's value; undefined if there is no such entity or field.
   *
   * @param {number} id of the entity
   * @param {number} field its place in the kind
   * @returns {Value | undefined}
   */
  get(id, field) {
    const entity = this.#entities.get(id);
    const type = entity && this.#types[entity.kind][field];
    return type && valueOf(type, entity.cells[field]);
  }

  /**
   * An entity's fields by name; undefined if there is no such entity.
   *
   * @param {number} id
   * @returns {Record<string, Value> | undefined}
   */
  entity(id) {
    const found = this.#entities.get(id);
    if (!found) {
      return undefined;
    }
    const types = this.#types[found.kind];
    const { fields } = this.#schema.kinds[found.kind];
    return Object.fromEntries(
      fields.map(({ name }, place) => [name, valueOf(types[place], found.cells[place])]),
    );
  }

  /**
   * Replaces everything.
   *
   * @param {Uint8Array} bytes
   * @throws {DecodeError} when they are not a snapshot of this schema; nothing changes then
   */
  applySnapshot(bytes) {
    const reader = new StateReader(bytes);
    /** @type {Map<number, Entity>} */
    const entities = new Map();
    let hash = 0;
    for (let before = -1; !reader.isEmpty; ) {
      const id = nextId(reader, before);
      before = id;
      const kind = reader.uint();
      const entity = this.#readNew(reader, kind, reader.mask(0));
      entities.set(id, entity);
      hash = (hash + this.#hashOf(id, entity)) >>> 0;
    }
    this.#entities = entities;
    this.#hash = hash;
  }

  /**
   * Applies what changed.
   *
   * @param {Uint8Array} bytes
   * @throws {DecodeError} when they are not a delta of this schema and state; nothing changes then
   */
  applyDelta(bytes) {
    const reader = new StateReader(bytes);
    /** @type {{ id: number, entity: Entity | null, field: number, cell: Cell }[]} */
    const changes = [];
    for (let before = -1; !reader.isEmpty; ) {
      const id = nextId(reader, before);
      before = id;
      const mask = reader.mask(1);
      const old = this.#entities.get(id);
      if (mask.flag !== (old === undefined)) {
        throw new DecodeError(`entity ${id} is ${old ? 'there' : 'not there'}`);
      }
      if (old === undefined) {
        const entity = this.#readNew(reader, reader.uint(), mask);
        changes.push({ id, entity, field: -1, cell: 0 });
      } else if (mask.low === 0 && mask.high === 0) {
        changes.push({ id, entity: null, field: -1, cell: 0 });
      } else {
        const types = this.#types[old.kind];
        checkMask(mask, types.length);
        for (let field = 0; field < types.length; field++) {
          if (has(mask, field)) {
            const cell = readChanged(reader, types[field], old.cells[field]);
            changes.push({ id, entity: old, field, cell });
          }
        }
      }
    }
    for (const { id, entity, field, cell } of changes) {
      if (entity === null) {
        const old = /** @type {Entity} */ (this.#entities.get(id));
        this.#entities.delete(id);
        this.#hash = (this.#hash - this.#hashOf(id, old)) >>> 0;
      } else if (field < 0) {
        this.#entities.set(id, entity);
        this.#hash = (this.#hash + this.#hashOf(id, entity)) >>> 0;
      } else {
        const type = this.#types[entity.kind][field];
        const was = share(id, field, type, entity.cells[field]);
        entity.cells[field] = cell;
        this.#hash = (this.#hash + share(id, field, type, cell) - was) >>> 0;
      }
    }
  }

  /**
   * @param {StateReader} reader
   * @param {number} kind
   * @param {Mask} mask
   * @returns {Entity}
   */
  #readNew(reader, kind, mask) {
    const types = this.#types[kind];
    if (!types) {
      throw new DecodeError(`there is no kind ${kind}`);
    }
    checkMask(mask, types.length);
    const cells = types.map((type, field) =>
      has(mask, field) ? readWhole(reader, type) : zero(type),
    );
    return { kind, cells };
  }

  /**
   * @param {number} id
   * @param {Entity} entity
   */
  #hashOf(id, entity) {
    let hash = finish(round(round(start(id, EXISTENCE), entity.kind + 1), 0));
    this.#types[entity.kind].forEach((type, field) => {
      hash += share(id, field, type, entity.cells[field]);
    });
    return hash >>> 0;
  }
}

/**
 * @param {FieldType} field
 * @returns {Type}
 */
function typeOf(field) {
  const isList = 'list' in field;
  const scalar = 'list' in field ? field.list : field.one;
  const plain = { width: 1, isVector: false, isList, min: 0, step: 1, steps: 0 };
  if (typeof scalar === 'string') {
    const width = scalar === 'text' || scalar === 'bytes' ? 0 : 1;
    return { ...plain, word: scalar, width };
  }
  const [[shape, number]] = /** @type {[string, NumberType][]} */ (Object.entries(scalar));
  const width = shape === 'vec2' ? 2 : shape === 'vec3' ? 3 : 1;
  const vector = { ...plain, width, isVector: width > 1 };
  return typeof number === 'string'
    ? { ...vector, word: number }
    : { ...vector, word: 'steps', ...number.quantised };
}

/**
 * @param {Type} type
 * @returns {Cell}
 */
function zero(type) {
  if (type.isList || type.width === 0) {
    return NOTHING;
  }
  if (type.isVector) {
    return new Array(type.width).fill(0);
  }
  return type.word === 'bool' ? false : 0;
}

/**
 * @param {Type} type
 * @param {Cell} cell
 * @returns {Value}
 */
function valueOf(type, cell) {
  if (!type.isList) {
    return scalarOf(type, cell);
  }
  const reader = new StateReader(/** @type {Uint8Array} */ (cell));
  const values = [];
  while (!reader.isEmpty) {
    values.push(scalarOf(type, readScalar(reader, type)));
  }
  return values;
}

/**
 * @param {Type} type
 * @param {Cell} cell
 * @returns {Scalar}
 */
function scalarOf(type, cell) {
  if (cell instanceof Uint8Array) {
    return type.word === 'text' ? decoder.decode(cell) : cell.slice();
  }
  if (type.word !== 'steps') {
    return Array.isArray(cell) ? [...cell] : cell;
  }
  const value = (/** @type {number} */ steps) => type.min + steps * type.step;
  return Array.isArray(cell) ? cell.map(value) : value(/** @type {number} */ (cell));
}

/**
 * @param {StateReader} reader
 * @param {Type} type
 * @returns {Cell}
 */
function readWhole(reader, type) {
  if (!type.isList) {
    return readScalar(reader, type);
  }
  return readElements(reader, type, reader.count(LIST_MAX)).slice();
}

/**
 * @param {StateReader} reader
 * @param {Type} type
 * @param {Cell} old
 * @returns {Cell}
 */
function readChanged(reader, type, old) {
  if (type.isList) {
    return readEdits(reader, type, /** @type {Uint8Array} */ (old));
  }
  const isRelative = type.word === 'int' || type.word === 'uint' || type.word === 'steps';
  if (!isRelative) {
    return readScalar(reader, type);
  }
  const change = (/** @type {number} */ word) => checked(type, reader.difference(word));
  return Array.isArray(old) ? old.map(change) : change(/** @type {number} */ (old));
}

/**
 * @param {StateReader} reader
 * @param {Type} type of the element
 * @returns {Cell}
 */
function readScalar(reader, type) {
  if (type.width === 0) {
    const bytes = reader.take(reader.uint()).slice();
    if (type.word === 'text') {
      text(bytes);
    }
    return bytes;
  }
  if (type.isVector) {
    return Array.from({ length: type.width }, () => readNumber(reader, type));
  }
  if (type.word !== 'bool') {
    return readNumber(reader, type);
  }
  const byte = reader.byte();
  if (byte > 1) {
    throw new DecodeError(`not a bool: ${byte}`);
  }
  return byte === 1;
}

/**
 * @param {StateReader} reader
 * @param {Type} type
 */
function readNumber(reader, type) {
  switch (type.word) {
    case 'f32':
      return finite(reader.f32());
    case 'f64':
      return finite(reader.f64());
    case 'int':
      return checked(type, reader.difference(0));
    default:
      return checked(type, reader.uint());
  }
}

/**
 * @param {Type} type of whole numbers or steps
 * @param {number} word
 */
function checked(type, word) {
  const least = type.word === 'int' ? -INTEGER_MAX : 0;
  const most = type.word === 'steps' ? type.steps : INTEGER_MAX;
  if (word < least || word > most) {
    throw new DecodeError(`a number is out of its bounds: ${word}`);
  }
  return word;
}

/** @param {number} value */
function finite(value) {
  if (!Number.isFinite(value)) {
    throw new DecodeError('a number is not finite');
  }
  return value;
}

/** @param {Uint8Array} bytes */
function text(bytes) {
  try {
    return decoder.decode(bytes);
  } catch {
    throw new DecodeError('text is not UTF-8');
  }
}

/**
 * The bytes of the next elements, each checked.
 *
 * @param {StateReader} reader
 * @param {Type} type
 * @param {number} count
 */
function readElements(reader, type, count) {
  const from = reader.at;
  for (let place = 0; place < count; place++) {
    readScalar(reader, type);
  }
  return reader.bytes.subarray(from, reader.at);
}

/**
 * The list that edits make of the old one.
 *
 * @param {StateReader} reader
 * @param {Type} type
 * @param {Uint8Array} old
 */
function readEdits(reader, type, old) {
  const ends = [0];
  for (const walker = new StateReader(old); !walker.isEmpty; ) {
    readScalar(walker, type);
    ends.push(walker.at);
  }
  const length = ends.length - 1;
  /** @type {Uint8Array[]} */
  const pieces = [];
  let at = 0;
  let count = 0;
  for (let more = true; more; ) {
    const head = reader.uint();
    more = head % 2 === 1;
    const kept = within(Math.floor(head / 2), length - at);
    pieces.push(old.subarray(ends[at], ends[at + kept]));
    at += kept;
    const headOfNew = reader.uint();
    const fresh = within(Math.floor(headOfNew / 2), LIST_MAX);
    at += headOfNew % 2 === 1 ? reader.count(length - at) : Math.min(fresh, length - at);
    pieces.push(readElements(reader, type, fresh));
    count = within(count + kept + fresh, LIST_MAX);
  }
  within(count + length - at, LIST_MAX);
  pieces.push(old.subarray(ends[at]));
  const list = new Uint8Array(pieces.reduce((sum, piece) => sum + piece.length, 0));
  let end = 0;
  for (const piece of pieces) {
    list.set(piece, end);
    end += piece.length;
  }
  return list;
}

/**
 * @param {number} count
 * @param {number} most
 */
function within(count, most) {
  if (count > most) {
    throw new DecodeError(`${count} elements of at most ${most}`);
  }
  return count;
}

/**
 * @param {StateReader} reader
 * @param {number} before -1 at the first
 */
function nextId(reader, before) {
  const step = reader.uint();
  const id = before < 0 ? step : before + step;
  if (id > ID_MAX || id === before) {
    throw new DecodeError('entities are not in the order of their ids');
  }
  return id;
}

/** A set of up to 63 fields: numbers hold 32 bits each, and a flag. @typedef {{ low: number, high: number, flag: boolean }} Mask */

/**
 * @param {Mask} mask
 * @param {number} field
 */
function has(mask, field) {
  return field < 32 ? ((mask.low >>> field) & 1) === 1 : ((mask.high >>> (field - 32)) & 1) === 1;
}

/**
 * @param {Mask} mask
 * @param {number} fields how many there are
 */
function checkMask({ low, high }, fields) {
  const rest = fields < 32 ? low >>> fields || high : fields < 64 ? high >>> (fields - 32) : 0;
  if (rest !== 0) {
    throw new DecodeError('there is no such field');
  }
}

/** Reads LEB128 integers and the fixed numbers. */
class StateReader {
  #view;
  at = 0;

  /** @param {Uint8Array} bytes */
  constructor(bytes) {
    this.bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  get isEmpty() {
    return this.at === this.bytes.length;
  }

  byte() {
    if (this.at >= this.bytes.length) {
      throw new DecodeError('the state ends early');
    }
    return this.bytes[this.at++];
  }

  /** @param {number} length */
  take(length) {
    if (length > this.bytes.length - this.at) {
      throw new DecodeError('the state ends early');
    }
    this.at += length;
    return this.bytes.subarray(this.at - length, this.at);
  }

  f32() {
    this.take(4);
    return this.#view.getFloat32(this.at - 4, true);
  }

  f64() {
    this.take(8);
    return this.#view.getFloat64(this.at - 8, true);
  }

  /** An integer of up to 2^53 - 1. */
  uint() {
    const value = this.#upTo49();
    if (value >= 0) {
      return value;
    }
    const wide = this.#wide();
    if (wide > BigInt(INTEGER_MAX)) {
      throw new DecodeError('an integer is above 2^53 - 1');
    }
    return Number(wide);
  }

  /** @param {number} most */
  count(most) {
    return within(this.uint(), most);
  }

  /**
   * What a zigzag difference makes of a whole number; beyond 2^53 - 1 it is not exact.
   *
   * @param {number} old
   */
  difference(old) {
    const value = this.#upTo49();
    if (value >= 0) {
      return old + (value % 2 === 0 ? value / 2 : -(value + 1) / 2);
    }
    const wide = this.#wide();
    return Number(BigInt(old) + ((wide >> 1n) ^ -(wide & 1n)));
  }

  /**
   * A mask, with so many flags (0 or 1) in its lowest bits.
   *
   * @param {0 | 1} flags
   * @returns {Mask}
   */
  mask(flags) {
    const value = this.#upTo49();
    if (value >= 0) {
      const mask = flags ? Math.floor(value / 2) : value;
      const flag = flags === 1 && value % 2 === 1;
      return { low: mask % TWO_32 >>> 0, high: Math.floor(mask / TWO_32), flag };
    }
    const wide = this.#wide();
    const mask = flags ? wide >> 1n : wide;
    const [low, high] = [Number(mask & 0xffffffffn), Number(mask >> 32n)];
    return { low, high, flag: flags === 1 && (wide & 1n) === 1n };
  }

  /** An integer of up to 7 bytes; -1, and nothing read, if it is longer. */
  #upTo49() {
    const from = this.at;
    let value = 0;
    let scale = 1;
    for (let place = 0; place < 7; place++) {
      const byte = this.byte();
      value += (byte & 0x7f) * scale;
      if (byte < 0x80) {
        if (byte === 0 && place > 0) {
          throw new DecodeError('an integer is longer than it needs to be');
        }
        return value;
      }
      scale *= 128;
    }
    this.at = from;
    return -1;
  }

  /** An integer of up to 64 bits. */
  #wide() {
    let value = 0n;
    for (let place = 0n; place < 10n; place++) {
      const byte = this.byte();
      value |= BigInt(byte & 0x7f) << (place * 7n);
      if (byte < 0x80) {
        if (byte === 0 || value >= 1n << 64n) {
          break;
        }
        return value;
      }
    }
    throw new DecodeError('an integer is too long');
  }
}

/**
 * The share of a field in the hash; 0 for one that is zero.
 *
 * @param {number} id
 * @param {number} field
 * @param {Type} type
 * @param {Cell} cell
 */
function share(id, field, type, cell) {
  if (cell instanceof Uint8Array) {
    return cell.length === 0 ? 0 : finish(roundBytes(start(id, field), cell));
  }
  let hash = start(id, field);
  let any = 0;
  const words = Array.isArray(cell) ? cell : [Number(cell)];
  for (const word of words) {
    let low = word % TWO_32;
    let high = Math.floor(word / TWO_32);
    if (type.word === 'f32') {
      bits.setFloat32(0, word);
      low = bits.getInt32(0);
      high = 0;
    } else if (type.word === 'f64') {
      bits.setFloat64(0, word);
      high = bits.getInt32(0);
      low = bits.getInt32(4);
    } else if (type.word === 'int') {
      // Zigzag, by halves: twice the number may be more than a number holds exactly.
      const half = word < 0 ? -(word + 1) : word;
      low = (half % 0x80000000) * 2 + (word < 0 ? 1 : 0);
      high = Math.floor(half / 0x80000000);
    }
    any |= low | high;
    hash = round(round(hash, low), high);
  }
  return any === 0 ? 0 : finish(hash);
}

/**
 * @param {number} hash
 * @param {Uint8Array} bytes
 */
function roundBytes(hash, bytes) {
  let next = round(hash, bytes.length);
  for (let at = 0; at < bytes.length; at += 4) {
    // What is beyond the end counts as 0.
    const word = bytes[at] | (bytes[at + 1] << 8) | (bytes[at + 2] << 16) | (bytes[at + 3] << 24);
    next = round(next, word);
  }
  return next;
}

/**
 * @param {number} id
 * @param {number} field
 */
function start(id, field) {
  return round(round(0x9747b28c, id), field);
}

/**
 * @param {number} hash
 * @param {number} word
 */
function round(hash, word) {
  const mixed = Math.imul(rotate(Math.imul(word, 0xcc9e2d51), 15), 0x1b873593);
  return (Math.imul(rotate(hash ^ mixed, 13), 5) + 0xe6546b64) | 0;
}

/**
 * @param {number} word
 * @param {number} count
 */
function rotate(word, count) {
  return (word << count) | (word >>> (32 - count));
}

/** @param {number} hash */
function finish(hash) {
  let end = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  end = Math.imul(end ^ (end >>> 13), 0xc2b2ae35);
  return (end ^ (end >>> 16)) >>> 0;
}
