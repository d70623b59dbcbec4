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

/** Stops the listening that it came from. @typedef {() => void} Off */
/** @typedef {{ signal?: AbortSignal }} ListenOptions */

/**
 * @template {Record<string, any>} E event names and what comes with them
 */
export class Emitter {
  /** @type {Map<keyof E, Set<(...event: any[]) => void>>} */
  #listeners = new Map();

  /**
   * Calls `listener` for each event of that name, until the returned function is called or the
   * signal aborts.
   *
   * @template {keyof E} K
   * @param {K} name
   * @param {(...event: Arguments<E[K]>) => void} listener
   * @param {ListenOptions} [options]
   * @returns {Off}
   */
  on(name, listener, { signal } = {}) {
    const listeners = this.#listeners.get(name) ?? new Set();
    const off = () => {
      listeners.delete(listener);
      signal?.removeEventListener('abort', off);
    };
    if (!signal?.aborted) {
      this.#listeners.set(name, listeners.add(listener));
      signal?.addEventListener('abort', off);
    }
    return off;
  }

  /**
   * @internal
   * @template {keyof E} K
   * @param {K} name
   * @param {Arguments<E[K]>} event
   */
  emit(name, ...event) {
    callAll(this.#listeners.get(name) ?? [], event);
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
