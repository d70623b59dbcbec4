// The courtyard: cursors (class latest), reactions (volatile) and chat (reliable) in one room.

import { Client } from '/client/index.js';

/** @typedef {import('/client/index.js').Room} Room */
/** @typedef {import('/client/index.js').Member} Member */

const COLOURS = ['#ff9a5c', '#6fd6ad', '#f09abb', '#9fb8ff', '#f4cf6b', '#7fcdea', '#cda8f5', '#ff8f8f'];
const FIRST_NOUNS = ['Paper', 'River', 'Lantern', 'Pine', 'Moon', 'Ginkgo', 'Barley', 'Cloud', 'Cinnamon', 'Bamboo', 'Lotus', 'Rain'];
const SECOND_NOUNS = ['Crane', 'Drum', 'Magpie', 'Kite', 'Fox', 'Tiger', 'Teacup', 'Heron', 'Persimmon', 'Turtle', 'Rabbit', 'Plum'];
const REACTIONS = ['lantern', 'heart', 'drum', 'blossom', 'star', 'laugh'];
const CURSOR_INTERVAL_MS = 1000 / 30;
const HISTORY = 50;
const LOG_LINES_MAX = 400;
const DROP_MS = 4000;
const NAME_MAX = 24;

const reducedMotion = matchMedia('(prefers-reduced-motion: reduce)');
const stage = element('stage');
// What a room's name cannot hold becomes a dash, so that every link leads somewhere.
const roomName =
  (new URLSearchParams(location.search).get('room') ?? '').replace(/[^A-Za-z0-9._~:@-]/g, '-').slice(0, 128) || 'courtyard';
element('room-name').textContent = roomName === 'courtyard' ? '' : roomName;
document.title = roomName === 'courtyard' ? 'Courtyard · Madang' : `${roomName} · Courtyard · Madang`;

const me = {
  name: remembered('name', () => `${pick(FIRST_NOUNS)} ${pick(SECOND_NOUNS)}`),
  colour: remembered('colour', () => pick(COLOURS)),
};

// --- Connecting ---

const { play_port: port } = await (await fetch('/demo.json')).json();
const scheme = location.protocol === 'https:' ? 'wss' : 'ws';
const client = new Client(`${scheme}://${location.hostname}:${port}/play?room=${encodeURIComponent(roomName)}`, {
  name: 'courtyard',
  storage: sessionStorage,
  pingMs: 2000,
});
showState();
/** @type {Room | null} */
let room = null;
client
  .joinOrCreate(roomName, { attributes: { ...me }, history: HISTORY })
  .then(entered)
  .catch((error) => toast(`The courtyard is closed: ${error.message}`, 60_000));

/** @param {Room} it */
function entered(it) {
  room = it;
  room.presence.on('change', showMembers);
  room.on('chat', showMessage);
  room.on('pos', ({ payload, from }) => moveCursor(from, payload));
  room.on('react', ({ payload }) => receiveReaction(payload));
  room.onRecover(({ recovered, replay }) => {
    if (!recovered) {
      note('You were away for long: what follows is the newest.', 'back');
    } else if (replay > 0) {
      missedNote = true;
    }
    sendPosition();
  });
  for (const event of /** @type {const} */ (['join', 'leave'])) {
    room.presence.on(event, ({ member, origin }) => {
      if (origin === 'live' && member && member.id !== it.me.id) {
        note(`${nameOf(member)} ${event === 'join' ? 'came in' : 'left'}`);
      }
    });
  }
  room.onLeave(({ error, reason }) => toast(error?.message ?? `You left: ${reason}`, 60_000));
  showMembers();
  if (nameOf(it.me) !== me.name || it.me.attributes.colour !== me.colour) {
    void it.presence.update({ ...me }, { queue: true });
  }
}

// --- Cursors ---

/**
 * @typedef {object} Cursor
 * @property {HTMLElement} element
 * @property {HTMLElement} label
 * @property {{ x: number, y: number }} shown
 * @property {{ x: number, y: number }} wanted
 */

/** @type {Map<number, Cursor>} */
const cursors = new Map();
const own = makeCursor();
own.element.classList.add('mine', 'gone');
let ownAt = { x: 0.5, y: 0.72 };
let ownShown = false;
let sentAt = 0;
/** @type {ReturnType<typeof setTimeout> | undefined} */
let sendTimer;

stage.addEventListener('pointermove', pointed);
stage.addEventListener('pointerdown', pointed);
stage.addEventListener('pointerleave', (event) => {
  if (event.pointerType === 'mouse') {
    ownShown = false;
    own.element.classList.add('gone');
    schedulePosition();
  }
});

/** @param {PointerEvent} event */
function pointed(event) {
  const box = stage.getBoundingClientRect();
  moveOwn((event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height);
}

/**
 * @param {number} x
 * @param {number} y
 */
function moveOwn(x, y) {
  ownAt = { x: Math.min(1, Math.max(0, x)), y: Math.min(1, Math.max(0, y)) };
  ownShown = true;
  own.wanted = own.shown = ownAt;
  own.element.classList.remove('gone');
  place(own);
  schedulePosition();
}

/** At most 30 a second, and always the last one. */
function schedulePosition() {
  sendTimer ??= setTimeout(() => {
    sendTimer = undefined;
    sendPosition();
  }, Math.max(0, sentAt + CURSOR_INTERVAL_MS - performance.now()));
}

/** Two 16-bit fractions of the stage; nothing at all when the pointer has left. */
function sendPosition() {
  sentAt = performance.now();
  const payload = new Uint8Array(ownShown ? 4 : 0);
  if (ownShown) {
    const view = new DataView(payload.buffer);
    view.setUint16(0, Math.round(ownAt.x * 0xffff));
    view.setUint16(2, Math.round(ownAt.y * 0xffff));
  }
  room?.send('pos', payload, { class: 'latest', key: 0 });
}

/**
 * @param {number} id
 * @param {unknown} payload
 */
function moveCursor(id, payload) {
  if (!(payload instanceof Uint8Array)) {
    return;
  }
  let cursor = cursors.get(id);
  if (payload.length < 4) {
    cursor?.element.classList.add('gone');
    return;
  }
  const view = new DataView(payload.buffer, payload.byteOffset);
  const at = { x: view.getUint16(0) / 0xffff, y: view.getUint16(2) / 0xffff };
  if (cursor === undefined) {
    cursor = makeCursor();
    cursor.shown = at;
    cursors.set(id, cursor);
    dress(id, cursor);
  } else if (cursor.element.classList.contains('gone')) {
    cursor.shown = at;
    cursor.element.classList.remove('gone');
  }
  cursor.wanted = at;
}

/** @returns {Cursor} */
function makeCursor() {
  const it = document.createElement('div');
  it.className = 'cursor';
  it.append(svg('path', 'M2 2 21 12.500 12.500 14.500 8.500 23Z', '0 0 24 26'));
  const label = document.createElement('span');
  it.append(label);
  element('cursors').append(it);
  return { element: it, label, shown: { x: 0, y: 0 }, wanted: { x: 0, y: 0 } };
}

/**
 * @param {number} id
 * @param {Cursor} cursor
 */
function dress(id, cursor) {
  const member = room?.presence.members.get(id);
  cursor.label.textContent = member ? nameOf(member) : '';
  cursor.element.style.setProperty('--c', colourOf(member));
  cursor.element.classList.toggle('away', member?.away ?? true);
}

/** @param {Cursor} cursor */
function place({ element: it, shown: { x, y } }) {
  it.style.transform = `translate(${x * stage.clientWidth}px, ${y * stage.clientHeight}px)`;
  it.classList.toggle('flip', x > 0.86);
}

let frameAt = performance.now();
/** Positions come 30 times a second and are shown as often as the screen is: each frame goes part of the way. */
function animate() {
  const now = performance.now();
  const part = reducedMotion.matches ? 1 : 1 - Math.exp(-(now - frameAt) / 55);
  frameAt = now;
  for (const cursor of cursors.values()) {
    const { shown, wanted } = cursor;
    cursor.shown = { x: shown.x + (wanted.x - shown.x) * part, y: shown.y + (wanted.y - shown.y) * part };
    place(cursor);
  }
  requestAnimationFrame(animate);
}
requestAnimationFrame(animate);

// --- Reactions ---

REACTIONS.forEach((name, index) => {
  const button = document.createElement('button');
  button.type = 'button';
  button.title = `${name} (${index + 1})`;
  button.setAttribute('aria-label', name);
  button.append(icon(name));
  const key = document.createElement('kbd');
  key.textContent = String(index + 1);
  button.append(key);
  button.addEventListener('click', () => react(index));
  element('reactions').append(button);
});

document.addEventListener('keydown', (event) => {
  if (event.target instanceof HTMLInputElement || event.ctrlKey || event.metaKey || event.altKey) {
    return;
  }
  const index = Number(event.key) - 1;
  if (REACTIONS[index] !== undefined) {
    react(index);
  }
  const step = 0.02;
  const [dx, dy] = { ArrowLeft: [-step, 0], ArrowRight: [step, 0], ArrowUp: [0, -step], ArrowDown: [0, step] }[event.key] ?? [0, 0];
  if ((dx !== 0 || dy !== 0) && event.target === stage) {
    event.preventDefault();
    moveOwn(ownAt.x + dx, ownAt.y + dy);
  }
});

/** @param {number} index */
function react(index) {
  const payload = new Uint8Array(5);
  const view = new DataView(payload.buffer);
  view.setUint8(0, index);
  view.setUint16(1, Math.round(ownAt.x * 0xffff));
  view.setUint16(3, Math.round(ownAt.y * 0xffff));
  room?.send('react', payload, { class: 'volatile' });
  receiveReaction(payload);
}

/** @param {unknown} payload */
function receiveReaction(payload) {
  if (!(payload instanceof Uint8Array) || payload.length < 5 || element('bursts').childElementCount > 240) {
    return;
  }
  const view = new DataView(payload.buffer, payload.byteOffset);
  const name = REACTIONS[view.getUint8(0)];
  if (name === undefined) {
    return;
  }
  const x = (view.getUint16(1) / 0xffff) * stage.clientWidth;
  const y = (view.getUint16(3) / 0xffff) * stage.clientHeight;
  const count = reducedMotion.matches ? 1 : 9;
  for (let at = 0; at < count; at += 1) {
    const piece = icon(name);
    piece.classList.add('burst');
    element('bursts').append(piece);
    const turn = (Math.random() - 0.5) * 90;
    const dx = count === 1 ? 0 : (Math.random() - 0.5) * 190;
    const rise = 120 + Math.random() * 170;
    const size = 0.55 + Math.random() * 0.85;
    const still = count === 1;
    const frames = still
      ? [{ opacity: 1, transform: `translate(${x}px, ${y}px)` }, { opacity: 0, transform: `translate(${x}px, ${y}px)` }]
      : [
          { opacity: 0, transform: `translate(${x}px, ${y}px) scale(.2)` },
          { opacity: 1, transform: `translate(${x + dx * 0.6}px, ${y - rise * 0.4}px) scale(${size}) rotate(${turn * 0.4}deg)`, offset: 0.22 },
          { opacity: 1, offset: 0.6 },
          { opacity: 0, transform: `translate(${x + dx}px, ${y - rise}px) scale(${size * 0.8}) rotate(${turn}deg)` },
        ];
    const animation = piece.animate(frames, { duration: 1500 + Math.random() * 900, delay: at * 28, easing: 'cubic-bezier(.2,.7,.3,1)', fill: 'both' });
    animation.onfinish = () => piece.remove();
  }
}

// --- People ---

function showMembers() {
  if (room === null) {
    return;
  }
  const list = element('members');
  element('count').textContent = String(room.presence.count);
  const mine = room.me.id;
  const items = [...room.presence.members.values()].sort((a, b) => Number(b.id === mine) - Number(a.id === mine) || a.id - b.id);
  const kept = list.querySelector('li.me');
  list.replaceChildren(
    ...items.map((member) => (member.id === mine && kept ? kept : member.id === mine ? ownItem() : memberItem(member))),
  );
  own.element.style.setProperty('--c', me.colour);
  for (const [id, cursor] of cursors) {
    if (room.presence.members.has(id) && id !== mine) {
      dress(id, cursor);
    } else {
      cursor.element.remove();
      cursors.delete(id);
    }
  }
}

/** @param {Member} member */
function memberItem(member) {
  const item = document.createElement('li');
  item.className = member.away ? 'away' : '';
  item.dataset.member = String(member.id);
  item.style.setProperty('--c', colourOf(member));
  item.append(span('dot', ''), span('name', nameOf(member)));
  if (member.away) {
    const small = document.createElement('small');
    small.textContent = 'away';
    item.append(small);
  }
  return item;
}

/** Oneself: the name is a field, the dot changes the colour. */
function ownItem() {
  const item = document.createElement('li');
  item.className = 'me';
  item.style.setProperty('--c', me.colour);
  const dot = document.createElement('button');
  dot.type = 'button';
  dot.className = 'dot';
  dot.title = 'Another colour';
  dot.setAttribute('aria-label', 'Change my colour');
  dot.addEventListener('click', () => {
    me.colour = COLOURS[(COLOURS.indexOf(me.colour) + 1) % COLOURS.length];
    item.style.setProperty('--c', me.colour);
    remember('colour', me.colour);
    void room?.presence.update({ colour: me.colour }, { queue: true });
  });
  const input = document.createElement('input');
  input.value = me.name;
  input.maxLength = NAME_MAX;
  input.id = 'my-name';
  input.setAttribute('aria-label', 'My name');
  input.spellcheck = false;
  input.addEventListener('change', () => {
    const name = input.value.trim().slice(0, NAME_MAX);
    input.value = me.name = name === '' ? me.name : name;
    remember('name', me.name);
    void room?.presence.update({ name: me.name }, { queue: true });
  });
  input.addEventListener('keydown', ({ key }) => key === 'Enter' && input.blur());
  item.append(dot, input);
  return item;
}

// --- Chat ---

const log = element('log');
let missedNote = false;
/** The last line's sender, so that several in a row share one heading. */
let lastSender = '';
const empty = document.createElement('li');
empty.className = 'empty';
empty.textContent = 'The courtyard is quiet. Say something.';
log.append(empty);

element('form').addEventListener('submit', (event) => {
  event.preventDefault();
  const input = /** @type {HTMLInputElement} */ (element('say'));
  const text = input.value.trim();
  if (text === '' || room === null) {
    return;
  }
  input.value = '';
  const line = addLine({ text, name: me.name, colour: me.colour, at: new Date(client.serverTime()), mine: true, sender: 'me' });
  line.classList.add('pending');
  room.send('chat', { text, name: me.name, colour: me.colour }, { local: line, queue: true }).then(
    ({ seq }) => {
      line.classList.remove('pending');
      line.dataset.seq = String(seq ?? '');
    },
    (error) => {
      line.classList.remove('pending');
      line.classList.add('failed');
      line.title = error.message;
      toast(`Not sent: ${error.message}`);
    },
  );
});

/** @param {import('/client/index.js').RoomMessage} message */
function showMessage({ payload, at, mine, local, origin, from, seq }) {
  if (typeof payload?.text !== 'string') {
    return;
  }
  if (local instanceof HTMLElement) {
    return; // It stands there already; the receipt takes the mark off.
  }
  if (origin === 'missed' && missedNote) {
    missedNote = false;
    note('while you were away', 'back');
  }
  const line = addLine({
    text: payload.text.slice(0, 400),
    name: String(payload.name ?? 'Someone').slice(0, NAME_MAX),
    colour: safeColour(payload.colour),
    at: at ?? new Date(),
    mine,
    sender: mine ? 'me' : `${from}`,
  });
  line.dataset.seq = String(seq);
  line.classList.toggle('missed', origin === 'missed');
}

/** @param {{ text: string, name: string, colour: string, at: Date, mine: boolean, sender: string }} line */
function addLine({ text, name, colour, at, mine, sender }) {
  const item = document.createElement('li');
  item.className = mine ? 'mine' : '';
  item.style.setProperty('--c', colour);
  if (sender !== lastSender) {
    const who = span('who', name);
    const time = document.createElement('time');
    time.dateTime = at.toISOString();
    time.textContent = at.toLocaleTimeString([], { hour: '2-digit', minute: '2-digit' });
    who.append(time);
    item.append(who);
    lastSender = sender;
  }
  item.append(span('text', text));
  append(item, mine);
  return item;
}

/**
 * @param {string} text
 * @param {string} [kind]
 */
function note(text, kind = '') {
  const item = document.createElement('li');
  item.className = `note ${kind}`;
  item.textContent = text;
  lastSender = '';
  append(item, false);
}

/**
 * @param {HTMLElement} item
 * @param {boolean} follow
 */
function append(item, follow) {
  const atEnd = log.scrollHeight - log.scrollTop - log.clientHeight < 60;
  empty.remove();
  log.append(item);
  while (log.childElementCount > LOG_LINES_MAX) {
    log.firstElementChild?.remove();
  }
  if (atEnd || follow) {
    log.scrollTop = log.scrollHeight;
  }
}

// --- Connection ---

/** @type {number[]} */
const rtts = [];
/** @type {ReturnType<typeof setInterval> | undefined} */
let countdown;

client.on('status', showState);
client.on('rtt', ({ rtt }) => {
  rtts.push(rtt);
  if (rtts.length > 24) {
    rtts.shift();
  }
  const top = Math.max(20, ...rtts) * 1.15;
  const first = 24 - rtts.length; // The newest stands at the right.
  const points = rtts.map((value, index) => `${(60 * (first + index)) / 23},${17 - (16 * value) / top}`).join(' ');
  element('spark').firstElementChild?.setAttribute('points', points);
  showState();
});
element('drop').addEventListener('click', () => {
  client.drop(DROP_MS);
  toast('Your socket is gone. Let somebody talk meanwhile.');
});
element('share').addEventListener('click', async () => {
  const link = new URL(location.href);
  link.searchParams.set('room', roomName);
  try {
    await navigator.clipboard.writeText(link.href);
    toast('The link to this courtyard is copied.');
  } catch {
    toast(link.href, 12_000);
  }
});

/** @param {Partial<import('/client/index.js').StatusEvent>} [event] */
function showState(event = {}) {
  const status = event.status ?? client.status;
  element('pill').dataset.state = status;
  if (event.status !== undefined) {
    clearInterval(countdown);
  }
  if (status === 'open') {
    pill(client.rtt === null ? 'live' : `live · ${Math.max(1, Math.round(client.rtt))} ms`);
  } else if (event.retryInMs !== undefined) {
    const until = performance.now() + event.retryInMs;
    const tick = () => {
      const seconds = Math.max(0, Math.ceil((until - performance.now()) / 1000));
      pill(status === 'draining' ? `server restarts in ${seconds} s` : seconds === 0 ? 'reconnecting' : `reconnecting in ${seconds} s`);
    };
    countdown = setInterval(tick, 250);
    tick();
  } else if (event.status !== undefined) {
    pill(status);
  }
}

/** @param {string} text */
function pill(text) {
  const it = element('pill-text');
  if (it.textContent !== text) {
    it.textContent = text;
  }
}

// --- Small things ---

/** @param {Member} member */
function nameOf(member) {
  const { name } = member.attributes;
  return typeof name === 'string' && name !== '' ? name.slice(0, NAME_MAX) : `Guest ${member.id}`;
}

/** @param {Member | undefined} member */
function colourOf(member) {
  return safeColour(member?.attributes.colour);
}

/** @param {unknown} colour */
function safeColour(colour) {
  return typeof colour === 'string' && COLOURS.includes(colour) ? colour : COLOURS[4];
}

/** @param {string} name */
function icon(name) {
  const it = document.createElementNS('http://www.w3.org/2000/svg', 'svg');
  it.setAttribute('viewBox', '0 0 40 40');
  const use = document.createElementNS('http://www.w3.org/2000/svg', 'use');
  use.setAttribute('href', `#r-${name}`);
  it.append(use);
  return it;
}

/**
 * @param {string} tag
 * @param {string} d
 * @param {string} viewBox
 */
function svg(tag, d, viewBox) {
  const it = document.createElementNS('http://www.w3.org/2000/svg', 'svg');
  it.setAttribute('viewBox', viewBox);
  const shape = document.createElementNS('http://www.w3.org/2000/svg', tag);
  shape.setAttribute('d', d);
  it.append(shape);
  return it;
}

/**
 * @param {string} className
 * @param {string} text
 */
function span(className, text) {
  const it = document.createElement('span');
  it.className = className;
  it.textContent = text;
  return it;
}

/**
 * @param {string} text
 * @param {number} [ms]
 */
function toast(text, ms = 3500) {
  const it = element('toast');
  it.textContent = text;
  it.classList.add('shown');
  clearTimeout(Number(it.dataset.timer));
  it.dataset.timer = String(window.setTimeout(() => it.classList.remove('shown'), ms));
}

/** @param {string} id */
function element(id) {
  return /** @type {HTMLElement} */ (document.getElementById(id));
}

/**
 * @template T
 * @param {T[]} values
 */
function pick(values) {
  return values[Math.floor(Math.random() * values.length)];
}

/**
 * @param {string} name
 * @param {() => string} make
 */
function remembered(name, make) {
  let value = null;
  try {
    value = localStorage.getItem(`courtyard:${name}`);
  } catch {
    // Storage may be forbidden: then each visit is a first one.
  }
  value ??= make();
  remember(name, value);
  return value;
}

/**
 * @param {string} name
 * @param {string} value
 */
function remember(name, value) {
  try {
    localStorage.setItem(`courtyard:${name}`, value);
  } catch {
    // See `remembered`.
  }
}
