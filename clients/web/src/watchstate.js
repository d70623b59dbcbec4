/**
 * A room's state as spectators see it, from plain JSON: the reading half of a member's `room.state`.
 *
 * @module
 */

import { Emitter } from './emitter.js';
import { FieldListeners } from './fieldlisteners.js';

/** @typedef {import('./types.js').Entity} Entity */
/** @typedef {import('./types.js').WatchStateEvents} WatchStateEvents */

/** @typedef {{ tick: number, seq: number, hash: string, entities: Record<string, any> }} SnapshotJson */
/** @typedef {{ tick: number, seq: number, hash: string, set?: Record<string, any>, new?: Record<string, any>, gone?: number[] }} DeltaJson */

/**
 * A room's state. Reach it by `watch.state`.
 *
 * @extends {Emitter<WatchStateEvents>}
 */
export class WatchState extends Emitter {
  /** By id, the room's own (0) among them. @type {Map<number, Entity>} */
  #shown = new Map();
  #listeners = new FieldListeners();
  #hash = '';

  /** The newest tick that is shown; 0 before the first. */
  tick = 0;
  /** The room's seq at that tick. */
  seq = 0;
  /** Whether what is shown is out of date: it has not come yet, or the connection is lost. */
  stale = true;

  /** How many entities there are, the room's own not counted. */
  get size() {
    return this.#shown.size - Number(this.#shown.has(0));
  }

  /** The room's own fields; none before the first snapshot. @returns {Entity} */
  get room() {
    return this.#shown.get(0) ?? { id: 0, kind: '' };
  }

  /**
   * An entity: always the same object while it is there, kept up to date, not to be changed.
   *
   * @param {number} id 0 is the room's own
   * @returns {Entity | undefined}
   */
  get(id) {
    return this.#shown.get(id);
  }

  /**
   * All entities, or those of a kind, in no order; the room's own is not among them.
   *
   * @param {string} [kind]
   * @returns {IterableIterator<Entity>}
   */
  *entities(kind) {
    for (const entity of this.#shown.values()) {
      if (entity.id !== 0 && (kind ?? entity.kind) === entity.kind) {
        yield entity;
      }
    }
  }

  /**
   * Calls `listener` with a field's value when it changes: when its entity comes, and with
   * `undefined` when it goes, as well.
   *
   * @param {number} id
   * @param {string} field
   * @param {(value: any, entity: Entity) => void} listener
   * @returns {() => void} stops it
   */
  listen(id, field, listener) {
    return this.#listeners.add(id, field, listener);
  }

  // --- What follows is for the watch, not for applications. ---

  /**
   * Everything, as the server would say it; null while there is nothing.
   *
   * @internal
   * @returns {SnapshotJson | null}
   */
  toJson() {
    const { tick, seq } = this;
    return this.#hash === '' ? null : { tick, seq, hash: this.#hash, entities: Object.fromEntries(this.#shown) };
  }

  /**
   * @internal
   * @param {SnapshotJson} snapshot what is not told of any more is gone
   */
  snapshot({ tick, seq, hash, entities }) {
    this.#hash = hash;
    const gone = [...this.#shown.keys()].filter((id) => entities[id]?.kind !== this.#shown.get(id)?.kind);
    this.#show(tick, seq, { gone, set: entities }, true);
  }

  /**
   * @internal
   * @param {DeltaJson} delta
   */
  delta({ tick, seq, hash, gone = [], new: added = {}, set = {} }) {
    // Without a snapshot there is nothing to change, and nothing changes twice.
    if (this.#hash !== '' && tick > this.tick) {
      this.#hash = hash;
      this.#show(tick, seq, { gone, set: { ...added, ...set } });
    }
  }

  /**
   * Brings what is shown up to date, then tells.
   *
   * @param {number} tick
   * @param {number} seq
   * @param {{ gone: number[], set: Record<string, any> }} changes
   * @param {boolean} [anew]
   */
  #show(tick, seq, { gone, set }, anew) {
    /** @type {['remove' | 'add' | 'change', Entity, string[]][]} */
    const told = [];
    for (const id of gone) {
      const entity = this.#shown.get(id);
      if (entity !== undefined) {
        this.#shown.delete(id);
        told.push(['remove', entity, []]);
      }
    }
    for (const [key, fields] of Object.entries(set)) {
      const id = Number(key);
      const known = this.#shown.get(id);
      /** @type {Entity} */
      const entity = known ?? { id, kind: fields.kind };
      /** @type {string[]} */
      const names = [];
      for (const [name, value] of Object.entries(fields)) {
        if (name !== 'id' && name !== 'kind' && !(Object.hasOwn(entity, name) && same(entity[name], value))) {
          // Defined, not assigned: a name like `__proto__` is data here.
          Object.defineProperty(entity, name, { value, writable: true, enumerable: true, configurable: true });
          names.push(name);
        }
      }
      this.#shown.set(id, entity);
      if (known === undefined && id !== 0) {
        told.push(['add', entity, names]);
      } else if (names.length > 0) {
        told.push(['change', entity, names]);
      }
    }
    Object.assign(this, { tick, seq, stale: false });
    if (anew) {
      this.emit('reset', { tick });
    }
    const order = ['remove', 'add', 'change'];
    for (const [event, entity, names] of told.sort(([a], [b]) => order.indexOf(a) - order.indexOf(b))) {
      this.emit(event, entity, names);
      const isGone = event === 'remove';
      this.#listeners.tell(entity, isGone ? Object.keys(entity) : names, (name) => (isGone ? undefined : entity[name]));
    }
    this.emit('tick', { tick, seq });
  }
}

/**
 * @param {any} a
 * @param {any} b
 */
function same(a, b) {
  return a === b || (typeof a === 'object' && JSON.stringify(a) === JSON.stringify(b));
}
