/**
 * The hash of a state: SPEC.md, "Hash". Multiplications of 32 bits and rotations only.
 *
 * @module
 */

/** @typedef {import('./cells.js').Type} Type */
/** @typedef {import('./cells.js').Cell} Cell */

const TWO_32 = 0x100000000;
/** The place of an entity's existence among its fields in the hash. */
const EXISTENCE = 255;
/** Turns numbers into their bits. */
const bits = new DataView(new ArrayBuffer(8));

/**
 * The share of an entity's existence, as of a field that every kind has.
 *
 * @param {number} id
 * @param {number} kind
 */
export function existence(id, kind) {
  return finish(round(round(start(id, EXISTENCE), kind + 1), 0));
}

/**
 * The share of a field in the hash; 0 for one that is zero.
 *
 * @param {number} id
 * @param {number} field
 * @param {Type} type
 * @param {Cell} cell
 */
export function share(id, field, type, cell) {
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
