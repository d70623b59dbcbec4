// The matches there are, as the directory's stream tells them, with a glimpse of each now and then.
// @ts-check

import { TILT, colorOf } from '../look.js';
import { COURTYARD_RADIUS } from '../movement.js';
import { element, put } from '../panel.js';

const SHOWN_MAX = 12;
const GLIMPSE_EVERY_MS = 5000;

/** @typedef {{ name: string, kind: string, members: number, labels: [string, string][] }} Listed */

/** @type {Map<string, Listed>} */
const matches = new Map();
/** @type {Map<string, HTMLElement>} */
const rows = new Map();
let here = '';

/** @param {string} room the one that is watched */
export async function showLobby(room) {
  here = room;
  /** @type {HTMLAnchorElement} */ (element('new-match')).href = `/arena/?room=arena-${Math.random().toString(36).slice(2, 7)}`;
  try {
    const { rooms } = await (await fetch('/rooms?kind=arena')).json();
    for (const it of rooms) matches.set(it.name, it);
    list();
  } catch {
    // The stream below says the same, and tries again by itself.
  }
  /** @type {EventSource | null} */
  let source = null;
  const look = () => {
    source?.close();
    // A browser has few connections for a server, so a tab that nobody sees holds none for this.
    source = document.hidden ? null : stream();
  };
  document.addEventListener('visibilitychange', look);
  look();
  void glimpses();
}

/** The directory's changes, from its present state on. */
function stream() {
  const source = new EventSource('/rooms/events');
  let parts = false;
  // A stream that was cut between two parts begins with the first again.
  source.addEventListener('open', () => {
    parts = false;
  });
  source.addEventListener('snapshot', ({ data }) => {
    const { rooms, more } = JSON.parse(data);
    if (!parts) matches.clear();
    parts = more;
    rooms.forEach(note);
    list();
  });
  for (const event of ['created', 'changed']) {
    source.addEventListener(event, ({ data }) => {
      note(JSON.parse(data));
      list();
    });
  }
  source.addEventListener('gone', ({ data }) => {
    matches.delete(JSON.parse(data).name);
    list();
  });
  return source;
}

/** @param {Listed} it */
function note(it) {
  if (it.kind === 'arena') matches.set(it.name, it);
}

function list() {
  const shown = [...matches.values()]
    .sort((a, b) => Number(b.name === here) - Number(a.name === here) || b.members - a.members || a.name.localeCompare(b.name))
    .slice(0, SHOWN_MAX);
  put(element('lobby-count'), String(matches.size));
  element('matches').replaceChildren(...shown.map((it) => {
    const row = rows.get(it.name) ?? makeRow(it.name);
    row.dataset.members = String(it.members);
    describe(row);
    return row;
  }));
  for (const name of rows.keys()) if (!matches.has(name)) rows.delete(name);
}

/** @param {string} name */
function makeRow(name) {
  const row = document.createElement('li');
  row.dataset.room = name;
  row.classList.toggle('here', name === here);
  const map = document.createElement('canvas');
  map.width = 132;
  map.height = 112;
  const title = document.createElement('b');
  title.textContent = name;
  const links = document.createElement('div');
  for (const [text, path] of [['Play', '/arena/'], ['Watch', '/arena/watch/']]) {
    const link = document.createElement('a');
    link.href = `${path}?room=${encodeURIComponent(name)}`;
    link.textContent = text;
    links.append(link);
  }
  row.append(map, title, document.createElement('small'), links);
  rows.set(name, row);
  return row;
}

/** @param {HTMLElement} row */
function describe(row) {
  const members = Number(row.dataset.members);
  const { round } = row.dataset;
  const people = members === 0 ? 'bots' : `${members} in`;
  put(/** @type {HTMLElement} */ (row.querySelector('small')), round === undefined ? people : `${people} · round ${round}`);
}

/** Looks into one match after the other: a browser has few connections for a server, so not into all at once. */
async function glimpses() {
  for (;;) {
    for (const name of [...rows.keys()]) {
      if (document.hidden || !rows.has(name)) continue;
      try {
        const entities = await glimpse(name);
        const row = rows.get(name);
        if (row !== undefined && entities !== null) drawMap(row, entities);
      } catch {
        // A match that is just over has no picture.
      }
    }
    await new Promise((resolve) => setTimeout(resolve, GLIMPSE_EVERY_MS));
  }
}

/**
 * The first snapshot of a match's events, and no more than that.
 * @param {string} room
 * @returns {Promise<Record<string, import('../timeline.js').Entity> | null>}
 */
async function glimpse(room) {
  const stop = new AbortController();
  const late = setTimeout(() => stop.abort(), 3000);
  try {
    const response = await fetch(`/rooms/${encodeURIComponent(room)}/events`, { signal: stop.signal });
    if (!response.ok || response.body === null) return null;
    const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
    let text = '';
    for (;;) {
      const { value, done } = await reader.read();
      if (done) return null;
      text += value;
      const found = /(?:^|\n)event: ?snapshot\n(?:id:.*\n)?data: ?(.*)\n/.exec(text);
      if (found !== null) return JSON.parse(found[1]).entities;
    }
  } finally {
    clearTimeout(late);
    stop.abort();
  }
}

/** @param {HTMLElement} row @param {Record<string, import('../timeline.js').Entity>} entities */
function drawMap(row, entities) {
  const canvas = /** @type {HTMLCanvasElement} */ (row.querySelector('canvas'));
  const c = /** @type {CanvasRenderingContext2D} */ (canvas.getContext('2d'));
  const scale = 60 / COURTYARD_RADIUS;
  c.setTransform(1, 0, 0, 1, 0, 0);
  c.clearRect(0, 0, canvas.width, canvas.height);
  c.setTransform(scale, 0, 0, scale * TILT, canvas.width / 2, canvas.height / 2);
  const earth = c.createRadialGradient(0, 0, 0, 0, 0, COURTYARD_RADIUS);
  earth.addColorStop(0, '#ffb45c');
  earth.addColorStop(0.25, '#a06a3e');
  earth.addColorStop(1, '#4a3230');
  c.fillStyle = earth;
  c.beginPath();
  c.arc(0, 0, COURTYARD_RADIUS, 0, Math.PI * 2);
  c.fill();
  for (const it of Object.values(entities)) {
    if (it.kind === 'arena') row.dataset.round = String(it.round);
    if (it.kind !== 'player' && it.kind !== 'lantern') continue;
    c.fillStyle = it.kind === 'player' ? colorOf(it.color) : '#ffd98a';
    c.beginPath();
    c.arc(it.at[0], it.at[1], it.kind === 'player' ? 1.7 : 0.7, 0, Math.PI * 2);
    c.fill();
  }
  describe(row);
}
