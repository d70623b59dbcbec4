/**
 * What messages are built of. A shape is one function for both directions: given a writer and a value
 * it writes the value, given a reader it reads one. So a message is described once, and its type
 * follows from the description.
 *
 * @module
 */

import { UnknownTagError } from './errors.js';

/** @typedef {import('./wire.js').Reader} Reader */
/** @typedef {import('./wire.js').Writer} Writer */

/**
 * Gives back the value, written or read.
 *
 * @template T
 * @typedef {(io: Reader | Writer, value?: T) => T} Shape
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
  return (io, value) => io[name](/** @type {never} */ (value)) ?? value;
}

/**
 * Fixed bytes; hexadecimal digits to the program.
 *
 * @param {number} length
 * @returns {Shape<string>}
 */
export function fixed(length) {
  return (io, value) => /** @type {string} */ (io.hex(length, /** @type {string} */ (value)) ?? value);
}

/**
 * A value or nothing: `null`, and what is not given when it is written.
 *
 * @template T
 * @param {Shape<T>} shape
 * @returns {Shape<T | null>}
 */
export function option(shape) {
  return (io, value) => (bool(io, value != null) ? shape(io, /** @type {T} */ (value)) : null);
}

/**
 * Any number of the same; none when they are not given.
 *
 * @template T
 * @param {Shape<T>} shape
 * @returns {Shape<T[]>}
 */
export function list(shape) {
  return (io, values) => {
    const length = u53(io, values?.length ?? 0);
    // Every item takes at least a byte, so a length beyond that is a lie: refused before any
    // memory is claimed for it.
    io.need(length);
    return Array.from({ length }, (_, index) => shape(io, values?.[index]));
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
  return (io, value) => [first(io, value?.[0]), second(io, value?.[1])];
}

/**
 * Named fields in their order.
 *
 * @template {Record<string, Shape<any>>} F
 * @param {F} fields
 * @returns {Shape<{ [K in keyof F]: Of<F[K]> }>}
 */
export function struct(fields) {
  return (io, value) => {
    const struct = /** @type {any} */ ({});
    for (const name in fields) {
      struct[name] = fields[name](io, value?.[name]);
    }
    return struct;
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
  const names = Object.keys(variants);
  return choice(
    names.map((name) => (variants[name] ? struct({ [name]: variants[name] }) : () => name)),
    (value) => names.indexOf(typeof value === 'string' ? value : Object.keys(value)[0]),
  );
}

/**
 * One of several, told apart by the value itself.
 *
 * @param {Shape<any>[]} shapes by their tags
 * @param {(value: any) => number} tagOf
 * @returns {Shape<any>}
 */
export function choice(shapes, tagOf) {
  return (io, value) => {
    const shape = shapes[u32(io, value === undefined ? value : tagOf(value))];
    if (!shape) {
      throw new UnknownTagError('');
    }
    return shape(io, value);
  };
}
