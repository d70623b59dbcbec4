// Undo of one's own deeds: each is put down as the changes that reverse it.
//
// What was removed and comes back is a new entity with a new id; older deeds still name the old one.

import { OutcomeUnknownError } from '/client/index.js';
import { toast } from './page.js';

/** @typedef {import('/client/index.js').Room} Room */
/** @typedef {import('/client/index.js').Entity} Entity */

/**
 * @typedef {{ id: number, kind: string, fields: Record<string, any> }} Kept an entity as it was
 * @typedef {{ ids: number[], tick: number, isUnknown?: boolean }} Done
 * @typedef {{ created: number[] } | { removed: Kept[] } | { changed: Kept }} Deed
 */

const DEEDS_MAX = 200;

/** What the room says to an edit, in words. @type {Record<string, string>} */
const REASONS = {
  unknown: 'Somebody has taken it away.',
  not_owner: 'That belongs to somebody else.',
  changed: 'Somebody was quicker.',
  full: 'The board is full: something has to go first.',
  no_such_member: 'Nobody is there to take it.',
};

export class History {
  /** @type {Room} */
  #room;
  /** @type {Deed[]} */
  #deeds = [];
  /** New ids by old ones. @type {Map<number, number>} */
  #ids = new Map();
  #changed;

  /**
   * @param {Room} room
   * @param {(count: number) => void} changed
   */
  constructor(room, changed) {
    this.#room = room;
    this.#changed = changed;
  }

  get state() {
    return /** @type {import('/client/state.js').RoomState} */ (this.#room.state);
  }

  /**
   * Sends changes. What was refused is said; the answer is null then. When a connection took the
   * answer with it, what became of the changes is to be seen in the state: `isUnknown`.
   *
   * @param {import('/client/state.js').Change[]} changes
   * @returns {Promise<Done | null>}
   */
  async edit(changes) {
    if (changes.length === 0) {
      return { ids: [], tick: 0 };
    }
    try {
      return await this.state.edit(changes, { queue: true });
    } catch (error) {
      if (error instanceof OutcomeUnknownError) {
        return { ids: [], tick: 0, isUnknown: true };
      }
      const reason = /** @type {any} */ (error).refused?.[0]?.reason;
      toast(REASONS[reason] ?? `Not done: ${/** @type {Error} */ (error).message}`);
      return null;
    }
  }

  /** @param {Deed} deed */
  did(deed) {
    this.#deeds.push(deed);
    if (this.#deeds.length > DEEDS_MAX) {
      this.#deeds.shift();
    }
    this.#changed(this.#deeds.length);
  }

  async undo() {
    const deed = this.#deeds.pop();
    this.#changed(this.#deeds.length);
    if (deed === undefined) {
      return;
    }
    const { state } = this;
    if ('created' in deed) {
      const there = deed.created.map((id) => this.#now(id)).filter((id) => state.get(id));
      await this.edit(there.map((id) => state.remove(id)));
    } else if ('removed' in deed) {
      const done = await this.edit(deed.removed.map(({ kind, fields }) => state.create(kind, fields)));
      deed.removed.forEach(({ id }, index) => this.#ids.set(id, done?.ids[index] ?? id));
    } else {
      const id = this.#now(deed.changed.id);
      if (state.get(id)) {
        await this.edit([state.set(id, deed.changed.fields)]);
      }
    }
  }

  /** @param {number} id */
  #now(id) {
    let now = id;
    for (let next = this.#ids.get(now); next !== undefined && next !== now; next = this.#ids.get(now)) {
      now = next;
    }
    return now;
  }
}

/**
 * What of an entity is a member's to set.
 *
 * @param {Entity} entity
 * @returns {Kept}
 */
export function kept({ id, kind, owner: _, ...fields }) {
  return { id, kind, fields: structuredClone(fields) };
}
