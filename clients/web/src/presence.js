/**
 * Who is in a room, as far as the room tells.
 *
 * @module
 */

import { Emitter } from './emitter.js';
import { changedAttributes, toAttributes } from './values.js';

/** @typedef {import('./codec.js').Joined} Joined */
/** @typedef {import('./codec.js').PresenceEvent} PresenceEvent */
/** @typedef {import('./codec.js').MemberInfo} MemberInfo */
/** @typedef {import('./codec.js').PresenceMode} PresenceMode */
/** @typedef {import('./outbox.js').Outbox} Outbox */
/** @typedef {import('./values.js').Attributes} Attributes */
/** @typedef {import('./types.js').Member} Member */
/** @typedef {import('./types.js').Origin} Origin */
/** @typedef {import('./types.js').PresenceEvents} PresenceEvents */
/** @typedef {import('./types.js').Receipt} Receipt */

/**
 * The members of a room. Reach it by `room.presence`.
 *
 * @extends {Emitter<PresenceEvents>}
 */
export class Presence extends Emitter {
  #outbox;
  #count = 0;

  /** What members are told about each other: `full`, `count` or `none`. @type {PresenceMode} */
  mode = 'none';
  /** The others and oneself by id, where the mode is `full`; to be read. @type {Map<number, Member>} */
  members = new Map();
  /** One's own attributes. @type {Attributes} */
  attributes;

  /**
   * @internal
   * @param {Outbox} outbox
   * @param {Attributes} [attributes]
   */
  constructor(outbox, attributes) {
    super();
    this.#outbox = outbox;
    this.attributes = { ...attributes };
  }

  /** How many members there are, as far as the room tells. */
  get count() {
    return this.mode === 'full' ? this.members.size : this.#count;
  }

  /** The members, oneself among them. */
  [Symbol.iterator]() {
    return this.members.values();
  }

  /**
   * Changes one's own attributes; a null removes one.
   *
   * @param {Attributes} changes
   * @param {{ queue?: boolean }} [options] `queue`: without a connection it waits for one
   * @returns {Promise<Receipt>}
   */
  update(changes, options) {
    const attributes = toAttributes(changes);
    // What is refused must not go into the next join; of what is lost with the session that is the only hope.
    const take = () => (this.attributes = changedAttributes(this.attributes, attributes));
    return this.#outbox.send('attributes', (head) => ({ tag: 'set_attributes', body: { ...head, attributes } }), { ...options, local: take });
  }

  // --- What follows is for the room, not for applications. ---

  /**
   * @internal
   * @param {Joined} joined
   */
  fill({ presence, roster }) {
    this.mode = presence;
    this.members.clear();
    const { full = [], count = 0 } = /** @type {{ full?: MemberInfo[], count?: number }} */ (roster);
    for (const info of full) {
      this.members.set(info.id, toMember(info));
    }
    this.counted(count);
  }

  /**
   * @internal
   * @param {number} count
   */
  counted(count) {
    this.#count = count;
    this.emit('change', this);
  }

  /**
   * Something changed. The roster of a join is newer than the replay behind it, which only tells how
   * it came about.
   *
   * @internal
   * @param {PresenceEvent} event
   * @param {{ seq: number, origin: Origin }} told
   */
  handle(event, told) {
    const [[name, it]] = /** @type {[keyof PresenceEvents, any][]} */ (Object.entries(event));
    const isLive = told.origin === 'live';
    const { id = null, reason, changes } = typeof it === 'number' ? { id: it } : it;
    const member = name === 'join' ? toMember(it) : this.members.get(id);
    if (name === 'collapsed') {
      this.mode = 'count';
      this.members.clear();
      this.#count = it.count;
    } else if (isLive && member !== undefined) {
      if (name === 'join') {
        this.members.set(id, member);
      } else if (name === 'leave') {
        this.members.delete(id);
      } else if (name === 'attributes') {
        member.attributes = changedAttributes(member.attributes, changes);
      } else {
        member.away = name === 'away';
      }
    }
    const changed = changes?.map((/** @type {[string, any]} */ [key]) => key);
    this.emit(name, .../** @type {any} */ ([{ event: name, id, member, reason, changed, ...told }]));
    if (isLive) {
      this.emit('change', this);
    }
  }
}

/**
 * @param {MemberInfo} info
 * @returns {Member}
 */
function toMember(info) {
  return { ...info, attributes: changedAttributes({}, info.attributes) };
}
