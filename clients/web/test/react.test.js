// The React hooks under StrictMode, which mounts everything twice, in a DOM without a browser.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { Window } from 'happy-dom';
import { usePresence, useRoom, useSharedState, useWatch } from '../react/index.js';
import { ServerPart, withSchema } from './support/parts.js';
import { joined, settle, start, welcome } from './support/script.js';

/** @type {typeof import('react')} */
let React;
/** @type {typeof import('react-dom/client')} */
let dom;
const window = new Window();

before(async () => {
  Object.assign(globalThis, { IS_REACT_ACT_ENVIRONMENT: true, window, document: window.document });
  Object.defineProperty(globalThis, 'navigator', { value: window.navigator, configurable: true });
  // React looks for the window as it is loaded.
  React = await import('react');
  dom = await import('react-dom/client');
});
after(async () => {
  await window.happyDOM.close();
});

/** @param {import('react').ReactNode} content */
async function mount(content) {
  const element = window.document.createElement('div');
  window.document.body.append(element);
  const root = dom.createRoot(/** @type {any} */ (element));
  const act = async (/** @type {() => any} */ action) => {
    await React.act(async () => {
      await action();
      await settle();
    });
  };
  const draw = (/** @type {import('react').ReactNode} */ it) => act(() => root.render(React.createElement(React.StrictMode, null, it)));
  await draw(content);
  return { act, draw, text: () => element.textContent, unmount: () => act(() => root.unmount()) };
}

const SCHEMA = { kinds: [{ name: 'board', fields: [{ name: 'title', type: { one: /** @type {const} */ ('text') } }] }, { name: 'note', fields: [{ name: 'text', type: { one: /** @type {const} */ ('text') } }] }] };

/** A client whose server has welcomed it. */
async function welcomed() {
  const set = start();
  await settle();
  const socket = set.sockets[0];
  await socket.open();
  await socket.say(welcome());
  return { ...set, socket };
}

test('a room is entered once for all components, shown as it changes, and left when the last has gone', async () => {
  const set = await welcomed();
  const { socket, client } = set;
  let draws = 0;
  function Lobby() {
    const { room, status } = useRoom(client, 'lobby', { attributes: { name: 'crane' } });
    const members = usePresence(room);
    draws += 1;
    return React.createElement('p', null, `${status} ${members.map(({ attributes }) => attributes.name ?? '?').join(',')};`);
  }
  const two = () => [React.createElement(Lobby, { key: 1 }), React.createElement(Lobby, { key: 2 })];
  const page = await mount(two());
  assert.equal(page.text(), 'joining ;joining ;');
  assert.equal(socket.all('join').length, 1, 'StrictMode and two components: one join');
  assert.deepEqual(socket.last('join').options.attributes, [['name', 'crane']]);
  await page.act(() => socket.say(joined({ ref: socket.last('join').ref })));
  assert.equal(page.text(), 'live ?;live ?;');
  await page.act(() => socket.say({ tag: 'presence', body: { channel: 3, seq: 1, event: { join: { id: 2, user: null, away: false, attributes: [['name', 'fox']] } } } }));
  await page.act(() => set.timers.pass(1));
  await page.act(() => socket.say({ tag: 'presence', body: { channel: 3, seq: 2, event: { attributes: { id: 2, cseq: 1, changes: [['name', 'wolf']] } } } }));
  assert.equal(page.text(), 'live ?,wolf;live ?,wolf;');
  const drawn = draws;
  await page.act(() => socket.say({ tag: 'presence', body: { channel: 3, seq: 3, event: { attributes: { id: 2, cseq: 2, changes: [['name', 'wolf']] } } } }));
  assert.equal(draws, drawn, 'what is as it was draws nothing');
  await page.draw(two().slice(0, 1));
  await page.act(() => new Promise((resolve) => setTimeout(resolve, 1)));
  assert.equal(socket.all('leave').length, 0);
  await page.act(() => socket.lose());
  assert.equal(page.text(), 'away ?,wolf;');
  await page.act(() => set.timers.pass(500));
  const second = set.sockets[1];
  await second.open();
  await page.act(() => second.say(welcome({ resumed: true }), joined({ ref: null, recovered: true, seq: 3 })));
  assert.equal(page.text(), 'live ?;');
  await page.unmount();
  await new Promise((resolve) => setTimeout(resolve, 1));
  await settle();
  assert.equal(second.all('leave').length, 1);
  client.close();
});

test('a component that goes before its room is entered leaves nothing behind', async () => {
  const { client, socket } = await welcomed();
  function Lobby() {
    const { status, error } = useRoom(client, 'lobby', { how: 'join' });
    return React.createElement('p', null, `${status} ${/** @type {any} */ (error)?.code ?? ''}`);
  }
  const page = await mount(React.createElement(Lobby));
  await page.act(() => socket.say({ tag: 'error', body: { code: 101, ref: { join: socket.last('join').ref }, message: '' } }));
  assert.equal(page.text(), 'left no_such_room');
  await page.unmount();
  await new Promise((resolve) => setTimeout(resolve, 1));
  const again = await mount(React.createElement(Lobby));
  const { ref } = socket.last('join');
  await again.unmount();
  await new Promise((resolve) => setTimeout(resolve, 1));
  await socket.say(joined({ ref }));
  assert.deepEqual([socket.all('join').length, socket.all('leave').length], [2, 1]);
  client.close();
});

test('what a component reads of the state is drawn anew when it changes, and only then', async () => {
  const { client, socket, timers } = await welcomed();
  let draws = 0;
  function Board() {
    const { room } = useRoom(client, 'board');
    const notes = useSharedState(room, (state) => [...state.entities('note')].map(({ text }) => text));
    draws += 1;
    return React.createElement('p', null, notes?.join(' ') ?? 'none');
  }
  const page = await mount(React.createElement(Board));
  const part = new ServerPart(SCHEMA, 'members').set(0, 'board', { title: 'plan' }).set(7, 'note', { text: 'one' });
  await page.act(() => socket.say(joined({ ref: socket.last('join').ref, ...withSchema(SCHEMA) }), part.snapshot(1)));
  await page.act(() => timers.pass(1));
  assert.equal(page.text(), 'one');
  await page.act(() => socket.say(part.set(7, 'note', { text: 'two' }).set(8, 'note', { text: 'three' }).delta(2)));
  assert.equal(page.text(), 'two three');
  const drawn = draws;
  await page.act(() => socket.say(part.set(0, 'board', { title: 'other' }).delta(3)));
  assert.equal(draws, drawn);
  await page.unmount();
  client.close();
});

test('another room, or another client, is not shown as the one before, not for a moment', async () => {
  const [one, two] = [await welcomed(), await welcomed()];
  /** @type {any[]} */
  const log = [];
  function Lobby(/** @type {{ client: import('../src/index.js').Client | null, name: string }} */ { client, name }) {
    const { room, status } = useRoom(client, name);
    React.useEffect(() => void log.push([name, room?.id ?? null, status]), [client, name, room, status]);
    return React.createElement('p', null, `${status} ${room?.id ?? ''}`);
  }
  const lobby = (/** @type {any} */ client, /** @type {string} */ name) => React.createElement(Lobby, { client, name });
  const enter = async (/** @type {typeof one} */ { socket, timers }, /** @type {string} */ name, /** @type {number} */ channel) => {
    await socket.say(joined({ ref: socket.last('join').ref, name, channel }));
    await timers.pass(1);
  };
  const page = await mount(lobby(one.client, 'a'));
  await page.act(() => enter(one, 'a', 3));
  assert.equal(page.text(), 'live a');
  log.length = 0;
  await page.draw(lobby(one.client, 'b'));
  await page.act(() => enter(one, 'b', 4));
  await page.draw(lobby(two.client, 'b'));
  assert.equal(page.text(), 'joining ');
  await page.act(() => enter(two, 'b', 3));
  await page.draw(lobby(null, 'b'));
  assert.deepEqual(log, [['b', null, 'joining'], ['b', 'b', 'live'], ['b', null, 'joining'], ['b', 'b', 'live'], ['b', null, 'joining']]);
  await page.unmount();
  one.client.close();
  two.client.close();
});

test('a room is asked for with the options as they are then', async () => {
  const { client, socket } = await welcomed();
  function Lobby(/** @type {{ user: string | null, name: string }} */ { user, name }) {
    useRoom(user === null ? null : client, name, { attributes: { user }, history: name.length, how: name === 'b' ? 'join' : 'create' });
    return null;
  }
  const lobby = (/** @type {string | null} */ user, /** @type {string} */ name) => React.createElement(Lobby, { user, name });
  const page = await mount(lobby(null, 'a'));
  await page.draw(lobby('crane', 'aa'));
  const { options, mode, history } = socket.last('join');
  assert.deepEqual([options.attributes, history, mode], [[['user', 'crane']], 2, 'create']);
  await page.draw(lobby('fox', 'b'));
  const next = socket.last('join');
  assert.deepEqual([next.options.attributes, next.history, next.mode], [[['user', 'fox']], 1, 'join']);
  await page.draw(lobby('wolf', 'b'));
  assert.equal(socket.all('join').length, 2, 'other options are no other room');
  await page.unmount();
  client.close();
});

test('what has ended is not handed to a component that comes later: it tries again', async () => {
  const { client, socket, timers } = await welcomed();
  function Lobby() {
    const { status, error } = useRoom(client, 'lobby');
    return React.createElement('p', null, `${status} ${/** @type {any} */ (error)?.code ?? ''};`);
  }
  const lobbies = (/** @type {string[]} */ ...keys) => keys.map((key) => React.createElement(Lobby, { key }));
  const page = await mount(lobbies('a'));
  await page.act(() => socket.say({ tag: 'error', body: { code: 101, ref: { join: socket.last('join').ref }, message: '' } }));
  assert.equal(page.text(), 'left no_such_room;');
  // Another key, before the one that ended has been let go of.
  await page.draw(lobbies('b'));
  assert.equal(page.text(), 'joining ;');
  assert.equal(socket.all('join').length, 2);
  await page.act(() => socket.say(joined({ ref: socket.last('join').ref })));
  await page.act(() => socket.say({ tag: 'left', body: { channel: 3, reason: 'kicked' } }));
  // One that has it keeps it; one that comes now has the room anew, on the same channel.
  await page.draw(lobbies('b', 'c', 'd'));
  assert.equal(page.text(), 'left left;joining ;joining ;');
  assert.equal(socket.all('join').length, 3, 'one room for both');
  await page.act(() => socket.say(joined({ ref: socket.last('join').ref })));
  assert.equal(page.text(), 'left left;live ;live ;');
  await page.draw(lobbies('c', 'd'));
  await page.act(() => new Promise((resolve) => setTimeout(resolve, 1)));
  await page.act(() => timers.pass(1));
  assert.deepEqual([page.text(), socket.all('leave').length], ['live ;live ;', 0], 'letting go of the old one leaves the new one alone');
  await page.draw(lobbies('c', 'd', 'e'));
  assert.deepEqual([page.text(), socket.all('join').length], ['live ;live ;live ;', 3], 'and it is still the one that is shared');
  await page.unmount();
  await new Promise((resolve) => setTimeout(resolve, 1));
  await settle();
  assert.equal(socket.all('leave').length, 1);
  client.close();
});

test('maps and sets that a component reads of the state are compared by what is in them', async () => {
  const { client, socket, timers } = await welcomed();
  let draws = 0;
  function Board() {
    const { room } = useRoom(client, 'board');
    const texts = useSharedState(room, (state) => new Map([...state.entities('note')].map(({ id, text }) => [id, new Set([text])])));
    draws += 1;
    return React.createElement('p', null, [...(texts ?? [])].map(([id, set]) => `${id} ${[...set]}`).join());
  }
  const page = await mount(React.createElement(Board));
  const part = new ServerPart(SCHEMA, 'members').set(0, 'board', { title: 'plan' }).set(7, 'note', { text: 'one' });
  await page.act(() => socket.say(joined({ ref: socket.last('join').ref, ...withSchema(SCHEMA) }), part.snapshot(1)));
  await page.act(() => timers.pass(1));
  assert.equal(page.text(), '7 one');
  await page.act(() => socket.say(part.set(7, 'note', { text: 'two' }).delta(2)));
  assert.equal(page.text(), '7 two');
  const drawn = draws;
  await page.act(() => socket.say(part.set(0, 'board', { title: 'other' }).delta(3)));
  assert.equal(draws, drawn);
  await page.unmount();
  client.close();
});

/** One stream, by hand. */
class Source {
  /** @type {Source[]} */
  static all = [];
  isClosed = false;
  readyState = 0;
  /** @type {any} */
  onerror = null;
  /** @type {Map<string, any>} */
  listeners = new Map();

  /** @param {string} url */
  constructor(url) {
    this.url = url;
    Source.all.push(this);
  }

  /**
   * @param {string} name
   * @param {any} listener
   */
  addEventListener(name, listener) {
    this.listeners.set(name, listener);
  }

  close() {
    this.isClosed = true;
  }

  /**
   * @param {string} name
   * @param {any} data
   * @param {string} [lastEventId]
   */
  say(name, data, lastEventId = '') {
    this.listeners.get(name)({ data: JSON.stringify(data), lastEventId });
  }

  /** The server wants nothing more of it. */
  refuse() {
    this.readyState = 2;
    this.onerror({});
  }
}

const resume = { recovered: false, epoch: 'e0e1e2e3e4e5e6e7', epoch_at_ms: 0, from: 0, state: true };

test('a watch is opened once and closed when its component has gone', async () => {
  const first = Source.all.length;
  function Arena() {
    const { watch, status } = useWatch('arena-1', { url: 'http://host', EventSource: Source, share: false });
    const names = useSharedState(watch, (state) => [...state.entities()].map(({ name }) => name));
    return React.createElement('p', null, `${status} ${names?.join(' ') ?? ''}`);
  }
  const page = await mount(React.createElement(Arena));
  assert.equal(Source.all.length, first + 1);
  const source = Source.all[first];
  await page.act(() => source.say('resume', resume));
  const entities = { 0: { kind: 'arena' }, 7: { kind: 'player', name: 'momo' } };
  await page.act(() => source.say('snapshot', { tick: 1, seq: 1, hash: 'h', entities }, 'e0e1e2e3e4e5e6e7-1'));
  assert.equal(page.text(), 'open momo');
  await page.unmount();
  await new Promise((resolve) => setTimeout(resolve, 1));
  assert.equal(source.isClosed, true);
});

test('another watch is not shown as the one before, and one that is closed is opened anew', async () => {
  const first = Source.all.length;
  /** @type {any[]} */
  const log = [];
  function Arena(/** @type {{ name: string }} */ { name }) {
    const { watch, status } = useWatch(name, { url: 'http://host', EventSource: Source, share: false, fetch: async () => ({ status: 404 }) });
    React.useEffect(() => void log.push([name, watch?.epoch ?? null, status]), [name, watch, status]);
    return React.createElement('p', null, `${status};`);
  }
  const arena = (/** @type {string} */ name, key = '') => React.createElement(Arena, { name, key });
  const page = await mount(arena('a'));
  await page.act(() => Source.all[first].say('resume', resume));
  log.length = 0;
  await page.draw(arena('b'));
  assert.deepEqual(log, [['b', null, 'connecting'], ['b', '', 'connecting']]);
  await page.act(() => Source.all[first + 1].refuse());
  assert.equal(page.text(), 'closed;');
  await page.draw(arena('b', 'again'));
  assert.deepEqual([page.text(), Source.all.length], ['connecting;', first + 3]);
  await page.act(() => new Promise((resolve) => setTimeout(resolve, 1)));
  assert.deepEqual(Source.all.slice(first).map(({ isClosed }) => isClosed), [true, true, false]);
  await page.unmount();
  await new Promise((resolve) => setTimeout(resolve, 1));
  assert.equal(Source.all[first + 2].isClosed, true);
});
