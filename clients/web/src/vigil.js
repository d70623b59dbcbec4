/**
 * What watches over a connection: pings, which measure the round trip and the server's clock, and show a
 * connection that is dead without saying so; and in a browser the page, which comes and goes.
 *
 * @module
 */

import { Clock } from './clock.js';
import { watchPage } from './page.js';

/** @typedef {import('./client.js').Client} Client */

/** How often to measure the round trip unless the application says otherwise. */
const PING_MS = 10_000;
/** How long the answer to a doubt may take. */
const PROBE_MS = 4_000;

/** The pings of a client, over all its connections. */
export class Vigil {
  #client;
  #pingId = 0;
  /** When each unanswered ping was sent. @type {Map<number, number>} */
  #pings = new Map();

  /** What the answers told. */
  clock = new Clock();

  /** @param {Client} client */
  constructor(client) {
    this.#client = client;
    watchPage(client, () => this.#probe());
  }

  /**
   * There is a connection.
   *
   * @param {number} heartbeatMs the server's own bound of silence
   */
  start(heartbeatMs) {
    this.#ping();
    // In quick succession at first: the clock should be known soon.
    this.#client.due.start('ping 1', 300, () => this.#ping());
    this.#client.due.start('ping 2', 900, () => this.#ping());
    this.#next(heartbeatMs);
  }

  /** The connection is gone; its pings will not be answered. */
  stop() {
    this.#pings.clear();
  }

  /** @param {{ id: number, server_time_us: number }} body */
  pong({ id, server_time_us: serverUs }) {
    const sentMs = this.#pings.get(id);
    if (sentMs === undefined) {
      return; // It answers a ping of another connection.
    }
    // The server answers in order: an older ping without answer will have none.
    this.#pings.forEach((_, it) => it <= id && this.#pings.delete(it));
    this.clock.sample(sentMs, this.#client.timers.now(), serverUs / 1000);
    this.#client.emit('rtt', { rtt: this.clock.rtt ?? 0, offset: this.#client.offset });
  }

  /** The connection may be dead: it is lost unless the server says something soon. */
  #probe() {
    const askedAt = this.#client.timers.now();
    this.#ping();
    this.#client.due.start('probe', PROBE_MS, () => {
      if (this.#client.heardAtMs < askedAt) {
        this.#client.lose('silent');
      }
    });
  }

  /** @param {number} heartbeatMs */
  #next(heartbeatMs) {
    const { due, timers, options } = this.#client;
    due.start('ping', Math.min(options.pingMs ?? PING_MS, heartbeatMs), () => {
      // A sleeping tab's timers sleep as well, so silence alone proves nothing: something must
      // have been asked and not been answered.
      const silentMs = timers.now() - this.#client.heardAtMs;
      if (this.#pings.size > 0 && silentMs > 2 * heartbeatMs) {
        this.#client.lose('silent');
      } else {
        this.#ping();
        this.#next(heartbeatMs);
      }
    });
  }

  #ping() {
    const id = ++this.#pingId;
    this.#pings.set(id, this.#client.timers.now());
    this.#client.say({ tag: 'ping', body: { id } });
  }
}
