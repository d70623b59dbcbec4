/**
 * A room's state as its member sees it: one live object for each entity, kept up to date in place.
 * Only what a tick touched is looked at. Listeners hear of a tick once all of it is there.
 *
 * @module
 */

import { sameCell, valueOf } from './cells.js';
import { Creation, createEdit, fromEdited, giveEdit, removeEdit, setEdits, toWire } from './edits.js';
import { Emitter } from './emitter.js';
import { FieldListeners } from './fieldlisteners.js';
import { DecodeError } from './errors.js';
import { unsent } from './outbox.js';
import { Parts } from './parts.js';

/** @typedef {import('./codec.js').ServerMessage} ServerMessage */
/** @typedef {import('./statecodec.js').Part} Part */
/** @typedef {import('./cells.js').Cell} Cell */
/** @typedef {import('./cells.js').Value} Value */
/** @typedef {import('./edits.js').Change} Change */
/** @typedef {import('./edits.js').EntityTarget} EntityTarget */
/** @typedef {import('./replica.js').Entity} Replicated */
/** @typedef {import('./statemodel.js').Model} Model */
/** @typedef {import('./statemodel.js').KindModel} KindModel */
/** @typedef {import('./statemodel.js').Source} Source */
/** @typedef {import('./types.js').Entity} Entity */
/** @typedef {import('./types.js').RoomStateEvents} RoomStateEvents */
/** @typedef {import('./types.js').Acked} Acked */
/** @typedef {import('./types.js').EditResult} EditResult */
/** @typedef {import('./types.js').StateLink} StateLink */
/** @template T @typedef {import('./outbox.js').Sending<T>} Sending */

/**
 * An entity as it is shown, and the cells that it was made of.
 *
 * @typedef {{ view: Entity, kind: KindModel, cells: Cell[] }} Shown
 */

/** The entity that holds the room's own fields. */
const ROOM_ID = 0;

/**
 * A room's state. Reach it by `room.state`.
 *
 * @extends {Emitter<RoomStateEvents>}
 */
export class RoomState extends Emitter {
  /** @type {Model} */
  #model;
  /** @type {Parts} */
  #parts;
  #remedy;
  #outbox;
  /** By id, the room's own not among them. @type {Map<number, Shown>} */
  #shown = new Map();
  /** The same by kind. @type {Map<string, Map<number, Entity>>} */
  #byKind = new Map();
  /** @type {Shown} */
  #room;
  #listeners = new FieldListeners();
  /** The tick that is being put together, if one is. @type {number | null} */
  #open = null;
  /** Whether that began with a snapshot of everything. */
  #anew = false;
  /** Dealt with by the room and not shown yet. @type {Acked | null} */
  #ack = null;
  #tick = 0;
  #seq = 0;
  /** @type {Acked} */
  #acked = { tick: 0, cseq: 0 };
  /** What the last `tick` event told. */
  #told = { tick: 0, acked: this.#acked };

  /**
   * @internal
   * @param {Model} model
   * @param {StateLink} link
   */
  constructor(model, { wire, outbox }) {
    super();
    this.#model = model;
    this.#outbox = outbox;
    this.#remedy = {
      ask: (/** @type {Part} */ part, /** @type {number} */ tick, /** @type {number} */ hash) =>
        wire.post(wire.encode({ tag: 'resync', body: { channel: outbox.channel ?? 0, part, tick, hash } })),
      giveUp: () => this.emit('error', new DecodeError('the state that comes is wrong again and again')),
    };
    this.#parts = new Parts(model, this.#remedy);
    this.#room = makeShown(ROOM_ID, model.kinds[0]);
  }

  /** The schema, as the room gave it. */
  get schema() {
    return this.#model.schema;
  }

  /** The newest tick that is shown; 0 before the first. */
  get tick() {
    return this.#tick;
  }

  /** The room's seq at that tick. */
  get seq() {
    return this.#seq;
  }

  /** How much of what this member sent the state shows: all up to `cseq`, since `tick`. */
  get acked() {
    return this.#acked;
  }

  /** Whether what is shown is out of date: it has not come yet, comes anew, or the connection is lost. */
  get stale() {
    return this.#parts.awaits;
  }

  /** How often the copy was found to be wrong and asked for anew. */
  get resyncs() {
    return this.#parts.resyncs;
  }

  /** How many entities there are, the room's own not counted. */
  get size() {
    return this.#shown.size;
  }

  /** The room's own fields; they change and are never gone. @returns {Entity} */
  get room() {
    return this.#room.view;
  }

  /**
   * An entity: always the same object while it is there, kept up to date, not to be changed.
   *
   * @param {number} id 0 is the room's own
   * @returns {Entity | undefined}
   */
  get(id) {
    return id === ROOM_ID ? this.room : this.#shown.get(id)?.view;
  }

  /**
   * A field's value, also of one whose name an entity has no room for (`id` and `kind`).
   *
   * @param {number} id
   * @param {string} field
   * @returns {Value | undefined}
   */
  value(id, field) {
    const shown = id === ROOM_ID ? this.#room : this.#shown.get(id);
    const place = shown?.kind.numbers.get(field);
    return shown && place !== undefined ? valueOf(shown.kind.types[place], shown.cells[place]) : undefined;
  }

  /**
   * All entities, or those of a kind, in no order; the room's own is not among them.
   *
   * @param {string} [kind]
   * @returns {IterableIterator<Entity>}
   */
  *entities(kind) {
    if (kind !== undefined) {
      yield* this.#byKind.get(kind)?.values() ?? [];
      return;
    }
    for (const { view } of this.#shown.values()) {
      yield view;
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

  // --- Changes, in rooms of kind `shared` ---

  /**
   * Changes the state; `create`, `set`, `remove` and `give` make the changes. The room deals with them
   * in their order, each by itself: those that are refused are named by an `EditRefusedError`, and the
   * others are made.
   *
   * @param {readonly Change[]} changes at most 256 fields and entities
   * @param {{ queue?: boolean }} [options] `queue`: without a connection it waits for one
   * @returns {Sending<EditResult>}
   */
  edit(changes, options) {
    let wire;
    try {
      wire = toWire(changes);
    } catch (error) {
      return unsent(/** @type {Error} */ (error));
    }
    const { edits, origin } = wire;
    return this.#outbox.send('edit', (head) => ({ tag: 'edit', body: { ...head, edits } }), { ...options, local: origin });
  }

  /**
   * A new entity. What this returns also names the entity in changes behind it in the same edit.
   *
   * @param {string} kind
   * @param {Record<string, Value>} [fields] those that are not zero
   * @returns {Creation}
   * @throws {TypeError} when the schema has no such kind or field, or a value does not fit
   */
  create(kind, fields = {}) {
    return createEdit(this.#model, kind, fields);
  }

  /**
   * New values of an entity's fields; null is zero.
   *
   * @param {EntityTarget} target an entity, its id (0: the room's own), or what `create` returned
   * @param {Record<string, Value | null>} fields
   * @param {{ ifVersion?: number }} [options] only where the field has not changed after this tick
   * @returns {Change}
   * @throws {TypeError} when there is no such entity or field here, or a value does not fit
   */
  set(target, fields, { ifVersion } = {}) {
    return setEdits(this.#kindOf(target), target, fields, ifVersion ?? null);
  }

  /**
   * @param {EntityTarget} target
   * @returns {Change}
   */
  remove(target) {
    return removeEdit(target);
  }

  /**
   * Makes an entity belong to a member, or to nobody (0).
   *
   * @param {EntityTarget} target
   * @param {number | { id: number }} member
   * @returns {Change}
   */
  give(target, member) {
    return giveEdit(target, typeof member === 'number' ? member : member.id);
  }

  // --- What follows is for the room, not for applications. ---

  /**
   * The room was entered or found again: what was shown is void, and snapshots follow.
   *
   * @internal
   * @param {Model | null} model null: as before
   * @param {number} appliedCseq what the snapshots will show of what was sent
   */
  begin(model, appliedCseq) {
    if (model === null || JSON.stringify(model.schema) === JSON.stringify(this.#model.schema)) {
      this.#parts.begin();
    } else {
      this.#model = model;
      const { resyncs } = this.#parts;
      this.#parts = new Parts(model, this.#remedy);
      this.#parts.resyncs = resyncs;
    }
    this.#open = null;
    this.#ack = { tick: 0, cseq: appliedCseq };
  }

  /**
   * The connection is gone: what is shown stays, and is out of date from now on.
   *
   * @internal
   */
  suspend() {
    this.#parts.begin();
    this.#open = null;
  }

  /**
   * A message about the state. Nothing is shown before `endBatch`, or the next tick's message.
   *
   * @internal
   * @param {ServerMessage} message
   */
  handle({ tag, body }) {
    switch (tag) {
      case 'snapshot':
        // Where all comes anew, the parts belong together even when one is of an older tick.
        if (!this.#anew || body.part === 'members') {
          this.#begins(body.tick);
        }
        this.#count(body, this.#parts.snapshot(body));
        break;
      case 'delta':
        this.#begins(body.tick);
        this.#count(body, this.#parts.delta(body) ? 'added' : 'ignored');
        break;
      case 'part_gone':
        this.#parts.gone(body.part);
        break;
      case 'input_ack':
        this.#begins(body.tick);
        this.#open = Math.max(this.#open ?? 0, body.tick);
        this.#ack = { tick: body.tick, cseq: body.cseq };
        break;
      case 'edited':
        this.#edited(body);
        break;
      default:
        break;
    }
  }

  /** @param {import('./statecodec.js').Edited} edited */
  #edited(edited) {
    const entry = this.#outbox.take(edited.cseq);
    if (entry?.kind === 'edit') {
      const outcome = fromEdited(edited, entry.local);
      if (outcome instanceof Error) {
        entry.reject(outcome);
      } else {
        entry.resolve(outcome);
      }
    }
  }

  /**
   * All of a batch of the server was handled: what it brought is shown.
   *
   * @internal
   */
  endBatch() {
    if (!this.#parts.awaits && (this.#open !== null || this.#parts.touched.size > 0)) {
      this.#show();
    }
  }

  /**
   * A message of a tick after the open one: that one is complete.
   *
   * @param {number} tick
   */
  #begins(tick) {
    if (this.#open !== null && tick > this.#open) {
      this.endBatch();
    }
  }

  /**
   * @param {{ tick: number, seq: number }} body
   * @param {'anew' | 'added' | 'ignored'} outcome
   */
  #count({ tick, seq }, outcome) {
    if (outcome === 'anew') {
      this.#anew = true;
      this.#open = tick;
      this.#seq = seq;
    } else if (outcome === 'added') {
      this.#open = Math.max(this.#open ?? 0, tick);
      this.#seq = Math.max(this.#seq, seq);
    }
  }

  /** Brings what is shown up to date, then tells. */
  #show() {
    const { touched } = this.#parts;
    const anew = this.#anew;
    if (anew) {
      touched.set(ROOM_ID, null);
      for (const id of this.#shown.keys()) {
        touched.set(id, null);
      }
    }
    /** @type {Shown[]} */
    const removed = [];
    /** @type {Shown[]} */
    const added = [];
    /** @type {[Shown, string[]][]} */
    const changed = [];
    for (const [id, fields] of touched) {
      const shown = id === ROOM_ID ? this.#room : this.#shown.get(id);
      const seen = this.#look(id);
      if (shown === undefined || seen === null || shown.kind !== seen.kind) {
        this.#replace(id, shown, seen, { added, removed });
      } else {
        const names = update(shown, seen, fields);
        if (names.length > 0) {
          changed.push([shown, names]);
        }
      }
    }
    touched.clear();
    this.#tick = anew ? (this.#open ?? 0) : Math.max(this.#tick, this.#open ?? 0);
    if (this.#ack !== null) {
      const { tick, cseq } = this.#ack;
      this.#acked = { tick: tick || this.#tick, cseq: Math.max(cseq, this.#acked.cseq) };
    }
    this.#open = null;
    this.#anew = false;
    this.#ack = null;
    this.#tell(anew, removed, added, changed);
  }

  /**
   * @param {boolean} anew
   * @param {Shown[]} removed
   * @param {Shown[]} added
   * @param {[Shown, string[]][]} changed
   */
  #tell(anew, removed, added, changed) {
    const [tick, seq, acked] = [this.#tick, this.#seq, this.#acked];
    if (anew) {
      this.emit('reset', { tick });
    }
    for (const shown of removed) {
      this.emit('remove', shown.view, []);
      this.#tellFields(shown, null, false);
    }
    for (const shown of added) {
      this.emit('add', shown.view, shown.kind.names);
      this.#tellFields(shown, null, true);
    }
    for (const [shown, names] of changed) {
      this.emit('change', shown.view, names);
      this.#tellFields(shown, names, true);
    }
    if (anew || tick !== this.#told.tick || acked !== this.#told.acked) {
      this.#told = { tick, acked };
      this.emit('tick', { tick, seq, acked });
    }
  }

  /**
   * @param {Shown} shown
   * @param {string[] | null} names all when null
   * @param {boolean} isThere
   */
  #tellFields({ view, kind, cells }, names, isThere) {
    this.#listeners.tell(view, names ?? kind.names, (name) => {
      const place = /** @type {number} */ (kind.numbers.get(name));
      return isThere ? valueOf(kind.types[place], cells[place]) : undefined;
    });
  }

  /**
   * What the parts say of an entity, null where it is in none.
   *
   * @param {number} id
   * @returns {Seen | null}
   */
  #look(id) {
    const common = this.#parts.common(id);
    const team = this.#parts.team(id);
    const owner = this.#parts.owner(id);
    const number = id === ROOM_ID ? 0 : (common ?? team ?? owner)?.kind;
    if (number === undefined) {
      return null;
    }
    return { kind: this.#model.kinds[number], sources: { common, team, owner, none: undefined } };
  }

  /**
   * An entity comes or goes, or is of another kind than before.
   *
   * @param {number} id
   * @param {Shown | undefined} old
   * @param {Seen | null} seen
   * @param {{ added: Shown[], removed: Shown[] }} lists
   */
  #replace(id, old, seen, { added, removed }) {
    if (old !== undefined && id !== ROOM_ID) {
      this.#shown.delete(id);
      this.#byKind.get(old.kind.name)?.delete(id);
      removed.push(old);
    }
    if (seen === null) {
      return;
    }
    const shown = makeShown(id, seen.kind);
    update(shown, seen, null);
    if (id === ROOM_ID) {
      this.#room = shown;
      return;
    }
    this.#shown.set(id, shown);
    const ofKind = this.#byKind.get(seen.kind.name) ?? new Map();
    this.#byKind.set(seen.kind.name, ofKind);
    ofKind.set(id, shown.view);
    added.push(shown);
  }

  /**
   * @param {EntityTarget} target
   * @returns {KindModel}
   */
  #kindOf(target) {
    if (target instanceof Creation) {
      return this.#model.kinds[target.kind];
    }
    const id = typeof target === 'number' ? target : target.id;
    const shown = id === ROOM_ID ? this.#room : this.#shown.get(id);
    if (shown === undefined) {
      throw new TypeError(`there is no entity ${id}`);
    }
    return shown.kind;
  }
}

/**
 * An entity in the parts that it is in.
 *
 * @typedef {{ kind: KindModel, sources: Record<Source, Readonly<Replicated> | undefined> }} Seen
 */

/**
 * @param {number} id
 * @param {KindModel} kind
 * @returns {Shown}
 */
function makeShown(id, kind) {
  /** @type {Entity} */
  const view = { id, kind: kind.name };
  kind.names.forEach((name, place) => {
    if (name !== 'id' && name !== 'kind') {
      // Defined, not assigned: a name like `__proto__` is data here. Afterwards it can be assigned.
      Object.defineProperty(view, name, {
        value: valueOf(kind.types[place], kind.zeros[place]),
        writable: true,
        enumerable: true,
        configurable: true,
      });
    }
  });
  return { view, kind, cells: [...kind.zeros] };
}

/**
 * Takes over what is new, and says which fields that are.
 *
 * @param {Shown} shown
 * @param {Seen} seen of the same kind
 * @param {number[] | null} fields to look at; all when null
 */
function update({ view, kind, cells }, { sources }, fields) {
  /** @type {string[]} */
  const names = [];
  const count = fields?.length ?? cells.length;
  for (let at = 0; at < count; at++) {
    const place = fields?.[at] ?? at;
    const entity = sources[kind.sources[place]];
    const cell = entity?.kind === kind.number ? entity.cells[place] : kind.zeros[place];
    if (cell !== undefined && !sameCell(cell, cells[place])) {
      const name = kind.names[place];
      cells[place] = cell;
      names.push(name);
      if (name !== 'id' && name !== 'kind') {
        view[name] = valueOf(kind.types[place], cell);
      }
    }
  }
  return names;
}
