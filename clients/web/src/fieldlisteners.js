/**
 * Who listens to which fields of which entities of a state.
 *
 * @module
 */

import { callAll } from './emitter.js';

/** @typedef {import('./types.js').Entity} Entity */

/** The listeners of a state's fields. Those that are stopped leave nothing behind. */
export class FieldListeners {
  /** By an entity's id, then by the field. @type {Map<number, Map<string, Set<(...event: any[]) => void>>>} */
  #byId = new Map();

  /**
   * @param {number} id
   * @param {string} field
   * @param {(value: any, entity: Entity) => void} listener
   * @returns {() => void} stops it
   */
  add(id, field, listener) {
    const fields = this.#byId.get(id) ?? new Map();
    this.#byId.set(id, fields);
    const listeners = fields.get(field) ?? new Set();
    fields.set(field, listeners.add(listener));
    return () => {
      listeners.delete(listener);
      if (listeners.size === 0 && fields.get(field) === listeners) {
        fields.delete(field);
      }
      if (fields.size === 0 && this.#byId.get(id) === fields) {
        this.#byId.delete(id);
      }
    };
  }

  /**
   * Calls those of an entity.
   *
   * @param {Entity} entity
   * @param {readonly string[]} names of the fields
   * @param {(name: string) => any} valueOf a field's value
   */
  tell(entity, names, valueOf) {
    const fields = this.#byId.get(entity.id);
    if (fields) {
      names.forEach((name) => callAll(fields.get(name) ?? [], [valueOf(name), entity]));
    }
  }
}
