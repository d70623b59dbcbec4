// The others' pointers: class latest, from everyone to everyone. They are no part of the state.

import { colourOf, element, make, makeSvg, nameOf } from './page.js';
import { SHEET } from './schema.js';

/** @typedef {import('./sheet.js').Sheet} Sheet */
/** @typedef {import('./sheet.js').Point} Point */
/** @typedef {import('/client/index.js').Room} Room */

const SEND_INTERVAL_MS = 1000 / 30;

/** @typedef {{ element: HTMLElement, label: HTMLElement, shown: Point, wanted: Point }} Cursor */

export class Cursors {
  #sheet;
  #room;
  /** @type {Map<number, Cursor>} */
  #cursors = new Map();
  /** @type {Point | null} */
  #own = null;
  #sentAt = 0;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #timer;
  #frameAt = performance.now();
  #still = matchMedia('(prefers-reduced-motion: reduce)');

  /**
   * @param {Sheet} sheet
   * @param {Room} room
   */
  constructor(sheet, room) {
    this.#sheet = sheet;
    this.#room = room;
    requestAnimationFrame(() => this.#animate());
  }

  /**
   * Where this member points; null when it has left. At most 30 a second, and always the last one.
   *
   * @param {Point | null} at
   */
  point(at) {
    this.#own = at;
    this.#timer ??= setTimeout(() => {
      this.#timer = undefined;
      this.send();
    }, Math.max(0, this.#sentAt + SEND_INTERVAL_MS - performance.now()));
  }

  /** Two 16-bit fractions of the sheet, or nothing at all. */
  send() {
    this.#sentAt = performance.now();
    const payload = new Uint8Array(this.#own === null ? 0 : 4);
    if (this.#own !== null) {
      const view = new DataView(payload.buffer);
      view.setUint16(0, Math.round((this.#own[0] / SHEET.width) * 0xffff));
      view.setUint16(2, Math.round((this.#own[1] / SHEET.height) * 0xffff));
    }
    this.#room.send('pos', payload, { class: 'latest', key: 0 });
  }

  /**
   * @param {number} id
   * @param {unknown} payload
   */
  move(id, payload) {
    if (!(payload instanceof Uint8Array)) {
      return;
    }
    let cursor = this.#cursors.get(id);
    if (payload.length < 4) {
      cursor?.element.classList.add('gone');
      return;
    }
    const view = new DataView(payload.buffer, payload.byteOffset);
    /** @type {Point} */
    const at = [(view.getUint16(0) / 0xffff) * SHEET.width, (view.getUint16(2) / 0xffff) * SHEET.height];
    if (cursor === undefined) {
      cursor = makeCursor(at);
      this.#cursors.set(id, cursor);
      this.#dress(id, cursor);
    } else if (cursor.element.classList.contains('gone')) {
      cursor.shown = at;
      cursor.element.classList.remove('gone');
    }
    cursor.wanted = at;
  }

  /** Members came, went or are called something else. */
  showMembers() {
    for (const [id, cursor] of this.#cursors) {
      if (this.#room.presence.members.has(id)) {
        this.#dress(id, cursor);
      } else {
        cursor.element.remove();
        this.#cursors.delete(id);
      }
    }
  }

  /**
   * @param {number} id
   * @param {Cursor} cursor
   */
  #dress(id, cursor) {
    const member = this.#room.presence.members.get(id);
    cursor.label.textContent = member ? nameOf(member) : '';
    cursor.element.style.setProperty('--c', colourOf(member));
    cursor.element.classList.toggle('away', member?.away ?? true);
  }

  /** Positions come 30 times a second and are shown as often as the screen is: each frame goes part of the way. */
  #animate() {
    const now = performance.now();
    const part = this.#still.matches ? 1 : 1 - Math.exp(-(now - this.#frameAt) / 55);
    this.#frameAt = now;
    for (const cursor of this.#cursors.values()) {
      const { shown, wanted } = cursor;
      cursor.shown = [shown[0] + (wanted[0] - shown[0]) * part, shown[1] + (wanted[1] - shown[1]) * part];
      const [x, y] = this.#sheet.onStage(cursor.shown);
      cursor.element.style.transform = `translate(${x}px, ${y}px)`;
    }
    requestAnimationFrame(() => this.#animate());
  }
}

/** @param {Point} at @returns {Cursor} */
function makeCursor(at) {
  const it = make('div', 'cursor');
  const svg = makeSvg('svg');
  svg.setAttribute('viewBox', '0 0 24 26');
  const shape = makeSvg('path');
  shape.setAttribute('d', 'M2 2 21 12.500 12.500 14.500 8.500 23Z');
  svg.append(shape);
  const label = make('span', '');
  it.append(svg, label);
  element('cursors').append(it);
  return { element: it, label, shown: at, wanted: at };
}
