// What every part of the page needs: its elements, a word to its visitor, and what is remembered of them.

const NAME_MAX = 24;
export const COLOURS = ['#ff9a5c', '#6fd6ad', '#f09abb', '#9fb8ff', '#f4cf6b', '#7fcdea', '#cda8f5', '#ff8f8f'];

/** @typedef {import('/client/index.js').Member} Member */

/** @param {string} id */
export function element(id) {
  return /** @type {HTMLElement} */ (document.getElementById(id));
}

/**
 * @param {string} tag
 * @param {string} className
 * @param {string} [text]
 */
export function make(tag, className, text = '') {
  const it = document.createElement(tag);
  it.className = className;
  it.textContent = text;
  return it;
}

/** @param {string} tag */
export function makeSvg(tag) {
  return document.createElementNS('http://www.w3.org/2000/svg', tag);
}

/** @type {ReturnType<typeof setTimeout> | undefined} */
let toastTimer;

/**
 * @param {string} text
 * @param {number} [ms]
 */
export function toast(text, ms = 3500) {
  const it = element('toast');
  it.textContent = text;
  it.classList.add('shown');
  clearTimeout(toastTimer);
  toastTimer = setTimeout(() => it.classList.remove('shown'), ms);
}

/** @param {Member | undefined} member */
export function nameOf(member) {
  const name = member?.attributes.name;
  return typeof name === 'string' && name !== '' ? name.slice(0, NAME_MAX) : `Guest ${member?.id ?? ''}`;
}

/** @param {Member | undefined} member */
export function colourOf(member) {
  const colour = member?.attributes.colour;
  return typeof colour === 'string' && COLOURS.includes(colour) ? colour : COLOURS[4];
}

/**
 * @param {string} name
 * @param {() => string} fresh
 */
export function remembered(name, fresh) {
  let value = null;
  try {
    value = localStorage.getItem(`courtyard:${name}`);
  } catch {
    // Storage may be forbidden: then each visit is a first one.
  }
  value ??= fresh();
  remember(name, value);
  return value;
}

/**
 * The courtyard and the board know a visitor by the same name.
 *
 * @param {string} name
 * @param {string} value
 */
export function remember(name, value) {
  try {
    localStorage.setItem(`courtyard:${name}`, value);
  } catch {
    // See `remembered`.
  }
}
