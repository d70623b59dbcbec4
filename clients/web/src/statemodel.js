/**
 * A room's schema, checked and with what its readers need at hand.
 *
 * @module
 */

import { typesOf, zero } from './cells.js';
import { DecodeError } from './errors.js';

/** @typedef {import('./cells.js').Schema} Schema */
/** @typedef {import('./cells.js').FieldType} FieldType */
/** @typedef {import('./cells.js').Type} Type */
/** @typedef {import('./cells.js').Cell} Cell */

/**
 * Which of a member's parts a field's value is in; a part nobody sends a member is `none`.
 *
 * @typedef {'common' | 'team' | 'owner' | 'none'} Source
 */

/**
 * A kind of entity.
 *
 * @typedef {object} KindModel
 * @property {number} number
 * @property {string} name
 * @property {string[]} names of its fields
 * @property {Type[]} types
 * @property {FieldType[]} fieldTypes as the schema says them
 * @property {Source[]} sources
 * @property {Cell[]} zeros what a field holds that was never set or is not seen
 * @property {Map<string, number>} numbers of the fields, by name
 */

/**
 * @typedef {object} Model
 * @property {Schema} schema
 * @property {Type[][]} types
 * @property {KindModel[]} kinds
 * @property {Map<string, KindModel>} byName
 */

const KINDS_MAX = 256;
const FIELDS_MAX = 63;
const PLAIN = new Set(['bool', 'int', 'uint', 'text', 'bytes']);
const NUMBERED = new Set(['number', 'vec2', 'vec3']);

/** @type {Record<string, Source>} */
const SOURCES = {
  everyone: 'common',
  members: 'common',
  team: 'team',
  owner: 'owner',
  spectators: 'none',
  nobody: 'none',
};

/**
 * @param {Uint8Array} bytes extension 1 of `joined`: JSON
 * @returns {Model}
 * @throws {DecodeError} when they are not a schema that this version knows
 */
export function readModel(bytes) {
  let schema;
  try {
    schema = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes));
  } catch {
    throw new DecodeError('the schema is not JSON');
  }
  return toModel(schema);
}

/**
 * @param {any} schema
 * @returns {Model}
 * @throws {DecodeError} when it is not a schema that this version knows
 */
export function toModel(schema) {
  check(isListOf(schema?.kinds, KINDS_MAX, isKind) && schema.kinds.length > 0, 'kinds');
  /** @type {Schema} */
  const { kinds } = schema;
  const types = typesOf(schema);
  const models = kinds.map(({ name, fields }, number) => ({
    number,
    name,
    names: fields.map((field) => field.name),
    types: types[number],
    fieldTypes: fields.map(({ type }) => type),
    sources: fields.map(({ visibility }) => SOURCES[visibility ?? 'everyone']),
    zeros: types[number].map(zero),
    numbers: new Map(fields.map((field, place) => [field.name, place])),
  }));
  return { schema, types, kinds: models, byName: new Map(models.map((kind) => [kind.name, kind])) };
}

/** @param {any} it */
function isKind(it) {
  return typeof it?.name === 'string' && isListOf(it.fields, FIELDS_MAX, isField);
}

/** @param {any} it */
function isField(it) {
  const isSeen = it?.visibility === undefined || Object.hasOwn(SOURCES, it.visibility);
  return typeof it?.name === 'string' && isSeen && isType(it.type);
}

/** @param {any} it */
function isType(it) {
  const [shape, scalar, ...more] = Object.entries(it ?? {}).flat();
  if ((shape !== 'one' && shape !== 'list') || more.length > 0) {
    return false;
  }
  if (typeof scalar === 'string') {
    return PLAIN.has(scalar);
  }
  const [name, number, ...rest] = Object.entries(scalar ?? {}).flat();
  return NUMBERED.has(name) && rest.length === 0 && isNumberType(number);
}

/** @param {any} it */
function isNumberType(it) {
  if (it === 'f32' || it === 'f64') {
    return true;
  }
  const { min, step, steps } = it?.quantised ?? {};
  return Number.isFinite(min) && step > 0 && Number.isInteger(steps) && steps >= 0 && steps <= 0xffffffff;
}

/**
 * @param {any} list
 * @param {number} most
 * @param {(it: any) => boolean} test
 */
function isListOf(list, most, test) {
  return Array.isArray(list) && list.length <= most && list.every(test);
}

/**
 * @param {boolean} holds
 * @param {string} what
 */
function check(holds, what) {
  if (!holds) {
    throw new DecodeError(`the schema's ${what} are not what this version knows`);
  }
}
