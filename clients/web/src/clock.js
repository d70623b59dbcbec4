/**
 * The round trip and the server's clock, from pings and their answers. The sample with the
 * shortest round trip says most about the clock: the rest of its time was spent in queues.
 *
 * @module
 */

const SAMPLES_MAX = 12;

/** Estimates the server's time out of recent samples. */
export class Clock {
  /** @type {{ rtt: number, offset: number }[]} */
  #samples = [];
  /** @type {number | null} */
  #firstOffset = null;

  /** The newest round trip in milliseconds, `null` before the first. */
  get rtt() {
    return this.#samples.at(-1)?.rtt ?? null;
  }

  /** The shortest of the recent round trips in milliseconds, `null` before the first. */
  get rttMin() {
    return this.#best()?.rtt ?? null;
  }

  /** What to add to the local wall clock to get the server's, in milliseconds. */
  get offset() {
    return this.#best()?.offset ?? this.#firstOffset ?? 0;
  }

  /**
   * A first guess, better than nothing until a ping was answered.
   *
   * @param {number} serverMs the server's wall clock
   * @param {number} localMs the local one when it was read
   */
  guess(serverMs, localMs) {
    this.#firstOffset = serverMs - localMs;
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
    if (rtt < 0) {
      return; // The local clock was set back in between.
    }
    this.#samples.push({ rtt, offset: serverMs - (sentMs + receivedMs) / 2 });
    if (this.#samples.length > SAMPLES_MAX) {
      this.#samples.shift();
    }
  }

  /** Another server may have another clock. */
  forget() {
    this.#samples = [];
    this.#firstOffset = null;
  }

  #best() {
    let best = this.#samples.at(-1);
    for (const sample of this.#samples) {
      if (best !== undefined && sample.rtt < best.rtt) {
        best = sample;
      }
    }
    return best;
  }
}
