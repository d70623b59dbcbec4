/**
 * A room as its member sees it: who is in it, what is said, what was sent and is not answered
 * yet. A room outlives its connections, and its session if need be; the client tells it when to
 * expect what.
 *
 * @module
 */

import { fromEdited, toWire } from './edits.js';
import { Emitter } from './emitter.js';
import { LeftError, RefusedError } from './errors.js';
import { EXT_SCHEMA, joinMessage } from './joining.js';
import { Outbox } from './outbox.js';
import { RoomState } from './state.js';
import { readModel } from './statemodel.js';
import { applyAttributes, describe, fromPayload, toAttributes, toMember, toPayload } from './values.js';

/** @typedef {import('./codec.js').ClientMessage} ClientMessage */
/** @typedef {import('./codec.js').ServerMessage} ServerMessage */
/** @typedef {import('./codec.js').Edited} Edited */
/** @typedef {import('./codec.js').Joined} Joined */
/** @typedef {import('./codec.js').Part} Part */
/** @typedef {import('./pending.js').Receipt} Receipt */
/** @typedef {import('./outbox.js').Socket} Socket */
/** @typedef {import('./values.js').Attributes} Attributes */
/** @typedef {import('./types.js').Member} Member */
/** @typedef {import('./types.js').Origin} Origin */
/** @typedef {import('./types.js').PresenceChange} PresenceChange */
/** @typedef {import('./types.js').RoomEvents} RoomEvents */
/** @typedef {import('./types.js').JoinOptions} JoinOptions */
/** @typedef {import('./types.js').Target} Target */
/** @typedef {import('./types.js').PublishOptions} PublishOptions */
/** @typedef {import('./types.js').Input} Input */
/** @typedef {import('./types.js').EditResult} EditResult */
/** @typedef {import('./edits.js').Change} Change */

/**
 * What a room needs of its client.
 *
 * @typedef {Socket & { leave: (room: Room) => Promise<void>, report: (error: Error) => void }} Link
 */

/** The error code of an edit to a room without state. */
const NO_STATE = 112;

/**
 * A room this client is in, was in, or is entering.
 *
 * @extends {Emitter<RoomEvents>}
 */
export class Room extends Emitter {
  #link;
  /** @type {Joined | null} */
  #joined = null;
  #epoch = '';
  #seq = 0;
  #outbox;
  /** @type {string[]} */
  #types = [];
  /** @type {Map<string, number>} */
  #typeIds = new Map();
  /** Logged messages of the replay still to come. */
  #replayLeft = 0;
  #replaySeq = 0;
  /** @type {Origin} */
  #replayOrigin = 'history';
  /** What came before the application could listen. @type {ServerMessage[] | null} */
  #held = null;
  /** Member ids this client has had in this epoch. @type {Set<number>} */
  #ownIds = new Set();
  /** @type {Attributes} */
  #attributes;
  #count = 0;
  /** @type {RoomState | null} */
  #state = null;
  /** Why the room's rules failed, if they did. @type {RefusedError | null} */
  #failure = null;

  /** The others and oneself, by id, while the room's presence is `full`. @type {Map<number, Member>} */
  members = new Map();

  /** What was asked for. @type {Target} */
  target;
  /** @type {JoinOptions} */
  options;

  /**
   * Use `client.join`.
   *
   * @param {Target} target
   * @param {JoinOptions} options
   * @param {Link} link
   */
  constructor(target, options, link) {
    super();
    this.target = target;
    this.options = options;
    this.#link = link;
    this.#outbox = new Outbox(link, (type) => this.#typeRef(type));
    this.#attributes = { ...options.attributes };
  }

  /** The room's name; for a match it is known once joined. */
  get name() {
    return this.#joined?.name ?? (typeof this.target === 'string' ? this.target : '');
  }

  /** The room's kind, once joined. */
  get kind() {
    return this.#joined?.kind ?? '';
  }

  /** Most members. */
  get capacity() {
    return this.#joined?.capacity ?? 0;
  }

  /** @returns {Record<string, string>} */
  get labels() {
    return Object.fromEntries(this.#joined?.labels ?? []);
  }

  /** What members are told about each other. */
  get presence() {
    return this.#joined?.presence ?? 'none';
  }

  /** How many members there are, as far as the room's presence tells. */
  get count() {
    return this.presence === 'full' ? this.members.size : this.#count;
  }

  /** Oneself. @returns {Member} */
  get me() {
    const id = this.#joined?.member ?? 0;
    return (
      this.members.get(id) ?? { id, user: null, away: !this.#outbox.live, attributes: { ...this.#attributes } }
    );
  }

  /** The highest seq seen. */
  get seq() {
    return this.#seq;
  }

  /** The room's state; null where it has none, and before it is entered. */
  get state() {
    return this.#state;
  }

  /** Sendings that were not answered yet. */
  get unanswered() {
    return this.#outbox.unanswered;
  }

  /** Whether what is sent now leaves at once. */
  get live() {
    return this.#outbox.live;
  }

  /**
   * Sends to everyone in the room.
   *
   * `reliable` (the default) returns a promise of the message's seq; it waits through reconnects,
   * and rejects when the message was refused or its fate is unknown. `latest` and `volatile`
   * return nothing: the first is replaced by the next of its key while it cannot be sent, the
   * second is dropped.
   *
   * @overload
   * @param {string} type
   * @param {unknown} payload
   * @param {PublishOptions & { class?: 'reliable' }} [options]
   * @returns {Promise<Receipt>}
   */
  /**
   * @overload
   * @param {string} type
   * @param {unknown} payload
   * @param {PublishOptions & { class: 'latest' | 'volatile' }} options
   * @returns {undefined}
   */
  /**
   * @param {string} type
   * @param {unknown} payload
   * @param {PublishOptions} [options]
   * @returns {Promise<Receipt> | undefined}
   */
  publish(type, payload, options = {}) {
    const wire = toPayload(payload);
    if (options.class === 'latest' || options.class === 'volatile') {
      this.#outbox.sendEphemeral(type, wire, options.class, options.key ?? 0);
      return undefined;
    }
    return this.#outbox.send('publish', options.local, (head) => ({
      tag: 'publish',
      body: { ...head, class: 'reliable', type: this.#typeRef(type), payload: wire },
    })).done;
  }

  /**
   * Sends to the rules of a room, as `publish` does, and says under which number: whoever predicts
   * what will come of it can drop the prediction once `room.state.acked.cseq` is as high.
   *
   * `volatile` (the default) goes now or never: `cseq` is 0 where it could not be sent, and `done`
   * rejects with `DroppedError` then, or when the connection is lost before the room has dealt with
   * it. `reliable` waits through reconnects. Only rooms with state say that they have dealt with
   * something volatile; in others `done` is fulfilled as soon as it is sent.
   *
   * @param {string} type
   * @param {unknown} payload
   * @param {{ class?: 'reliable' | 'volatile' }} [options]
   * @returns {Input}
   */
  input(type, payload, options = {}) {
    const wire = toPayload(payload);
    const deliveryClass = options.class ?? 'volatile';
    const build = (/** @type {{ channel: number, cseq: number }} */ head) =>
      /** @type {ClientMessage} */ ({
        tag: 'publish',
        body: { ...head, class: deliveryClass, type: this.#typeRef(type), payload: wire },
      });
    if (deliveryClass === 'reliable') {
      return this.#outbox.send('publish', undefined, build);
    }
    const sent = this.#outbox.sendVolatile(build);
    if (this.#state === null) {
      this.#outbox.take(sent.cseq)?.resolve({ seq: null, repeated: false });
    }
    return sent;
  }

  /**
   * Changes the state of a room of kind `shared`; `room.state.create`, `set`, `remove` and `give`
   * make the changes. The room deals with them in their order, each by itself: those that are
   * refused are named by an `EditRefusedError`, and the others are made.
   *
   * @param {readonly Change[]} changes at most 256 fields and entities
   * @returns {Promise<EditResult>}
   */
  edit(changes) {
    if (this.#state === null) {
      return Promise.reject(new RefusedError(NO_STATE, ''));
    }
    let wire;
    try {
      wire = toWire(changes);
    } catch (error) {
      return Promise.reject(error);
    }
    const { edits, origin } = wire;
    return this.#outbox.send('edit', origin, (head) => ({ tag: 'edit', body: { ...head, edits } })).done;
  }

  /**
   * Sends to one member; reliable.
   *
   * @param {number | { id: number }} member
   * @param {string} type
   * @param {unknown} payload
   * @returns {Promise<Receipt>}
   */
  direct(member, type, payload) {
    const to = typeof member === 'number' ? member : member.id;
    const wire = toPayload(payload);
    return this.#outbox.send('direct', undefined, (head) => ({
      tag: 'direct',
      body: { ...head, to, type: this.#typeRef(type), payload: wire },
    })).done;
  }

  /**
   * Asks the room itself; the promise is of its answer.
   *
   * @param {string} type
   * @param {unknown} [payload]
   * @returns {Promise<any>}
   */
  request(type, payload = null) {
    const wire = toPayload(payload);
    return this.#outbox.send('request', undefined, (head) => ({
      tag: 'request',
      body: { ...head, type: this.#typeRef(type), payload: wire },
    })).done;
  }

  /**
   * Changes one's own attributes; a null removes one.
   *
   * @param {Attributes} changes
   * @returns {Promise<Receipt>}
   */
  setAttributes(changes) {
    const attributes = toAttributes(changes);
    applyAttributes(this.#attributes, attributes);
    return this.#outbox.send('attributes', undefined, (head) => ({
      tag: 'set_attributes',
      body: { ...head, attributes },
    })).done;
  }

  /** Leaves the room. The promise is fulfilled once the server has said so. */
  leave() {
    return this.#link.leave(this);
  }

  // --- What follows is for the client, not for applications. ---

  /** The room's number, `null` while it has none. */
  get channel() {
    return this.#joined?.channel ?? null;
  }

  /** How far the room was seen, `null` when it was not. */
  get position() {
    return this.#epoch === '' ? null : { epoch: this.#epoch, seq: this.#seq };
  }

  /** The highest number used so far; goes into storage. */
  get cseq() {
    return this.#outbox.cseq;
  }

  /**
   * The `join` that enters the room, or enters it again in a new session.
   *
   * @param {number} ref
   * @returns {ClientMessage}
   */
  joinMessage(ref) {
    return joinMessage(ref, this.target, this.options, {
      name: this.name,
      entered: this.#joined !== null,
      since: this.position,
      attributes: this.#attributes,
    });
  }

  /**
   * Takes up a room that an earlier page of this session was in.
   *
   * @param {{ epoch: string, seq: number, cseq: number }} saved
   */
  restore({ epoch, seq, cseq }) {
    this.#epoch = epoch;
    this.#seq = seq;
    this.#outbox.cseq = cseq;
  }

  /** Keeps what comes until `release`. */
  hold() {
    this.#held = [];
  }

  /** Deals with what was kept. */
  release() {
    const held = this.#held ?? [];
    this.#held = null;
    for (const message of held) {
      this.handle(message);
    }
    this.#state?.endBatch();
  }

  /** All messages of a batch were handled. */
  endBatch() {
    if (this.#held === null) {
      this.#state?.endBatch();
    }
  }

  /** The connection is gone: everything waits. */
  suspend() {
    this.release();
    this.#state?.suspend();
    this.#outbox.live = false;
    this.#replayLeft = 0;
  }

  /**
   * The session is gone: the room has to be entered anew. What was sent and not answered may or
   * may not have been applied, and nobody can tell.
   */
  forgetSession() {
    this.suspend();
    this.#outbox.giveUpSent('the session was lost before the answer came');
  }

  /**
   * The answer to a join, or the room found again after a resume.
   *
   * @param {Joined} joined
   * @param {{ first: boolean, resumed: boolean }} how
   */
  enter(joined, { first, resumed }) {
    const sameEpoch = joined.epoch === this.#epoch;
    if (!sameEpoch) {
      this.#ownIds.clear();
      this.#seq = 0;
      this.#outbox.giveUpSent('the room was lost before the answer came');
      this.#outbox.dropEdits();
    }
    this.#joined = joined;
    this.#epoch = joined.epoch;
    this.#ownIds.add(joined.member);
    this.#outbox.channel = joined.channel;
    this.#outbox.cseq = Math.max(this.#outbox.cseq, joined.applied_cseq);
    this.#types = [];
    this.#typeIds.clear();
    this.#learnTypes(0, joined.types);
    this.#beginState(joined);
    this.#fillRoster(joined);
    this.#replayLeft = joined.replay;
    this.#replaySeq = joined.seq;
    this.#replayOrigin = first ? 'history' : 'missed';
    this.#outbox.live = true;
    // Before the application hears of it: whatever it sends from its listeners has higher numbers,
    // and the room takes the lower ones only before those.
    this.#outbox.sendAgain(joined.applied_cseq);
    if (!first) {
      this.emit('recovered', { recovered: joined.recovered, resumed, replay: joined.replay });
    }
    this.emit('members', this.members);
    if (joined.replay === 0) {
      this.#endReplay();
    }
  }

  /**
   * A message of the server about this room.
   *
   * @param {ServerMessage} message
   */
  handle(message) {
    if (this.#held !== null) {
      this.#held.push(message);
      return;
    }
    if (!this.#outbox.live) {
      return; // What comes before the room was found again is part of what comes after.
    }
    const { tag, body } = message;
    switch (tag) {
      case 'message':
        this.#onMessage(body, body.cseq, false);
        break;
      case 'direct':
        this.#onMessage(body, 0, true);
        break;
      case 'ephemeral':
        this.#onEphemeral(body);
        break;
      case 'presence':
        this.#onPresence(body);
        break;
      case 'presence_count':
        this.#count = body.count;
        this.emit('members', this.members);
        break;
      case 'ack':
        this.#outbox.ack(body);
        break;
      case 'reply':
        this.#outbox.take(body.cseq)?.resolve(fromPayload(body.payload).payload);
        break;
      case 'gap':
        this.#seq = Math.max(this.#seq, body.to_seq);
        this.emit('gap', { fromSeq: body.from_seq, toSeq: body.to_seq });
        break;
      case 'moved':
        this.#epoch = body.epoch;
        this.#seq = 0;
        this.#replayLeft = 0;
        this.#ownIds = new Set([this.me.id]);
        this.#outbox.giveUpSent('the room moved before the answer came');
        this.#outbox.dropEdits();
        this.#state?.begin(null, 0);
        this.emit('moved', { epoch: body.epoch });
        break;
      case 'types':
        this.#learnTypes(body.first, body.names);
        break;
      case 'input_ack':
        this.#outbox.covered(body);
        this.#state?.handle(message);
        break;
      case 'snapshot':
      case 'delta':
      case 'part_gone':
        this.#state?.handle(message);
        break;
      case 'edited':
        this.#onEdited(body);
        break;
      default:
        break;
    }
  }

  /**
   * The server refused what was sent under this number.
   *
   * @param {number} cseq
   * @param {RefusedError} error
   */
  refuse(cseq, error) {
    const entry = this.#outbox.take(cseq);
    if (error.reason === 'room_failed') {
      this.#failure = error; // What follows is that everybody is out.
    }
    if (entry === undefined) {
      this.emit('refused', error);
    } else {
      entry.reject(error);
    }
  }

  /**
   * The room is left for good.
   *
   * @param {RoomEvents['left']} event
   */
  end(event) {
    this.suspend();
    this.#joined = null;
    const error = event.error ?? (event.reason === 'failed' ? this.#failure : null);
    this.#outbox.end(error ?? new LeftError(event.reason));
    this.emit('left', error ? { ...event, error } : event);
  }

  /** Sends what waited for the socket to take more. */
  flushLatest() {
    this.#outbox.flushLatest();
  }

  /** @param {Joined} joined */
  #beginState({ ext, applied_cseq: appliedCseq }) {
    const found = ext.find(([number]) => number === EXT_SCHEMA);
    if (found === undefined) {
      this.#state = null;
      return;
    }
    let model;
    try {
      model = readModel(found[1]);
    } catch (error) {
      // The rest of the room is usable all the same.
      this.#state = null;
      this.#link.report(/** @type {Error} */ (error));
      return;
    }
    const ask = (/** @type {Part} */ part, /** @type {number} */ tick, /** @type {number} */ hash) => {
      this.#link.send({ tag: 'resync', body: { channel: this.channel ?? 0, part, tick, hash } });
    };
    this.#state ??= new RoomState(model, ask);
    this.#state.begin(model, appliedCseq);
  }

  /** @param {Edited} edited */
  #onEdited(edited) {
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

  /** @param {string} type */
  #typeRef(type) {
    return this.#typeIds.get(type) ?? type;
  }

  /**
   * @param {number} first
   * @param {string[]} names
   */
  #learnTypes(first, names) {
    names.forEach((name, index) => {
      this.#types[first + index] = name;
      this.#typeIds.set(name, first + index);
    });
  }

  /** @param {string | number} ref */
  #typeName(ref) {
    return typeof ref === 'string' ? ref : (this.#types[ref] ?? `#${ref}`);
  }

  /** @param {Joined} joined */
  #fillRoster({ roster }) {
    this.members.clear();
    if (roster === 'none') {
      this.#count = 0;
    } else if ('full' in roster) {
      for (const info of roster.full) {
        this.members.set(info.id, toMember(info));
      }
    } else {
      this.#count = roster.count;
    }
  }

  /**
   * Notes a logged message's number.
   *
   * @param {number} seq
   * @returns {Origin | null} null for one that was seen before
   */
  #log(seq) {
    const inReplay = this.#replayLeft > 0 && seq <= this.#replaySeq;
    if (seq <= this.#seq) {
      return null;
    }
    this.#seq = seq;
    return inReplay ? this.#replayOrigin : 'live';
  }

  /**
   * Counts a logged message of the replay, after it was dealt with.
   *
   * @param {number} seq
   */
  #logged(seq) {
    if (this.#replayLeft > 0) {
      this.#replayLeft = seq >= this.#replaySeq ? 0 : this.#replayLeft - 1;
      if (this.#replayLeft === 0) {
        this.#endReplay();
      }
    }
  }

  /**
   * All that was missed is here. What the room has dealt with and did not come back was answered
   * on the lost connection.
   */
  #endReplay() {
    this.#seq = Math.max(this.#seq, this.#replaySeq);
    this.#outbox.settle(this.#joined?.applied_cseq ?? 0);
  }

  /**
   * @param {import('./codec.js').Message | import('./codec.js').DirectMessage} body
   * @param {number} cseq
   * @param {boolean} direct
   */
  #onMessage(body, cseq, direct) {
    const origin = this.#log(body.seq);
    if (origin !== null) {
      const mine = this.#ownIds.has(body.from);
      // Only the present member's numbers are this session's.
      const answers = mine && !direct && body.from === this.#joined?.member;
      const entry = answers ? this.#outbox.take(cseq) : undefined;
      this.emit('message', {
        type: this.#typeName(body.type),
        ...fromPayload(body.payload),
        seq: body.seq,
        from: body.from,
        member: this.members.get(body.from),
        at: new Date((this.#joined?.epoch_at_ms ?? 0) + body.at),
        direct,
        mine,
        local: entry?.local,
        origin,
      });
      entry?.resolve({ seq: body.seq, repeated: false });
      this.#logged(body.seq);
    }
  }

  /** @param {import('./codec.js').Ephemeral} body */
  #onEphemeral(body) {
    this.emit('ephemeral', {
      type: this.#typeName(body.type),
      ...fromPayload(body.payload),
      from: body.from,
      member: this.members.get(body.from),
      key: body.key,
    });
  }

  /** @param {import('./codec.js').Presence} body */
  #onPresence({ seq, event }) {
    const origin = this.#log(seq);
    if (origin !== null) {
      // The roster of a join is newer than the replay behind it, which only tells how it came about.
      const change = describe(event, this.members, origin === 'live');
      if ('collapsed' in event) {
        this.#collapse(event.collapsed.count);
      }
      if ('attributes' in event && event.attributes.id === this.#joined?.member) {
        this.#outbox.take(event.attributes.cseq)?.resolve({ seq, repeated: false });
      }
      this.emit('presence', { ...change, seq, origin });
      if (origin === 'live') {
        this.emit('members', this.members);
      }
      this.#logged(seq);
    }
  }

  /** @param {number} count */
  #collapse(count) {
    if (this.#joined !== null) {
      this.#joined = { ...this.#joined, presence: 'count' };
    }
    this.members.clear();
    this.#count = count;
  }
}
