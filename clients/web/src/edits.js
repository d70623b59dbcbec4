/**
 * Changes of a shared state: by names for the application, by numbers for the wire.
 *
 * @module
 */

import { LIST_MAX } from './cells.js';
import { LimitError, MadangError } from './errors.js';

/** @typedef {import('./cells.js').FieldType} FieldType */
/** @typedef {import('./cells.js').ScalarType} ScalarType */
/** @typedef {import('./cells.js').Value} Value */
/** @typedef {import('./statecodec.js').Edited} Edited */
/** @typedef {import('./statecodec.js').EntityRef} EntityRef */
/** @typedef {import('./statecodec.js').FieldValue} FieldValue */
/** @typedef {import('./statecodec.js').ScalarValue} ScalarValue */
/** @typedef {import('./statecodec.js').StateEdit} StateEdit */
/** @typedef {import('./statemodel.js').KindModel} KindModel */
/** @typedef {import('./statemodel.js').Model} Model */
/** @typedef {import('./types.js').Entity} Entity */
/** @typedef {import('./types.js').EditResult} EditResult */

/**
 * One change, as `room.state.create` and its like make it. To be handed to `room.state.edit`, once.
 *
 * @typedef {Creation
 *   | { op: 'set', target: EntityTarget, fields: [number, FieldValue | null][], names: string[], ifVersion: number | null }
 *   | { op: 'remove', target: EntityTarget }
 *   | { op: 'give', target: EntityTarget, to: number }} Change
 */

/** @typedef {number | Entity | Creation} EntityTarget */

/**
 * Where each edit of the wire comes from, and the temporary number of each `create`.
 *
 * @typedef {object} Origin
 * @property {{ change: number, field: string | null }[]} edits
 * @property {number[]} temps
 */

/** Most changes of fields and entities together in one `edit`. */
const EDITS_MAX = 256;

/** Some changes of an edit were refused (`edit_refused`); the others were made. */
export class EditRefusedError extends MadangError {
  /**
   * @param {{ change: number, field: string | null, reason: string }[]} refused
   * @param {(number | null)[]} ids
   * @param {number} tick
   */
  constructor(refused, ids, tick) {
    const words = refused.map(({ change, field, reason }) => `change ${change}${field ? ` (${field})` : ''}: ${reason}`);
    super('edit_refused', words.join('; '));
    /**
     * The refused changes, by their place in the edit; `field` where it was one of several. Reasons:
     * `unknown`, `invalid`, `not_owner`, `changed`, `full`, `no_such_member`.
     */
    this.refused = refused;
    /** The ids of the created entities in the order of their changes, null where it was refused. */
    this.ids = ids;
    /** The tick that shows the changes that were made. */
    this.tick = tick;
  }
}

/** A new entity. It stands for the entity in changes behind it in the same edit. */
export class Creation {
  op = /** @type {const} */ ('create');

  /**
   * @param {number} kind
   * @param {[number, FieldValue][]} fields
   */
  constructor(kind, fields) {
    this.kind = kind;
    this.fields = fields;
  }
}

/**
 * @param {Model} model
 * @param {string} kind
 * @param {Record<string, Value>} fields
 */
export function createEdit(model, kind, fields) {
  const found = model.byName.get(kind);
  if (found === undefined) {
    throw new TypeError(`there is no kind ${kind}`);
  }
  /** @type {[number, FieldValue][]} */
  const values = Object.entries(fields).map(([name, value]) => {
    const place = placeOf(found, name);
    return [place, toFieldValue(found.fieldTypes[place], value, name)];
  });
  return new Creation(found.number, values);
}

/**
 * @param {KindModel} kind
 * @param {EntityTarget} target
 * @param {Record<string, Value | null>} fields
 * @param {number | null} ifVersion
 * @returns {Change}
 */
export function setEdits(kind, target, fields, ifVersion) {
  const names = Object.keys(fields);
  /** @type {[number, FieldValue | null][]} */
  const values = names.map((name) => {
    const place = placeOf(kind, name);
    const value = fields[name];
    return [place, value === null ? null : toFieldValue(kind.fieldTypes[place], value, name)];
  });
  return { op: 'set', target, fields: values, names, ifVersion };
}

/**
 * @param {EntityTarget} target
 * @returns {Change}
 */
export function removeEdit(target) {
  return { op: 'remove', target };
}

/**
 * @param {EntityTarget} target
 * @param {number} to
 * @returns {Change}
 */
export function giveEdit(target, to) {
  return { op: 'give', target, to };
}

/**
 * What goes onto the wire. A change of several fields is several edits there.
 *
 * @param {readonly Change[]} changes
 * @returns {{ edits: StateEdit[], origin: Origin }}
 * @throws {LimitError} when that is more than a server takes at once
 * @throws {TypeError} when a change names a new entity that is not made before it
 */
export function toWire(changes) {
  /** @type {StateEdit[]} */
  const edits = [];
  /** @type {Origin} */
  const origin = { edits: [], temps: [] };
  /** @type {Map<Creation, number>} */
  const temps = new Map();
  changes.forEach((change, index) => {
    const put = (/** @type {StateEdit} */ edit, /** @type {string | null} */ field) => {
      edits.push(edit);
      origin.edits.push({ change: index, field });
    };
    if (change instanceof Creation) {
      const temp = temps.size;
      if (temps.has(change)) {
        throw new TypeError('a new entity is made once');
      }
      temps.set(change, temp);
      origin.temps.push(temp);
      put({ create: { temp, kind: change.kind, fields: change.fields } }, null);
      return;
    }
    const entity = refOf(change.target, temps);
    if (change.op === 'remove') {
      put({ remove: { entity } }, null);
    } else if (change.op === 'give') {
      put({ give: { entity, to: change.to } }, null);
    } else {
      change.fields.forEach(([field, value], at) => {
        put({ set: { entity, field, value, if_version: change.ifVersion } }, change.names[at]);
      });
    }
  });
  if (edits.length > EDITS_MAX) {
    throw new LimitError('too_large', `${edits.length} changes at once, and a server takes ${EDITS_MAX}`);
  }
  return { edits, origin };
}

/**
 * What became of an edit.
 *
 * @param {Edited} edited
 * @param {Origin} origin
 * @returns {EditResult | EditRefusedError}
 */
export function fromEdited({ tick, created, refused }, { edits, temps }) {
  const byTemp = new Map(created);
  if (refused.length === 0) {
    return { ids: temps.map((temp) => byTemp.get(temp) ?? 0), tick };
  }
  const refusals = refused.map(([at, reason]) => ({ ...(edits[at] ?? { change: -1, field: null }), reason }));
  return new EditRefusedError(refusals, temps.map((temp) => byTemp.get(temp) ?? null), tick);
}

/**
 * @param {EntityTarget} target
 * @param {Map<Creation, number>} temps
 * @returns {EntityRef}
 */
function refOf(target, temps) {
  if (target instanceof Creation) {
    const temp = temps.get(target);
    if (temp === undefined) {
      throw new TypeError('a change names a new entity that is not made before it in the same edit');
    }
    return { temp };
  }
  return { id: typeof target === 'number' ? target : target.id };
}

/**
 * @param {KindModel} kind
 * @param {string} name
 */
function placeOf(kind, name) {
  const place = kind.numbers.get(name);
  if (place === undefined) {
    throw new TypeError(`${kind.name} has no field ${name}`);
  }
  return place;
}

/**
 * @param {FieldType} type
 * @param {any} value
 * @param {string} name
 * @returns {FieldValue}
 */
function toFieldValue(type, value, name) {
  if ('one' in type) {
    return { one: toScalar(type.one, value, name) };
  }
  if (!Array.isArray(value) || value.length > LIST_MAX) {
    throw new TypeError(`${name} is not a list of at most ${LIST_MAX} elements`);
  }
  return { list: value.map((element) => toScalar(type.list, element, name)) };
}

/**
 * @param {ScalarType} type
 * @param {any} value
 * @param {string} name
 * @returns {ScalarValue}
 */
function toScalar(type, value, name) {
  const [shape] = typeof type === 'string' ? [type] : Object.keys(type);
  const scalar = SCALARS[shape](value);
  if (scalar === null) {
    throw new TypeError(`${name} is not of type ${shape}: ${value}`);
  }
  return scalar;
}

/** Values for the wire; null for what is not of the type. @type {Record<string, (value: any) => ScalarValue | null>} */
const SCALARS = {
  bool: (value) => (typeof value === 'boolean' ? { bool: value } : null),
  int: (value) => (Number.isSafeInteger(value) ? { int: value } : null),
  uint: (value) => (Number.isSafeInteger(value) && value >= 0 ? { uint: value } : null),
  number: (value) => (Number.isFinite(value) ? { number: value } : null),
  text: (value) => (typeof value === 'string' ? { text: value } : null),
  // A copy: it may wait while the caller fills the array anew.
  bytes: (value) => (value instanceof Uint8Array ? { bytes: value.slice() } : null),
  vec2: (value) => (isVector(value, 2) ? { vec2: [value[0], value[1]] } : null),
  vec3: (value) => (isVector(value, 3) ? { vec3: [value[0], value[1], value[2]] } : null),
};

/**
 * @param {any} value
 * @param {number} length
 */
function isVector(value, length) {
  return Array.isArray(value) && value.length === length && value.every(Number.isFinite);
}
