/**
 * The primitives of the binary wire: integers, strings, byte strings, fixed bytes. Little-endian,
 * unsigned integers of variable length (one byte below 251, else a marker 251, 252 or 253 and
 * 2, 4 or 8 bytes). SPEC.md describes them; nothing here knows a message.
 *
 * @module
 */

import { DecodeError } from './errors.js';

const TWO_31 = 0x80000000;
const TWO_32 = 0x100000000;

const U16_MARKER = 251;
const U32_MARKER = 252;
const U64_MARKER = 253;

const encoder = new TextEncoder();
// A byte order mark is a character like any other here, so it must not be swallowed.
const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/** Appends primitives to a growing buffer. */
export class Writer {
  #bytes = new Uint8Array(256);
  #view = new DataView(this.#bytes.buffer);
  #length = 0;

  /** How many bytes were written. */
  get length() {
    return this.#length;
  }

  /** A copy of what was written. */
  finish() {
    return this.#bytes.slice(0, this.#length);
  }

  /** @param {number} value one byte */
  byte(value) {
    this.#reserve(1);
    this.#bytes[this.#length++] = value;
  }

  /** @param {boolean} value */
  bool(value) {
    this.byte(value ? 1 : 0);
  }

  /** @param {number} value of at most 16 bits */
  u16(value) {
    this.u53(value, 0xffff);
  }

  /** @param {number} value of at most 32 bits */
  u32(value) {
    this.u53(value, 0xffffffff);
  }

  /**
   * @param {number} value a whole number, in its shortest form
   * @param {number} [most]
   */
  u53(value, most = Number.MAX_SAFE_INTEGER) {
    if (!Number.isInteger(value) || value < 0 || value > most) {
      throw new RangeError(`not an integer from 0 to ${most}: ${value}`);
    }
    this.#uint(value % TWO_32, Math.floor(value / TWO_32));
  }

  /** @param {number} value an integer from -(2^53 - 1) to 2^53 - 1, zigzag */
  int(value) {
    if (!Number.isSafeInteger(value)) {
      throw new RangeError(`not an integer within 2^53 - 1: ${value}`);
    }
    // By halves: twice the value may leave what a number holds exactly.
    const half = value < 0 ? -value - 1 : value;
    this.#uint((half % TWO_31) * 2 + Number(value < 0), Math.floor(half / TWO_31));
  }

  /** @param {number} value a finite double */
  float(value) {
    if (!Number.isFinite(value)) {
      throw new RangeError('a float must be finite');
    }
    this.#reserve(8);
    this.#view.setFloat64(this.#length, value, true);
    this.#length += 8;
  }

  /** @param {string} value its UTF-8 length, then the bytes */
  text(value) {
    this.bytes(encoder.encode(value));
  }

  /** @param {Uint8Array} value its length, then the bytes */
  bytes(value) {
    this.u53(value.length);
    this.#reserve(value.length);
    this.#bytes.set(value, this.#length);
    this.#length += value.length;
  }

  /**
   * @param {string} digits hexadecimal
   * @param {number} length how many bytes they must make
   */
  hex(digits, length) {
    if (digits.length !== length * 2 || !/^[0-9a-f]*$/i.test(digits)) {
      throw new RangeError(`not ${length * 2} hexadecimal digits`);
    }
    for (let at = 0; at < digits.length; at += 2) {
      this.byte(Number.parseInt(digits.slice(at, at + 2), 16));
    }
  }

  /**
   * @param {number} low 32 bits
   * @param {number} high what is above them
   */
  #uint(low, high) {
    this.#reserve(9);
    const [at, view] = [this.#length, this.#view];
    const width = high > 0 ? 9 : low > 0xffff ? 5 : low >= U16_MARKER ? 3 : 1;
    this.#bytes[at] = [low, U16_MARKER, U32_MARKER, 0, U64_MARKER][width >> 1];
    if (width === 3) {
      view.setUint16(at + 1, low, true);
    } else if (width > 3) {
      view.setUint32(at + 1, low, true);
      if (width > 5) {
        view.setUint32(at + 5, high, true);
      }
    }
    this.#length += width;
  }

  /** @param {number} more */
  #reserve(more) {
    const needed = this.#length + more;
    if (needed > this.#bytes.length) {
      const grown = new Uint8Array(Math.max(needed, this.#bytes.length * 2));
      grown.set(this.#bytes.subarray(0, this.#length));
      this.#bytes = grown;
      this.#view = new DataView(grown.buffer);
    }
  }
}

/** Takes primitives off the front of a buffer; throws `DecodeError` at the first that is wrong. */
export class Reader {
  #bytes;
  #view;
  #at = 0;
  #high = 0;

  /** @param {Uint8Array} bytes */
  constructor(bytes) {
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  /** How many bytes are left. */
  get left() {
    return this.#bytes.length - this.#at;
  }

  /** Refuses bytes left over behind a message. */
  end() {
    if (this.left !== 0) {
      throw new DecodeError(`${this.left} bytes are left over behind the message`);
    }
  }

  /** One byte. */
  byte() {
    return this.#bytes[this.#take(1)];
  }

  /** @returns {boolean} */
  bool() {
    const byte = this.byte();
    if (byte > 1) {
      throw new DecodeError(`a truth value must be 0 or 1, not ${byte}`);
    }
    return byte === 1;
  }

  /** An unsigned integer of at most 16 bits. */
  u16() {
    return this.#uint(2);
  }

  /** An unsigned integer of at most 32 bits. */
  u32() {
    return this.#uint(4);
  }

  /** An unsigned integer of at most 53 bits. */
  u53() {
    const low = this.#uint(8);
    return this.#safe(this.#high * TWO_32 + low);
  }

  /** A zigzag integer within 2^53 - 1. */
  int() {
    const low = this.#uint(8);
    const half = this.#high * TWO_31 + (low >>> 1);
    return this.#safe(low % 2 === 0 ? half : -half - 1);
  }

  /** A finite double. */
  float() {
    const value = this.#view.getFloat64(this.#take(8), true);
    if (!Number.isFinite(value)) {
      throw new DecodeError('a float must be finite');
    }
    return value;
  }

  /** A string. */
  text() {
    const bytes = this.#lengthAndBytes();
    try {
      return decoder.decode(bytes);
    } catch {
      throw new DecodeError('a string is not UTF-8');
    }
  }

  /** A byte string, copied out of the buffer. */
  bytes() {
    return this.#lengthAndBytes().slice();
  }

  /**
   * A byte string, still part of the buffer.
   *
   * @returns {Uint8Array}
   */
  slice() {
    return this.#lengthAndBytes();
  }

  /**
   * Fixed bytes, as hexadecimal digits.
   *
   * @param {number} length
   */
  hex(length) {
    const start = this.#take(length);
    let digits = '';
    for (let at = start; at < start + length; at += 1) {
      digits += this.#bytes[at].toString(16).padStart(2, '0');
    }
    return digits;
  }

  #lengthAndBytes() {
    const length = this.u53();
    const start = this.#take(length);
    return this.#bytes.subarray(start, start + length);
  }

  /**
   * The lower 32 bits; the others are in `#high`.
   *
   * @param {number} widthMax the widest form allowed, in bytes
   */
  #uint(widthMax) {
    this.#high = 0;
    const first = this.byte();
    if (first < U16_MARKER) {
      return first;
    }
    const width = first === U16_MARKER ? 2 : first === U32_MARKER ? 4 : 8;
    if (first > U64_MARKER || width > widthMax) {
      throw new DecodeError(`${first} does not start an integer of at most ${widthMax} bytes`);
    }
    const at = this.#take(width);
    if (width === 2) {
      return this.#view.getUint16(at, true);
    }
    if (width === 8) {
      this.#high = this.#view.getUint32(at + 4, true);
    }
    return this.#view.getUint32(at, true);
  }

  /** @param {number} value */
  #safe(value) {
    if (!Number.isSafeInteger(value)) {
      throw new DecodeError('an integer is beyond 2^53 - 1');
    }
    return value;
  }

  /** @param {number} length */
  #take(length) {
    if (length > this.left) {
      throw new DecodeError('the message ends too early');
    }
    const at = this.#at;
    this.#at += length;
    return at;
  }
}
