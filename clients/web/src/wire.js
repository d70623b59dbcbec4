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

/** The last byte that is a number itself; 1, 2 or 3 above it follow 2, 4 or 8 bytes. */
const ONE_BYTE_MAX = 250;

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

  /** There is always room for more. */
  left = Infinity;

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

  /** @param {number} value a safe integer, zigzag */
  int(value) {
    // By halves: twice the value may leave what a number holds exactly.
    const half = value < 0 ? -value - 1 : value;
    this.#uint((half % TWO_31) * 2 + Number(value < 0), Math.floor(half / TWO_31));
  }

  /** @param {number} value a finite double */
  float(value) {
    if (!Number.isFinite(value)) {
      throw new RangeError('not a finite number');
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
   * @param {number} length how many bytes they make
   * @param {string} digits hexadecimal, as a server or `readTicket` gave them
   */
  hex(length, digits) {
    for (let at = 0; at < length * 2; at += 2) {
      this.byte(parseInt(digits.slice(at, at + 2), 16));
    }
  }

  /**
   * @param {number} low 32 bits
   * @param {number} high what is above them
   */
  #uint(low, high) {
    const size = high > 0 ? 3 : low > 0xffff ? 2 : low > ONE_BYTE_MAX ? 1 : 0;
    this.byte(size === 0 ? low : ONE_BYTE_MAX + size);
    if (size > 0) {
      // All eight bytes, little-endian: what is beyond the size is overwritten or cut off.
      this.#reserve(8);
      this.#view.setUint32(this.#length, low, true);
      this.#view.setUint32(this.#length + 4, high, true);
      this.#length += 1 << size;
    }
  }

  /** @param {number} more */
  #reserve(more) {
    const old = this.#bytes;
    if (this.#length + more > old.length) {
      this.#bytes = new Uint8Array((old.length + more) * 2);
      this.#bytes.set(old);
      this.#view = new DataView(this.#bytes.buffer);
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
      throw new DecodeError('a message is too long');
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
      throw new DecodeError('not a boolean');
    }
    return byte === 1;
  }

  /** An unsigned integer of at most 16 bits. */
  u16() {
    return this.#uint(1);
  }

  /** An unsigned integer of at most 32 bits. */
  u32() {
    return this.#uint(2);
  }

  /** An unsigned integer of at most 53 bits. */
  u53() {
    const low = this.#uint(3);
    return this.#safe(this.#high * TWO_32 + low);
  }

  /** A zigzag integer within 2^53 - 1. */
  int() {
    const low = this.#uint(3);
    const half = this.#high * TWO_31 + (low >>> 1);
    return this.#safe(low % 2 === 0 ? half : -half - 1);
  }

  /** A finite double. */
  float() {
    const value = this.#view.getFloat64(this.#take(8), true);
    if (!Number.isFinite(value)) {
      throw new DecodeError('not a finite number');
    }
    return value;
  }

  /** A string. */
  text() {
    const bytes = this.#lengthAndBytes();
    try {
      return decoder.decode(bytes);
    } catch {
      throw new DecodeError('not UTF-8');
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
    return Array.from(this.#bytes.subarray(start, start + length), (it) => it.toString(16).padStart(2, '0')).join('');
  }

  #lengthAndBytes() {
    const length = this.u53();
    const start = this.#take(length);
    return this.#bytes.subarray(start, start + length);
  }

  /**
   * The lower 32 bits; the others are in `#high`.
   *
   * @param {number} sizeMax the widest form allowed: 1, 2 or 3 for 2, 4 or 8 bytes
   */
  #uint(sizeMax) {
    this.#high = 0;
    const first = this.byte();
    const size = first - ONE_BYTE_MAX;
    if (size < 1) {
      return first;
    }
    if (size > sizeMax) {
      throw new DecodeError('not an integer');
    }
    const at = this.#take(1 << size);
    if (size === 3) {
      this.#high = this.#view.getUint32(at + 4, true);
    }
    return size === 1 ? this.#view.getUint16(at, true) : this.#view.getUint32(at, true);
  }

  /** @param {number} value */
  #safe(value) {
    if (!Number.isSafeInteger(value)) {
      throw new DecodeError('not an integer');
    }
    return value;
  }

  /** @param {number} length */
  #take(length) {
    if (length > this.left) {
      throw new DecodeError('a message is too short');
    }
    const at = this.#at;
    this.#at += length;
    return at;
  }
}
