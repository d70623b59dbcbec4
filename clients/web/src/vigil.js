/**
 * What watches over a connection: pings, which measure the round trip and the server's clock, and show a
 * connection that is dead without saying so; and in a browser the page, which comes and goes. Loaded while the
 * first connection is made, for nobody needs it to join a room and to talk there.
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
/** Pings of a new connection in quick succession: the clock should be known soon. */
const FIRST_PINGS_MS = [300, 900];

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
    if (client.isOpen) {
      this.start();
    }
  }

  /** There is a connection. */
  start() {
    this.#ping();
    FIRST_PINGS_MS.forEach((ms) => this.#client.due.start(`ping ${ms}`, ms, () => this.#ping()));
    this.#next();
  }

  /** The connection is gone; its pings will not be answered. */
  stop() {
    this.#pings.clear();
  }

  /**
   * @param {number} id
   * @param {number} serverMs
   */
  pong(id, serverMs) {
    const sentMs = this.#pings.get(id);
    if (sentMs === undefined) {
      return; // It answers a ping of another connection.
    }
    // The server answers in order: an older ping without answer will have none.
    for (const older of this.#pings.keys()) {
      if (older <= id) {
        this.#pings.delete(older);
      }
    }
    this.clock.sample(sentMs, this.#client.timers.now(), serverMs);
    this.#client.emit('rtt', { rtt: this.clock.rtt ?? 0, offset: this.#client.offset });
  }

  /** The connection may be dead: it is lost unless the server says something soon. */
  #probe() {
    const askedAt = this.#client.timers.now();
    this.#ping();
    this.#client.due.start('probe', PROBE_MS, () => {
      if (this.#client.heardAtMs < askedAt) {
        this.#silent();
      }
    });
  }

  #next() {
    const { due, timers, options, heartbeatMs } = this.#client;
    due.start('ping', Math.min(options.pingMs ?? PING_MS, heartbeatMs), () => {
      // A sleeping tab's timers sleep as well, so silence alone proves nothing: something must
      // have been asked and not been answered.
      const silentMs = timers.now() - this.#client.heardAtMs;
      if (this.#pings.size > 0 && silentMs > 2 * heartbeatMs) {
        this.#silent();
      } else {
        this.#ping();
        this.#next();
      }
    });
  }

  #silent() {
    this.#client.lose('the server is silent');
  }

  #ping() {
    const id = ++this.#pingId;
    this.#pings.set(id, this.#client.timers.now());
    this.#client.say({ tag: 'ping', body: { id } });
  }
}
