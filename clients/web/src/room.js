/**
 * A room as its member sees it: who is in it, what is said, what was sent and is not answered
 * yet. A room outlives its connections, and its session if need be; the client tells it when to
 * expect what.
 *
 * @module
 */

import { Emitter } from './emitter.js';
import { LeftError, MadangError, TimeoutError } from './errors.js';
import { Outbox, unsent } from './outbox.js';
import { Presence } from './presence.js';
import { fromPayload, toAttributes, toPayload } from './values.js';
import { loadAsking } from './ways.js';

/** @typedef {import('./client.js').Client} Client */
/** @typedef {import('./codec.js').ClientMessage} ClientMessage */
/** @typedef {import('./codec.js').ServerMessage} ServerMessage */
/** @typedef {import('./codec.js').Joined} Joined */
/** @typedef {import('./emitter.js').ListenOptions} ListenOptions */
/** @typedef {import('./emitter.js').Off} Off */
/** @typedef {import('./errors.js').RefusedError} RefusedError */
/** @typedef {import('./roomstate.js').RoomState} RoomState */
/** @typedef {import('./types.js').Member} Member */
/** @typedef {import('./types.js').Origin} Origin */
/** @typedef {import('./types.js').JoinOptions} JoinOptions */
/** @typedef {import('./types.js').Target} Target */
/** @typedef {import('./types.js').SendOptions} SendOptions */
/** @typedef {import('./types.js').RequestOptions} RequestOptions */
/** @typedef {import('./types.js').Receipt} Receipt */
/** @typedef {import('./types.js').RoomMessage} RoomMessage */
/** @typedef {import('./types.js').RoomStats} RoomStats */
/** @typedef {import('./types.js').StatePlugin} StatePlugin */
/** @typedef {import('./types.js').Drop} Drop */
/** @typedef {import('./types.js').Recovery} Recovery */
/** @typedef {import('./types.js').Leave} Leave */
/** @typedef {import('./types.js').Gap} Gap */
/** @template T @typedef {import('./outbox.js').Sending<T>} Sending */

/**
 * What a join says beyond a room's name, as it is on the wire.
 *
 * @typedef {object} Making
 * @property {{ match: import('./codec.js').Match } | undefined} [match]
 * @property {Partial<import('./codec.js').Create>} [create]
 * @property {[number, Uint8Array][]} [ext]
 */

/** Messages that `history` keeps unless the join says otherwise. */
const HISTORY_MAX = 1_000;

/** A room this client is in, was in, or is entering. */
export class Room {
  #client;
  #making;
  /** @type {Joined | null} */
  #joined = null;
  /** By the type's name, and `message` and `*`. @type {Emitter<Record<string, RoomMessage>>} */
  #messages = new Emitter();
  /** @type {string[]} */
  #types = [];
  #replaySeq = 0;
  /** @type {Origin} */
  #replayOrigin = 'history';
  /** Whether the application waits for it; otherwise the room is entered again. @internal */
  first = true;
  /** Whether it may only be taken up, not entered. @internal */
  onlyResumed;
  /** Settle what the application waits for. @internal @type {any} */
  resolve;
  /** @internal @type {any} */
  reject;
  /** Once it is left by the application's wish. @internal @type {((value?: any) => void) | null} */
  left = null;
  /** Until then. @internal @type {Promise<void> | null} */
  leaving = null;
  /** What is to be done once the application can listen. @type {(() => void)[] | null} */
  #held = null;
  /** Of its state, where it has rules. @type {Uint8Array | undefined} */
  #schema;
  #isDropped = false;

  /** The room's name, its id; for a match it is known once joined. */
  id;
  /** The room's kind, once joined. */
  kind = '';
  /** Most members. */
  capacity = 0;
  /** @type {Record<string, string>} */
  labels = {};
  /** The room's state; null where it has none, where the client has no plug-in for it, and before it is entered. @type {RoomState | null} */
  state = null;
  /** The newest logged messages, as many as the join asked for by `history` or `keep`; oldest first. @type {RoomMessage[]} */
  history = [];
  /** Member ids this client has had in this epoch. @internal @type {Set<number>} */
  ownIds = new Set();
  /** Logged messages of the replay still to come. @internal */
  replayLeft = 0;
  /** What happens to it. @internal @type {Emitter<{ drop: Drop, recover: Recovery, leave: Leave, gap: Gap, refuse: RefusedError }>} */
  life = new Emitter();
  /** Why its rules failed, if they did. @internal @type {RefusedError | null} */
  failure = null;
  /** What its seqs are of; empty before it is entered. @internal */
  epoch = '';
  /** The highest seq seen. */
  seq = 0;
  /** What was asked for. @type {Target} */
  target;
  /** @type {JoinOptions} */
  options;
  /** Who is here. */
  presence;
  /**
   * The sendings.
   *
   * @internal
   */
  outbox;

  /**
   * Use `client.joinOrCreate` and its like.
   *
   * @internal
   * @param {Target} target
   * @param {JoinOptions} options
   * @param {Client} client
   * @param {boolean} onlyResumed
   * @param {Making} [making]
   */
  constructor(target, options, client, onlyResumed, making = {}) {
    this.target = target;
    this.id = typeof target === 'string' ? target : '';
    this.options = options;
    this.#client = client;
    this.#making = making;
    this.onlyResumed = onlyResumed;
    this.outbox = new Outbox(client);
    this.presence = new Presence(this.outbox, options.attributes);
  }

  /** Oneself. @returns {Member} */
  get me() {
    const id = this.#joined?.member ?? 0;
    const { members, attributes } = this.presence;
    return members.get(id) ?? { id, user: null, away: !this.live, attributes: { ...attributes } };
  }

  /** Whether what is sent now leaves at once. */
  get live() {
    return this.outbox.live;
  }

  /** Sendings that were not answered yet. */
  get unanswered() {
    return this.outbox.unanswered;
  }

  /**
   * A text with which `client.reconnect` takes this membership up in another page or process, once,
   * while the server holds it; null before the session began. It changes as the room goes on, so
   * read it when you put it away.
   */
  get ticket() {
    const { resumeKey } = this.#client;
    const { channel, cseq } = this.outbox;
    // In the form that `readTicket` reads.
    return resumeKey && this.epoch && channel !== null ? [resumeKey, channel, this.epoch, this.seq, cseq, this.id].join('.') : null;
  }

  /**
   * Sends to everyone in the room, or with `to` to one member.
   *
   * `reliable` (the default) is numbered, logged and sent again after a lost connection; the promise
   * is of its place in the log. Without a connection it is refused (`offline`) unless it may wait:
   * `queue: true`. `latest` is replaced by the next of its key while it cannot be sent. `volatile`
   * goes now or never, and its promise rejects (`dropped`) if it did not.
   *
   * In a room with rules the promise of a reliable or volatile message is fulfilled once they have
   * dealt with it, and rejected when they refuse it. Its `cseq` is the number under which it was
   * sent: the state shows what came of it once `state.acked.cseq` is as high.
   *
   * @param {string} type
   * @param {unknown} [payload] a string is text, a `Uint8Array` bytes, anything else JSON
   * @param {SendOptions} [options]
   * @returns {Sending<Receipt>}
   */
  send(type, payload = null, { class: deliveryClass = 'reliable', key = 0, to, ...options } = {}) {
    if (to !== undefined) {
      return this.outbox.send('direct', this.#build('direct', type, payload, { to: /** @type {any} */ (to).id ?? to }), options);
    }
    const build = this.#build('publish', type, payload, { class: deliveryClass === 'latest' ? { latest: key } : deliveryClass });
    if (deliveryClass === 'latest') {
      return this.outbox.sendLatest(build, key);
    }
    return deliveryClass === 'volatile'
      ? this.outbox.sendVolatile(build, !!this.#schema)
      : this.outbox.send('publish', build, options);
  }

  /**
   * Asks the room itself; the promise is of its answer.
   *
   * @param {string} type
   * @param {unknown} [payload]
   * @param {RequestOptions} [options]
   * @returns {Promise<any>}
   */
  request(type, payload = null, options = {}) {
    if (options.signal?.aborted) {
      return unsent(options.signal.reason);
    }
    const sending = this.outbox.send('request', this.#build('request', type, payload), { queue: options.queue });
    loadAsking().then(
      ({ bound }) => bound(this.outbox, sending, options, this.#client.timers, TimeoutError),
      // Better none than one without an end.
      (error) => this.outbox.giveUp(sending, error),
    );
    return sending;
  }

  /**
   * Listens to messages of a type, or to `message` (all that are logged: reliable and to this member
   * alone) or `*` (all, `latest` and `volatile` too).
   *
   * @param {string} type
   * @param {(message: RoomMessage) => void} listener
   * @param {ListenOptions} [options]
   * @returns {Off}
   */
  on(type, listener, options) {
    return this.#messages.on(type, listener, options);
  }

  /**
   * The connection was lost; the client comes back by itself.
   *
   * @param {(drop: Drop) => void} listener
   * @param {ListenOptions} [options]
   */
  onDrop(listener, options) {
    return this.life.on('drop', listener, options);
  }

  /**
   * The room is there again; what was missed follows, or could not be recovered.
   *
   * @param {(recovery: Recovery) => void} listener
   * @param {ListenOptions} [options]
   */
  onRecover(listener, options) {
    return this.life.on('recover', listener, options);
  }

  /**
   * The room was left, and that is final.
   *
   * @param {(leave: Leave) => void} listener
   * @param {ListenOptions} [options]
   */
  onLeave(listener, options) {
    return this.life.on('leave', listener, options);
  }

  /**
   * Logged messages will not come: the server has them no more.
   *
   * @param {(gap: Gap) => void} listener
   * @param {ListenOptions} [options]
   */
  onGap(listener, options) {
    return this.life.on('gap', listener, options);
  }

  /**
   * Something sent without an answer (class latest, or volatile) was refused.
   *
   * @param {(error: RefusedError) => void} listener
   * @param {ListenOptions} [options]
   */
  onRefuse(listener, options) {
    return this.life.on('refuse', listener, options);
  }

  /** Leaves the room. The promise is fulfilled once the server has said so. */
  leave() {
    return this.#client.places.leave(this);
  }

  /** What was sent, dropped and conflated, the round trip and the clock. */
  stats() {
    return this.#client.askStats([this]);
  }

  // --- What follows is for the client, not for applications. ---

  /**
   * How far the room was seen, `null` when it was not.
   *
   * @internal
   */
  get position() {
    return this.epoch ? { epoch: this.epoch, seq: this.seq } : null;
  }

  /**
   * The `join` that enters the room, or enters it again in a new session.
   *
   * @internal
   * @param {number} ref
   * @returns {ClientMessage}
   */
  joinMessage(ref) {
    const { echo = true, history = 0, mode } = this.options;
    const { match, create, ext } = this.#making;
    return /** @type {any} */ ({
      tag: 'join',
      body: {
        ref,
        target: this.id ? { name: this.id } : match,
        // Whoever asked to create the room has done so: the second time it must only be entered.
        mode: mode === 'create' && this.#joined ? 'either' : mode,
        options: { attributes: toAttributes(this.presence.attributes), echo, create },
        since: this.position,
        history,
        ext,
      },
    });
  }

  /** Deals with what was kept. */
  #release() {
    const held = this.#held;
    this.#held = null;
    const { attempt } = this.#client;
    // Unless a listener has the connection dropped meanwhile.
    held?.forEach((action) => attempt === this.#client.attempt && action());
    this.state?.endBatch();
  }

  /**
   * All messages of a batch were handled.
   *
   * @internal
   */
  endBatch() {
    if (!this.#held) {
      this.state?.endBatch();
    }
  }

  /**
   * The connection is gone: everything waits.
   *
   * @internal
   */
  suspend() {
    this.outbox.live = false;
    this.#release();
    this.state?.suspend();
    this.replayLeft = 0;
  }

  /**
   * @internal
   * @param {Drop} drop
   */
  dropped(drop) {
    if (!this.#isDropped) {
      this.#isDropped = true;
      this.life.emit('drop', drop);
    }
  }

  /**
   * The answer to a join, or the room found again after a resume.
   *
   * @internal
   * @param {Joined} joined
   * @param {boolean} resumed
   */
  enter(joined, resumed) {
    const { first } = this;
    if (first) {
      // The room's past is behind this message, likely in the same batch, and the application
      // can only listen once its `await` has come back.
      this.#held = [];
      this.#client.due.start(`release ${joined.channel}`, 0, () => this.#release());
    }
    this.first = this.onlyResumed = false;
    if (joined.epoch !== this.epoch) {
      this.newEpoch(joined.epoch);
    }
    this.#joined = joined;
    this.id = joined.name;
    this.kind = joined.kind;
    this.capacity = joined.capacity;
    this.labels = Object.fromEntries(joined.labels);
    this.#isDropped = false;
    this.ownIds.add(joined.member);
    this.outbox.channel = joined.channel;
    this.outbox.cseq = Math.max(this.outbox.cseq, joined.applied_cseq, this.#client.places.cseq);
    this.#types = [...joined.types];
    this.#schema = schemaOf(joined);
    this.state = (this.#schema && this.#client.rules?.openState(this.#client, this, this.#schema, joined.applied_cseq, MadangError)) ?? null;
    this.replayLeft = joined.replay;
    this.#replaySeq = joined.seq;
    this.#replayOrigin = first ? 'history' : 'missed';
    this.outbox.live = true;
    // Before the application hears of it: whatever it sends from its listeners has higher numbers,
    // and the room takes the lower ones only before those.
    this.outbox.sendAgain(joined.applied_cseq);
    if (!first) {
      this.life.emit('recover', { recovered: joined.recovered, resumed, replay: joined.replay });
    }
    this.presence.fill(joined);
    if (!joined.replay) {
      this.#endReplay();
    }
  }

  /**
   * Does what a message of the server about this room asks for.
   *
   * @internal
   * @param {() => void} action
   */
  inTurn(action) {
    if (this.#held) {
      this.#held.push(action);
    } else if (this.outbox.live) {
      action();
    } // What comes before the room was found again is part of what comes after.
  }

  /**
   * A message of the server about this room.
   *
   * @internal
   * @param {ServerMessage} message
   */
  handle(message) {
    const { tag, body } = message;
    this.inTurn(() => {
      switch (tag) {
        case 'message':
        case 'direct':
          this.#onMessage(body, tag === 'direct');
          break;
        case 'ephemeral':
          this.#say({ ...this.#toMessage(body), class: body.key === null ? 'volatile' : 'latest', key: body.key });
          break;
        case 'presence':
          this.#onPresence(body);
          break;
        case 'ack':
          this.outbox.ack(body);
          break;
        case 'reply':
          this.outbox.take(body.cseq)?.resolve(fromPayload(body.payload).payload);
          break;
        case 'types':
          body.names.forEach((name, index) => (this.#types[body.first + index] = name));
          break;
        default:
          if (tag === 'input_ack') {
            this.#client.rules?.covered(this.outbox, body);
          }
          this.state?.handle(message);
          break;
      }
    });
  }

  /**
   * The room is left for good.
   *
   * @internal
   * @param {Leave} leave why, and without an error the one that says so
   */
  end({ reason, error = this.failure ?? new LeftError(reason) }) {
    this.suspend();
    this.#joined = null;
    this.outbox.end(error);
    this.reject(error);
    this.life.emit('leave', { reason, error });
    this.left?.();
  }

  /**
   * Numbers of before mean nothing any more.
   *
   * @internal
   * @param {string} epoch
   */
  newEpoch(epoch) {
    this.epoch = epoch;
    this.seq = 0;
    this.ownIds.clear();
    this.outbox.giveUpSent();
    this.outbox.dropEdits();
  }

  /**
   * @param {string} tag
   * @param {string} type
   * @param {unknown} payload as it is now
   * @param {object} [more]
   * @returns {import('./outbox.js').Build}
   */
  #build(tag, type, payload, more) {
    const wire = toPayload(payload);
    return (head) => {
      const number = this.#types.indexOf(type);
      return /** @type {ClientMessage} */ ({ tag, body: { type: number < 0 ? type : number, payload: wire, ...head, ...more } });
    };
  }

  /**
   * Deals with a logged message, unless it was seen before, and counts it if it is of the replay.
   *
   * @param {number} seq
   * @param {(origin: Origin) => void} deal
   */
  #log(seq, deal) {
    if (seq <= this.seq) {
      return;
    }
    this.seq = seq;
    deal(this.replayLeft && seq <= this.#replaySeq ? this.#replayOrigin : 'live');
    if (this.replayLeft) {
      this.replayLeft = seq < this.#replaySeq ? this.replayLeft - 1 : 0;
      if (!this.replayLeft) {
        this.#endReplay();
      }
    }
  }

  /**
   * All that was missed is here. What the room has dealt with and did not come back was answered
   * on the lost connection.
   */
  #endReplay() {
    this.seq = Math.max(this.seq, this.#replaySeq);
    this.outbox.settle(this.#joined?.applied_cseq ?? 0);
  }

  /**
   * What all messages have.
   *
   * @param {{ type: string | number, payload: import('./codec.js').WirePayload, from: number }} body
   * @returns {RoomMessage}
   */
  #toMessage({ type, payload, from }) {
    return {
      type: typeof type === 'string' ? type : (this.#types[type] ?? `#${type}`),
      ...fromPayload(payload),
      class: 'reliable',
      key: null,
      seq: null,
      at: null,
      from,
      member: this.presence.members.get(from),
      direct: false,
      mine: this.ownIds.has(from),
      local: undefined,
      origin: 'live',
    };
  }

  /** @param {RoomMessage} message */
  #say(message) {
    // A type may be called like one of the others.
    new Set([message.type, message.seq === null ? '*' : 'message', '*']).forEach((name) => this.#messages.emit(name, message));
  }

  /**
   * @param {import('./codec.js').Message | import('./codec.js').DirectMessage} body
   * @param {boolean} direct
   */
  #onMessage(body, direct) {
    this.#log(body.seq, (origin) => {
      const { member, epoch_at_ms: epochAtMs = 0 } = this.#joined ?? {};
      // Only the present member's numbers are this session's.
      const entry = body.from === member ? this.outbox.take(/** @type {any} */ (body).cseq) : undefined;
      const message = { ...this.#toMessage(body), seq: body.seq, at: new Date(epochAtMs + body.at), direct, local: entry?.local, origin };
      this.history.push(message);
      const { history = 0, keep = Math.min(history, HISTORY_MAX) } = this.options;
      this.history.splice(0, this.history.length - keep);
      this.#say(message);
      entry?.resolve({ seq: body.seq, repeated: false });
    });
  }

  /** @param {import('./codec.js').Presence} body */
  #onPresence({ seq, event }) {
    this.#log(seq, (origin) => {
      const { attributes } = /** @type {any} */ (event);
      if (attributes?.id === this.#joined?.member) {
        this.outbox.take(attributes.cseq)?.resolve({ seq, repeated: false });
      }
      this.presence.handle(event, { seq, origin });
    });
  }
}

/**
 * The schema of the room's state, which rooms with rules have: extension 1.
 *
 * @param {Joined} joined
 */
export const schemaOf = ({ ext }) => ext.find(([number]) => number === 1)?.[1];
