// One's own dancer now: steps with every input that is sent, and begins again from what the room says.
// @ts-check

import { DASH, step } from './movement.js';

/** Inputs that may wait for an answer, 10 seconds of them. */
const PENDING_MAX = 200;
/** A correction beyond this is a new place and not an error. */
const JUMP = 3;
/** Inputs that are said again with each new one, so that one late message costs nothing. */
const REPEATED = 2;
const INPUT_BYTES = 5;

/** @typedef {import('./movement.js').Body} Body */
/** @typedef {{ number: number, goX: number, goY: number, aimX: number, aimY: number, buttons: number }} Input */

export class Prediction {
  /** @type {Body | null} */
  #body = null;
  /** The body a step ago, for what is between. */
  #before = { x: 0, y: 0 };
  /** @type {Input[]} */
  #pending = [];
  #number = 0;
  #load = 0;
  /** What of a correction is still hidden from the eye. */
  #slip = { x: 0, y: 0 };
  /** How far the last correction was off, in units of the courtyard, and the largest so far. */
  error = 0;
  errorMax = 0;
  #errorSum = 0;
  /** Corrections so far. */
  corrections = 0;

  /** How far they were off on average. */
  get errorMean() {
    return this.corrections === 0 ? 0 : this.#errorSum / this.corrections;
  }

  get body() {
    return this.#body;
  }

  get waiting() {
    return this.#pending.length;
  }

  /** Nothing is known any more, as after a new joining. @param {boolean} anew the room counts inputs from 1 again */
  reset(anew) {
    this.#body = null;
    this.#pending = [];
    if (anew) this.#number = 0;
  }

  /**
   * Takes a step with an input.
   * @param {Omit<Input, 'number'>} wish
   * @returns {Uint8Array} what to send
   */
  take(wish) {
    const input = { number: ++this.#number, ...wish };
    this.#pending.push(input);
    if (this.#pending.length > PENDING_MAX) this.#pending.shift();
    if (this.#body !== null) {
      this.#before = { x: this.#body.x, y: this.#body.y };
      this.#step(this.#body, input);
    }
    const told = this.#pending.slice(-1 - REPEATED);
    const bytes = new Uint8Array(4 + told.length * INPUT_BYTES);
    const view = new DataView(bytes.buffer);
    view.setUint32(0, told[0].number, true);
    told.forEach((it, place) => {
      const at = 4 + place * INPUT_BYTES;
      [it.goX, it.goY, it.aimX, it.aimY].forEach((value, byte) => view.setInt8(at + byte, value));
      view.setUint8(at + 4, it.buttons);
    });
    return bytes;
  }

  /**
   * What the room says of one's own player at a tick.
   * @param {import('./timeline.js').Entity} it
   * @param {number} tick
   */
  correct(it, tick) {
    const left = (/** @type {number} */ until) => Math.max(0, until - tick);
    /** @type {Body} */
    const body = {
      x: it.at[0], y: it.at[1], vx: it.velocity[0], vy: it.velocity[1],
      dash: left(it.dash_ends), rest: left(it.dash_ready), stun: left(it.stun_ends),
    };
    this.#number = Math.max(this.#number, it.input);
    this.#load = it.carried;
    this.#pending = this.#pending.filter(({ number }) => number > it.input);
    let before = { x: body.x, y: body.y };
    for (const input of this.#pending) {
      before = { x: body.x, y: body.y };
      this.#step(body, input);
    }
    if (this.#body !== null) {
      const offX = this.#body.x - body.x;
      const offY = this.#body.y - body.y;
      this.error = Math.hypot(offX, offY);
      this.corrections += 1;
      this.#errorSum += this.error;
      this.errorMax = Math.max(this.errorMax, this.error);
      if (this.error < JUMP) {
        this.#slip.x += offX;
        this.#slip.y += offY;
        this.#before = { x: this.#before.x - offX, y: this.#before.y - offY };
      } else {
        this.#slip = { x: 0, y: 0 };
        this.#before = before;
      }
    } else {
      this.#before = before;
      this.#slip = { x: 0, y: 0 };
    }
    this.#body = body;
  }

  /**
   * Where it is shown.
   * @param {number} part of the step that is being taken, 0 to 1
   * @param {number} seconds since the last picture
   */
  shown(part, seconds) {
    const keep = Math.exp(-seconds * 12);
    this.#slip.x *= keep;
    this.#slip.y *= keep;
    const body = this.#body;
    if (body === null) return null;
    return {
      x: this.#before.x + (body.x - this.#before.x) * part + this.#slip.x,
      y: this.#before.y + (body.y - this.#before.y) * part + this.#slip.y,
    };
  }

  /** @param {Body} body @param {Input} input */
  #step(body, input) {
    step(body, input.goX, input.goY, (input.buttons & DASH) !== 0, this.#load);
  }
}
