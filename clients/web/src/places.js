/**
 * The rooms of a client: those to be entered, those it is in, those being left. They outlive
 * connections; the client says when there is one.
 *
 * Deliberately absent: how to connect, and what goes on inside a room.
 *
 * @module
 */

import { Backoff } from './backoff.js';
import { LeftError, SessionGoneError } from './errors.js';

/** @typedef {import('./codec.js').Joined} Joined */
/** @typedef {import('./codec.js').LeaveReason} LeaveReason */
/** @typedef {import('./client.js').Client} Client */
/** @typedef {import('./room.js').Room} Room */
/** @typedef {import('./types.js').Leave} Leave */

/**
 * A room and what is waited for.
 *
 * @typedef {object} Place
 * @property {Room} room
 * @property {boolean} first whether the application waits for it; otherwise the room is entered again
 * @property {boolean} onlyResumed whether it may only be taken up, not entered
 * @property {Backoff} backoff between attempts
 * @property {(room: Room) => void} resolve
 * @property {(error: Error) => void} reject
 * @property {(() => void) | null} left once it is left by the application's wish
 */

/** The rooms of one client. */
export class Places {
  #client;
  /** Entered, or offered to be taken up. @type {Map<number, Place>} */
  entered = new Map();
  /** To be entered, by the `ref` of the join. @type {Map<number, Place>} */
  joins = new Map();

  /**
   * The highest number that was used in a room that has ended. Who enters it again goes on above: what was on
   * its way when the room ended may be heard in the new membership, and a number that is used twice is not
   * heard at all. One mark serves for all rooms, as numbers may be left out.
   */
  cseq = 0;

  /** @param {Client} client */
  constructor(client) {
    this.#client = client;
  }

  /** The rooms this client is in. */
  get rooms() {
    return [...this.entered.values()].map(({ room }) => room);
  }

  /** @param {number} channel */
  room(channel) {
    return this.entered.get(channel)?.room;
  }

  /** How far each room was seen that is to be taken up again, for a hello. */
  positions() {
    const rooms = [];
    for (const [channel, { room, left }] of this.entered) {
      const position = room.position;
      if (position && !left) {
        rooms.push({ channel, ...position });
      }
    }
    return rooms;
  }

  /**
   * @param {Room} room
   * @param {boolean} onlyResumed
   * @param {AbortSignal | undefined} signal
   * @returns {Promise<Room>}
   */
  enter(room, onlyResumed, signal) {
    return new Promise((resolve, reject) => {
      /** @type {Place} */
      const place = { room, first: true, onlyResumed, backoff: new Backoff(this.#client.random), resolve, reject, left: null };
      signal?.addEventListener('abort', () => this.#giveUp(place, signal.reason), { once: true });
      this.ask(this.wait(place));
    });
  }

  /**
   * @param {Room} room
   * @returns {Promise<void>}
   */
  leave(room) {
    const found = [...this.entered].find(([, { room: it }]) => it === room);
    if (!found || found[1].left) {
      return Promise.resolve();
    }
    return new Promise((resolve) => {
      found[1].left = resolve;
      if (this.#client.isOpen) {
        this.#leave(found[0]);
      }
    });
  }

  /** @param {boolean} resumed whether the session was taken up again; if not, every room is entered anew, and told so when it is */
  welcomed(resumed) {
    for (const [channel, place] of [...this.entered]) {
      if (place.left) {
        // It was not asked for, or is gone with the old session.
        this.#end(channel, place, 'left');
      } else if (!resumed) {
        this.#forget(channel, place);
      }
    }
    for (const ref of this.joins.keys()) {
      this.ask(ref);
    }
  }

  /** @param {Joined} joined */
  joined(joined) {
    const { ref, channel } = joined;
    const place = ref === null ? this.entered.get(channel) : this.joins.get(ref);
    if (!place) {
      if (ref !== null) {
        // Given up before it was entered.
        this.#leave(channel);
      }
      return;
    }
    const { room, first, resolve } = place;
    if (ref !== null) {
      this.joins.delete(ref);
      this.entered.set(channel, place);
    }
    if (first) {
      // The room's past is behind this message, likely in the same batch, and the application
      // can only listen once its `await` has come back.
      room.hold();
      this.#client.due.start(`release ${channel}`, 0, () => room.release());
    }
    room.enter(joined, { first, resumed: ref === null });
    place.first = false;
    place.onlyResumed = false;
    place.reject = (error) => room.end({ reason: 'refused', error });
    resolve(room);
  }

  /**
   * @param {number} channel
   * @param {LeaveReason} reason
   */
  left(channel, reason) {
    const place = this.entered.get(channel);
    if (!place) {
      return;
    }
    if ((reason === 'lost' || place.first) && !place.left) {
      this.ask(this.#forget(channel, place));
    } else {
      this.#end(channel, place, reason);
    }
  }

  /**
   * The client is closed.
   *
   * @param {Error} error
   * @param {'left' | 'disconnected'} reason
   * @param {() => void} said tells that it is, before the rooms do
   */
  close(error, reason, said) {
    const [entered, joins] = [[...this.entered.values()], [...this.joins.values()]];
    this.entered.clear();
    this.joins.clear();
    said();
    for (const place of entered) {
      finish(place, { reason, error });
    }
    for (const { reject } of joins) {
      reject(error);
    }
  }

  /**
   * @param {Place} place
   * @returns {number} the `ref` of its join
   */
  wait(place) {
    const ref = ++this.#client.refs;
    this.joins.set(ref, place);
    return ref;
  }

  /** @param {number} ref of a join, if it still is one; without a connection the next welcome has it asked for */
  ask(ref) {
    const place = this.joins.get(ref);
    if (place && this.#client.isOpen) {
      this.#client.say(place.room.joinMessage(ref));
    }
  }

  /** @param {number} channel */
  #leave(channel) {
    this.#client.say({ tag: 'leave', body: { channel } });
  }

  /**
   * The room is not there any more, or this session is not in it: it is to be entered anew.
   *
   * @param {number} channel
   * @param {Place} place
   * @returns {number} the `ref` of the join, 0 if there is none
   */
  #forget(channel, place) {
    this.entered.delete(channel);
    place.room.forgetSession();
    if (place.onlyResumed) {
      place.reject(new SessionGoneError());
      return 0;
    }
    return this.wait(place);
  }

  /**
   * @param {number} channel
   * @param {Place} place
   * @param {LeaveReason} reason
   */
  #end(channel, place, reason) {
    this.entered.delete(channel);
    this.cseq = Math.max(this.cseq, place.room.outbox.cseq);
    finish(place, { reason });
  }

  /**
   * The application does not wait for a room any more. If it is entered all the same, it is left.
   *
   * @param {Place} place
   * @param {Error} error
   */
  #giveUp(place, error) {
    if (place.first) {
      for (const [ref, it] of this.joins) {
        if (it === place) {
          this.joins.delete(ref);
        }
      }
      void this.leave(place.room);
      place.reject(error);
    }
  }
}

/**
 * A room is left for good, or it will never be entered.
 *
 * @param {Place} place
 * @param {Leave} leave
 */
function finish({ room, first, reject, left }, leave) {
  if (first) {
    reject(leave.error ?? new LeftError(leave.reason));
  } else {
    room.end(leave);
  }
  left?.();
}
