/**
 * The server's side of a room's state, as far as tests need it: parts that are written to and told
 * as snapshots and deltas.
 *
 * @module
 */

import { typesOf, zero } from '../../src/cells.js';
import { Replica } from '../../src/replica.js';

/** @typedef {import('../../src/cells.js').Cell} Cell */
/** @typedef {import('../../src/cells.js').Schema} Schema */
/** @typedef {import('../../src/cells.js').Type} Type */
/** @typedef {import('../../src/statecodec.js').Part} Part */
/** @typedef {import('../../src/codec.js').ServerMessage} ServerMessage */

const CHANNEL = 3;
const encoder = new TextEncoder();

/** One part. Its fields are given as they travel: numbers in steps. */
export class ServerPart {
  #schema;
  #types;
  /** As it is told. */
  #told;
  /** @type {Map<number, { kind: number, cells: Cell[] }>} */
  #entities = new Map();
  tick = 0;

  /**
   * @param {Schema} schema
   * @param {Part} part
   */
  constructor(schema, part) {
    this.#schema = schema;
    this.#types = typesOf(schema);
    this.#told = new Replica(schema);
    this.part = part;
  }

  /**
   * Sets fields of an entity, which is made if it is not there.
   *
   * @param {number} id
   * @param {string} kindName
   * @param {Record<string, Cell | string>} fields
   */
  set(id, kindName, fields) {
    const kind = this.#schema.kinds.findIndex(({ name }) => name === kindName);
    const entity = this.#entities.get(id) ?? { kind, cells: this.#types[kind].map(zero) };
    for (const [name, value] of Object.entries(fields)) {
      const place = this.#schema.kinds[kind].fields.findIndex((field) => field.name === name);
      entity.cells[place] = typeof value === 'string' ? encoder.encode(value) : value;
    }
    this.#entities.set(id, entity);
    return this;
  }

  /** @param {number} id */
  remove(id) {
    this.#entities.delete(id);
    return this;
  }

  /**
   * @param {number} tick
   * @returns {ServerMessage & { tag: 'snapshot' }}
   */
  snapshot(tick) {
    const bytes = new Bytes();
    let before = 0;
    for (const [id, { kind, cells }] of this.#sorted()) {
      bytes.uint(id - before).uint(kind);
      before = id;
      this.#putWhole(bytes, kind, cells, null);
    }
    this.tick = tick;
    const state = bytes.finish();
    this.#told.applySnapshot(state);
    const hash = this.#told.hash;
    return { tag: 'snapshot', body: { channel: CHANNEL, part: this.part, tick, seq: tick, hash, state } };
  }

  /**
   * What changed since it was last told.
   *
   * @param {number} tick
   * @returns {ServerMessage & { tag: 'delta' }}
   */
  delta(tick) {
    const bytes = new Bytes();
    const ids = [...new Set([...this.#entities.keys(), ...this.#told.ids()])].sort((a, b) => a - b);
    let before = 0;
    const head = (/** @type {number} */ id) => {
      bytes.uint(id - before);
      before = id;
    };
    for (const id of ids) {
      const now = this.#entities.get(id);
      const old = this.#told.peek(id);
      if (now === undefined) {
        head(id);
        bytes.uint(0);
      } else if (old === undefined) {
        head(id);
        this.#putWhole(bytes, now.kind, now.cells, now.kind);
      } else {
        const places = now.cells.map((_, place) => place).filter((place) => String(now.cells[place]) !== String(old.cells[place]));
        if (places.length > 0) {
          head(id);
          bytes.uint(mask(places) * 2);
          places.forEach((place) => putCell(bytes, this.#types[now.kind][place], now.cells[place], old.cells[place]));
        }
      }
    }
    const base_tick = this.tick;
    this.tick = tick;
    const changes = bytes.finish();
    this.#told.applyDelta(changes);
    const hash = this.#told.hash;
    return { tag: 'delta', body: { channel: CHANNEL, part: this.part, base_tick, tick, seq: tick, hash, changes } };
  }

  #sorted() {
    return [...this.#entities].sort(([a], [b]) => a - b);
  }

  /**
   * @param {Bytes} bytes
   * @param {number} kind
   * @param {Cell[]} cells
   * @param {number | null} newKind in a delta: behind the header
   */
  #putWhole(bytes, kind, cells, newKind) {
    const types = this.#types[kind];
    const places = cells.map((_, place) => place).filter((place) => String(cells[place]) !== String(zero(types[place])));
    if (newKind === null) {
      bytes.uint(mask(places));
    } else {
      bytes.uint(mask(places) * 2 + 1).uint(newKind);
    }
    places.forEach((place) => putCell(bytes, types[place], cells[place], null));
  }
}

/**
 * @param {number} tick
 * @param {number} cseq
 * @returns {ServerMessage}
 */
export function acked(tick, cseq) {
  return { tag: 'input_ack', body: { channel: CHANNEL, tick, cseq } };
}

/**
 * @param {Part} part
 * @returns {ServerMessage}
 */
export function gone(part) {
  return { tag: 'part_gone', body: { channel: CHANNEL, part } };
}

/**
 * @param {Schema} schema
 * @returns {{ ext: [number, Uint8Array][] }}
 */
export function withSchema(schema) {
  return { ext: [[1, encoder.encode(JSON.stringify(schema))]] };
}

/** Writes LEB128. */
class Bytes {
  /** @type {number[]} */
  #bytes = [];

  /** @param {number} value */
  uint(value) {
    let rest = value;
    for (; rest >= 0x80; rest = Math.floor(rest / 0x80)) {
      this.#bytes.push((rest % 0x80) + 0x80);
    }
    this.#bytes.push(rest);
    return this;
  }

  /** @param {number} value */
  zigzag(value) {
    return this.uint(value >= 0 ? value * 2 : -value * 2 - 1);
  }

  /** @param {Uint8Array} value */
  blob(value) {
    this.uint(value.length);
    this.#bytes.push(...value);
    return this;
  }

  finish() {
    return Uint8Array.from(this.#bytes);
  }
}

/** @param {number[]} places */
function mask(places) {
  return places.reduce((sum, place) => sum + 2 ** place, 0);
}

/**
 * @param {Bytes} bytes
 * @param {Type} type anything but floats and lists
 * @param {Cell} cell
 * @param {Cell | null} old
 */
function putCell(bytes, type, cell, old) {
  if (cell instanceof Uint8Array) {
    bytes.blob(cell);
    return;
  }
  const words = Array.isArray(cell) ? cell : [Number(cell)];
  const olds = Array.isArray(old) ? old : [old];
  words.forEach((word, at) => {
    const before = olds[at];
    if (type.word === 'bool' || before === null || before === undefined) {
      bytes[type.word === 'int' ? 'zigzag' : 'uint'](word);
    } else {
      bytes.zigzag(word - Number(before));
    }
  });
}
