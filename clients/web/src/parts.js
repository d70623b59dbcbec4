/**
 * The copies of the parts that a member sees of a room's state, and whether they are what they
 * should be. SPEC.md, "How state is carried", says when a message applies and when to ask anew.
 *
 * Deliberately absent: what the parts together look like to the application.
 *
 * @module
 */

import { DecodeError } from './errors.js';
import { Replica } from './replica.js';

/** @typedef {import('./statecodec.js').Part} Part */
/** @typedef {import('./statecodec.js').Snapshot} Snapshot */
/** @typedef {import('./statecodec.js').Delta} Delta */
/** @typedef {import('./replica.js').Entity} Entity */
/** @typedef {import('./replica.js').Change} Change */
/** @typedef {import('./statemodel.js').Model} Model */

/** @typedef {{ part: Part, tick: number, replica: Replica }} Copy */

/**
 * What to do about a copy that is wrong.
 *
 * @typedef {object} Remedy
 * @property {(part: Part, tick: number, hash: number) => void} ask for the state anew, because of this part
 * @property {() => void} giveUp asking has not helped
 */

/** Asked so often without a delta that fits in between, the state is not asked for any more. */
const ASKED_MAX = 10;

/** A member's parts of one room. */
export class Parts {
  #model;
  #remedy;
  /** @type {Map<string, Copy>} */
  #copies = new Map();
  /** The cell that an entity was last seen to be in. @type {Map<number, Copy>} */
  #cellOf = new Map();
  /** Resyncs since a delta last fitted. */
  #asked = 0;

  /** Whether a snapshot of part `members` must come before anything else counts. */
  awaits = true;
  /** How often the state was asked for anew. */
  resyncs = 0;
  /** Ids whose parts changed since `touched` was cleared: which fields, or all (null). @type {Map<number, number[] | null>} */
  touched = new Map();

  /**
   * @param {Model} model
   * @param {Remedy} remedy
   */
  constructor(model, remedy) {
    this.#model = model;
    this.#remedy = remedy;
  }

  /** What is there is void; snapshots follow. */
  begin() {
    this.#clear();
    this.#asked = 0;
    this.awaits = true;
  }

  /**
   * An entity with the fields that every member may see.
   *
   * @param {number} id
   */
  common(id) {
    return this.#copies.get('members')?.replica.peek(id) ?? this.#cellOf.get(id)?.replica.peek(id);
  }

  /**
   * An entity with the fields of the member's team.
   *
   * @param {number} id
   */
  team(id) {
    return this.#copies.get('team')?.replica.peek(id);
  }

  /**
   * An entity with the fields of its owner, if that is the member.
   *
   * @param {number} id
   */
  owner(id) {
    return this.#copies.get('owner')?.replica.peek(id);
  }

  /**
   * @param {Snapshot} snapshot
   * @returns {'anew' | 'added' | 'ignored'} `anew`: all other parts were forgotten
   */
  snapshot({ part, tick, hash, state }) {
    const isAnew = part === 'members';
    if (part === 'spectators' || (this.awaits && !isAnew)) {
      return 'ignored';
    }
    const key = keyOf(part);
    const replica = new Replica(this.#model.schema, this.#model.types);
    const isRead = attempt(() => replica.applySnapshot(state));
    if (!isRead || replica.hash !== hash) {
      const old = isRead ? { tick, replica } : this.#copies.get(key);
      this.#resync(part, old?.tick ?? 0, old?.replica.hash ?? 0);
      return 'ignored';
    }
    if (isAnew) {
      this.#clear();
      this.awaits = false;
    } else {
      this.#forget(key);
    }
    const copy = { part, tick, replica };
    this.#copies.set(key, copy);
    for (const id of replica.ids()) {
      this.touched.set(id, null);
      if (isCell(part)) {
        this.#cellOf.set(id, copy);
      }
    }
    return isAnew ? 'anew' : 'added';
  }

  /**
   * @param {Delta} delta
   * @returns {boolean} whether it was applied
   */
  delta({ part, base_tick, tick, hash, changes }) {
    if (this.awaits || part === 'spectators') {
      return false;
    }
    const copy = this.#copies.get(keyOf(part));
    if (copy === undefined || !isSamePart(copy.part, part)) {
      this.#resync(part, 0, 0);
      return false;
    }
    if (tick <= copy.tick) {
      return false;
    }
    /** @type {readonly Change[]} */
    let done = [];
    const fits = base_tick <= copy.tick;
    if (!fits || !attempt(() => (done = copy.replica.applyDelta(changes)))) {
      this.#resync(part, copy.tick, copy.replica.hash);
      return false;
    }
    copy.tick = tick;
    if (copy.replica.hash !== hash) {
      this.#resync(part, tick, copy.replica.hash);
      return false;
    }
    this.#asked = 0;
    for (const { id, entity, field } of done) {
      if (entity !== null && field >= 0) {
        this.#touchField(id, field);
      } else {
        this.touched.set(id, null);
        if (isCell(part)) {
          this.#moved(id, copy, entity !== null);
        }
      }
    }
    return true;
  }

  /** @param {Part} part that is not seen any more */
  gone(part) {
    const copy = this.#copies.get(keyOf(part));
    if (!this.awaits && copy !== undefined && isSamePart(copy.part, part)) {
      this.#forget(keyOf(part));
    }
  }

  #clear() {
    this.#copies.clear();
    this.#cellOf.clear();
    this.touched.clear();
  }

  /** @param {string} key */
  #forget(key) {
    const copy = this.#copies.get(key);
    if (copy === undefined) {
      return;
    }
    this.#copies.delete(key);
    for (const id of copy.replica.ids()) {
      this.touched.set(id, null);
      this.#moved(id, copy, false);
    }
  }

  /**
   * An entity came into a cell or left it. It may be in two for a moment.
   *
   * @param {number} id
   * @param {Copy} cell
   * @param {boolean} isIn
   */
  #moved(id, cell, isIn) {
    if (isIn) {
      this.#cellOf.set(id, cell);
    } else if (this.#cellOf.get(id) === cell) {
      this.#cellOf.delete(id);
      for (const copy of this.#copies.values()) {
        if (copy !== cell && isCell(copy.part) && copy.replica.peek(id) !== undefined) {
          this.#cellOf.set(id, copy);
        }
      }
    }
  }

  /**
   * @param {number} id
   * @param {number} field
   */
  #touchField(id, field) {
    const fields = this.touched.get(id);
    if (fields === undefined) {
      this.touched.set(id, [field]);
    } else {
      fields?.push(field);
    }
  }

  /**
   * What is shown stays as it is until the state has come anew.
   *
   * @param {Part} part
   * @param {number} tick
   * @param {number} hash
   */
  #resync(part, tick, hash) {
    this.awaits = true;
    this.touched.clear();
    this.#asked += 1;
    if (this.#asked > ASKED_MAX) {
      this.#remedy.giveUp();
    } else {
      this.resyncs += 1;
      this.#remedy.ask(part, tick, hash);
    }
  }
}

/**
 * There is one team at a time, so any other takes its place.
 *
 * @param {Part} part
 */
function keyOf(part) {
  if (typeof part === 'string') {
    return part;
  }
  return 'team' in part ? 'team' : `cell ${part.cell}`;
}

/** @param {Part} part */
function isCell(part) {
  return typeof part === 'object' && 'cell' in part;
}

/**
 * @param {Part} a
 * @param {Part} b of the same key
 */
function isSamePart(a, b) {
  return typeof a === 'string' || typeof b === 'string' || !('team' in a && 'team' in b) || a.team === b.team;
}

/**
 * Whether bytes could be read.
 *
 * @param {() => void} read
 */
function attempt(read) {
  try {
    read();
    return true;
  } catch (error) {
    if (error instanceof DecodeError) {
      return false;
    }
    throw error;
  }
}
