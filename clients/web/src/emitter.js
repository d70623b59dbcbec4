/**
 * Events by name. A listener that throws is reported like any uncaught error and disturbs neither
 * the other listeners nor the client.
 *
 * @module
 */

/**
 * What a listener is called with: one value, or those of a tuple.
 *
 * @template T
 * @typedef {T extends [any, ...any[]] ? T : [event: T]} Arguments
 */

/**
 * @template {Record<string, any>} E event names and what comes with them
 */
export class Emitter {
  /** @type {Map<keyof E, Set<(...event: any[]) => void>>} */
  #listeners = new Map();

  /**
   * Calls `listener` for each event of that name, until the returned function is called.
   *
   * @template {keyof E} K
   * @param {K} name
   * @param {(...event: Arguments<E[K]>) => void} listener
   * @returns {() => void}
   */
  on(name, listener) {
    const listeners = this.#listeners.get(name) ?? new Set();
    this.#listeners.set(name, listeners);
    listeners.add(listener);
    return () => {
      listeners.delete(listener);
    };
  }

  /**
   * @template {keyof E} K
   * @param {K} name
   * @param {Arguments<E[K]>} event
   */
  emit(name, ...event) {
    const listeners = this.#listeners.get(name);
    if (listeners !== undefined) {
      callAll(listeners, event);
    }
  }
}

/**
 * Calls each listener that there is now.
 *
 * @param {Iterable<(...event: any[]) => void>} listeners
 * @param {readonly any[]} event
 */
export function callAll(listeners, event) {
  for (const listener of [...listeners]) {
    try {
      listener(...event);
    } catch (error) {
      queueMicrotask(() => {
        throw error;
      });
    }
  }
}
