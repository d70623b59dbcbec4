/**
 * Pings: they measure the round trip and the server's clock, and show a connection that is dead
 * without saying so.
 *
 * @module
 */

import { Clock } from './clock.js';

/** @typedef {import('./room.js').Link} Link */

/** How often to measure the round trip unless the application says otherwise. */
const PING_MS = 10_000;
/** How long the answer to a doubt may take. */
const PROBE_MS = 4_000;
/** Pings of a new connection in quick succession: the clock should be known soon. */
const FIRST_PINGS_MS = [300, 900];

/** The pings of a client, over all its connections. */
export class Heartbeat {
  #link;
  #pingMs;
  #heartbeatMs = PING_MS;
  #pingId = 0;
  /** When each unanswered ping was sent. @type {Map<number, number>} */
  #pings = new Map();
  #receivedAt = 0;

  /** What the answers told. */
  clock = new Clock();

  /**
   * @param {Link} link
   * @param {number} [pingMs]
   */
  constructor(link, pingMs = PING_MS) {
    this.#link = link;
    this.#pingMs = pingMs;
  }

  /** Something came from the server, or a connection to it begins. */
  heard() {
    this.#receivedAt = this.#link.timers.now();
  }

  /** @param {number} heartbeatMs the server's own bound of silence */
  start(heartbeatMs) {
    this.#heartbeatMs = heartbeatMs;
    this.#ping();
    FIRST_PINGS_MS.forEach((ms) => this.#link.due.start(`ping ${ms}`, ms, () => this.#ping()));
    this.#next();
  }

  /** The connection may be dead: it is lost unless the server says something soon. */
  probe() {
    const askedAt = this.#link.timers.now();
    this.#ping();
    this.#link.due.start('probe', PROBE_MS, () => {
      if (this.#receivedAt < askedAt) {
        this.#link.silent();
      }
    });
  }

  /** The connection is gone; its pings will not be answered. */
  stop() {
    this.#pings.clear();
  }

  /**
   * @param {number} id
   * @param {number} serverMs
   * @returns {boolean} whether it answers a ping of this connection
   */
  pong(id, serverMs) {
    const sentMs = this.#pings.get(id);
    if (sentMs === undefined) {
      return false;
    }
    // The server answers in order: an older ping without answer will have none.
    for (const older of this.#pings.keys()) {
      if (older <= id) {
        this.#pings.delete(older);
      }
    }
    this.clock.sample(sentMs, this.#link.timers.now(), serverMs);
    return true;
  }

  #next() {
    this.#link.due.start('ping', Math.min(this.#pingMs, this.#heartbeatMs), () => {
      // A sleeping tab's timers sleep as well, so silence alone proves nothing: something must
      // have been asked and not been answered.
      const silentMs = this.#link.timers.now() - this.#receivedAt;
      if (this.#pings.size > 0 && silentMs > 2 * this.#heartbeatMs) {
        this.#link.silent();
      } else {
        this.#ping();
        this.#next();
      }
    });
  }

  #ping() {
    const id = ++this.#pingId;
    this.#pings.set(id, this.#link.timers.now());
    this.#link.send({ tag: 'ping', body: { id } });
  }
}
