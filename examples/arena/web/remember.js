// What a browser remembers of who plays: name and colour for good, the room until the tab is closed.
// @ts-check

import { COLORS } from './look.js';

const NAME_MAX = 16;
const FIRST = ['Paper', 'River', 'Pine', 'Moon', 'Ginkgo', 'Barley', 'Cloud', 'Bamboo', 'Lotus', 'Rain'];
const SECOND = ['Crane', 'Drum', 'Magpie', 'Kite', 'Fox', 'Tiger', 'Heron', 'Turtle', 'Rabbit', 'Plum'];

/** Who plays. On a first visit that is anybody. */
export function whoami() {
  const name = read(() => localStorage, 'name') ?? `${pick(FIRST)} ${pick(SECOND)}`;
  const color = Number(read(() => localStorage, 'color') ?? Math.floor(Math.random() * COLORS.length));
  const me = { name: name.slice(0, NAME_MAX), color: Number.isInteger(color) && color >= 0 ? color % COLORS.length : 0 };
  rememberMe(me);
  return me;
}

/** @param {{ name: string, color: number }} me */
export function rememberMe({ name, color }) {
  write(() => localStorage, 'name', name);
  write(() => localStorage, 'color', String(color));
}

/** The room that this tab was in before a reload; null if in none. */
export const roomBefore = () => read(() => sessionStorage, 'inside');

/** @param {string | null} room that this tab is in */
export const rememberRoom = (room) => write(() => sessionStorage, 'inside', room);

/** @param {() => Storage} storage @param {string} name */
function read(storage, name) {
  try {
    return storage().getItem(`arena:${name}`);
  } catch {
    return null; // Storage may be forbidden: then each visit is a first one.
  }
}

/** @param {() => Storage} storage @param {string} name @param {string | null} value */
function write(storage, name, value) {
  try {
    if (value === null) storage().removeItem(`arena:${name}`);
    else storage().setItem(`arena:${name}`, value);
  } catch {
    // See `read`.
  }
}

/** @template T @param {T[]} values */
function pick(values) {
  return values[Math.floor(Math.random() * values.length)];
}
