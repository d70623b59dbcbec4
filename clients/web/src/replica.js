/**
 * A copy of what one audience sees of a room's state: applies snapshots and deltas, and hashes.
 * Everything is checked before anything changes, so that broken bytes leave the copy as it was.
 *
 * @module
 */

import { readChanged, readWhole, typesOf, valueOf, zero } from './cells.js';
import { DecodeError } from './errors.js';
import { existence, share } from './hash.js';
import { StateReader, checkMask, has, nextId } from './statereader.js';

/** @typedef {import('./cells.js').Schema} Schema */
/** @typedef {import('./cells.js').Type} Type */
/** @typedef {import('./cells.js').Cell} Cell */
/** @typedef {import('./cells.js').Value} Value */
/** @typedef {import('./statereader.js').Mask} Mask */
/** @typedef {{ kind: number, cells: Cell[] }} Entity */

/**
 * What a delta did: the entity came (`field` is -1) or went (`entity` is null), or a field changed.
 *
 * @typedef {{ id: number, entity: Entity | null, field: number, cell: Cell }} Change
 */

/** What one audience sees. */
export class Replica {
  /** @type {Type[][]} */
  #types;
  /** @type {Schema} */
  #schema;
  /** @type {Map<number, Entity>} */
  #entities = new Map();
  #hash = 0;

  /**
   * @param {Schema} schema as the server gives it
   * @param {Type[][]} [types] of the schema, where there are many replicas of one
   */
  constructor(schema, types = typesOf(schema)) {
    this.#schema = schema;
    this.#types = types;
  }

  /** The hash of everything in it, an unsigned integer of 32 bits. */
  get hash() {
    return this.#hash;
  }

  /** How many entities there are, the room's own included. */
  get size() {
    return this.#entities.size;
  }

  /** The ids of all entities, in no order; 0 is the room's own. */
  ids() {
    return this.#entities.keys();
  }

  /**
   * An entity as it travels; not to be changed, and another one after the next delta.
   *
   * @param {number} id
   * @returns {Readonly<Entity> | undefined}
   */
  peek(id) {
    return this.#entities.get(id);
  }

  /**
   * The number of an entity's kind; undefined if there is no such entity.
   *
   * @param {number} id
   */
  kind(id) {
    return this.#entities.get(id)?.kind;
  }

  /**
   * A field's value; undefined if there is no such entity or field.
   *
   * @param {number} id of the entity
   * @param {number} field its place in the kind
   * @returns {Value | undefined}
   */
  get(id, field) {
    const entity = this.#entities.get(id);
    const type = entity && this.#types[entity.kind][field];
    return type && valueOf(type, entity.cells[field]);
  }

  /**
   * An entity's fields by name; undefined if there is no such entity.
   *
   * @param {number} id
   * @returns {Record<string, Value> | undefined}
   */
  entity(id) {
    const found = this.#entities.get(id);
    if (!found) {
      return undefined;
    }
    const types = this.#types[found.kind];
    const { fields } = this.#schema.kinds[found.kind];
    return Object.fromEntries(
      fields.map(({ name }, place) => [name, valueOf(types[place], found.cells[place])]),
    );
  }

  /**
   * Replaces everything.
   *
   * @param {Uint8Array} bytes
   * @throws {DecodeError} when they are not a snapshot of this schema; nothing changes then
   */
  applySnapshot(bytes) {
    const reader = new StateReader(bytes);
    /** @type {Map<number, Entity>} */
    const entities = new Map();
    let hash = 0;
    for (let before = -1; !reader.isEmpty; ) {
      const id = nextId(reader, before);
      before = id;
      const kind = reader.uint();
      const entity = this.#readNew(reader, kind, reader.mask(0));
      entities.set(id, entity);
      hash = (hash + this.#hashOf(id, entity)) >>> 0;
    }
    this.#entities = entities;
    this.#hash = hash;
  }

  /**
   * Applies what changed.
   *
   * @param {Uint8Array} bytes
   * @returns {readonly Change[]} what that was
   * @throws {DecodeError} when they are not a delta of this schema and state; nothing changes then
   */
  applyDelta(bytes) {
    const reader = new StateReader(bytes);
    /** @type {Change[]} */
    const changes = [];
    for (let before = -1; !reader.isEmpty; ) {
      const id = nextId(reader, before);
      before = id;
      const mask = reader.mask(1);
      const old = this.#entities.get(id);
      if (mask.flag !== (old === undefined)) {
        throw new DecodeError(`entity ${id} is ${old ? 'there' : 'not there'}`);
      }
      if (old === undefined) {
        const entity = this.#readNew(reader, reader.uint(), mask);
        changes.push({ id, entity, field: -1, cell: 0 });
      } else if (mask.low === 0 && mask.high === 0) {
        changes.push({ id, entity: null, field: -1, cell: 0 });
      } else {
        const types = this.#types[old.kind];
        checkMask(mask, types.length);
        for (let field = 0; field < types.length; field++) {
          if (has(mask, field)) {
            const cell = readChanged(reader, types[field], old.cells[field]);
            changes.push({ id, entity: old, field, cell });
          }
        }
      }
    }
    for (const { id, entity, field, cell } of changes) {
      if (entity === null) {
        const old = /** @type {Entity} */ (this.#entities.get(id));
        this.#entities.delete(id);
        this.#hash = (this.#hash - this.#hashOf(id, old)) >>> 0;
      } else if (field < 0) {
        this.#entities.set(id, entity);
        this.#hash = (this.#hash + this.#hashOf(id, entity)) >>> 0;
      } else {
        const type = this.#types[entity.kind][field];
        const was = share(id, field, type, entity.cells[field]);
        entity.cells[field] = cell;
        this.#hash = (this.#hash + share(id, field, type, cell) - was) >>> 0;
      }
    }
    return changes;
  }

  /**
   * @param {StateReader} reader
   * @param {number} kind
   * @param {Mask} mask
   * @returns {Entity}
   */
  #readNew(reader, kind, mask) {
    const types = this.#types[kind];
    if (!types) {
      throw new DecodeError(`there is no kind ${kind}`);
    }
    checkMask(mask, types.length);
    const cells = types.map((type, field) =>
      has(mask, field) ? readWhole(reader, type) : zero(type),
    );
    return { kind, cells };
  }

  /**
   * @param {number} id
   * @param {Entity} entity
   */
  #hashOf(id, entity) {
    let hash = existence(id, entity.kind);
    this.#types[entity.kind].forEach((type, field) => {
      hash += share(id, field, type, entity.cells[field]);
    });
    return hash >>> 0;
  }
}
