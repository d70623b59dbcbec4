/**
 * The rooms of a client: those to be entered, those it is in, those being left. They outlive
 * connections; the client says when there is one.
 *
 * Deliberately absent: how to connect, and what goes on inside a room.
 *
 * @module
 */

import { SessionGoneError } from './errors.js';

/** @typedef {import('./codec.js').Joined} Joined */
/** @typedef {import('./codec.js').LeaveReason} LeaveReason */
/** @typedef {import('./client.js').Client} Client */
/** @typedef {import('./room.js').Room} Room */
/** @typedef {import('./types.js').Leave} Leave */

/** The rooms of one client. */
export class Places {
  #client;
  /** Entered, or offered to be taken up. @type {Map<number, Room>} */
  entered = new Map();
  /** To be entered, by the `ref` of the join. @type {Map<number, Room>} */
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
    return [...this.entered.values()];
  }

  /** How far each room was seen that is to be taken up again, for a hello. */
  positions() {
    return [...this.entered].flatMap(([channel, { position, left }]) => (position && !left ? { channel, ...position } : []));
  }

  /**
   * @param {Room} room
   * @param {AbortSignal | undefined} signal
   * @returns {Promise<Room>}
   */
  enter(room, signal) {
    // The application does not wait for it any more. If it is entered all the same, it is left.
    const giveUp = () => {
      room.reject(signal?.reason);
      void this.leave(room);
    };
    signal?.addEventListener('abort', giveUp);
    return /** @type {Promise<any>} */ (
      new Promise((resolve, reject) => {
        room.resolve = resolve;
        room.reject = reject;
        this.ask(this.wait(room));
      })
    ).finally(() => signal?.removeEventListener('abort', giveUp));
  }

  /**
   * @param {Room} room
   * @returns {Promise<void>}
   */
  leave(room) {
    return (room.leaving ??= new Promise((resolve) => {
      const channel = /** @type {number} */ (room.outbox.channel);
      room.left = resolve;
      if (this.entered.get(channel) !== room) {
        // Not in it yet, or not again, or not any more.
        this.joins.forEach((it, ref) => it === room && this.#end(this.joins, ref, { reason: 'left' }));
        resolve();
      } else if (this.#client.isOpen) {
        this.#leave(channel);
      }
    }));
  }

  /** @param {boolean} resumed whether the session was taken up again; if not, every room is entered anew, and told so when it is */
  welcomed(resumed) {
    for (const [channel, room] of [...this.entered]) {
      if (room.left) {
        // It was not asked for, or is gone with the old session, or left as soon as it is found again.
        this.#end(this.entered, channel, { reason: 'left' });
      } else if (!resumed) {
        this.#forget(channel, room);
      }
    }
    this.joins.forEach((_, ref) => this.ask(ref));
  }

  /** @param {Joined} joined */
  joined(joined) {
    const { ref, channel } = joined;
    const resumed = ref === null;
    const room = resumed ? this.entered.get(channel) : this.joins.get(ref);
    if (room) {
      if (!resumed) {
        this.joins.delete(ref);
        this.entered.set(channel, room);
      }
      room.enter(joined, resumed);
      room.resolve(room);
    } else {
      // Given up meanwhile.
      this.#leave(channel);
    }
  }

  /** @param {{ channel: number, reason: LeaveReason }} body */
  left({ channel, reason }) {
    const room = this.entered.get(channel);
    if (!room) {
      return;
    }
    // A listener that hears what was held back may leave it.
    room.suspend();
    if ((reason === 'lost' || room.first) && !room.left) {
      this.ask(this.#forget(channel, room));
    } else {
      this.#end(this.entered, channel, { reason });
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
    const rooms = [...this.rooms, ...this.joins.values()];
    this.entered.clear();
    this.joins.clear();
    said();
    rooms.forEach((room) => room.end({ reason, error }));
  }

  /**
   * @param {Room} room
   * @returns {number} the `ref` of its join
   */
  wait(room) {
    const ref = ++this.#client.refs;
    this.joins.set(ref, room);
    return ref;
  }

  /** @param {number} ref of a join, if it still is one; without a connection the next welcome has it asked for */
  ask(ref) {
    const room = this.joins.get(ref);
    if (room && this.#client.isOpen) {
      try {
        this.#client.say(room.joinMessage(ref));
      } catch (error) {
        // An option that cannot be said.
        this.#end(this.joins, ref, { reason: 'refused', error: /** @type {Error} */ (error) });
      }
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
   * @param {Room} room
   * @returns {number} the `ref` of the join, 0 if there is none
   */
  #forget(channel, room) {
    this.entered.delete(channel);
    // What was sent and not answered may or may not have been applied, and nobody can tell.
    room.outbox.giveUpSent();
    if (room.onlyResumed) {
      room.end({ reason: 'refused', error: new SessionGoneError() });
      return 0;
    }
    return this.wait(room);
  }

  /**
   * @param {Map<number, Room>} rooms `entered` or `joins`
   * @param {number} key
   * @param {Leave} leave
   */
  #end(rooms, key, leave) {
    const room = /** @type {Room} */ (rooms.get(key));
    rooms.delete(key);
    this.cseq = Math.max(this.cseq, room.outbox.cseq);
    room.end(leave);
  }
}
