// A room as its spectators see it, over Server-Sent Events, of which all tabs of a browser share one stream.
// @ts-check

import { watch } from '/client/watch.js';
import { Happenings } from './happenings.js';
import { TICK_MS, Timeline } from './timeline.js';

/** @typedef {import('./timeline.js').Entity} Entity */

export class Feed {
  timeline = new Timeline();
  happenings = new Happenings();
  #watch;
  #told;
  /** Pictures so far. */
  events = 0;
  /** Times at which something could not be had. */
  gaps = 0;
  /** How old the first picture was when it came, and the youngest since, in milliseconds: at least the delay. */
  ages = { first: Infinity, least: Infinity };
  #epoch = '';
  /** The newest picture: what an entity is does not change in a picture of before. @type {Map<number, Entity>} */
  #newest = new Map();

  /**
   * @param {string} room
   * @param {{ delay?: string | null, from?: string | null }} asked
   * @param {{ tick?: (tick: number) => void, state?: (state: 'open' | 'waiting' | 'reconnecting' | 'closed' | 'ended') => void }} told
   */
  constructor(room, { delay, from }, told) {
    this.#told = told;
    this.#watch = watch(room, { ...(delay ? { delay } : {}), ...(from ? { from } : {}) });
    this.#watch.onRecover(() => {
      if (this.#watch.epoch !== this.#epoch) {
        // Another life of the room: its ticks begin again.
        this.timeline.clear();
        this.happenings.clear();
        this.#epoch = this.#watch.epoch;
      }
      told.state?.(this.timeline.isEmpty ? 'waiting' : 'open');
    });
    this.#watch.onStatus((status) => status === 'reconnecting' && told.state?.(status));
    this.#watch.onLeave(({ reason }) => reason !== 'closed' && told.state?.(reason === 'ended' ? 'ended' : 'closed'));
    this.#watch.onGap(() => (this.gaps += 1));
    this.#watch.on('*', ({ type, format, payload }) => format === 'json' && this.happenings.add(this.timeline.last, type, payload));
    const keep = (/** @type {any} */ { id, ...entity }) => void this.#newest.set(id, entity);
    const { state } = this.#watch;
    state.on('add', keep);
    state.on('change', keep);
    state.on('remove', ({ id }) => void this.#newest.delete(id));
    state.on('tick', ({ tick }) => this.#push(tick));
  }

  close() {
    this.#watch.close();
  }

  /** @param {number} tick */
  #push(tick) {
    this.events += 1;
    const age = Date.now() - this.#watch.epochAtMs - tick * TICK_MS;
    if (this.events === 1) this.ages.first = age;
    this.ages.least = Math.min(this.ages.least, age);
    this.timeline.push(tick, new Map(this.#newest));
    this.#told.state?.('open');
    this.#told.tick?.(tick);
  }
}
