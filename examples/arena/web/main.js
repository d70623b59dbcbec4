// The arena, for who plays: joins the room, sends inputs, predicts its own dancer and shows the others.
// @ts-check

import { Client } from '/client/index.js';
import { state } from '/client/state.js';
import { Controls } from './controls.js';
import { EMOTES, emotePicture } from './emotes.js';
import { Happenings } from './happenings.js';
import { COLORS } from './look.js';
import { DASH, DASH_REST_STEPS, TICK_HZ, THROW, TRAP } from './movement.js';
import { Panel, element, mask, put, tell } from './panel.js';
import { Prediction } from './predict.js';
import { rememberMe, rememberRoom, roomBefore, whoami } from './remember.js';
import { Feed } from './spectate.js';
import { Stage } from './stage.js';
import { TICK_MS, TickClock, Timeline } from './timeline.js';

/** @typedef {import('/client/index.js').Room} Room */

/** Others are shown so much later than they are, so that there is always a next tick to move to. */
const BEHIND_TICKS = 2;
/** Steps that are made up for at once after a stutter. */
const STEPS_MAX = 5;
const NAME_MAX = 16;
const THROW_REST = 30;
const TRAP_REST = 8 * TICK_HZ;
/** Newer places of one's own than this many steps without an answer: the room does not hear. */
const UNHEARD_MAX = 30;
/** Matches among which the one behind the door is looked for. */
const LISTED_MAX = 100;

const query = new URLSearchParams(location.search);
// What a room's name cannot hold becomes a dash, so that every link leads somewhere.
const roomName = (query.get('room') ?? '').replace(/[^A-Za-z0-9._~:@-]/g, '-').slice(0, 128) || 'arena-1';
const me = whoami();

const calm = matchMedia('(prefers-reduced-motion: reduce)').matches;
const stage = new Stage(/** @type {HTMLCanvasElement} */ (element('stage')), { calm, zoom: 1.22, scaleMin: 19, bottom: matchMedia('(hover: none) and (min-height: 520px)').matches ? 110 : 0 });
const panel = new Panel();
const clock = new TickClock();
const prediction = new Prediction();
let timeline = new Timeline();
let happenings = new Happenings();
const controls = new Controls(element('stage'), element('stick'), { emote: showEmote });
controls.bind(element('dash'), DASH);
controls.bind(element('throw'), THROW);
controls.bind(element('trap'), TRAP);

/** @type {Room | null} */
let room = null;
/** The player of this page, 0 while there is none. */
let own = 0;
/** Entities as they are now, copied when they change. @type {Map<number, import('./timeline.js').Entity>} */
let entities = new Map();
/** @type {Feed | null} */
let backdrop = null;

put(element('room-name'), roomName);
document.title = `${roomName} · Arena · Madang`;
/** @type {HTMLAnchorElement} */ (element('watch-link')).href = `/arena/watch/?room=${encodeURIComponent(roomName)}`;

// --- The door ---

const nameField = /** @type {HTMLInputElement} */ (element('name'));
nameField.value = me.name;
element('masks').append(...COLORS.map((color, number) => {
  const choice = document.createElement('button');
  choice.type = 'button';
  choice.setAttribute('role', 'radio');
  choice.setAttribute('aria-label', `Colour ${number + 1}`);
  choice.style.setProperty('--c', color);
  choice.append(mask(number, 72));
  choice.addEventListener('click', () => chooseMask(number));
  return choice;
}));
chooseMask(me.color);

/** @param {number} number */
function chooseMask(number) {
  me.color = number;
  rememberMe(me);
  [...element('masks').children].forEach((choice, index) => choice.setAttribute('aria-checked', String(index === number)));
}

element('door').addEventListener('submit', (event) => {
  event.preventDefault();
  me.name = nameField.value.trim().slice(0, NAME_MAX) || me.name;
  nameField.value = me.name;
  rememberMe(me);
  enter();
});

/** Behind the door the courtyard is seen as spectators see it. */
function openDoor(note = '') {
  document.body.dataset.page = 'door';
  if (note !== '') put(element('door-note'), note);
  element('door').hidden = false;
  element('play').hidden = true;
  controls.enabled = false;
  clock.reset();
  entities = new Map();
  own = 0;
  timeline = new Timeline();
  happenings = new Happenings();
  nameField.select();
  void showBackdrop();
}

/** A match that has not begun has nothing to show yet. */
async function showBackdrop() {
  const { rooms } = await (await fetch(`/rooms?kind=arena&limit=${LISTED_MAX}`)).json();
  if (!rooms.some((/** @type {{ name: string }} */ { name }) => name === roomName) || element('door').hidden || backdrop !== null) return;
  backdrop = new Feed(roomName, {}, { tick: (tick) => clock.heard(tick, performance.now()) });
  ({ timeline, happenings } = backdrop);
}

function enter() {
  if (room !== null || joining) return;
  joining = true;
  /** @type {HTMLButtonElement} */ (element('enter')).disabled = true;
  client
    .joinOrCreate(roomName, { attributes: { name: me.name, color: me.color }, create: { public: true, labels: labels() } })
    .then(entered)
    .catch((error) => {
      put(element('door-note'), `The gate stays shut: ${error.message}`);
      rememberRoom(null);
    })
    .finally(() => {
      joining = false;
      /** @type {HTMLButtonElement} */ (element('enter')).disabled = false;
    });
}

/** What a match that begins with this page is like: `?bots=` seats and `?seconds=` of a round. */
function labels() {
  const asked = ['bots', 'seconds'].map((name) => [name, query.get(name) ?? '']);
  return Object.fromEntries(asked.filter(([, value]) => value !== ''));
}

// --- The room ---

const { play_port: port } = await (await fetch('/demo.json')).json();
const scheme = location.protocol === 'https:' ? 'wss' : 'ws';
const client = new Client(`${scheme}://${location.hostname}:${port}/play?room=${encodeURIComponent(roomName)}`, {
  name: 'arena',
  storage: sessionStorage,
  state,
  pingMs: 2000,
});
let joining = false;
client.on('status', showConnection);
client.on('rtt', () => showConnection());
showConnection();
openDoor();
// A page that was inside is inside again after a reload: the session, and with it the dancer, is still there.
if (roomBefore() === roomName) enter();

/** @param {Room} it */
function entered(it) {
  room = it;
  if (it.state === null) {
    void it.leave();
    room = null;
    put(element('door-note'), `${roomName} is no arena.`);
    return;
  }
  rememberRoom(roomName);
  backdrop?.close();
  backdrop = null;
  timeline = new Timeline();
  happenings = new Happenings();
  clock.reset();
  prediction.reset(true);
  document.body.dataset.page = 'game';
  element('door').hidden = true;
  element('play').hidden = false;
  controls.enabled = true;
  element('stage').focus({ preventScroll: true });
  const { state } = it;
  entities = new Map();
  // After a reconnect too what comes is the difference to what was there.
  const take = (/** @type {any} */ entity) => entities.set(entity.id, { ...entity });
  state.on('add', take);
  state.on('change', take);
  state.on('remove', ({ id }) => entities.delete(id));
  state.on('tick', ({ tick }) => ticked(tick));
  for (const entity of [state.room, ...state.entities()]) take(entity);
  if (!state.stale) ticked(state.tick);
  it.on('message', ({ type, payload, origin }) => {
    if (origin === 'live') happenings.add(timeline.last, type, payload);
  });
  it.onRecover(({ resumed }) => {
    clock.reset();
    prediction.reset(!resumed);
    if (!resumed) toast('You were away for too long: you come in anew.');
  });
  it.onRefuse((error) => toast(error.message));
  it.onLeave(({ reason, error }) => left(reason, error));
}

/** Everything of a tick is there. @param {number} tick */
function ticked(tick) {
  if (room?.state == null) return;
  // A picture of this moment; what does not change from tick to tick is shared.
  const all = new Map(entities);
  if (!all.has(0)) all.set(0, { ...room.state.room });
  timeline.push(tick, all);
  clock.heard(tick, performance.now());
  const mine = room.me.id;
  own = 0;
  for (const [id, it] of all) {
    if (it.kind === 'player' && it.member === mine) {
      own = id;
      prediction.correct(it, tick);
    }
  }
}

/** @param {string} reason @param {Error | undefined} error */
function left(reason, error) {
  if (room === null) return;
  room = null;
  // The page goes, and the next one takes up its session; or the connection is over, which is said already.
  if (reason === 'disconnected') return;
  rememberRoom(null);
  const why = reason === 'left' ? 'You left the courtyard.'
    : reason === 'kicked' ? 'You stood still for so long that your place was given away.'
    : error !== undefined ? `The courtyard closed: ${error.message}` : `You are out: ${reason}.`;
  prediction.reset(true);
  openDoor(why);
}

element('leave').addEventListener('click', () => void room?.leave());

// --- Pictures ---

let stepped = performance.now();
let pictured = performance.now();
/** @type {{ x: number, y: number } | null} */
let aim = null;

function picture() {
  requestAnimationFrame(picture);
  const now = performance.now();
  const seconds = Math.min(0.1, (now - pictured) / 1000);
  pictured = now;
  const isIn = room !== null && room.live && own !== 0;
  const behind = BEHIND_TICKS + Math.min(3, clock.lateness);
  const tick = clock.tick(now) - behind;
  const moment = timeline.moment(Math.min(tick, timeline.last));
  const mine = moment?.players.find(({ id }) => id === own) ?? null;
  const newest = entities.get(own);
  if (isIn && newest !== undefined && mine !== null) {
    step(now, mine, newest);
    const at = prediction.shown(Math.min(1, (now - stepped) / TICK_MS), seconds);
    if (at !== null) Object.assign(mine, at);
    mine.carried = newest.carried;
    aim = controls.aim(mine, (x, y) => stage.toPlane(x, y));
    if (aim !== null) mine.look = (Math.round((Math.atan2(aim.y, aim.x) / (Math.PI * 2)) * 32) + 32) % 32;
    mine.dashing = (prediction.body?.dash ?? 0) > 0;
  } else {
    stepped = now;
  }
  for (const happening of happenings.until(tick)) tell(happening, { moment, stage, panel, own });
  stage.draw(moment, { now, follow: mine, own, aim: isIn ? aim : null, seesAll: backdrop !== null });
  panel.update(moment, now, own);
  if (isIn && newest !== undefined) showRests(newest, clock.tick(now));
}
requestAnimationFrame(picture);

/**
 * Takes the steps that are due, and sends their inputs.
 * @param {number} now
 * @param {import('./timeline.js').Player} mine
 * @param {import('./timeline.js').Entity} newest
 */
function step(now, mine, newest) {
  // After a rest in the background nothing is made up for: the room went on without this page.
  if (now - stepped > STEPS_MAX * TICK_MS) stepped = now - TICK_MS;
  while (now - stepped >= TICK_MS) {
    stepped += TICK_MS;
    if (prediction.waiting > UNHEARD_MAX) continue;
    const at = prediction.body ?? { x: newest.at[0], y: newest.at[1] };
    const rivals = [];
    for (const [id, it] of entities) {
      if (it.kind === 'player' && id !== own) rivals.push({ x: it.at[0], y: it.at[1] });
    }
    const input = controls.take({ x: at.x, y: at.y, look: mine.look }, aim, rivals);
    // Who is away sends nothing, and after 90 seconds gives the place to somebody else; a mouse that
    // rests is no input either.
    void room?.send('input', prediction.take(input), { class: 'volatile' });
  }
}

/** How long until each move can be made again. @param {import('./timeline.js').Entity} newest @param {number} tick */
function showRests(newest, tick) {
  const rests = /** @type {const} */ ([['dash', newest.dash_ready, DASH_REST_STEPS], ['throw', newest.throw_ready, THROW_REST], ['trap', newest.trap_ready, TRAP_REST]]);
  for (const [id, ready, whole] of rests) {
    const part = Math.max(0, Math.min(1, (ready - tick) / whole));
    const it = element(id);
    it.style.setProperty('--rest', part.toFixed(2));
    it.classList.toggle('resting', part > 0.02);
  }
}

// --- Emotes ---

element('emotes-open').append(emotePicture(1));
element('emotes-open').addEventListener('click', () => {
  const isOpen = element('emotes').classList.toggle('open');
  element('emotes-open').setAttribute('aria-expanded', String(isOpen));
});
element('emotes').append(...EMOTES.map(({ name }, index) => {
  const button = document.createElement('button');
  button.type = 'button';
  button.title = `${name} (${index + 1})`;
  button.setAttribute('aria-label', name);
  button.append(emotePicture(index + 1));
  button.addEventListener('click', () => {
    showEmote(index + 1);
    element('emotes').classList.remove('open');
    element('stage').focus({ preventScroll: true });
  });
  return button;
}));

/** @param {number} number */
function showEmote(number) {
  void room?.send('emote', new Uint8Array([number]), { class: 'volatile' });
}

// --- The connection ---

/** @type {ReturnType<typeof setInterval> | undefined} */
let countdown;

/** @param {Partial<import('/client/index.js').StatusEvent>} [event] */
function showConnection(event = {}) {
  const status = event.status ?? client.status;
  element('pill').dataset.state = status;
  if (event.status !== undefined) clearInterval(countdown);
  const isAway = document.body.dataset.page === 'game' && status !== 'open' && status !== 'draining';
  element('away').hidden = !isAway;
  if (status === 'open') {
    put(element('pill-text'), client.rtt === null ? 'connected' : `${Math.max(1, Math.round(client.rtt))} ms`);
  } else if (status === 'closed') {
    put(element('pill-text'), 'offline');
    put(element('away-title'), 'The connection is over');
    put(element('away-text'), event.error?.message ?? 'Reload to come back.');
  } else if (status === 'reconnecting' && event.retryInMs !== undefined) {
    const until = performance.now() + event.retryInMs;
    const show = () => {
      const seconds = Math.ceil((until - performance.now()) / 1000);
      put(element('pill-text'), seconds > 0 ? `back in ${seconds} s` : 'reconnecting');
      put(element('away-title'), 'Out of the light');
      put(element('away-text'), seconds > 0 ? `Your dancer stands where it is. Back in ${seconds} s.` : 'Finding the way back…');
    };
    countdown = setInterval(show, 250);
    show();
  } else if (event.status !== undefined) {
    put(element('pill-text'), status);
    put(element('away-text'), 'Finding the way back…');
  }
}
setInterval(() => put(element('tick'), timeline.isEmpty ? '' : `tick ${timeline.last}`), 250);

// For tests and for the curious: nothing here changes the game.
Object.defineProperty(window, 'arena', {
  value: {
    get own() { return own; },
    get first() { return timeline.first; },
    get tick() { return timeline.last; },
    get entities() { return [...timeline.newest].map(([id, it]) => ({ ...it, id })); },
    get shown() { return prediction.body === null ? null : { x: prediction.body.x, y: prediction.body.y }; },
    get prediction() { return { error: prediction.error, errorMax: prediction.errorMax, errorMean: prediction.errorMean, corrections: prediction.corrections, waiting: prediction.waiting }; },
    /** Everything of a tick, as it was told. */
    at: (/** @type {number} */ tick) => Object.fromEntries(timeline.at(tick)),
    /** Where a place of the courtyard is on the page. */
    toPage: (/** @type {number} */ x, /** @type {number} */ y) => stage.toPage(x, y),
    /** Cuts the connection as a bad network would. */
    drop: (/** @type {number} */ ms) => client.drop(ms),
  },
});

// --- Small things ---

/** @param {string} text */
function toast(text) {
  const it = element('toast');
  it.textContent = text;
  it.classList.add('shown');
  clearTimeout(Number(it.dataset.timer));
  it.dataset.timer = String(window.setTimeout(() => it.classList.remove('shown'), 3500));
}
