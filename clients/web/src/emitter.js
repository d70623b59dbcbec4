/**
 * Events by name. A listener that throws is reported like any uncaught error and disturbs neither
 * the other listeners nor the client.
 *
 * @module
 */

/**
 * @template {Record<string, any>} E event names and what comes with them
 */
export class Emitter {
  /** @type {Map<keyof E, Set<(event: any) => void>>} */
  #listeners = new Map();

  /**
   * Calls `listener` for each event of that name, until the returned function is called.
   *
   * @template {keyof E} K
   * @param {K} name
   * @param {(event: E[K]) => void} listener
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
   * @param {E[K]} event
   */
  emit(name, event) {
    for (const listener of [...(this.#listeners.get(name) ?? [])]) {
      try {
        listener(event);
      } catch (error) {
        queueMicrotask(() => {
          throw error;
        });
      }
    }
  }
}
