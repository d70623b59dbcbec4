/**
 * The round trip and the server's clock, from pings and their answers. The sample with the
 * shortest round trip says most about the clock: the rest of its time was spent in queues.
 *
 * @module
 */

const SAMPLES_MAX = 12;

/** Estimates the server's time out of recent samples. */
export class Clock {
  /** The newest first. @type {{ rtt: number, offset: number }[]} */
  #samples = [];

  /** The newest round trip in milliseconds, `null` before the first. @returns {number | null} */
  get rtt() {
    return this.#samples[0]?.rtt ?? null;
  }

  /** What to add to the local wall clock to get the server's, in milliseconds; undefined before the first. */
  get offset() {
    return [...this.#samples].sort((one, other) => one.rtt - other.rtt)[0]?.offset;
  }

  /**
   * An answered ping. The server's time is taken to be from the middle of the round trip.
   *
   * @param {number} sentMs local wall clock
   * @param {number} receivedMs local wall clock
   * @param {number} serverMs the server's wall clock
   */
  sample(sentMs, receivedMs, serverMs) {
    const rtt = receivedMs - sentMs;
    // Less than nothing: the local clock was set back in between.
    if (rtt >= 0) {
      this.#samples.unshift({ rtt, offset: serverMs - (sentMs + receivedMs) / 2 });
      this.#samples.splice(SAMPLES_MAX);
    }
  }

  /** Another server may have another clock. */
  forget() {
    this.#samples = [];
  }
}
