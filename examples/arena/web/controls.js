// Keys, mouse and fingers, as what an input says.
// @ts-check

import { DASH, THROW, TRAP } from './movement.js';

const KEYS = { KeyW: [0, -1], KeyA: [-1, 0], KeyS: [0, 1], KeyD: [1, 0], ArrowUp: [0, -1], ArrowLeft: [-1, 0], ArrowDown: [0, 1], ArrowRight: [1, 0] };
const ACTIONS = { Space: THROW, KeyE: TRAP, ShiftLeft: DASH, ShiftRight: DASH };
/** How far a thumb goes for full speed, in pixels. */
const STICK_RADIUS = 46;
const STICK_DEAD = 0.18;
/** How far a throw looks for somebody where nothing says where to aim. */
const THROW_REACH = 10;

export class Controls {
  /** @type {Set<string>} */
  #keys = new Set();
  #held = 0;
  /** What was pressed since the last input, even if it is up again. */
  #pressed = 0;
  /** Where the mouse is on the page; null while there is none. @type {{ x: number, y: number } | null} */
  #pointer = null;
  #stick = { id: -1, x: 0, y: 0, fromX: 0, fromY: 0 };
  #surface;
  #stickShown;
  /** Whether somebody listens at all. */
  enabled = false;

  /**
   * @param {HTMLElement} surface
   * @param {HTMLElement} stick
   * @param {{ emote: (number: number) => void }} told
   */
  constructor(surface, stick, told) {
    this.#surface = surface;
    this.#stickShown = stick;
    addEventListener('keydown', (event) => {
      if (!this.enabled || isField(event.target) || event.ctrlKey || event.metaKey || event.altKey) return;
      const action = ACTIONS[/** @type {keyof ACTIONS} */ (event.code)];
      if (event.code in KEYS || action !== undefined) {
        // On a focused button the space bar is the button's.
        if (event.code === 'Space' && event.target instanceof HTMLButtonElement) return;
        event.preventDefault();
      }
      if (event.repeat) return;
      this.#keys.add(event.code);
      if (action !== undefined) this.press(action);
      const emote = /^Digit([1-8])$/.exec(event.code);
      if (emote !== null) told.emote(Number(emote[1]));
    });
    addEventListener('keyup', ({ code }) => {
      this.#keys.delete(code);
      const action = ACTIONS[/** @type {keyof ACTIONS} */ (code)];
      if (action !== undefined) this.release(action);
    });
    addEventListener('blur', () => this.#letGo());
    document.addEventListener('visibilitychange', () => document.hidden && this.#letGo());
    surface.addEventListener('contextmenu', (event) => event.preventDefault());
    surface.addEventListener('pointerdown', (event) => this.#down(event));
    surface.addEventListener('pointermove', (event) => this.#move(event));
    for (const end of /** @type {const} */ (['pointerup', 'pointercancel'])) {
      surface.addEventListener(end, (event) => this.#up(event));
    }
  }

  /** @param {number} button */
  press(button) {
    if (!this.enabled) return;
    this.#held |= button;
    this.#pressed |= button;
  }

  /** @param {number} button */
  release(button) {
    this.#held &= ~button;
  }

  /** Makes a button of the page one of the game. @param {HTMLElement} element @param {number} button */
  bind(element, button) {
    element.addEventListener('pointerdown', (event) => {
      event.preventDefault();
      element.setPointerCapture(event.pointerId);
      this.press(button);
    });
    for (const end of ['pointerup', 'pointercancel']) element.addEventListener(end, () => this.release(button));
    element.addEventListener('contextmenu', (event) => event.preventDefault());
    // By keyboard, a press is a click without a pointer.
    element.addEventListener('click', (event) => {
      if (event.detail === 0) {
        this.press(button);
        this.release(button);
      }
    });
  }

  /**
   * Where the mouse points, from a place in the plane; null without a mouse.
   * @param {{ x: number, y: number }} from
   * @param {(x: number, y: number) => { x: number, y: number }} toPlane
   */
  aim(from, toPlane) {
    if (this.#pointer === null) return null;
    const to = toPlane(this.#pointer.x, this.#pointer.y);
    return { x: to.x - from.x, y: to.y - from.y };
  }

  /**
   * What the next input says.
   * @param {{ x: number, y: number, look: number }} own
   * @param {{ x: number, y: number } | null} aim
   * @param {{ x: number, y: number }[]} rivals
   */
  take(own, aim, rivals) {
    let { x, y } = this.#direction();
    const buttons = this.#held | this.#pressed;
    this.#pressed = 0;
    let towards = aim;
    if (towards === null && (buttons & THROW) !== 0) towards = nearest(own, rivals);
    if ((buttons & DASH) !== 0 && x === 0 && y === 0) {
      // Who stands dashes to where they aim or look.
      const angle = (own.look / 32) * Math.PI * 2;
      ({ x, y } = unit(aim ?? { x: Math.cos(angle), y: Math.sin(angle) }));
    }
    const shown = towards === null ? { x: 0, y: 0 } : unit(towards);
    return {
      goX: Math.round(x * 127), goY: Math.round(y * 127),
      aimX: Math.round(shown.x * 127), aimY: Math.round(shown.y * 127),
      buttons,
    };
  }

  #direction() {
    if (!this.enabled) return { x: 0, y: 0 };
    if (this.#stick.id >= 0) {
      const far = Math.hypot(this.#stick.x, this.#stick.y);
      return far < STICK_DEAD ? { x: 0, y: 0 } : { x: this.#stick.x, y: this.#stick.y };
    }
    let x = 0;
    let y = 0;
    for (const key of this.#keys) {
      const way = KEYS[/** @type {keyof KEYS} */ (key)];
      if (way !== undefined) {
        x += way[0];
        y += way[1];
      }
    }
    [x, y] = [Math.sign(x), Math.sign(y)];
    return x !== 0 && y !== 0 ? { x: x * Math.SQRT1_2, y: y * Math.SQRT1_2 } : { x, y };
  }

  /** @param {PointerEvent} event */
  #down(event) {
    if (!this.enabled) return;
    this.#surface.focus({ preventScroll: true });
    if (event.pointerType === 'mouse') {
      this.#pointer = { x: event.clientX, y: event.clientY };
      this.#surface.setPointerCapture(event.pointerId);
      this.press(event.button === 2 ? THROW : DASH);
    } else if (this.#stick.id < 0) {
      this.#pointer = null;
      this.#surface.setPointerCapture(event.pointerId);
      this.#stick = { id: event.pointerId, x: 0, y: 0, fromX: event.clientX, fromY: event.clientY };
      this.#showStick();
    }
  }

  /** @param {PointerEvent} event */
  #move(event) {
    if (event.pointerType === 'mouse') {
      this.#pointer = { x: event.clientX, y: event.clientY };
    } else if (event.pointerId === this.#stick.id) {
      const x = (event.clientX - this.#stick.fromX) / STICK_RADIUS;
      const y = (event.clientY - this.#stick.fromY) / STICK_RADIUS;
      const far = Math.max(1, Math.hypot(x, y));
      [this.#stick.x, this.#stick.y] = [x / far, y / far];
      this.#showStick();
    }
  }

  /** @param {PointerEvent} event */
  #up(event) {
    if (event.pointerType === 'mouse') {
      this.release(event.button === 2 ? THROW : DASH);
    } else if (event.pointerId === this.#stick.id) {
      this.#stick.id = -1;
      this.#showStick();
    }
  }

  #showStick() {
    const { id, x, y, fromX, fromY } = this.#stick;
    const it = this.#stickShown;
    it.classList.toggle('held', id >= 0);
    const knob = /** @type {HTMLElement} */ (it.firstElementChild);
    if (id < 0) {
      it.style.removeProperty('left');
      it.style.removeProperty('top');
      knob.style.removeProperty('transform');
      return;
    }
    it.style.left = `${fromX}px`;
    it.style.top = `${fromY}px`;
    knob.style.transform = `translate(${x * STICK_RADIUS}px, ${y * STICK_RADIUS}px)`;
  }

  #letGo() {
    this.#keys.clear();
    this.#held = 0;
    this.#pressed = 0;
    this.#stick.id = -1;
    this.#showStick();
  }
}

/** @param {EventTarget | null} target */
function isField(target) {
  return target instanceof HTMLInputElement || target instanceof HTMLTextAreaElement || target instanceof HTMLSelectElement;
}

/** @param {{ x: number, y: number }} way */
function unit({ x, y }) {
  const far = Math.hypot(x, y);
  return far > 0 ? { x: x / far, y: y / far } : { x: 0, y: 0 };
}

/**
 * The way to the nearest rival within reach.
 * @param {{ x: number, y: number }} own
 * @param {{ x: number, y: number }[]} rivals
 */
function nearest(own, rivals) {
  let best = null;
  let least = THROW_REACH;
  for (const { x, y } of rivals) {
    const far = Math.hypot(x - own.x, y - own.y);
    if (far < least) [best, least] = [{ x: x - own.x, y: y - own.y }, far];
  }
  return best;
}
