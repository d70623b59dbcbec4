/**
 * What a field holds, as it travels and as a program sees it: reads, checks and converts. SPEC.md,
 * "State", describes the bytes.
 *
 * Whole numbers are plain numbers here; only a difference of more than 49 bits goes through BigInt.
 *
 * @module
 */

import { DecodeError } from './errors.js';
import { StateReader, within } from './statereader.js';

/** @typedef {'f32' | 'f64' | { quantised: { min: number, step: number, steps: number } }} NumberType */
/** @typedef {'bool' | 'int' | 'uint' | 'text' | 'bytes' | { number: NumberType } | { vec2: NumberType } | { vec3: NumberType }} ScalarType */
/** @typedef {{ one: ScalarType } | { list: ScalarType }} FieldType */
/** @typedef {'everyone' | 'team' | 'owner' | 'spectators' | 'members' | 'nobody'} Visibility */
/** @typedef {{ name: string, type: FieldType, visibility?: Visibility }} Field */
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

export const LIST_MAX = 4096;
const INTEGER_MAX = Number.MAX_SAFE_INTEGER;
const NOTHING = new Uint8Array(0);

const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/**
 * The type of each field of each kind.
 *
 * @param {Schema} schema
 * @returns {Type[][]}
 */
export function typesOf(schema) {
  return schema.kinds.map(({ fields }) => fields.map(({ type }) => typeOf(type)));
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
export function zero(type) {
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
export function valueOf(type, cell) {
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
export function readWhole(reader, type) {
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
export function readChanged(reader, type, old) {
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
 * Whether two cells of one type hold the same.
 *
 * @param {Cell} a
 * @param {Cell} b
 * @returns {boolean}
 */
export function sameCell(a, b) {
  if (typeof a !== 'object' || typeof b !== 'object') {
    return Object.is(a, b); // 0 and -0 are two.
  }
  if (a.length !== b.length) {
    return false;
  }
  for (let at = 0; at < a.length; at++) {
    if (!Object.is(a[at], b[at])) {
      return false;
    }
  }
  return true;
}
