// What the room was at each tick, and what it is in between. Members and spectators fill it alike: with
// entities by their ids, each an object of its fields and `kind`, the name of its kind.
// @ts-check

import { TICK_HZ } from './movement.js';

export const TICK_MS = 1000 / TICK_HZ;
/** Ticks that are kept: as much of the past as a server shows. */
const FRAMES_MAX = 130 * TICK_HZ;
/** Farther in a tick than anybody runs: then it was put there. */
const JUMP = 2.5;
const BEAN_TICKS = 12;

/** @typedef {{ kind: string, [field: string]: any }} Entity */
/** @typedef {{ tick: number, entities: Map<number, Entity> }} Frame */

/**
 * @typedef {object} Player
 * @property {number} id
 * @property {number} x
 * @property {number} y
 * @property {number} look
 * @property {boolean} dashing
 * @property {boolean} stunned
 * @property {boolean} guarded
 * @property {number} carried
 * @property {number} score
 * @property {number} streak
 * @property {number} wins
 * @property {string} name
 * @property {number} color
 * @property {number} member 0 is a bot
 * @property {number} emote
 */

/**
 * What a moment looks like.
 * @typedef {object} Moment
 * @property {number} tick with a fraction
 * @property {{ phase: number, ends: number, round: number, podium: number[] }} room
 * @property {Player[]} players
 * @property {{ id: number, x: number, y: number }[]} lanterns
 * @property {{ id: number, x: number, y: number, z: number, by: number }[]} beans
 * @property {{ id: number, x: number, y: number, armed: number, by: number }[]} traps
 */

export class Timeline {
  /** Ascending. @type {Frame[]} */
  #frames = [];

  get isEmpty() {
    return this.#frames.length === 0;
  }

  get first() {
    return this.#frames[0]?.tick ?? 0;
  }

  get last() {
    return this.#frames.at(-1)?.tick ?? 0;
  }

  /** The newest entities. */
  get newest() {
    return this.#frames.at(-1)?.entities ?? new Map();
  }

  clear() {
    this.#frames = [];
  }

  /**
   * @param {number} tick
   * @param {Map<number, Entity>} entities not changed any more
   */
  push(tick, entities) {
    if (!this.isEmpty && tick <= this.last) {
      // Told again, or another life of the room.
      if (tick < this.last - FRAMES_MAX) this.clear();
      else this.#frames.splice(this.#place(tick - 1) + 1);
    }
    this.#frames.push({ tick, entities });
    if (this.#frames.length > FRAMES_MAX) this.#frames.splice(0, this.#frames.length - FRAMES_MAX);
  }

  /** The entities of a tick. @param {number} tick */
  at(tick) {
    return this.#frames[Math.max(0, this.#place(tick))]?.entities ?? new Map();
  }

  /**
   * What a moment looks like; null while nothing is known.
   * @param {number} tick with a fraction
   * @returns {Moment | null}
   */
  moment(tick) {
    const place = Math.max(0, this.#place(tick));
    const before = this.#frames[place];
    if (before === undefined) return null;
    const after = this.#frames[place + 1];
    // A tick that changed nothing was not told: until the one before the next all stood still.
    const from = after === undefined ? before.tick : Math.max(before.tick, after.tick - 1);
    const part = after === undefined ? 0 : Math.min(1, Math.max(0, tick - from));
    /** @type {Moment} */
    const moment = { tick, room: { phase: 0, ends: 0, round: 0, podium: [] }, players: [], lanterns: [], beans: [], traps: [] };
    for (const [id, it] of before.entities) {
      if (it.kind === 'player') {
        moment.players.push(player(id, it, after?.entities.get(id), part));
      } else if (it.kind === 'lantern') {
        moment.lanterns.push({ id, x: it.at[0], y: it.at[1] });
      } else if (it.kind === 'bean') {
        const age = Math.min(BEAN_TICKS, Math.max(0, tick - it.born));
        const seconds = age / TICK_HZ;
        const rise = age / BEAN_TICKS;
        moment.beans.push({ id, x: it.from[0] + it.velocity[0] * seconds, y: it.from[1] + it.velocity[1] * seconds, z: 0.9 + 3.2 * rise * (1 - rise) - 0.4 * rise, by: it.by });
      } else if (it.kind === 'trap') {
        if (it.laid) moment.traps.push({ id, x: it.at[0], y: it.at[1], armed: it.armed, by: it.by });
      } else if (it.kind === 'arena') {
        moment.room = { phase: it.phase, ends: it.ends, round: it.round, podium: it.podium ?? [] };
      }
    }
    return moment;
  }

  /** The place of the newest frame that is not newer than a tick; -1 if there is none. @param {number} tick */
  #place(tick) {
    let low = 0;
    let high = this.#frames.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.#frames[middle].tick <= tick) low = middle + 1;
      else high = middle;
    }
    return low - 1;
  }
}

/**
 * @param {number} id
 * @param {Entity} it
 * @param {Entity | undefined} next
 * @param {number} part
 * @returns {Player}
 */
export function player(id, it, next, part) {
  let [x, y] = it.at;
  if (next !== undefined && Math.abs(next.at[0] - x) < JUMP && Math.abs(next.at[1] - y) < JUMP) {
    x += (next.at[0] - x) * part;
    y += (next.at[1] - y) * part;
  }
  return {
    id, x, y,
    look: it.look,
    dashing: (it.pose & 1) !== 0,
    stunned: (it.pose & 2) !== 0,
    guarded: (it.pose & 4) !== 0,
    carried: it.carried,
    score: it.score,
    streak: it.streak,
    wins: it.wins,
    name: it.name,
    color: it.color,
    member: it.member,
    emote: it.emote,
  };
}

/** Which tick the room is at, by this page's clock: ticks come early or late, and most come in time. */
export class TickClock {
  /** Ticks at this page's time 0. */
  #offset = 0;
  #isSet = false;
  /** How much later than the earliest they come, in ticks. */
  lateness = 0;

  get isSet() {
    return this.#isSet;
  }

  reset() {
    this.#isSet = false;
  }

  /**
   * A tick has come.
   * @param {number} tick
   * @param {number} now in milliseconds
   */
  heard(tick, now) {
    const offset = tick - now / TICK_MS;
    const off = offset - this.#offset;
    if (!this.#isSet || Math.abs(off) > 10) {
      this.#offset = offset;
      this.#isSet = true;
      this.lateness = 0;
      return;
    }
    this.#offset += off * (off > 0 ? 0.25 : 0.02);
    this.lateness += (Math.min(4, Math.max(0, -off)) - this.lateness) * 0.05;
  }

  /** The newest tick that should be here. @param {number} now in milliseconds */
  tick(now) {
    return this.#offset + now / TICK_MS;
  }
}
