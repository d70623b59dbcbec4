/**
 * Reads the bytes of snapshots and deltas: LEB128 integers, fixed numbers, masks. SPEC.md, "State",
 * describes them; nothing here knows a field.
 *
 * @module
 */

import { DecodeError } from './errors.js';

const INTEGER_MAX = Number.MAX_SAFE_INTEGER;
const ID_MAX = 0xffffffff;
const TWO_32 = 0x100000000;

/** Reads LEB128 integers and the fixed numbers. */
export class StateReader {
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

/** A set of up to 63 fields: numbers hold 32 bits each, and a flag. @typedef {{ low: number, high: number, flag: boolean }} Mask */

/**
 * @param {Mask} mask
 * @param {number} field
 */
export function has(mask, field) {
  return field < 32 ? ((mask.low >>> field) & 1) === 1 : ((mask.high >>> (field - 32)) & 1) === 1;
}

/**
 * @param {Mask} mask
 * @param {number} fields how many there are
 */
export function checkMask({ low, high }, fields) {
  const rest = fields < 32 ? low >>> fields || high : fields < 64 ? high >>> (fields - 32) : 0;
  if (rest !== 0) {
    throw new DecodeError('there is no such field');
  }
}

/**
 * @param {StateReader} reader
 * @param {number} before -1 at the first
 */
export function nextId(reader, before) {
  const step = reader.uint();
  const id = before < 0 ? step : before + step;
  if (id > ID_MAX || id === before) {
    throw new DecodeError('entities are not in the order of their ids');
  }
  return id;
}

/**
 * @param {number} count
 * @param {number} most
 */
export function within(count, most) {
  if (count > most) {
    throw new DecodeError(`${count} elements of at most ${most}`);
  }
  return count;
}
