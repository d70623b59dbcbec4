/**
 * The rooms of a client: those to be entered, those it is in, those being left. They outlive
 * connections; the client says when there is one.
 *
 * Deliberately absent: how to connect, and what goes on inside a room.
 *
 * @module
 */

import { Backoff } from './backoff.js';
import { LeftError, RefusedError, SessionGoneError } from './errors.js';
import { mayRetryJoin } from './joining.js';

/** @typedef {import('./codec.js').ClientMessage} ClientMessage */
/** @typedef {import('./codec.js').Joined} Joined */
/** @typedef {import('./codec.js').LeaveReason} LeaveReason */
/** @typedef {import('./due.js').Due} Due */
/** @typedef {import('./room.js').Room} Room */
/** @typedef {import('./tickets.js').Ticket} Ticket */

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

/**
 * What it needs of the client.
 *
 * @typedef {object} Desk
 * @property {(message: ClientMessage) => void} send
 * @property {() => boolean} isOpen whether there is a connection that was welcomed
 * @property {() => number} nextRef
 * @property {() => number} random
 * @property {Due} due
 */

/** The rooms of one client. */
export class Places {
  #desk;
  /** Entered, or offered to be taken up. @type {Map<number, Place>} */
  #entered = new Map();
  /** To be entered, by the `ref` of the join. @type {Map<number, Place>} */
  #joins = new Map();

  /** Memberships of an earlier page that may be taken up. @type {Ticket[]} */
  tickets = [];

  /** @param {Desk} desk */
  constructor(desk) {
    this.#desk = desk;
  }

  /** The rooms this client is in. */
  get rooms() {
    return [...this.#entered.values()].map(({ room }) => room);
  }

  /** @param {number} channel */
  room(channel) {
    return this.#entered.get(channel)?.room;
  }

  /** How far each room was seen that is to be taken up again, for a hello. */
  positions() {
    this.tickets = [];
    const rooms = [];
    for (const [channel, { room, left }] of this.#entered) {
      const position = room.position;
      if (position !== null && left === null) {
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
      const place = { room, first: true, onlyResumed, backoff: new Backoff(this.#desk.random), resolve, reject, left: null };
      signal?.addEventListener('abort', () => this.#giveUp(place, signal.reason), { once: true });
      const ticket = this.tickets.find(({ name }) => name === room.target);
      if (ticket !== undefined && !this.#entered.has(ticket.channel)) {
        room.restore(ticket);
        this.#entered.set(ticket.channel, place);
      } else {
        this.#join(place);
      }
    });
  }

  /**
   * @param {Room} room
   * @returns {Promise<void>}
   */
  leave(room) {
    const found = [...this.#entered].find(([, { room: it }]) => it === room);
    if (found === undefined || found[1].left !== null) {
      return Promise.resolve();
    }
    return new Promise((resolve) => {
      found[1].left = resolve;
      if (this.#desk.isOpen()) {
        this.#desk.send({ tag: 'leave', body: { channel: found[0] } });
      }
    });
  }

  /** @param {boolean} resumed whether the session was taken up again; if not, every room is entered anew, and told so when it is */
  welcomed(resumed) {
    for (const [channel, place] of [...this.#entered]) {
      if (place.left !== null) {
        // It was not asked for, or is gone with the old session.
        this.#end(channel, place, 'left');
      } else if (!resumed) {
        this.#forget(channel, place);
      }
    }
    for (const [ref, { room }] of this.#joins) {
      this.#desk.send(room.joinMessage(ref));
    }
  }

  /** @param {Joined} joined */
  joined(joined) {
    const { ref, channel } = joined;
    const place = ref === null ? this.#entered.get(channel) : this.#joins.get(ref);
    if (place === undefined) {
      if (ref !== null) {
        // Given up before it was entered.
        this.#desk.send({ tag: 'leave', body: { channel } });
      }
      return;
    }
    const { room, first, resolve } = place;
    if (ref !== null) {
      this.#joins.delete(ref);
      this.#entered.set(channel, place);
    }
    if (first) {
      // The room's past is behind this message, likely in the same batch, and the application
      // can only listen once its `await` has come back.
      room.hold();
      this.#desk.due.start(`release ${channel}`, 0, () => room.release());
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
    const place = this.#entered.get(channel);
    if (place === undefined) {
      return;
    }
    if ((reason === 'lost' || place.first) && place.left === null) {
      const ref = this.#forget(channel, place);
      if (ref !== null) {
        this.#desk.send(place.room.joinMessage(ref));
      }
    } else {
      this.#end(channel, place, reason);
    }
  }

  /**
   * A join was refused.
   *
   * @param {number} ref
   * @param {RefusedError} error
   */
  refused(ref, error) {
    const place = this.#joins.get(ref);
    if (place === undefined || error.code === 'draining') {
      return; // When it drains the join stays, and goes to the server that this one is replaced by.
    }
    this.#joins.delete(ref);
    if (place.first || !mayRetryJoin(error)) {
      place.reject(error);
      return;
    }
    // A room that was entered before is worth waiting for.
    const next = this.#desk.nextRef();
    this.#joins.set(next, place);
    this.#desk.due.start(`join ${next}`, place.backoff.next(), () => this.#desk.send(place.room.joinMessage(next)));
  }

  /**
   * The client is closed.
   *
   * @param {Error} error
   * @param {'left' | 'disconnected'} reason
   * @param {() => void} said tells that it is, before the rooms do
   */
  close(error, reason, said) {
    const places = [...this.#entered.values(), ...this.#joins.values()];
    const entered = new Set(this.rooms);
    this.#entered.clear();
    this.#joins.clear();
    said();
    for (const { room, first, reject, left } of places) {
      if (entered.has(room) && !first) {
        room.end({ reason, error });
      } else {
        reject(error);
      }
      left?.();
    }
  }

  /** @param {Place} place */
  #join(place) {
    const ref = this.#desk.nextRef();
    this.#joins.set(ref, place);
    if (this.#desk.isOpen()) {
      this.#desk.send(place.room.joinMessage(ref));
    }
  }

  /**
   * The room is not there any more, or this session is not in it: it is to be entered anew.
   *
   * @param {number} channel
   * @param {Place} place
   * @returns {number | null} the `ref` of the join, null if there is none
   */
  #forget(channel, place) {
    this.#entered.delete(channel);
    place.room.forgetSession();
    if (place.onlyResumed) {
      place.reject(new SessionGoneError());
      return null;
    }
    const ref = this.#desk.nextRef();
    this.#joins.set(ref, place);
    return ref;
  }

  /**
   * @param {number} channel
   * @param {Place} place
   * @param {LeaveReason} reason
   */
  #end(channel, place, reason) {
    this.#entered.delete(channel);
    if (place.first) {
      place.reject(new LeftError(reason));
    } else {
      place.room.end({ reason });
    }
    place.left?.();
  }

  /**
   * The application does not wait for a room any more. If it is entered all the same, it is left.
   *
   * @param {Place} place
   * @param {Error} error
   */
  #giveUp(place, error) {
    if (place.first) {
      for (const [ref, it] of this.#joins) {
        if (it === place) {
          this.#joins.delete(ref);
        }
      }
      void this.leave(place.room);
      place.reject(error);
    }
  }
}
