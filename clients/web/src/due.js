/**
 * Timers by what they are for, one each: starting one again puts the old one off.
 *
 * @module
 */

/** @typedef {import('./types.js').Timers} Timers */

/** @type {Timers} */
export const REAL_TIMERS = {
  now: () => Date.now(),
  setTimeout: (callback, ms) => setTimeout(callback, ms),
  clearTimeout: (timer) => clearTimeout(timer),
};

/** What is due, by name. */
export class Due {
  #timers;
  /** @type {Map<string, any>} */
  #due = new Map();

  /** @param {Timers} timers */
  constructor(timers) {
    this.#timers = timers;
  }

  /** @param {string} name */
  has(name) {
    return this.#due.has(name);
  }

  /**
   * @param {string} name
   * @param {number} ms
   * @param {() => void} action
   */
  start(name, ms, action) {
    this.stop(name);
    this.#due.set(
      name,
      this.#timers.setTimeout(() => {
        this.#due.delete(name);
        action();
      }, ms),
    );
  }

  /** @param {string} name */
  stop(name) {
    this.#timers.clearTimeout(this.#due.get(name));
    this.#due.delete(name);
  }

  stopAll() {
    this.#due.forEach((_, name) => this.stop(name));
  }
}
