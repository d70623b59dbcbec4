/**
 * The primitives of the binary wire: integers, strings, byte strings, fixed bytes. Little-endian,
 * unsigned integers of variable length (one byte below 251, else a marker 251, 252 or 253 and
 * 2, 4 or 8 bytes). SPEC.md describes them; nothing here knows a message.
 *
 * @module
 */

import { DecodeError } from './errors.js';

/** The last byte that is a number itself; 1, 2 or 3 above it follow 2, 4 or 8 bytes. */
const ONE_BYTE_MAX = 250;
const NO_NUMBER = 'not a number';

const encoder = new TextEncoder();
// A byte order mark is a character like any other here, so it must not be swallowed.
const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/** Appends primitives to a growing buffer. */
export class Writer {
  #bytes = new Uint8Array(256);
  #view = new DataView(this.#bytes.buffer);

  /** How many bytes were written. */
  length = 0;
  /** A copy of what was written. */
  finish() {
    return this.#bytes.slice(0, this.length);
  }

  /** What is written takes what it takes. */
  need() {}

  /** @param {number} value one byte */
  byte(value) {
    this.#reserve(1);
    this.#bytes[this.length++] = value;
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
      throw new RangeError(`out of range: ${value}`);
    }
    this.#uint(value);
  }

  /** @param {number} value a safe integer, zigzag */
  int(value) {
    // Twice the value may be more than a number holds exactly.
    const twice = BigInt(value) * 2n;
    this.#uint(value < 0 ? -1n - twice : twice);
  }

  /** @param {number} value a finite double */
  float(value) {
    if (!Number.isFinite(value)) {
      throw new RangeError(NO_NUMBER);
    }
    this.#reserve(8);
    this.#view.setFloat64(this.length, value, true);
    this.length += 8;
  }

  /** @param {string} value its UTF-8 length, then the bytes */
  text(value) {
    this.bytes(encoder.encode(value));
  }

  /** @param {Uint8Array} value its length, then the bytes */
  bytes(value) {
    this.u53(value.length);
    this.#reserve(value.length);
    this.#bytes.set(value, this.length);
    this.length += value.length;
  }

  /**
   * @param {number} _ how many bytes they make
   * @param {string} digits hexadecimal, as a server or `readTicket` gave them
   */
  hex(_, digits) {
    digits.match(/../g)?.forEach((pair) => this.byte(parseInt(pair, 16)));
  }

  /** @param {number | bigint} value */
  #uint(value) {
    const size = value > 0xffffffff ? 3 : value > 0xffff ? 2 : Number(value > ONE_BYTE_MAX);
    this.byte(size ? ONE_BYTE_MAX + size : Number(value));
    if (size) {
      // All eight bytes, little-endian: what is beyond the size is overwritten or cut off.
      this.#reserve(8);
      this.#view.setBigUint64(this.length, BigInt(value), true);
      this.length += 1 << size;
    }
  }

  /** @param {number} more */
  #reserve(more) {
    const old = this.#bytes;
    if (this.length + more > old.length) {
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

  /** @param {Uint8Array} bytes */
  constructor(bytes) {
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  /** How many bytes are left. */
  get left() {
    return this.#bytes.length - this.#at;
  }

  /**
   * Refuses to go on with fewer bytes than that.
   *
   * @param {number} length
   */
  need(length) {
    if (length > this.left) {
      throw new DecodeError('too short');
    }
  }

  /** Refuses bytes left over behind a message. */
  end() {
    if (this.left) {
      throw new DecodeError('too long');
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
      throw new DecodeError(NO_NUMBER);
    }
    return byte === 1;
  }

  /** An unsigned integer of at most 16 bits. */
  u16() {
    return Number(this.#uint(1));
  }

  /** An unsigned integer of at most 32 bits. */
  u32() {
    return Number(this.#uint(2));
  }

  /** An unsigned integer of at most 53 bits. */
  u53() {
    return safe(this.#uint(3));
  }

  /** A zigzag integer within 2^53 - 1. */
  int() {
    const zigzag = BigInt(this.#uint(3));
    return safe((zigzag >> 1n) ^ -(zigzag & 1n));
  }

  /** A finite double. */
  float() {
    const value = this.#view.getFloat64(this.#take(8), true);
    if (!Number.isFinite(value)) {
      throw new DecodeError(NO_NUMBER);
    }
    return value;
  }

  /** A string. */
  text() {
    const bytes = this.slice();
    try {
      return decoder.decode(bytes);
    } catch {
      throw new DecodeError('not UTF-8');
    }
  }

  /** A byte string, copied out of the buffer. */
  bytes() {
    return this.slice().slice();
  }

  /**
   * A byte string, still part of the buffer; or so many bytes.
   *
   * @param {number} [length]
   */
  slice(length = this.u53()) {
    const start = this.#take(length);
    return this.#bytes.subarray(start, start + length);
  }

  /**
   * Fixed bytes, as hexadecimal digits.
   *
   * @param {number} length
   */
  hex(length) {
    return Array.from(this.slice(length), (it) => (it + 256).toString(16).slice(1)).join('');
  }

  /**
   * An unsigned integer: a `BigInt` where it takes eight bytes.
   *
   * @param {number} sizeMax the widest form allowed: 1, 2 or 3 for 2, 4 or 8 bytes
   */
  #uint(sizeMax) {
    const first = this.byte();
    const size = first - ONE_BYTE_MAX;
    if (size < 1) {
      return first;
    }
    if (size > sizeMax) {
      throw new DecodeError(NO_NUMBER);
    }
    const at = this.#take(1 << size);
    return size > 2 ? this.#view.getBigUint64(at, true) : size > 1 ? this.#view.getUint32(at, true) : this.#view.getUint16(at, true);
  }

  /** @param {number} length */
  #take(length) {
    this.need(length);
    this.#at += length;
    return this.#at - length;
  }
}

/** @param {number | bigint} wide */
function safe(wide) {
  const value = Number(wide);
  if (!Number.isSafeInteger(value)) {
    throw new DecodeError(NO_NUMBER);
  }
  return value;
}
