/**
 * How long to wait before the next attempt to connect: full jitter under an exponential ceiling,
 * so that the clients of a server that went away do not come back in step.
 *
 * @module
 */

const CEILING_FIRST_MS = 500;
const CEILING_MAX_MS = 20_000;

/** Waiting times between attempts. */
export class Backoff {
  #random;
  #attempt = 0;

  /** @param {() => number} [random] uniform in [0, 1) */
  constructor(random = Math.random) {
    this.#random = random;
  }

  /**
   * The next waiting time.
   *
   * @param {number} [hintMs] what the server asked for; it is jittered already and taken as it is
   * @returns {number} milliseconds
   */
  next(hintMs) {
    const ceiling = Math.min(CEILING_MAX_MS, CEILING_FIRST_MS * 2 ** this.#attempt++);
    return hintMs ?? this.#random() * ceiling;
  }

  /** To be called once a connection has proved itself. */
  reset() {
    this.#attempt = 0;
  }
}
