// The sheet on the screen: where it is, how large, and what fingers and wheel do to it.

import { element } from './page.js';
import { SHEET } from './schema.js';

/** @typedef {[number, number]} Point in the sheet's units */

const SCALE_MIN = 0.15;
const SCALE_MAX = 3;
/** Smaller than this nobody draws. */
const SCALE_FIT_MIN = 0.42;
const MARGIN_PX = 14;

export class Sheet {
  #stage;
  #world;
  scale = 1;
  x = 0;
  y = 0;

  /**
   * @param {HTMLElement} stage
   * @param {HTMLElement} world
   */
  constructor(stage, world) {
    this.#stage = stage;
    this.#world = world;
    world.style.width = `${SHEET.width}px`;
    world.style.height = `${SHEET.height}px`;
    this.fit();
    addEventListener('resize', () => this.moveTo(this.x, this.y, this.scale));
    stage.addEventListener('wheel', (event) => this.#wheel(event), { passive: false });
  }

  /** All of it where there is room for that; on a phone a part that can be drawn on. */
  fit() {
    const { clientWidth: width, clientHeight: height } = this.#stage;
    const head = element('head').offsetHeight;
    const whole = Math.min((width - 2 * MARGIN_PX) / SHEET.width, (height - head - 2 * MARGIN_PX) / SHEET.height);
    const scale = Math.max(whole, SCALE_FIT_MIN);
    this.moveTo((width - SHEET.width * scale) / 2, head + (height - head - SHEET.height * scale) / 2, scale);
  }

  /**
   * @param {number} x of its corner on the stage
   * @param {number} y
   * @param {number} scale
   */
  moveTo(x, y, scale) {
    const { clientWidth: width, clientHeight: height } = this.#stage;
    this.scale = Math.min(SCALE_MAX, Math.max(SCALE_MIN, scale));
    // A good part of it stays in sight, so that nobody gets lost.
    this.x = Math.min(width * 0.7, Math.max(width * 0.3 - SHEET.width * this.scale, x));
    this.y = Math.min(height * 0.7, Math.max(height * 0.3 - SHEET.height * this.scale, y));
    this.#world.style.transform = `translate(${this.x}px, ${this.y}px) scale(${this.scale})`;
  }

  /**
   * Keeps a point of the stage where it is.
   *
   * @param {number} x
   * @param {number} y
   * @param {number} factor
   */
  zoom(x, y, factor) {
    const scale = Math.min(SCALE_MAX, Math.max(SCALE_MIN, this.scale * factor));
    const part = scale / this.scale;
    this.moveTo(x - (x - this.x) * part, y - (y - this.y) * part, scale);
  }

  /** @param {{ clientX: number, clientY: number }} event @returns {Point} */
  at({ clientX, clientY }) {
    const box = this.#stage.getBoundingClientRect();
    const [x, y] = [(clientX - box.left - this.x) / this.scale, (clientY - box.top - this.y) / this.scale];
    return [Math.min(SHEET.width, Math.max(0, x)), Math.min(SHEET.height, Math.max(0, y))];
  }

  /** @param {Point} point @returns {Point} */
  onStage([x, y]) {
    return [x * this.scale + this.x, y * this.scale + this.y];
  }

  /** @param {WheelEvent} event */
  #wheel(event) {
    event.preventDefault();
    if (event.ctrlKey || event.metaKey) {
      const box = this.#stage.getBoundingClientRect();
      this.zoom(event.clientX - box.left, event.clientY - box.top, Math.exp(-event.deltaY / 240));
    } else {
      this.moveTo(this.x - event.deltaX, this.y - event.deltaY, this.scale);
    }
  }
}
