// The arena, for who watches: live, some seconds later, or from the past and on from there.
// @ts-check

import { TICK_HZ } from '../movement.js';
import { Panel, element, put, tell } from '../panel.js';
import { Feed } from '../spectate.js';
import { Stage } from '../stage.js';
import { TickClock } from '../timeline.js';
import { showLobby } from './lobby.js';

const BEHIND_TICKS = 2;
/** How far the slider goes back, in seconds. The server keeps 2 minutes by default. */
const PAST_MAX = 90;
const PAST_DEFAULT = 60;
const LATER_DEFAULT = '10s';

const query = new URLSearchParams(location.search);
const room = (query.get('room') ?? '').replace(/[^A-Za-z0-9._~:@-]/g, '-').slice(0, 128) || 'arena-1';
put(element('room-name'), room);
document.title = `${room} · Watch · Madang`;

const calm = matchMedia('(prefers-reduced-motion: reduce)').matches;
const phone = matchMedia('(max-width: 820px)').matches;
const stage = new Stage(/** @type {HTMLCanvasElement} */ (element('stage')), { calm, zoom: 1, scaleMin: phone ? 11 : 14, top: phone ? 40 : 18, bottom: phone ? 190 : 96 });
/** The player whom the view goes with, 0 for none. */
let followed = 0;
const panel = new Panel({ chosen: (id) => (followed = followed === id ? 0 : id) });
const clock = new TickClock();

/**
 * How this page watches. `live` follows the newest that the server sends, at once or `delay` later;
 * otherwise the picture is at `at`, wherever that is in what was received, and goes on from there.
 */
const mode = { live: true, delay: query.get('delay'), from: query.get('from'), at: 0, paused: false };
/** @type {Feed} */
let feed;
let state = 'connecting';
open();

/** Opens the stream that the mode needs. */
function open() {
  feed?.close();
  clock.reset();
  state = 'connecting';
  mode.live = mode.from === null;
  mode.at = 0;
  feed = new Feed(room, mode, {
    tick: (tick) => {
      clock.heard(tick, performance.now());
      if (mode.at === 0) mode.at = tick;
    },
    state: (now) => (state = now),
  });
  showMode();
}

// --- When ---

element('live').addEventListener('click', goLive);

function goLive() {
  mode.paused = false;
  if (mode.delay === null && state === 'open') {
    mode.live = true;
    mode.from = null;
    showMode();
  } else {
    Object.assign(mode, { delay: null, from: null });
    open();
  }
}

element('later').addEventListener('click', () => {
  Object.assign(mode, { delay: LATER_DEFAULT, from: null, paused: false });
  open();
});
element('past').addEventListener('click', () => goTo(-PAST_DEFAULT));
element('pause').addEventListener('click', () => {
  mode.paused = !mode.paused;
  if (mode.paused && mode.live) [mode.live, mode.at] = [false, now()];
  showMode();
});
const when = /** @type {HTMLInputElement} */ (element('when'));
when.min = String(-PAST_MAX);
when.addEventListener('input', () => goTo(Number(when.value), false));
when.addEventListener('change', () => goTo(Number(when.value)));

/**
 * @param {number} seconds below 0
 * @param {boolean} [settled] whether the slider was let go
 */
function goTo(seconds, settled = true) {
  if (seconds > -1) {
    if (settled) goLive();
    return;
  }
  const tick = newest() + seconds * TICK_HZ;
  mode.live = false;
  if (tick >= feed.timeline.first && tick <= feed.timeline.last) {
    mode.at = tick;
  } else if (settled) {
    // The server has it: this page was not there yet, or a delay kept it from it.
    Object.assign(mode, { delay: null, from: `${Math.round(seconds)}s`, paused: false });
    open();
  } else {
    mode.at = feed.timeline.first;
  }
  showMode();
}

/** The tick that the room is at, as far as this page can know. */
function newest() {
  const seconds = /^(\d+)(ms|s|m)$/.exec(mode.delay ?? '');
  const unit = { ms: 0.001, s: 1, m: 60 }[/** @type {'ms' | 's' | 'm'} */ (seconds?.[2] ?? 's')];
  const behind = seconds === null ? 0 : Number(seconds[1]) * unit;
  return Math.max(feed.timeline.last, clock.isSet ? clock.tick(performance.now()) : 0) + behind * TICK_HZ;
}

/** The tick to show. */
function now() {
  return mode.live ? clock.tick(performance.now()) - BEHIND_TICKS - Math.min(3, clock.lateness) : mode.at;
}

/** The buttons, and an address that leads here again. */
function showMode() {
  const url = new URL(location.href);
  for (const name of /** @type {const} */ (['delay', 'from'])) {
    const value = mode[name];
    if (value === null) url.searchParams.delete(name);
    else url.searchParams.set(name, value);
  }
  if (url.href !== location.href) history.replaceState(null, '', url);
  const pressed = mode.live ? (mode.delay === null ? 'live' : 'later') : 'past';
  for (const id of ['live', 'later', 'past']) element(id).setAttribute('aria-pressed', String(id === pressed));
  element('pause').setAttribute('aria-pressed', String(mode.paused));
  document.body.dataset.mode = pressed;
}

// --- Pictures ---

let pictured = performance.now();

function picture() {
  requestAnimationFrame(picture);
  const time = performance.now();
  const seconds = Math.min(0.25, (time - pictured) / 1000);
  pictured = time;
  if (!mode.live && !mode.paused && !feed.timeline.isEmpty) {
    mode.at = Math.min(mode.at + seconds * TICK_HZ, feed.timeline.last);
  }
  const tick = Math.max(feed.timeline.first, Math.min(now(), feed.timeline.last));
  const moment = feed.timeline.moment(tick);
  if (!mode.paused) for (const happening of feed.happenings.until(tick)) tell(happening, { moment, stage, panel, own: followed });
  const follow = moment?.players.find(({ id }) => id === followed) ?? null;
  stage.draw(moment, { now: time, follow, own: follow === null ? 0 : followed, aim: null, seesAll: true });
  panel.update(moment, time, followed);
}
requestAnimationFrame(picture);

/** What stands around the picture; slower than that. */
function describe() {
  const { timeline } = feed;
  const tick = Math.max(timeline.first, Math.min(now(), timeline.last));
  const behind = timeline.isEmpty ? 0 : Math.max(0, (newest() - tick) / TICK_HZ);
  const isLive = mode.live && mode.delay === null;
  if (document.activeElement !== when || !when.matches(':active')) when.value = String(-behind);
  put(element('ago'), isLive ? 'live' : timeline.isEmpty ? '…' : `−${behind.toFixed(1)} s`);
  put(element('tick'), timeline.isEmpty ? '' : `tick ${Math.floor(tick)}`);
  const words = { open: isLive ? 'live' : mode.live ? `${mode.delay} later` : 'from the past', waiting: 'waiting', connecting: 'connecting', reconnecting: 'reconnecting', closed: 'offline', ended: 'the match is over' };
  element('pill').dataset.state = state === 'waiting' ? 'connecting' : state;
  put(element('pill-text'), words[/** @type {keyof typeof words} */ (state)]);
  const waiting = element('waiting');
  waiting.hidden = !timeline.isEmpty;
  put(waiting, state === 'closed' ? `There is no match called ${room}. Begin it: play.` : mode.delay !== null ? `The first picture is there when it is ${mode.delay} old.` : 'The courtyard is being lit…');
  const traps = [...timeline.at(tick)].filter(([, it]) => it.kind === 'trap' && it.laid);
  put(element('traps'), traps.length === 0 ? 'No trap lies here.' : traps.length === 1 ? 'One trap lies here.' : `${traps.length} traps lie here.`);
}
setInterval(describe, 100);
describe();
void showLobby(room);

// For tests and for the curious.
Object.defineProperty(window, 'arena', {
  value: {
    get tick() { return Math.max(feed.timeline.first, Math.min(now(), feed.timeline.last)); },
    get first() { return feed.timeline.first; },
    get last() { return feed.timeline.last; },
    get events() { return feed.events; },
    get gaps() { return feed.gaps; },
    get ages() { return feed.ages; },
    get state() { return state; },
    /** Everything of a tick, as it was told. */
    at: (/** @type {number} */ tick) => Object.fromEntries(feed.timeline.at(tick)),
    get entities() { return [...feed.timeline.at(this.tick)].map(([id, it]) => ({ ...it, id })); },
  },
});
