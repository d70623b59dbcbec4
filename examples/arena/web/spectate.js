// A room as its spectators see it: nothing but the browser's EventSource, and JSON with names.
// @ts-check

import { Happenings } from './happenings.js';
import { TICK_MS, Timeline } from './timeline.js';

/** @typedef {import('./timeline.js').Entity} Entity */

/** @type {(json: string) => any} */
const read = (json) => JSON.parse(json);

export class Feed {
  timeline = new Timeline();
  happenings = new Happenings();
  #source;
  #told;
  /** Events so far. */
  events = 0;
  /** Times at which something could not be had. */
  gaps = 0;
  /** How old the first picture was when it came, and the youngest since, in milliseconds: at least the delay. */
  ages = { first: Infinity, least: Infinity };
  #epoch = '';
  /** When the room's first tick was. */
  #beganAt = 0;

  /**
   * @param {string} room
   * @param {{ delay?: string | null, from?: string | null }} asked
   * @param {{ tick?: (tick: number) => void, state?: (state: 'open' | 'waiting' | 'reconnecting' | 'closed' | 'ended') => void }} told
   */
  constructor(room, { delay, from }, told) {
    this.#told = told;
    const url = new URL(`/rooms/${encodeURIComponent(room)}/events`, location.href);
    if (delay) url.searchParams.set('delay', delay);
    if (from) url.searchParams.set('from', from);
    this.#source = new EventSource(url);
    this.#source.addEventListener('resume', ({ data }) => {
      const { epoch, epoch_at_ms: beganAt } = read(data);
      if (epoch !== this.#epoch) {
        // Another life of the room: its ticks begin again.
        this.timeline.clear();
        this.happenings.clear();
      }
      [this.#epoch, this.#beganAt] = [epoch, beganAt];
      told.state?.(this.timeline.isEmpty ? 'waiting' : 'open');
    });
    this.#source.addEventListener('snapshot', ({ data }) => this.#snapshot(read(data)));
    this.#source.addEventListener('delta', ({ data }) => this.#delta(read(data)));
    this.#source.addEventListener('message', ({ data }) => this.#message(read(data)));
    this.#source.addEventListener('gap', () => (this.gaps += 1));
    this.#source.addEventListener('end', () => told.state?.('ended'));
    this.#source.addEventListener('error', () => {
      told.state?.(this.#source.readyState === EventSource.CLOSED ? 'closed' : 'reconnecting');
    });
  }

  close() {
    this.#source.close();
  }

  /** @param {{ tick: number, entities: Record<string, Entity> }} snapshot */
  #snapshot({ tick, entities }) {
    const all = new Map(Object.entries(entities).map(([id, entity]) => [Number(id), entity]));
    this.#push(tick, all);
  }

  /** @param {{ tick: number, set?: Record<string, any>, new?: Record<string, Entity>, gone?: number[] }} delta */
  #delta({ tick, set = {}, new: added = {}, gone = [] }) {
    // Without a picture there is nothing to change, and nothing changes twice.
    if (this.timeline.isEmpty || tick <= this.timeline.last) return;
    const all = new Map(this.timeline.newest);
    for (const id of gone) all.delete(id);
    for (const [id, entity] of Object.entries(added)) all.set(Number(id), entity);
    for (const [id, fields] of Object.entries(set)) {
      const old = all.get(Number(id));
      if (old !== undefined) all.set(Number(id), { ...old, ...fields });
    }
    this.#push(tick, all);
  }

  /** @param {{ type: string, payload: { json?: any } }} message */
  #message({ type, payload }) {
    if (payload.json !== undefined) this.happenings.add(this.timeline.last, type, payload.json);
  }

  /** @param {number} tick @param {Map<number, Entity>} entities */
  #push(tick, entities) {
    this.events += 1;
    const age = Date.now() - this.#beganAt - tick * TICK_MS;
    if (this.events === 1) this.ages.first = age;
    this.ages.least = Math.min(this.ages.least, age);
    this.timeline.push(tick, entities);
    this.#told.state?.('open');
    this.#told.tick?.(tick);
  }
}
