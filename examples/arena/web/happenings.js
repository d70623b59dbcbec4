// What happened at which tick, so that it is shown when its tick is, also when the past is played again.
// @ts-check

const KEPT_MAX = 2000;

/** @typedef {{ tick: number, type: string, payload: any }} Happened */

export class Happenings {
  /** Ascending. @type {Happened[]} */
  #all = [];
  #shown = -Infinity;

  clear() {
    this.#all = [];
    this.#shown = -Infinity;
  }

  /** @param {number} tick @param {string} type @param {any} payload */
  add(tick, type, payload) {
    this.#all.push({ tick, type, payload });
    if (this.#all.length > KEPT_MAX) this.#all.shift();
  }

  /**
   * What has happened since the last time, up to a tick. Who went back, or far ahead, is told nothing of the way.
   * @param {number} tick
   */
  until(tick) {
    const from = this.#shown;
    this.#shown = tick;
    if (tick < from || tick - from > 40) return [];
    return this.#all.filter((it) => it.tick > from && it.tick <= tick);
  }
}
