// What stands beside the picture: scores, the round's clock, the podium, and what happened.
// @ts-check

import { MASK_KINDS, colorOf, maskSprite } from './look.js';
import { TICK_HZ } from './movement.js';

const RANKS = 8;
const LINES_MAX = 4;
const LINE_MS = 4200;
/** The panel is brought up to date so often. */
const UPDATE_MS = 150;

/** @typedef {import('./timeline.js').Moment} Moment */
/** @typedef {import('./timeline.js').Player} Player */

export class Panel {
  #updatedAt = -Infinity;
  /** @type {Map<number, HTMLElement>} */
  #rows = new Map();
  #podium = '';
  #options;

  /** @param {{ chosen?: (id: number) => void }} [options] `chosen`: a row was clicked */
  constructor(options = {}) {
    this.#options = options;
  }

  /**
   * @param {Moment | null} moment
   * @param {number} now in milliseconds
   * @param {number} own the player of this page, or the one that is followed; 0 for none
   */
  update(moment, now, own) {
    if (now - this.#updatedAt < UPDATE_MS || moment === null) return;
    this.#updatedAt = now;
    const { phase, ends, round } = moment.room;
    const left = Math.max(0, Math.ceil((ends - moment.tick) / TICK_HZ));
    const clock = element('clock');
    clock.classList.toggle('rush', phase === 0 && left <= 20 && round > 0);
    put(element('time'), phase === 0 ? `${Math.floor(left / 60)}:${String(left % 60).padStart(2, '0')}` : `${left}`);
    put(element('round'), round === 0 ? '' : phase === 0 ? `Round ${round}` : 'Next round in');
    const ranking = [...moment.players].sort((a, b) => b.score - a.score || a.id - b.id);
    this.#scores(ranking, own);
    this.#showPodium(moment);
  }

  /** @param {Player[]} ranking @param {number} own */
  #scores(ranking, own) {
    const place = ranking.findIndex(({ id }) => id === own);
    const shown = ranking.slice(0, RANKS);
    if (place >= RANKS) shown[RANKS - 1] = ranking[place];
    const list = element('ranks');
    /** @type {HTMLElement[]} */
    const wanted = [];
    for (const it of shown) {
      let row = this.#rows.get(it.id);
      if (row === undefined) {
        row = this.#row(it.id);
        this.#rows.set(it.id, row);
      }
      row.classList.toggle('own', it.id === own);
      row.classList.toggle('bot', it.member === 0);
      row.style.setProperty('--c', colorOf(it.color));
      const [rank, , name, lanterns, score] = /** @type {HTMLElement[]} */ ([...row.children]);
      put(rank, String(ranking.indexOf(it) + 1));
      put(name, it.name + (it.wins > 0 ? ` ${'★'.repeat(Math.min(3, it.wins))}` : ''));
      put(lanterns, it.carried > 0 ? '●'.repeat(it.carried) : '');
      put(score, String(it.score));
      wanted.push(row);
    }
    wanted.forEach((row, index) => {
      if (list.children[index] !== row) list.insertBefore(row, list.children[index] ?? null);
    });
    while (list.children.length > wanted.length) list.lastElementChild?.remove();
    for (const id of this.#rows.keys()) {
      if (!ranking.some((it) => it.id === id)) this.#rows.delete(id);
    }
  }

  /** @param {number} id */
  #row(id) {
    const row = document.createElement('li');
    row.dataset.player = String(id);
    for (const name of ['rank', 'dot', 'name', 'lanterns', 'score']) {
      const part = document.createElement('span');
      part.className = name;
      row.append(part);
    }
    const { chosen } = this.#options;
    if (chosen !== undefined) {
      row.tabIndex = 0;
      row.setAttribute('role', 'button');
      row.addEventListener('click', () => chosen(id));
      row.addEventListener('keydown', (event) => {
        if (event.key === 'Enter' || event.key === ' ') {
          event.preventDefault();
          chosen(id);
        }
      });
    }
    return row;
  }

  /** @param {Moment} moment */
  #showPodium(moment) {
    const best = moment.room.phase === 1 ? moment.room.podium : [];
    const players = best.map((id) => moment.players.find((it) => it.id === id)).filter((it) => it !== undefined);
    const text = players.map(({ id, score, name }) => `${id} ${score} ${name}`).join('\n');
    const podium = element('podium');
    podium.hidden = players.length === 0;
    if (text === this.#podium) return;
    this.#podium = text;
    // The first stands in the middle.
    const places = [1, 0, 2].filter((place) => place < players.length);
    element('places').replaceChildren(...places.map((place) => {
      const it = players[place];
      const column = document.createElement('li');
      column.dataset.place = String(place + 1);
      column.style.setProperty('--c', colorOf(it.color));
      const name = document.createElement('b');
      name.textContent = it.name;
      const points = document.createElement('span');
      points.textContent = `${it.score} points`;
      const block = document.createElement('i');
      block.textContent = String(place + 1);
      column.append(mask(it.color, 88), name, points, block);
      return column;
    }));
  }

  /**
   * A line about something that happened.
   * @param {(string | { name: string, color: number })[]} parts
   */
  say(parts) {
    const list = element('feed');
    const line = document.createElement('li');
    for (const part of parts) {
      const text = document.createElement(typeof part === 'string' ? 'span' : 'b');
      text.textContent = typeof part === 'string' ? part : part.name;
      if (typeof part !== 'string') text.style.setProperty('--c', colorOf(part.color));
      line.append(text);
    }
    list.append(line);
    while (list.children.length > LINES_MAX) list.firstElementChild?.remove();
    setTimeout(() => line.remove(), LINE_MS);
  }
}

/** What happened, in words and in the picture. @typedef {{ type: string, payload: any }} Happening */

const HOW = { dash: ' ran into ', bean: ' threw at ', trap: ' trapped ' };

/**
 * @param {Happening} happening
 * @param {{ moment: Moment | null, stage: import('./stage.js').Stage, panel: Panel, own: number }} to
 */
export function tell({ type, payload }, { moment, stage, panel, own }) {
  const who = (/** @type {number} */ id) => moment?.players.find((it) => it.id === id) ?? { name: 'Somebody', color: 11 };
  if (type === 'hit' && Array.isArray(payload?.at)) {
    const { how, by, to, at, dropped } = payload;
    stage.effects.hit(at[0], at[1], how, own !== 0 && (by === own || to === own));
    panel.say([who(by), HOW[/** @type {keyof HOW} */ (how)] ?? ' hit ', who(to), dropped > 0 ? ` · ${dropped} dropped` : '']);
  } else if (type === 'delivered' && typeof payload?.points === 'number') {
    const by = who(payload.by);
    stage.effects.delivered(payload.lanterns, payload.points, '#ffe0a0');
    panel.say([by, ` fed the fire ${payload.lanterns} · +${payload.points}`]);
  } else if (type === 'round' && payload?.over === false) {
    panel.say([`Round ${payload.round} begins`]);
  }
}

/** A mask as a picture. @param {number} color @param {number} size */
export function mask(color, size) {
  const canvas = document.createElement('canvas');
  canvas.className = 'mask';
  canvas.width = canvas.height = size;
  canvas.getContext('2d')?.drawImage(maskSprite(color % MASK_KINDS), 0, 0, size, size);
  return canvas;
}

/** @param {string} id */
export function element(id) {
  return /** @type {HTMLElement} */ (document.getElementById(id));
}

/** @param {HTMLElement} it @param {string} text */
export function put(it, text) {
  if (it.textContent !== text) it.textContent = text;
}
