// The board: strokes and notes are the state of a room of kind `shared`, pointers are messages of
// class latest. No line of this runs on the server.

import { Client } from '/client/index.js';
import { state } from '/client/state.js';
import { Cursors } from './cursors.js';
import { History } from './history.js';
import { Notes } from './notes.js';
import { COLOURS, colourOf, element, make, nameOf, remember, remembered, toast } from './page.js';
import { INKS, PAPERS, SCHEMA, isBoard } from './schema.js';
import { Sheet } from './sheet.js';
import { Strokes } from './strokes.js';

/** @typedef {import('/client/index.js').Room} Room */
/** @typedef {import('/client/index.js').Member} Member */
/** @typedef {import('/client/index.js').Entity} Entity */
/** @typedef {import('./sheet.js').Point} Point */

const FIRST_NOUNS = ['Paper', 'River', 'Lantern', 'Pine', 'Moon', 'Ginkgo', 'Barley', 'Cloud', 'Cinnamon', 'Bamboo', 'Lotus', 'Rain'];
const SECOND_NOUNS = ['Crane', 'Drum', 'Magpie', 'Kite', 'Fox', 'Tiger', 'Teacup', 'Heron', 'Persimmon', 'Turtle', 'Rabbit', 'Plum'];
const NAME_MAX = 24;
const DROP_MS = 4000;
/** Rooms whose names begin so are of kind `shared`, as the server is configured. */
const ROOM_PREFIX = 'board';
/** @type {Record<string, Tool>} */
const TOOL_KEYS = { v: 'hand', p: 'pen', n: 'note', e: 'eraser' };

/** @typedef {'hand' | 'pen' | 'note' | 'eraser'} Tool */

// What a room's name cannot hold becomes a dash, so that every link leads somewhere.
const asked = (new URLSearchParams(location.search).get('room') ?? '').replace(/[^A-Za-z0-9._~:@-]/g, '-');
const roomName = (asked === '' || asked.startsWith(ROOM_PREFIX) ? asked || ROOM_PREFIX : `${ROOM_PREFIX}.${asked}`).slice(0, 128);

const me = {
  name: remembered('name', () => `${pick(FIRST_NOUNS)} ${pick(SECOND_NOUNS)}`),
  colour: remembered('colour', () => pick(COLOURS)),
};
const stage = element('stage');
const sheet = new Sheet(stage, element('world'));
/** @type {Tool} */
let tool = 'pen';
let ink = 0;
let paper = 0;
/** Works once the room is there. @type {(at: Point) => void} */
let put = () => {};
let leaveNote = () => {};

// --- Connecting ---

const { play_port: port } = await (await fetch('/demo.json')).json();
const scheme = location.protocol === 'https:' ? 'wss' : 'ws';
const client = new Client(`${scheme}://${location.hostname}:${port}/play?room=${encodeURIComponent(roomName)}`, {
  name: 'board',
  storage: sessionStorage,
  state,
  pingMs: 2000,
});
client.on('status', showState);
client.on('rtt', () => showState());
showState();
client
  .joinOrCreate(roomName, { attributes: { ...me }, schema: SCHEMA, onLeave: 'keep' })
  .then(entered)
  .catch((error) => toast(`The board is closed: ${error.message}`, 60_000));

/** @param {Room} room */
function entered(room) {
  const { state } = room;
  if (state === null || !isBoard(state.schema)) {
    toast('This room is no board.', 60_000);
    return;
  }
  const undo = /** @type {HTMLButtonElement} */ (element('undo'));
  const history = new History(room, (count) => {
    undo.disabled = count === 0;
  });
  const strokes = new Strokes(element('strokes'), history);
  const notes = new Notes(element('notes'), sheet, history, room);
  const cursors = new Cursors(sheet, room);

  const show = (/** @type {Entity} */ entity) => {
    if (entity.kind === 'stroke') {
      strokes.show(entity);
    } else if (entity.kind === 'note') {
      notes.show(entity);
    }
    showEmpty();
  };
  const showEmpty = () => element('hint').classList.toggle('shown', state.size === 0);
  for (const entity of state.entities()) {
    show(entity);
  }
  showEmpty();
  state.on('add', show);
  state.on('change', show);
  state.on('remove', (entity) => {
    strokes.hide(entity);
    notes.hide(entity);
    showEmpty();
  });
  state.on('reset', () => strokes.reset());
  state.on('tick', () => strokes.settle());
  state.on('error', (error) => toast(error.message, 60_000));
  undo.addEventListener('click', () => void history.undo());

  room.on('pos', ({ payload, from }) => cursors.move(from, payload));
  const showPeople = () => {
    showMembers(room);
    cursors.showMembers();
    notes.showOwners();
  };
  room.presence.on('change', showPeople);
  showPeople();
  room.onRecover(() => cursors.send());
  room.onLeave(({ error, reason }) => toast(error?.message ?? `You left: ${reason}`, 60_000));
  if (nameOf(room.me) !== me.name || room.me.attributes.colour !== me.colour) {
    void room.presence.update({ ...me }, { queue: true }); // Taken up again after a reload, under another name.
  }
  put = (at) => void notes.put(at, paper);
  leaveNote = () => notes.leave();
  titleIsEditedBy(room, history);
  pointersWork({ room, strokes, notes, cursors });
  keysWork(history);
  element('stage').dataset.ready = 'true';
}

/**
 * The room's own field: it is nobody's, so that anybody may change it.
 *
 * @param {Room} room
 * @param {History} history
 */
function titleIsEditedBy({ state }, history) {
  const title = /** @type {HTMLInputElement} */ (element('title'));
  const show = () => {
    const words = history.state.room.title;
    if (document.activeElement !== title) {
      title.value = words;
    }
    document.title = words === '' ? 'Board · Madang' : `${words} · Board · Madang`;
  };
  show();
  state?.on('change', ({ id }) => id === 0 && show());
  title.disabled = false;
  title.addEventListener('change', () => void history.edit([history.state.set(0, { title: title.value.trim() })]));
  title.addEventListener('blur', show);
  title.addEventListener('keydown', (event) => {
    event.stopPropagation();
    if (event.key === 'Enter') {
      title.blur();
    }
  });
}

// --- Pointers ---

/**
 * One pointer uses the tool, two fingers move the sheet.
 *
 * @param {{ room: Room, strokes: Strokes, notes: Notes, cursors: Cursors }} board
 */
function pointersWork({ room, strokes, notes, cursors }) {
  /** @type {Map<number, PointerEvent>} */
  const down = new Map();
  /** @type {{ move: (event: PointerEvent) => void, end: (isMeant: boolean) => void } | null} */
  let gesture = null;
  let toldOf = 0;

  const drag = (/** @type {PointerEvent} */ from) => {
    const [x, y] = [sheet.x - from.clientX, sheet.y - from.clientY];
    stage.classList.add('moving');
    return {
      move: (/** @type {PointerEvent} */ event) => sheet.moveTo(x + event.clientX, y + event.clientY, sheet.scale),
      end: () => stage.classList.remove('moving'),
    };
  };
  const draw = (/** @type {PointerEvent} */ from) => {
    strokes.begin(sheet.at(from), ink);
    return {
      // The browser gathers what the hand did since the last frame.
      move: (/** @type {PointerEvent} */ event) => {
        const gathered = event.getCoalescedEvents?.() ?? [];
        for (const piece of gathered.length > 0 ? gathered : [event]) {
          strokes.extend(sheet.at(piece), sheet.scale);
        }
      },
      end: (/** @type {boolean} */ isMeant) => strokes.end(isMeant),
    };
  };
  const erase = (/** @type {PointerEvent} */ from) => {
    strokes.beginErasing();
    const move = (/** @type {PointerEvent} */ event) => {
      const theirs = strokes.erase(sheet.at(event), sheet.scale, (stroke) => notes.isMine(stroke));
      if (theirs !== null && toldOf !== theirs.owner) {
        toldOf = theirs.owner;
        toast(`That line is ${nameOf(room.presence.members.get(theirs.owner))}'s.`);
      }
    };
    move(from);
    return { move, end: () => strokes.endErasing() };
  };
  const stick = (/** @type {PointerEvent} */ from) => ({
    move: () => {},
    end: (/** @type {boolean} */ isMeant) => {
      if (isMeant) {
        choose('hand');
        put(sheet.at(from));
      }
    },
  });
  const begin = { hand: drag, pen: draw, note: stick, eraser: erase };

  stage.addEventListener('pointerdown', (event) => {
    if (event.target instanceof Element && event.target.closest('.panel') !== null) {
      return;
    }
    event.preventDefault(); // A finger would also click, and a mouse select.
    notes.leave();
    element('title').blur();
    /** @type {HTMLElement} */ (document.activeElement)?.blur?.();
    stage.setPointerCapture(event.pointerId);
    down.set(event.pointerId, event);
    if (down.size === 2) {
      gesture?.end(false);
      gesture = null;
    } else if (down.size === 1) {
      const moves = event.button === 1 || event.button === 2;
      gesture = moves ? drag(event) : begin[tool](event);
    }
    cursors.point(sheet.at(event));
  });
  stage.addEventListener('pointermove', (event) => {
    const before = down.get(event.pointerId);
    if (before !== undefined && down.size === 2) {
      pinch([...down.values()], before, event);
    }
    if (before !== undefined) {
      down.set(event.pointerId, event);
    }
    gesture?.move(event);
    cursors.point(sheet.at(event));
  });
  const up = (/** @type {PointerEvent} */ event) => {
    if (down.delete(event.pointerId)) {
      gesture?.end(event.type === 'pointerup');
      gesture = null;
    }
  };
  stage.addEventListener('pointerup', up);
  stage.addEventListener('pointercancel', up);
  stage.addEventListener('contextmenu', (event) => event.preventDefault());
  stage.addEventListener('pointerleave', (event) => {
    if (event.pointerType === 'mouse') {
      cursors.point(null);
    }
  });
}

/**
 * @param {PointerEvent[]} fingers as they were
 * @param {PointerEvent} before the one that moves
 * @param {PointerEvent} after
 */
function pinch(fingers, before, after) {
  const other = fingers.find(({ pointerId }) => pointerId !== before.pointerId);
  if (other === undefined) {
    return;
  }
  const box = stage.getBoundingClientRect();
  const middle = (/** @type {PointerEvent} */ one) => [(one.clientX + other.clientX) / 2 - box.left, (one.clientY + other.clientY) / 2 - box.top];
  const apart = (/** @type {PointerEvent} */ one) => Math.hypot(one.clientX - other.clientX, one.clientY - other.clientY);
  const [[fromX, fromY], [toX, toY]] = [middle(before), middle(after)];
  sheet.moveTo(sheet.x + toX - fromX, sheet.y + toY - fromY, sheet.scale);
  sheet.zoom(toX, toY, Math.max(1, apart(after)) / Math.max(1, apart(before)));
}

// --- Tools ---

for (const it of document.querySelectorAll('[data-tool]')) {
  it.addEventListener('click', () => choose(/** @type {Tool} */ (/** @type {HTMLElement} */ (it).dataset.tool)));
}
element('fit').addEventListener('click', () => sheet.fit());
choose('pen');

/** @param {Tool} next */
function choose(next) {
  leaveNote();
  tool = next;
  stage.dataset.tool = next;
  for (const it of document.querySelectorAll('[data-tool]')) {
    it.setAttribute('aria-pressed', String(/** @type {HTMLElement} */ (it).dataset.tool === next));
  }
  const colours = next === 'note' ? PAPERS : INKS;
  element('colours').replaceChildren(...colours.map((colour, index) => swatch(colour, index, next === 'note')));
  element('colours').classList.toggle('idle', next === 'hand' || next === 'eraser');
}

/**
 * @param {string} colour
 * @param {number} index
 * @param {boolean} isPaper
 */
function swatch(colour, index, isPaper) {
  const it = make('button', 'swatch');
  it.setAttribute('type', 'button');
  it.setAttribute('aria-label', `${isPaper ? 'Paper' : 'Ink'} ${index + 1}`);
  it.setAttribute('aria-pressed', String(index === (isPaper ? paper : ink)));
  it.style.setProperty('--paper', colour);
  it.addEventListener('click', () => {
    if (isPaper) {
      paper = index;
    } else {
      ink = index;
    }
    choose(isPaper ? 'note' : 'pen');
  });
  return it;
}

/** @param {History} history */
function keysWork(history) {
  document.addEventListener('keydown', (event) => {
    if (event.target instanceof HTMLInputElement || event.target instanceof HTMLTextAreaElement) {
      return;
    }
    if ((event.ctrlKey || event.metaKey) && event.key === 'z') {
      event.preventDefault();
      void history.undo();
    } else if (!event.ctrlKey && !event.metaKey && !event.altKey) {
      const next = TOOL_KEYS[event.key];
      if (next !== undefined) {
        choose(next);
      }
    }
  });
}

// --- People ---

/** @param {Room} room */
function showMembers(room) {
  const list = element('members');
  const mine = room.me.id;
  const own = list.querySelector('li.me') ?? ownItem(room);
  const others = [...room.presence.members.values()].filter(({ id }) => id !== mine);
  list.replaceChildren(own, ...others.map(memberItem));
}

/** @param {Member} member */
function memberItem(member) {
  const item = make('li', member.away ? 'away' : '');
  item.dataset.member = String(member.id);
  item.style.setProperty('--c', colourOf(member));
  item.append(make('span', 'dot'), make('span', 'name', nameOf(member)));
  return item;
}

/**
 * Oneself: the name is a field, the dot changes the colour.
 *
 * @param {Room} room
 */
function ownItem(room) {
  const item = make('li', 'me');
  item.style.setProperty('--c', me.colour);
  const dot = /** @type {HTMLButtonElement} */ (make('button', 'dot'));
  dot.type = 'button';
  dot.title = 'Another colour';
  dot.setAttribute('aria-label', 'Change my colour');
  dot.addEventListener('click', () => {
    me.colour = COLOURS[(COLOURS.indexOf(me.colour) + 1) % COLOURS.length];
    item.style.setProperty('--c', me.colour);
    remember('colour', me.colour);
    void room.presence.update({ colour: me.colour }, { queue: true });
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
    void room.presence.update({ name: me.name }, { queue: true });
  });
  input.addEventListener('keydown', ({ key }) => key === 'Enter' && input.blur());
  item.append(dot, input);
  return item;
}

// --- Connection ---

/** @type {ReturnType<typeof setInterval> | undefined} */
let countdown;

element('drop').addEventListener('click', () => {
  client.drop(DROP_MS);
  toast('Your socket is gone. Draw on: it goes out when you are back.');
});
element('share').addEventListener('click', async () => {
  const link = new URL(location.href);
  link.searchParams.set('room', roomName);
  try {
    await navigator.clipboard.writeText(link.href);
    toast('The link to this board is copied.');
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
      pill(status === 'draining' ? `server restarts in ${seconds} s` : seconds === 0 ? 'reconnecting' : `back in ${seconds} s`);
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

/**
 * @template T
 * @param {T[]} values
 */
function pick(values) {
  return values[Math.floor(Math.random() * values.length)];
}
