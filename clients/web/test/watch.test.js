// Watching, with an EventSource whose other end is the test, and tabs that share one.

import assert from 'node:assert/strict';
import { after, before, mock, test } from 'node:test';
import { WatchState, watch } from '../src/watch.js';
import { settle } from './support/script.js';

const EPOCH = 'e0e1e2e3e4e5e6e7';

/** One stream, by hand. */
class FakeSource {
  /** @type {FakeSource[]} */
  static all = [];
  /** @type {Map<string, ((event: any) => void)[]>} */
  #listeners = new Map();
  readyState = 0;
  /** @type {((event: any) => void) | null} */
  onerror = null;
  #id = '';

  /** @param {string} url */
  constructor(url) {
    this.url = url;
    FakeSource.all.push(this);
  }

  /**
   * @param {string} name
   * @param {(event: any) => void} listener
   */
  addEventListener(name, listener) {
    this.#listeners.set(name, [...(this.#listeners.get(name) ?? []), listener]);
  }

  close() {
    this.readyState = 2;
  }

  /**
   * @param {string} name
   * @param {any} data
   * @param {number} [seq] of its id
   */
  say(name, data, seq) {
    if (this.readyState !== 1) {
      this.readyState = 1;
      this.#dispatch('open', {});
    }
    this.#id = seq === undefined ? this.#id : `${EPOCH}-${seq}`;
    this.#dispatch(name, { data: typeof data === 'string' ? data : JSON.stringify(data), lastEventId: this.#id });
  }

  /** @param {number} readyState 0: the browser tries again; 2: it does not */
  fail(readyState) {
    this.readyState = readyState;
    this.#dispatch('error', {});
    this.onerror?.({});
  }

  /**
   * @param {string} name
   * @param {any} event
   */
  #dispatch(name, event) {
    for (const listener of this.#listeners.get(name) ?? []) {
      listener(event);
    }
  }
}

const resume = { recovered: false, epoch: EPOCH, epoch_at_ms: 1000, from: 0, state: true };
const player = (/** @type {any} */ fields) => ({ kind: 'player', at: [0, 0], name: 'momo', ...fields });
const snapshot = (/** @type {number} */ tick, /** @type {any} */ entities) => ({ tick, seq: tick, hash: `h${tick}`, entities });
const delta = (/** @type {number} */ tick, /** @type {any} */ set) => ({ base_tick: tick - 1, tick, seq: tick, hash: `h${tick}`, set });

/** All that were opened: a test that fails closes nothing, and channels keep the process. @type {import('../src/watch.js').Watch[]} */
const opened = [];
after(() => opened.forEach((it) => it.close()));

/**
 * @param {import('../src/types.js').WatchOptions} [options]
 * @param {string} [room]
 */
function open(options = {}, room = 'arena 1') {
  const it = watch(room, { url: 'http://host', EventSource: FakeSource, share: false, ...options });
  opened.push(it);
  /** @type {any[]} */
  const log = [];
  /** @type {boolean[]} */
  const recoveries = [];
  for (const name of /** @type {const} */ (['add', 'change', 'remove'])) {
    it.state.on(name, ({ id }, fields) => log.push([name, id, ...fields]));
  }
  it.state.on('reset', () => log.push(['reset']));
  it.state.on('tick', ({ tick }) => log.push(['tick', tick]));
  it.onLeave((end) => log.push(['leave', end.reason]));
  it.onGap(({ fromSeq, toSeq }) => log.push(['gap', fromSeq, toSeq]));
  it.onRecover(({ recovered }) => recoveries.push(recovered));
  return { it, log, source: /** @type {FakeSource} */ (FakeSource.all.at(-1)), told: () => log.splice(0), recoveries };
}

/** @param {() => boolean} reached */
async function until(reached) {
  for (let turn = 0; !reached(); turn += 1) {
    assert.ok(turn < 10_000, String(reached));
    await settle();
  }
}

test('the address says which room, how late and from when', () => {
  for (const [options, query] of /** @type {const} */ ([
    [{}, ''],
    [{ delay: '10s' }, '?delay=10s'],
    [{ delay: 250, from: '-60s' }, '?delay=250ms&from=-60s'],
    [{ from: 0 }, '?from=0'],
  ])) {
    const { it, source } = open(options);
    assert.equal(source.url, `http://host/rooms/arena%201/events${query}`);
    it.close();
  }
});

test('where there is no page and no EventSource, it is said what to pass', () => {
  assert.throws(() => watch('arena'), /\{ url \}/);
  for (const share of [false, true]) {
    assert.throws(() => watch('arena', { url: 'http://host', share }), /\{ EventSource \}/);
  }
});

test('a snapshot shows everything, deltas change it in place, and a later snapshot is told as a difference', () => {
  const { it, source, told } = open();
  const { state } = it;
  assert.deepEqual([state.stale, state.size, it.status], [true, 0, 'connecting']);
  source.say('resume', resume);
  assert.equal(it.status, 'open');
  source.say('snapshot', snapshot(5, { 0: { kind: 'arena', round: 1 }, 7: player({}), 8: player({ name: 'dal' }) }), 5);
  assert.deepEqual(told(), [['reset'], ['add', 7, 'at', 'name'], ['add', 8, 'at', 'name'], ['change', 0, 'round'], ['tick', 5]]);
  const entity = state.get(7);
  assert.deepEqual(entity, { id: 7, kind: 'player', at: [0, 0], name: 'momo' });
  assert.deepEqual([state.room.round, state.size, [...state.entities('player')].length, state.tick, state.seq, state.stale], [1, 2, 2, 5, 5, false]);
  /** @type {any[]} */
  const heard = [];
  const off = state.listen(7, 'at', (value) => heard.push(value));
  source.say('delta', { base_tick: 5, tick: 6, seq: 6, hash: 'h6', set: { 7: { at: [1, 0] } }, new: { 9: player({}) }, gone: [8] }, 6);
  assert.deepEqual(told(), [['remove', 8], ['add', 9, 'at', 'name'], ['change', 7, 'at'], ['tick', 6]]);
  assert.equal(state.get(7), entity, 'the same object');
  source.say('delta', { base_tick: 5, tick: 6, seq: 6, hash: 'h6', set: { 7: { at: [9, 9] } } }, 6);
  assert.deepEqual(told(), [], 'nothing changes twice');
  source.say('gap', { from: 7, to: 20 });
  source.say('snapshot', snapshot(20, { 0: { kind: 'arena', round: 1 }, 7: player({ at: [1, 0] }), 9: { kind: 'bean' } }), 20);
  assert.deepEqual(told(), [['gap', 7, 20], ['reset'], ['remove', 9], ['add', 9], ['tick', 20]], 'what is as it was is not told of');
  source.say('delta', { base_tick: 20, tick: 21, seq: 21, hash: 'h', gone: [7] }, 21);
  off();
  assert.deepEqual(heard, [[1, 0], undefined]);
  source.say('delta', { base_tick: 21, tick: 22, seq: 22, hash: 'h', set: { 9: JSON.parse('{"__proto__":3}') } }, 22);
  assert.deepEqual(Object.entries(state.get(9) ?? {}), [['id', 9], ['kind', 'bean'], ['__proto__', 3]]);
  it.close();
});

test('a reset is told when the new state is there, before what has become of the entities', () => {
  const state = new WatchState();
  /** @type {any[]} */
  const log = [];
  state.on('reset', ({ tick }) => log.push([tick, state.tick, state.stale, [...state.entities()].map(({ id }) => id)]));
  state.on('add', ({ id }) => log.push(id));
  state.snapshot(snapshot(5, { 1: player({}) }));
  state.stale = true;
  state.snapshot(snapshot(9, { 8: player({}) }));
  assert.deepEqual(log, [[5, 5, false, [1]], 1, [9, 9, false, [8]], 8]);
});

test('listeners of fields that were stopped leave nothing behind', () => {
  const state = new WatchState();
  /** @type {Set<Map<any, any>>} */
  const maps = new Set();
  const { set } = Map.prototype;
  const spy = mock.method(Map.prototype, 'set', /** @this {Map<any, any>} */ function (/** @type {any} */ key, /** @type {any} */ value) {
    maps.add(this);
    return set.call(this, key, value);
  });
  const offs = Array.from({ length: 300 }, (_, at) => state.listen(at % 100, `field ${at % 7}`, () => {}));
  /** @type {any[]} */
  const heard = [];
  state.listen(7, 'name', (value) => heard.push(value));
  spy.mock.restore();
  [...offs, ...offs].forEach((off) => off());
  assert.equal([...maps].reduce((sum, { size }) => sum + size, 0), 2, 'one entity and one field');
  state.snapshot(snapshot(1, { 7: player({}), 8: player({}) }));
  assert.deepEqual(heard, ['momo']);
});

test('messages come by their type, bytes and what a backend published too', () => {
  const { it, source } = open();
  /** @type {any[]} */
  const heard = [];
  it.on('*', ({ type }) => heard.push(type));
  it.on('chat', ({ payload, format, seq, at, from }) => heard.push([payload, format, seq, at?.getTime(), from]));
  it.on('token', ({ payload, format, seq }) => heard.push([payload, format, seq]));
  source.say('resume', resume);
  source.say('message', { seq: 3, from: 2, at: 40, cseq: 1, type: 'chat', payload: { text: 'hello' } }, 3);
  source.say('message', { seq: 4, from: 2, at: 40, cseq: 1, type: 'chat', payload: { bytes: 'AQI=' } }, 4);
  source.say('token', 'Hel\nlo', 5);
  source.say('unheard', 'x', 6);
  assert.deepEqual(heard, [['hello', 'text', 3, 1040, 2], 'chat', [new Uint8Array([1, 2]), 'bytes', 4, 1040, 2], 'chat', ['Hel\nlo', 'text', 5], 'token']);
  assert.equal(it.id, `${EPOCH}-5`);
  it.close();
});

test('a lost stream comes back; an answer that is final ends it, any other is tried again behind the last event', async () => {
  let status = 503;
  /** @type {any[]} */
  const asked = [];
  const fetch = async (/** @type {string} */ url, /** @type {any} */ { method }) => {
    asked.push([method, url]);
    return { status };
  };
  const { it, source, told } = open({ fetch, random: () => 0 });
  source.say('resume', resume);
  source.say('message', { seq: 3, from: 2, at: 40, cseq: 1, type: 'chat', payload: { text: 'x' } }, 3);
  source.fail(0);
  assert.equal(it.status, 'reconnecting');
  source.say('resume', { ...resume, recovered: true });
  assert.equal(it.status, 'open');
  const count = FakeSource.all.length;
  source.fail(2);
  await until(() => FakeSource.all.length > count);
  const second = /** @type {FakeSource} */ (FakeSource.all.at(-1));
  assert.equal(second.url, `http://host/rooms/arena%201/events?last_event_id=${EPOCH}-3`);
  assert.deepEqual(asked, [['HEAD', second.url]]);
  assert.equal(it.status, 'reconnecting');
  status = 403;
  second.fail(2);
  await until(() => it.status === 'closed');
  assert.deepEqual(told(), [['leave', 'refused']]);
  for (const [end, reason] of /** @type {const} */ ([[204, 'ended'], [404, 'ended']])) {
    status = end;
    const other = open({ fetch });
    other.source.say('resume', resume);
    other.source.say('end', {}, 9);
    other.source.fail(2);
    await until(() => other.it.status === 'closed');
    assert.deepEqual(other.told(), [['leave', reason]]);
  }
});

test('a credential is in the address, and a fresh one is fetched when it has expired', async () => {
  let status = 401;
  let count = 0;
  const fetch = async () => ({ status });
  const getToken = async () => `a b${(count += 1)}`;
  const first = FakeSource.all.length;
  const { it, told } = open({ fetch, getToken, random: () => 0 });
  const off = it.on('chat', () => {});
  await until(() => FakeSource.all.length === first + 1);
  const one = /** @type {FakeSource} */ (FakeSource.all.at(-1));
  assert.equal(one.url, 'http://host/rooms/arena%201/events?token=a%20b1');
  one.say('resume', resume);
  one.fail(2);
  await until(() => FakeSource.all.length === first + 2);
  const two = /** @type {FakeSource} */ (FakeSource.all.at(-1));
  assert.match(two.url, /token=a%20b2$/);
  // Refused at once: another one would be as well.
  two.fail(2);
  await until(() => it.status === 'closed');
  assert.deepEqual(told().slice(-1), [['leave', 'refused']]);
  off();
  assert.equal(count, 2);
  const fixed = open({ fetch, token: 'x' });
  assert.match(fixed.source.url, /\?token=x$/);
  fixed.it.close();
});

test('what an EventSource says of itself is no message, and undoes neither the waiting nor the one fresh credential', async () => {
  let tokens = 0;
  const first = FakeSource.all.length;
  const { it, told } = open({ fetch: async () => ({ status: 401 }), getToken: async () => `t${(tokens += 1)}`, random: () => 0 });
  /** @type {any[]} */
  const heard = [];
  for (const name of ['error', 'open']) {
    it.on(name, ({ payload }) => heard.push(payload));
  }
  for (const number of [1, 2]) {
    await until(() => FakeSource.all.length === first + number);
    FakeSource.all[first + number - 1].fail(2);
  }
  await until(() => it.status === 'closed' || tokens > 2);
  assert.deepEqual([told(), tokens, heard], [[['leave', 'refused']], 2, []]);
  const other = open();
  other.it.on('error', ({ payload }) => heard.push(payload));
  other.source.say('resume', resume);
  other.source.say('error', 'of a backend', 3);
  assert.deepEqual(heard, ['of a backend']);
  other.it.close();
});

test('once it is closed a watch tells nothing more', async () => {
  const { it, source, recoveries } = open();
  /** @type {string[]} */
  const heard = [];
  it.onStatus((status) => {
    heard.push(status);
    it.close();
  });
  it.onRecover(() => heard.push('recover'));
  source.say('resume', resume);
  source.say('snapshot', snapshot(5, { 7: player({}) }), 5);
  assert.deepEqual([heard, recoveries, it.state.size], [['open', 'closed'], [], 0]);
  let tokens = 0;
  const other = open({ fetch: async () => ({ status: 503 }), getToken: async () => `t${(tokens += 1)}`, random: () => 0 });
  await until(() => FakeSource.all.at(-1) !== source);
  other.it.onStatus(() => other.it.close());
  FakeSource.all.at(-1)?.fail(2);
  await until(() => other.it.status === 'closed');
  await new Promise((resolve) => setTimeout(resolve, 1));
  assert.deepEqual([tokens, other.it.status], [1, 'closed'], 'and does not try again');
});

// --- Tabs ---

/** Locks as browsers have them: the first holds it, the others wait in line, and one that steals it waits for nobody. */
class FakeLocks {
  /** @type {Map<string, { holder: ((error: Error) => void) | null, line: (() => void)[] }>} */
  #locks = new Map();

  /**
   * @param {string} name
   * @param {{ signal?: AbortSignal, steal?: boolean }} options
   * @param {() => any} hold
   * @returns {Promise<any>}
   */
  request(name, { signal, steal = false }, hold) {
    assert.ok(!steal || signal === undefined, 'NotSupportedError');
    const lock = this.#locks.get(name) ?? { holder: null, line: [] };
    this.#locks.set(name, lock);
    const next = () => lock.holder === null && lock.line.shift()?.();
    return new Promise((resolve, reject) => {
      const enter = async () => {
        lock.holder = reject;
        await null;
        await Promise.resolve(hold()).then(resolve, reject);
        if (lock.holder === reject) {
          lock.holder = null;
          next();
        }
      };
      if (steal) {
        lock.holder?.(new DOMException('stolen', 'AbortError'));
        void enter();
        return;
      }
      lock.line.push(enter);
      signal?.addEventListener('abort', () => {
        lock.line = lock.line.filter((it) => it !== enter);
        reject(signal.reason);
      });
      next();
    });
  }
}

const { BroadcastChannel: RealChannel } = globalThis;

/** What a tab hears of the others, until it stands still. */
class Channel extends RealChannel {
  /** @type {Channel[]} */
  static all = [];

  /** @param {string} name */
  constructor(name) {
    super(name);
    Channel.all.push(this);
  }

  /** @returns {(isLost?: boolean) => void} thaws it: it hears what it has not heard yet, unless that is lost */
  freeze() {
    const { onmessage } = this;
    /** @type {any[]} */
    const missed = [];
    this.onmessage = (event) => missed.push(event);
    return (isLost = false) => {
      this.onmessage = onmessage;
      (isLost ? [] : missed).forEach((event) => onmessage?.call(this, event));
    };
  }
}

/** @param {any} value of `navigator` */
const setNavigator = (value) => Object.defineProperty(globalThis, 'navigator', { value, configurable: true });
const real = Object.getOwnPropertyDescriptor(globalThis, 'navigator');
before(() => {
  setNavigator({ locks: new FakeLocks() });
  globalThis.BroadcastChannel = Channel;
});
after(() => {
  globalThis.BroadcastChannel = RealChannel;
  return real ? Object.defineProperty(globalThis, 'navigator', real) : Reflect.deleteProperty(globalThis, 'navigator');
});

/**
 * Tabs that share a stream and are all at the tick 5; the first leads.
 *
 * @param {string} room
 * @param {number} count
 * @param {import('../src/types.js').WatchOptions} [options]
 */
async function tabs(room, count, options = {}) {
  const [streams, channels] = [FakeSource.all.length, Channel.all.length];
  const leader = open({ share: true, ...options }, room);
  await until(() => FakeSource.all.length > streams);
  const source = FakeSource.all[streams];
  source.say('resume', resume);
  source.say('snapshot', snapshot(5, { 7: player({}) }), 5);
  const followers = Array.from({ length: count - 1 }, () => open({ share: true, ...options }, room));
  await until(() => followers.every(({ it }) => it.state.tick === 5));
  const all = [leader, ...followers];
  all.forEach(({ told, recoveries }) => [told(), recoveries.splice(0)]);
  return {
    all,
    source,
    channels: Channel.all.slice(channels),
    /** How many streams there were, and the newest. */
    streams: () => FakeSource.all.length - streams,
    newest: () => /** @type {FakeSource} */ (FakeSource.all.at(-1)),
    close: async () => {
      all.forEach(({ it }) => it.close());
      await settle();
    },
  };
}

/**
 * Lets seconds pass for those that count them.
 *
 * @param {number} count
 */
async function seconds(count) {
  for (let at = 0; at < count; at++) {
    mock.timers.tick(1000);
    await settle();
    await settle();
  }
}

/** @param {import('node:test').TestContext} t whose tabs are in another browser */
function restoreAfter(t) {
  const { navigator, BroadcastChannel } = globalThis;
  t.after(() => {
    setNavigator(navigator);
    globalThis.BroadcastChannel = BroadcastChannel;
  });
}

/** @param {import('node:test').TestContext} t */
function countSeconds(t) {
  mock.timers.enable({ apis: ['setInterval'] });
  t.after(() => mock.timers.reset());
}

test('all tabs share one stream, a late one gets the state as it is, and when the leader goes the next goes on', async () => {
  const count = FakeSource.all.length;
  const first = open({ share: true }, 'shared');
  await until(() => FakeSource.all.length === count + 1);
  const source = FakeSource.all[count];
  source.say('resume', resume);
  source.say('snapshot', snapshot(5, { 0: { kind: 'arena', round: 1 }, 7: player({}) }), 5);
  source.say('delta', { base_tick: 5, tick: 6, seq: 6, hash: 'h6', set: { 7: { at: [1, 0] } } }, 6);
  const second = open({ share: true }, 'shared');
  const third = open({ share: true }, 'shared');
  await until(() => second.it.state.tick === 6 && third.it.state.tick === 6);
  assert.equal(FakeSource.all.length, count + 1, 'one stream for all');
  assert.deepEqual(second.it.state.get(7), { id: 7, kind: 'player', at: [1, 0], name: 'momo' });
  /** @type {string[]} */
  const heard = [];
  third.it.on('token', ({ payload }) => heard.push(`third ${payload}`));
  second.it.on('chat', ({ payload }) => heard.push(`second ${payload}`));
  await settle();
  source.say('delta', { base_tick: 6, tick: 7, seq: 7, hash: 'h7', gone: [7] }, 7);
  source.say('message', { seq: 8, from: 2, at: 40, cseq: 1, type: 'chat', payload: { text: 'hello' } }, 8);
  await until(() => second.it.id.endsWith('-8') && third.it.id.endsWith('-8'));
  await until(() => {
    source.say('token', 'a', 9);
    return heard.length >= 2;
  });
  assert.deepEqual([second.it.state.size, third.it.state.size, heard[0]], [0, 0, 'second hello']);
  await until(() => second.it.id.endsWith('-9') && third.it.id.endsWith('-9'));
  first.it.close();
  await until(() => FakeSource.all.length === count + 2);
  const next = FakeSource.all[count + 1];
  assert.match(next.url, /last_event_id=e0e1e2e3e4e5e6e7-9$/, 'behind what it has seen');
  next.say('resume', { ...resume, recovered: true });
  next.say('message', { seq: 10, from: 2, at: 40, cseq: 1, type: 'chat', payload: { text: 'again' } }, 10);
  await until(() => third.it.id.endsWith('-10'));
  assert.deepEqual([second.told(), third.told()].map((log) => log.filter(([name]) => name === 'reset').length), [1, 1], 'nobody begins anew');
  assert.ok(heard.includes('second again'));
  next.fail(0);
  await until(() => second.it.status === 'reconnecting' && third.it.status === 'reconnecting');
  second.it.close();
  third.it.close();
  await settle();
});

test('with a beginning of its own a watch has a stream of its own', () => {
  const count = FakeSource.all.length;
  const watches = [open({ share: true, from: '-5s' }, 'own'), open({ share: true, from: '-5s' }, 'own')];
  assert.equal(FakeSource.all.length, count + 2);
  watches.forEach(({ it }) => it.close());
});

test('where a tab may not share it has a stream of its own', async (t) => {
  restoreAfter(t);
  const refuse = async () => {
    throw new DOMException('denied', 'SecurityError');
  };
  class NoChannel {
    constructor() {
      throw new DOMException('denied', 'SecurityError');
    }
  }
  for (const [locks, channel] of /** @type {[any, any][]} */ ([[{ request: refuse }, Channel], [new FakeLocks(), NoChannel]])) {
    setNavigator({ locks });
    globalThis.BroadcastChannel = channel;
    const count = FakeSource.all.length;
    const watches = [open({ share: true }, 'sandboxed'), open({ share: true }, 'sandboxed')];
    await until(() => FakeSource.all.length === count + 2);
    /** @type {string[]} */
    const heard = [];
    watches[0].it.on('token', ({ payload }) => heard.push(payload));
    FakeSource.all[count].say('resume', resume);
    FakeSource.all[count].say('token', 'a', 5);
    assert.deepEqual([watches[0].it.status, watches[1].it.status, heard], ['open', 'connecting', ['a']]);
    watches.forEach(({ it }) => it.close());
  }
});

test('a leader that is quiet is asked whether it is there, and stays', async (t) => {
  countSeconds(t);
  const { all, streams, close } = await tabs('quiet', 3);
  await seconds(40);
  assert.deepEqual([streams(), ...all.map(({ it }) => it.status)], [1, 'open', 'open', 'open']);
  await close();
});

test('a leader that stands still loses its place, and follows when it is back', async (t) => {
  countSeconds(t);
  const { all: [first, second, third], source, channels, streams, newest, close } = await tabs('still', 3);
  const thaw = channels[0].freeze();
  await seconds(4);
  source.say('delta', delta(6, { 7: { at: [1, 0] } }), 6);
  await until(() => third.it.state.tick === 6);
  await seconds(7);
  assert.deepEqual([streams(), second.it.status, second.it.state.stale], [1, 'open', false]);
  // All that count take the lock, one from the other, and one has it in the end.
  await seconds(1);
  await until(() => streams() === 3);
  const next = newest();
  assert.deepEqual([second.it.status, third.it.status, second.it.state.stale], ['reconnecting', 'reconnecting', true]);
  assert.deepEqual([source.readyState, FakeSource.all.at(-2)?.readyState, next.readyState], [2, 2, 0]);
  assert.match(next.url, /last_event_id=e0e1e2e3e4e5e6e7-6$/);
  next.say('resume', { ...resume, recovered: true }, 6);
  next.say('delta', delta(7, { 7: { at: [2, 0] } }), 7);
  await until(() => second.it.state.tick === 7 && third.it.state.tick === 7);
  assert.deepEqual([second.it.status, third.it.status, second.recoveries, third.recoveries], ['open', 'open', [true], [true]]);
  thaw();
  await until(() => first.it.state.tick === 7);
  await seconds(20);
  assert.deepEqual([streams(), first.it.status, first.told()], [3, 'open', [['change', 7, 'at'], ['tick', 6], ['change', 7, 'at'], ['tick', 7]]]);
  // It stands in line again.
  second.it.close();
  third.it.close();
  await until(() => streams() >= 4 && newest().readyState === 0);
  newest().say('resume', { ...resume, recovered: true }, 7);
  newest().say('delta', delta(8, { 7: { at: [3, 0] } }), 8);
  assert.equal(first.it.state.tick, 8);
  await close();
});

test('one that was told more than the tab that leads now is not told that something is missing', async (t) => {
  countSeconds(t);
  const { all: [first, second], source, channels, streams, newest, close } = await tabs('ahead', 2);
  const thaw = channels[1].freeze();
  source.say('delta', delta(6, { 7: { at: [1, 0] } }), 6);
  source.say('delta', delta(7, { 7: { at: [2, 0] } }), 7);
  await settle();
  thaw(true);
  const wake = channels[0].freeze();
  await seconds(8);
  wake();
  await until(() => streams() === 2);
  assert.deepEqual([second.it.state.tick, first.it.state.tick, source.readyState], [5, 7, 2]);
  newest().say('resume', { ...resume, recovered: true }, 5);
  await settle();
  assert.equal(first.it.status, 'reconnecting');
  for (const tick of [6, 7]) {
    newest().say('delta', delta(tick, { 7: { at: [tick, 1] } }), tick);
  }
  await until(() => first.it.status === 'open');
  newest().say('delta', delta(8, { 7: { at: [8, 1] } }), 8);
  await until(() => first.it.state.tick === 8);
  const changes = [6, 7, 8].flatMap((tick) => [['change', 7, 'at'], ['tick', tick]]);
  assert.deepEqual([first.told(), first.recoveries], [changes, [true]]);
  await close();
});

test('a lock that is given to a closed tab is given back', async (t) => {
  countSeconds(t);
  restoreAfter(t);
  /** @type {any[]} */
  const requests = [];
  setNavigator({ locks: { request: (/** @type {any[]} */ ...request) => new Promise(() => requests.push(request)) } });
  const count = FakeSource.all.length;
  const { it } = open({ share: true }, 'granted late');
  await seconds(8);
  assert.deepEqual([it.status, requests.length], ['reconnecting', 2]);
  const [[, queued, first], [, stealing, second]] = requests;
  assert.deepEqual([queued.signal.aborted, stealing], [true, { steal: true }]);
  it.close();
  assert.deepEqual([first(), second(), FakeSource.all.length], [undefined, undefined, count]);
  it.state.stale = false;
  await seconds(20);
  assert.deepEqual([requests.length, it.state.stale], [2, false], 'nothing counts any more');
});

test('a leader whose credential is refused leaves the others to theirs', async () => {
  for (const status of [401, 403]) {
    const fetch = async (/** @type {string} */ url) => ({ status: url.includes('token=old') ? status : 200 });
    const count = FakeSource.all.length;
    const [old, ...fresh] = ['old', 'fresh', 'fresh'].map((token) => open({ share: true, fetch, token }, `credential ${status}`));
    await until(() => FakeSource.all.length === count + 1);
    FakeSource.all[count].say('resume', resume, 4);
    await until(() => fresh.every(({ it }) => it.status === 'open'));
    FakeSource.all[count].fail(2);
    await until(() => FakeSource.all.length === count + 2);
    assert.deepEqual(old.told(), [['leave', 'refused']]);
    const next = FakeSource.all[count + 1];
    assert.match(next.url, /-4&token=fresh$/);
    next.say('resume', { ...resume, recovered: true }, 4);
    next.say('gap', { from: 5, to: 6 }, 6);
    await until(() => fresh.every(({ it }) => it.id.endsWith('-6')));
    assert.deepEqual(fresh.map(({ it, told }) => [it.status, told()]), [['open', [['gap', 5, 6]]], ['open', [['gap', 5, 6]]]]);
    fresh.forEach(({ it }) => it.close());
    await settle();
  }
});

test('a tab that is opened while the connection is lost says so, and when it is back', async () => {
  const { source, close } = await tabs('lost', 1);
  source.fail(0);
  const late = open({ share: true }, 'lost');
  await until(() => late.it.state.tick === 5);
  await settle();
  assert.deepEqual([late.it.status, late.it.state.stale], ['reconnecting', true]);
  source.say('resume', { ...resume, recovered: true });
  await until(() => late.it.status === 'open');
  late.it.close();
  await close();
});

test('a closed tab says nothing to the others and is told nothing', async () => {
  const { all: [first], source, newest, close } = await tabs('closes', 3);
  // A leader's listener closes it.
  first.it.on('bye', () => first.it.close());
  source.say('bye', 'x', 6);
  assert.deepEqual(first.told(), [['leave', 'closed']]);
  first.it.on('chat', () => {});
  // A follower's does while it is told several events, and that the connection is lost.
  await until(() => newest() !== source);
  newest().fail(0);
  const late = open({ share: true }, 'closes');
  /** @type {string[]} */
  const heard = [];
  late.it.onStatus((status) => {
    heard.push(status);
    late.it.close();
  });
  await until(() => late.it.status === 'closed');
  await settle();
  assert.deepEqual([heard, late.told(), late.recoveries], [['open', 'closed'], [['leave', 'closed']], []]);
  // There is no such room.
  const count = FakeSource.all.length;
  const nowhere = open({ share: true, fetch: async () => ({ status: 404 }) }, 'nowhere');
  await until(() => FakeSource.all.length === count + 1);
  FakeSource.all[count].fail(2);
  await until(() => nowhere.it.status === 'closed');
  nowhere.it.on('chat', () => {});
  await close();
});
