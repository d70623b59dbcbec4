// Sticky notes: dragged, written on and given away, each by its owner; what is nobody's by anybody.
//
// While somebody drags or writes, their own screen shows what they do; the room hears of it as fast as
// it answers, and what it says counts once they let go.

import { kept } from './history.js';
import { colourOf, make, nameOf, toast } from './page.js';
import { NOTE, PAPERS, SHEET } from './schema.js';

/** @typedef {import('./sheet.js').Sheet} Sheet */
/** @typedef {import('./sheet.js').Point} Point */
/** @typedef {import('./history.js').History} History */
/** @typedef {import('/client/index.js').Room} Room */
/** @typedef {import('/client/index.js').Entity} Entity */

const TAP_PX = 5;

/**
 * @typedef {object} Shown
 * @property {HTMLElement} element
 * @property {HTMLTextAreaElement} text
 * @property {HTMLElement} owner
 * @property {HTMLButtonElement} lock
 * @property {Entity} note as the room has it
 * @property {Record<string, any>} wanted fields that this member is changing
 * @property {boolean} isBusy an edit is on its way
 * @property {import('./history.js').Kept | null} before as it was before this member began to write on it
 */

export class Notes {
  #layer;
  #sheet;
  #history;
  #room;
  /** @type {Map<number, Shown>} */
  #shown = new Map();
  /** The one to be written on as soon as it is shown. @type {number | null} */
  #fresh = null;

  /**
   * @param {HTMLElement} layer
   * @param {Sheet} sheet
   * @param {History} history
   * @param {Room} room
   */
  constructor(layer, sheet, history, room) {
    this.#layer = layer;
    this.#sheet = sheet;
    this.#history = history;
    this.#room = room;
  }

  /** @param {Entity} note */
  show(note) {
    let shown = this.#shown.get(note.id);
    if (shown === undefined) {
      shown = this.#make(note);
      this.#shown.set(note.id, shown);
      this.#layer.append(shown.element);
    }
    shown.note = note;
    this.#draw(shown);
    if (this.#fresh === note.id) {
      this.#fresh = null;
      this.#write(shown);
    }
  }

  /** @param {Entity} note */
  hide({ id }) {
    this.#shown.get(id)?.element.remove();
    this.#shown.delete(id);
  }

  /** Members came, went or are called something else. */
  showOwners() {
    for (const shown of this.#shown.values()) {
      this.#drawOwner(shown);
    }
  }

  /** @param {Entity} note */
  isMine({ owner }) {
    return owner === 0 || owner === this.#room.me.id;
  }

  /**
   * A new note around a point, to be written on.
   *
   * @param {Point} at
   * @param {number} colour
   */
  async put([x, y], colour) {
    const at = inside([x - NOTE.width / 2, y - NOTE.height / 2]);
    const done = await this.#history.edit([this.#history.state.create('note', { at, colour })]);
    const id = done?.ids[0];
    if (id === undefined) {
      return;
    }
    this.#history.did({ created: [id] });
    const shown = this.#shown.get(id);
    if (shown === undefined) {
      this.#fresh = id;
    } else {
      this.#write(shown);
    }
  }

  /** Leaves whatever note is chosen. */
  leave() {
    const active = document.activeElement;
    if (active instanceof HTMLElement && this.#layer.contains(active)) {
      active.blur();
    }
    for (const { element } of this.#shown.values()) {
      element.classList.remove('chosen');
    }
  }

  /** @param {Entity} note @returns {Shown} */
  #make(note) {
    const element = make('article', 'note');
    element.dataset.id = String(note.id);
    element.style.setProperty('--tilt', `${((note.id * 37) % 50) / 10 - 2.5}deg`);
    const text = document.createElement('textarea');
    text.maxLength = NOTE.textMax;
    text.spellcheck = false;
    text.setAttribute('aria-label', 'Note');
    const foot = make('footer', '');
    const owner = make('span', 'owner');
    const lock = document.createElement('button');
    lock.type = 'button';
    lock.className = 'lock';
    foot.append(owner, lock);
    const tools = make('div', 'tools');
    element.append(text, foot, tools);
    /** @type {Shown} */
    const shown = { element, text, owner, lock, note, wanted: {}, isBusy: false, before: null };
    PAPERS.forEach((paper, colour) => {
      const swatch = button('swatch', `Paper ${colour + 1}`, () => this.#change(shown, { colour }));
      swatch.style.setProperty('--paper', paper);
      tools.append(swatch);
    });
    tools.append(button('delete', 'Delete this note', () => this.#delete(shown)));
    lock.addEventListener('click', () => this.#give(shown));
    element.addEventListener('pointerdown', (event) => this.#pressed(shown, event));
    text.addEventListener('focus', () => {
      shown.before = kept(shown.note);
    });
    text.addEventListener('input', () => this.#want(shown, { text: text.value }));
    text.addEventListener('blur', () => this.#written(shown));
    text.addEventListener('keydown', (event) => {
      event.stopPropagation();
      if (event.key === 'Escape') {
        this.leave();
      }
    });
    return shown;
  }

  /** @param {Shown} shown */
  #draw(shown) {
    const { element, text, note, wanted } = shown;
    const [x, y] = wanted.at ?? note.at;
    element.style.left = `${x}px`;
    element.style.top = `${y}px`;
    element.style.setProperty('--paper', PAPERS[wanted.colour ?? note.colour] ?? PAPERS[0]);
    const words = wanted.text ?? note.text;
    if (text.value !== words) {
      text.value = words;
    }
    text.style.fontSize = words.length > 160 ? '19px' : words.length > 60 ? '25px' : '32px';
    this.#drawOwner(shown);
  }

  /** @param {Shown} shown */
  #drawOwner({ element, owner, lock, text, note }) {
    const isMine = this.isMine(note);
    const member = this.#room.presence.members.get(note.owner);
    const name = note.owner === 0 ? 'anyone' : note.owner === this.#room.me.id ? 'mine' : member ? nameOf(member) : 'somebody who left';
    owner.textContent = name;
    owner.style.setProperty('--c', note.owner === 0 ? 'transparent' : colourOf(member));
    element.classList.toggle('theirs', !isMine);
    element.classList.toggle('open', note.owner === 0);
    text.readOnly = !isMine;
    const word = note.owner === 0 ? 'Keep it for myself' : 'Let anyone edit it';
    lock.title = word;
    lock.setAttribute('aria-label', word);
    lock.hidden = !isMine;
  }

  /**
   * Drags it, or with a tap writes on it.
   *
   * @param {Shown} shown
   * @param {PointerEvent} event
   */
  #pressed(shown, event) {
    const { element, note, text } = shown;
    const isTool = event.target instanceof HTMLElement && event.target.closest('button') !== null;
    if (isTool || document.activeElement === text || !event.isPrimary || event.button !== 0) {
      event.stopPropagation();
      return;
    }
    event.preventDefault();
    event.stopPropagation();
    this.leave();
    const [startX, startY] = [event.clientX, event.clientY];
    const [x, y] = shown.wanted.at ?? note.at;
    const before = kept(note);
    let isDrag = false;
    element.setPointerCapture(event.pointerId);
    const move = (/** @type {PointerEvent} */ to) => {
      const [dx, dy] = [to.clientX - startX, to.clientY - startY];
      if (!isDrag && Math.hypot(dx, dy) < TAP_PX) {
        return;
      }
      if (!isDrag && !this.isMine(note)) {
        stop();
        this.#refuse(shown);
        return;
      }
      isDrag = true;
      element.classList.add('dragged');
      this.#want(shown, { at: inside([x + dx / this.#sheet.scale, y + dy / this.#sheet.scale]) });
    };
    const stop = () => {
      element.removeEventListener('pointermove', move);
      element.removeEventListener('pointerup', up);
      element.removeEventListener('pointercancel', stop);
      element.classList.remove('dragged');
      if (isDrag) {
        this.#history.did({ changed: { ...before, fields: { at: before.fields.at } } });
        void this.#send(shown);
      }
    };
    const up = () => {
      stop();
      if (!isDrag) {
        this.isMine(note) ? this.#write(shown) : this.#refuse(shown);
      }
    };
    element.addEventListener('pointermove', move);
    element.addEventListener('pointerup', up);
    element.addEventListener('pointercancel', stop);
  }

  /** @param {Shown} shown */
  #write({ element, text }) {
    this.leave();
    element.classList.add('chosen');
    text.focus({ preventScroll: true });
    text.setSelectionRange(text.value.length, text.value.length);
  }

  /** @param {Shown} shown */
  #written(shown) {
    const { before } = shown;
    shown.before = null;
    if (before !== null && before.fields.text !== shown.text.value) {
      this.#history.did({ changed: { ...before, fields: { text: before.fields.text } } });
    }
    void this.#send(shown);
  }

  /** @param {Shown} shown */
  #refuse({ element, note }) {
    toast(`This note is ${nameOf(this.#room.presence.members.get(note.owner))}'s.`);
    element.animate([{ translate: '0' }, { translate: '-6px' }, { translate: '6px' }, { translate: '0' }], 180);
  }

  /**
   * @param {Shown} shown
   * @param {Record<string, any>} fields
   */
  #want(shown, fields) {
    Object.assign(shown.wanted, fields);
    this.#draw(shown);
    void this.#send(shown);
  }

  /**
   * One edit at a time: what is wanted meanwhile goes with the next, and is the room's when that was shown.
   *
   * @param {Shown} shown
   */
  async #send(shown) {
    const fields = { ...shown.wanted };
    const names = Object.keys(fields);
    const { state } = this.#history;
    if (shown.isBusy || names.length === 0 || state.get(shown.note.id) === undefined) {
      return;
    }
    shown.isBusy = true;
    const done = await this.#history.edit([state.set(shown.note.id, fields)]);
    const isShown = done === null || state.tick >= done.tick || (await this.#ticked(done.tick));
    shown.isBusy = false;
    let isNew = false;
    for (const name of names) {
      const isSame = shown.wanted[name] === fields[name];
      isNew ||= done !== null && (!isSame || done.isUnknown === true);
      if (done === null || (isShown && isSame && !done.isUnknown)) {
        delete shown.wanted[name];
      }
    }
    this.#draw(shown);
    if (isNew) {
      void this.#send(shown);
    }
  }

  /**
   * A tick is shown, or the state came anew.
   *
   * @param {number} tick
   */
  #ticked(tick) {
    const { state } = this.#history;
    return new Promise((resolve) => {
      const done = () => {
        if (state.tick >= tick) {
          stopTick();
          stopReset();
          resolve(true);
        }
      };
      const stopTick = state.on('tick', done);
      const stopReset = state.on('reset', () => {
        stopTick();
        stopReset();
        resolve(true);
      });
    });
  }

  /**
   * @param {Shown} shown
   * @param {Record<string, any>} fields
   */
  #change(shown, fields) {
    const before = kept(shown.note);
    const old = Object.fromEntries(Object.keys(fields).map((name) => [name, before.fields[name]]));
    this.#history.did({ changed: { ...before, fields: old } });
    this.#want(shown, fields);
  }

  /** @param {Shown} shown */
  async #delete({ note }) {
    const was = kept(note);
    if ((await this.#history.edit([this.#history.state.remove(note)])) !== null) {
      this.#history.did({ removed: [was] });
    }
  }

  /** @param {Shown} shown */
  #give({ note }) {
    const to = note.owner === 0 ? this.#room.me.id : 0;
    void this.#history.edit([this.#history.state.give(note, to)]);
  }
}

/** @param {Point} at @returns {Point} */
function inside([x, y]) {
  return [Math.min(SHEET.width - NOTE.width, Math.max(0, x)), Math.min(SHEET.height - NOTE.height, Math.max(0, y))];
}

/**
 * @param {string} className
 * @param {string} label
 * @param {() => void} act
 */
function button(className, label, act) {
  const it = document.createElement('button');
  it.type = 'button';
  it.className = className;
  it.title = label;
  it.setAttribute('aria-label', label);
  // What is being written stays so.
  it.addEventListener('pointerdown', (event) => event.preventDefault());
  it.addEventListener('click', act);
  return it;
}
