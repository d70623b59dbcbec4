/**
 * What messages are built of: each shape reads and writes itself, so a message is described once
 * for both directions, and its type follows from the description.
 *
 * @module
 */

import { DecodeError, UnknownTagError } from './errors.js';

/** @typedef {import('./wire.js').Reader} Reader */
/** @typedef {import('./wire.js').Writer} Writer */

/**
 * @template T
 * @typedef {{ put(writer: Writer, value: T): void, get(reader: Reader): T }} Shape
 */

/**
 * @template S
 * @typedef {S extends Shape<infer T> ? T : never} Of
 */

/** @type {Shape<boolean>} */
export const bool = primitive('bool');
/** @type {Shape<number>} */
export const u16 = primitive('u16');
/** @type {Shape<number>} */
export const u32 = primitive('u32');
/** @type {Shape<number>} */
export const u53 = primitive('u53');
/** @type {Shape<string>} */
export const text = primitive('text');
/** @type {Shape<Uint8Array>} */
export const bytes = primitive('bytes');
/** @type {Shape<number>} */
export const int = primitive('int');
/** @type {Shape<number>} */
export const float = primitive('float');

/**
 * What writer and reader have a method for.
 *
 * @param {'bool' | 'u16' | 'u32' | 'u53' | 'text' | 'bytes' | 'int' | 'float'} name
 * @returns {Shape<any>}
 */
function primitive(name) {
  return { put: (w, value) => w[name](/** @type {never} */ (value)), get: (r) => r[name]() };
}

/**
 * Fixed bytes; hexadecimal digits to the program.
 *
 * @param {number} length
 * @returns {Shape<string>}
 */
export function fixed(length) {
  return { put: (w, value) => w.hex(value, length), get: (r) => r.hex(length) };
}

/**
 * A value or nothing (`null`).
 *
 * @template T
 * @param {Shape<T>} shape
 * @returns {Shape<T | null>}
 */
export function option(shape) {
  return {
    put(w, value) {
      w.bool(value !== null);
      if (value !== null) {
        shape.put(w, value);
      }
    },
    get: (r) => (r.bool() ? shape.get(r) : null),
  };
}

/**
 * Any number of the same.
 *
 * @template T
 * @param {Shape<T>} shape
 * @returns {Shape<T[]>}
 */
export function list(shape) {
  return {
    put(w, values) {
      w.u53(values.length);
      for (const value of values) {
        shape.put(w, value);
      }
    },
    get(r) {
      const length = r.u53();
      // Every item takes at least a byte, so a length beyond that is a lie: refused before any
      // memory is claimed for it.
      if (length > r.left) {
        throw new DecodeError('a list is longer than its message');
      }
      return Array.from({ length }, () => shape.get(r));
    },
  };
}

/**
 * Two values in a row.
 *
 * @template A, B
 * @param {Shape<A>} first
 * @param {Shape<B>} second
 * @returns {Shape<[A, B]>}
 */
export function pair(first, second) {
  return {
    put(w, [a, b]) {
      first.put(w, a);
      second.put(w, b);
    },
    get: (r) => [first.get(r), second.get(r)],
  };
}

/**
 * Named fields in their order.
 *
 * @template {Record<string, Shape<any>>} F
 * @param {F} fields
 * @returns {Shape<{ [K in keyof F]: Of<F[K]> }>}
 */
export function struct(fields) {
  const entries = Object.entries(fields);
  return {
    put(w, value) {
      for (const [name, shape] of entries) {
        shape.put(w, value[name]);
      }
    },
    get(r) {
      const value = /** @type {any} */ ({});
      for (const [name, shape] of entries) {
        value[name] = shape.get(r);
      }
      return value;
    },
  };
}

/**
 * One of several. A variant without content (`null`) is its name, any other is an object of one
 * key: the JSON twin's form.
 *
 * @template {Record<string, Shape<any> | null>} V
 * @typedef {{ [K in keyof V]: V[K] extends null ? K : { [P in K]: Of<V[K]> } }[keyof V]} Variant
 */

/**
 * @template {Record<string, Shape<any> | null>} V
 * @param {V} variants in the order of their tags
 * @returns {Shape<Variant<V>>}
 */
export function oneOf(variants) {
  const entries = Object.entries(variants);
  const tags = new Map(entries.map(([name], tag) => [name, tag]));
  return {
    put(w, value) {
      const name = typeof value === 'string' ? value : Object.keys(value)[0];
      const tag = tags.get(name);
      if (tag === undefined) {
        throw new RangeError(`no such variant: ${name}`);
      }
      w.u53(tag);
      entries[tag][1]?.put(w, /** @type {any} */ (value)[name]);
    },
    get(r) {
      const tag = r.u32();
      const entry = entries[tag];
      if (entry === undefined) {
        throw new UnknownTagError(`no variant has the tag ${tag}`);
      }
      const [name, shape] = entry;
      return /** @type {any} */ (shape === null ? name : { [name]: shape.get(r) });
    },
  };
}
