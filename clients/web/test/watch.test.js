// Watching, with an EventSource whose other end is the test, and tabs that share one.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { watch } from '../src/watch.js';
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
    this.readyState = 1;
    this.#id = seq === undefined ? this.#id : `${EPOCH}-${seq}`;
    for (const listener of this.#listeners.get(name) ?? []) {
      listener({ data: typeof data === 'string' ? data : JSON.stringify(data), lastEventId: this.#id });
    }
  }

  /** @param {number} readyState 0: the browser tries again; 2: it does not */
  fail(readyState) {
    this.readyState = readyState;
    this.onerror?.({});
  }
}

const resume = { recovered: false, epoch: EPOCH, epoch_at_ms: 1000, from: 0, state: true };
const player = (/** @type {any} */ fields) => ({ kind: 'player', at: [0, 0], name: 'momo', ...fields });
const snapshot = (/** @type {number} */ tick, /** @type {any} */ entities) => ({ tick, seq: tick, hash: `h${tick}`, entities });

/**
 * @param {import('../src/types.js').WatchOptions} [options]
 * @param {string} [room]
 */
function open(options = {}, room = 'arena 1') {
  const it = watch(room, { url: 'http://host', EventSource: FakeSource, share: false, ...options });
  /** @type {any[]} */
  const log = [];
  for (const name of /** @type {const} */ (['add', 'change', 'remove'])) {
    it.state.on(name, ({ id }, fields) => log.push([name, id, ...fields]));
  }
  it.state.on('reset', () => log.push(['reset']));
  it.state.on('tick', ({ tick }) => log.push(['tick', tick]));
  it.onLeave((end) => log.push(['leave', end.reason]));
  it.onGap(({ fromSeq, toSeq }) => log.push(['gap', fromSeq, toSeq]));
  return { it, log, source: /** @type {FakeSource} */ (FakeSource.all.at(-1)), told: () => log.splice(0) };
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
  assert.throws(() => watch('arena', { url: 'http://host', share: false }), /\{ EventSource \}/);
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

// --- Tabs ---

/** Locks as browsers have them: the first holds it, the others wait in line. */
class FakeLocks {
  /** @type {Map<string, (() => void)[]>} */
  #lines = new Map();

  /**
   * @param {string} name
   * @param {{ signal: AbortSignal }} options
   * @param {() => Promise<any>} hold
   */
  async request(name, { signal }, hold) {
    const line = this.#lines.get(name) ?? [];
    this.#lines.set(name, line);
    await new Promise((resolve, reject) => {
      const enter = () => resolve(null);
      line.push(enter);
      signal.addEventListener('abort', () => {
        line.splice(line.indexOf(enter), 1);
        reject(signal.reason);
      });
      if (line.length === 1) {
        enter();
      }
    });
    await hold();
    line[0]?.();
  }
}

const real = Object.getOwnPropertyDescriptor(globalThis, 'navigator');
before(() => Object.defineProperty(globalThis, 'navigator', { value: { locks: new FakeLocks() }, configurable: true }));
after(() => (real ? Object.defineProperty(globalThis, 'navigator', real) : Reflect.deleteProperty(globalThis, 'navigator')));

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
