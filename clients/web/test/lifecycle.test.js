// What becomes of sendings, joins and sessions when connections, pages and patience end.

import assert from 'node:assert/strict';
import { getEventListeners } from 'node:events';
import { test } from 'node:test';
import { MadangError, SessionGoneError, messages } from '../src/index.js';
import { EPOCH, FakeSocket, KEYS, fakeWebSocket, inLobby, joined, nextSocket, said, settle, start, tabStorage, until, welcome } from './support/script.js';

test('without a connection a message is refused unless it may wait, and what waits is bounded', async () => {
  const set = await inLobby({ queueMax: 3, queueBytesMax: 200 });
  const { room, socket } = set;
  const before = room.send('chat', 'on its way');
  await settle();
  await socket.lose();
  await assert.rejects(room.send('chat', 'lost'), { code: 'offline' });
  await assert.rejects(room.request('info'), { code: 'offline' });
  await assert.rejects(room.presence.update({ name: 'x' }), { code: 'offline' });
  const queued = ['a', 'b'].map((text) => room.send('chat', text, { queue: true }));
  await assert.rejects(room.send('chat', 'x'.repeat(200), { queue: true }), { code: 'queue_full' });
  queued.push(room.send('chat', 'c', { queue: true }));
  await assert.rejects(room.send('chat', 'd', { queue: true }), { code: 'queue_full' });
  assert.equal(room.unanswered, 4);
  const second = await nextSocket(set);
  await second.say(welcome({ resumed: true, resume_key: KEYS[1] }));
  await second.say(joined({ ref: null, recovered: true }));
  assert.deepEqual(second.all('publish').map(({ payload }) => payload), ['on its way', 'a', 'b', 'c'].map((text) => ({ text })));
  await second.say(...['on its way', 'a', 'b', 'c'].map((text, index) => said(index + 1, text, { from: 1, cseq: index + 1 })));
  assert.deepEqual((await Promise.all([before, ...queued])).map(({ seq }) => seq), [1, 2, 3, 4]);
  await room.send('chat', 'now', { class: 'volatile' });
});

test('a drop is said once and will be retried; leaving is final', async () => {
  const set = await inLobby();
  /** @type {any[]} */
  const log = [];
  set.room.onDrop(({ retryInMs, reason }) => log.push(['drop', retryInMs, reason]));
  set.room.onRecover(({ recovered }) => log.push(['recover', recovered]));
  set.room.onLeave(({ reason, error }) => log.push(['leave', reason, /** @type {any} */ (error).code]));
  await set.socket.lose(4008, 'slow_consumer');
  const second = await nextSocket(set);
  await second.lose();
  const third = await nextSocket(set);
  await third.say(welcome({ resumed: true, resume_key: KEYS[1] }));
  await third.say(joined({ ref: null, recovered: true }));
  await third.lose(4012, 'kicked: by the operator');
  assert.deepEqual(log, [['drop', 250, 'slow_consumer'], ['recover', true], ['leave', 'disconnected', 'kicked']]);
});

test('a client that its own listener closes stays closed', async () => {
  /** @type {((set: Awaited<ReturnType<typeof inLobby>>) => Promise<void>)[]} */
  const ways = [
    ({ socket }) => socket.lose(),
    ({ socket }) => socket.say({ tag: 'draining', body: { retry_after_ms: 100 } }),
  ];
  for (const end of ways) {
    const set = await inLobby();
    set.client.on('status', ({ retryInMs }) => retryInMs !== undefined && set.client.close());
    await end(set);
    await set.timers.pass(60_000);
    assert.deepEqual([set.client.status, set.sockets.length, set.timers.size], ['closed', 1, 0]);
  }
  for (const status of ['connecting', 'reconnecting']) {
    const set = start();
    set.client.on('status', (event) => event.status === status && set.client.close());
    await settle();
    if (status === 'reconnecting') {
      set.client.suspend();
      set.client.reconnectNow();
    }
    await set.timers.pass(60_000);
    assert.deepEqual([set.client.status, set.sockets.length, set.timers.size], ['closed', Number(status === 'reconnecting'), 0], status);
  }
  const set = start({ getToken: () => Promise.reject(new Error('no token')) });
  set.client.on('error', () => set.client.close());
  await set.timers.pass(60_000);
  assert.deepEqual([set.client.status, set.sockets.length, set.timers.size], ['closed', 0, 0]);
});

test('a request ends with its answer, its time or its signal', async () => {
  const { room, socket, timers } = await inLobby();
  const late = room.request('info', null, { timeoutMs: 500 });
  const abort = new AbortController();
  const aborted = room.request('info', null, { signal: abort.signal });
  await timers.pass(499);
  assert.equal(room.unanswered, 2);
  abort.abort(new Error('enough'));
  await assert.rejects(aborted, { message: 'enough' });
  await timers.pass(1);
  await assert.rejects(late, { code: 'timeout' });
  await socket.say({ tag: 'reply', body: { channel: 3, cseq: 1, payload: { text: 'too late' } } });
  await assert.rejects(room.request('info', null, { signal: abort.signal }), { message: 'enough' });
  assert.equal(room.unanswered, 0);
});

test('a join that is given up is not waited for, and left if it is entered all the same', async () => {
  const { client, sockets } = start();
  const abort = new AbortController();
  const joining = client.joinOrCreate('lobby', { signal: abort.signal });
  await settle();
  await sockets[0].open();
  await sockets[0].say(welcome());
  const { ref } = sockets[0].last('join');
  abort.abort(new Error('enough'));
  await assert.rejects(joining, { message: 'enough' });
  await sockets[0].say(joined({ ref }));
  assert.equal(sockets[0].last('leave').channel, 3);
  await assert.rejects(client.join('lobby', { signal: abort.signal }), { message: 'enough' });
  void client.join('one');
  void client.create('two');
  void client.joinById('three');
  void client.joinOrCreate({ kind: 'arena', filter: { mode: 'duel' } });
  await settle();
  assert.deepEqual(sockets[0].all('join').slice(1).map(({ mode, target }) => [mode, target]), [
    ['join', { name: 'one' }],
    ['create', { name: 'two' }],
    ['join', { name: 'three' }],
    ['either', { match: { kind: 'arena', filter: [['mode', 'duel']] } }],
  ]);
});

test('a ticket takes a membership up elsewhere, with the numbers that were used', async () => {
  const before = await inLobby();
  await before.socket.say(said(9, 'nine'));
  void before.room.send('chat', 'x');
  const ticket = before.room.ticket ?? '';
  const set = start();
  const reconnecting = set.client.reconnect(ticket, { history: 2 });
  await until(() => set.sockets.length === 1);
  await set.sockets[0].open();
  assert.deepEqual(set.sockets[0].last('hello').resume, { key: KEYS[0], rooms: [{ channel: 3, epoch: EPOCH, seq: 7 }] });
  await set.sockets[0].say(welcome({ resumed: true, resume_key: KEYS[1] }));
  await set.sockets[0].say(joined({ ref: null, recovered: true, seq: 9, applied_cseq: 1 }));
  const room = await reconnecting;
  assert.deepEqual([room.id, room.send('chat', 'y').cseq], ['lobby', 2]);
  assert.notEqual(room.ticket, ticket);
});

test('a ticket whose session is gone enters nothing', async () => {
  const ticket = `${KEYS[0]}.3.${EPOCH}.9.4.lobby`;
  const { client, sockets } = start();
  const reconnecting = client.reconnect(ticket);
  await assert.rejects(client.reconnect(`${KEYS[1]}.3.${EPOCH}.9.4.lobby`), SessionGoneError);
  await assert.rejects(client.reconnect('nothing'), MadangError);
  await until(() => sockets.length === 1);
  await sockets[0].open();
  const gone = assert.rejects(reconnecting, { code: 'session_gone' });
  await sockets[0].say(welcome({ resumed: false }));
  await gone;
  assert.deepEqual(sockets[0].all('join'), []);
  await assert.rejects(client.reconnect(ticket), { code: 'session_gone' }, 'it has a session by now');
});

test('a transport without an answer makes place for the next, and what works stays', async () => {
  /** @type {string[]} */
  const opened = [];
  const { WebSocket, sockets } = fakeWebSocket();
  /** @type {import('../src/types.js').Transport} */
  const mute = (_, hears) => {
    opened.push('mute');
    queueMicrotask(() => hears.closed(1006, ''));
    return { bufferedAmount: 0, send: () => assert.fail('it never opened'), close: () => {} };
  };
  const { webSocket } = await import('../src/websocket.js');
  /** @type {import('../src/types.js').Transport} */
  const counted = (url, hears, options) => {
    opened.push('socket');
    return webSocket(url, hears, options);
  };
  const set = start({ WebSocket, transports: [mute, counted] });
  await set.timers.pass(1000);
  await sockets[0].open();
  await sockets[0].say(welcome());
  assert.equal(set.client.status, 'open');
  await sockets[0].lose();
  await set.timers.pass(1000);
  assert.deepEqual(opened, ['mute', 'socket', 'socket']);
});

test('the newest messages are kept as far as the join asks, and only then', async () => {
  const { room, socket } = await inLobby({}, { keep: 2 });
  await socket.say(said(1, 'a'), said(2, 'b'), said(3, 'c'));
  assert.deepEqual(room.history.map(({ payload }) => payload), ['b', 'c']);
  const other = await inLobby();
  await other.socket.say(said(1, 'a'));
  assert.deepEqual(other.room.history, []);
});

test('messages are heard by type, by being logged, or all; a signal ends the listening', async () => {
  const { room, socket } = await inLobby();
  /** @type {string[]} */
  const heard = [];
  const abort = new AbortController();
  room.on('chat', ({ payload }) => heard.push(`chat ${payload}`), { signal: abort.signal });
  room.on('message', ({ payload, class: it }) => heard.push(`logged ${payload} ${it}`));
  room.on('*', ({ payload, class: it, key }) => heard.push(`all ${payload} ${it} ${key}`));
  const ephemeral = (/** @type {number | null} */ key) =>
    socket.say({ tag: 'ephemeral', body: { channel: 3, from: 2, key, type: 'pos', payload: { text: 'p' } } });
  await socket.say(said(1, 'a'));
  await ephemeral(4);
  await ephemeral(null);
  abort.abort();
  await socket.say(said(2, 'b'));
  assert.deepEqual(heard, ['chat a', 'logged a reliable', 'all a reliable null', 'all p latest 4', 'all p volatile null', 'logged b reliable', 'all b reliable null']);
});

test('a room is read with for await, until it is left, and not beyond what may wait', async () => {
  const { room, socket } = await inLobby();
  const loop = messages(room, { type: 'chat' });
  await socket.say(said(1, 'a'), said(2, 'b'));
  /** @type {string[]} */
  const seen = [];
  const reading = (async () => {
    for await (const { payload } of loop) {
      seen.push(payload);
    }
  })();
  await socket.say(said(3, 'c'));
  await socket.say({ tag: 'left', body: { channel: 3, reason: 'closed' } });
  await reading;
  assert.deepEqual(seen, ['a', 'b', 'c']);
  const other = await inLobby();
  const small = messages(other.room, { waitingMax: 2 });
  await other.socket.say(said(1, 'a'), said(2, 'b'), said(3, 'c'));
  assert.equal((await small.next()).value?.payload, 'a');
  await small.next();
  await assert.rejects(small.next(), { code: 'queue_full' });
  const abort = new AbortController();
  const ended = messages(other.room, { signal: abort.signal });
  const next = ended.next();
  abort.abort();
  assert.equal((await next).done, true);
});

test('a room with a state says so to a client without the plug-in, and is usable all the same', async () => {
  const { withSchema } = await import('./support/parts.js');
  const set = await inLobby({ state: undefined });
  /** @type {any[]} */
  const errors = [];
  set.client.on('error', (error) => errors.push(error));
  await set.socket.lose();
  const second = await nextSocket(set);
  await second.say(welcome({ resumed: true, resume_key: KEYS[1] }));
  await second.say(joined({ ref: null, recovered: true, ...withSchema({ kinds: [{ name: 'x', fields: [] }] }) }));
  assert.deepEqual([errors[0].code, set.room.state, set.room.live], ['no_plugin', null, true]);
});

// --- Pages ---

/** A browser's window, as far as the client looks at it. */
class FakeWindow extends EventTarget {
  document = Object.assign(new EventTarget(), { hidden: false });

  /**
   * @param {string} name
   * @param {object} [fields]
   */
  async fire(name, fields = {}) {
    this.dispatchEvent(Object.assign(new Event(name), fields));
    await settle();
  }
}

/** @param {(page: FakeWindow) => Promise<void>} run */
async function inPage(run) {
  const page = new FakeWindow();
  Object.defineProperty(globalThis, 'window', { value: page, configurable: true });
  try {
    await run(page);
  } finally {
    Reflect.deleteProperty(globalThis, 'window');
  }
}

test('when the network is back, or the page is looked at, a waiting client tries soon and a connected one asks', async () => {
  await inPage(async (page) => {
    for (const wake of [() => page.fire('online'), async () => void page.document.dispatchEvent(new Event('visibilitychange'))]) {
      const set = await inLobby();
      // Lost again and again: by now it would wait for long.
      for (let attempt = 0; attempt < 6; attempt += 1) {
        await /** @type {FakeSocket} */ (set.sockets.at(-1)).lose();
        await set.timers.pass(attempt < 5 ? 10_000 : 0);
      }
      const count = set.sockets.length;
      await wake();
      assert.equal(set.sockets.length, count, 'not at once: many pages may hear of it together');
      await set.timers.pass(250);
      assert.equal(set.sockets.length, count + 1);
      set.client.close();
      const other = await inLobby();
      const pings = other.socket.all('ping').length;
      await wake();
      await settle();
      assert.equal(other.socket.all('ping').length, pings + 1);
      await other.timers.pass(4_000);
      assert.equal(other.client.status, 'reconnecting', 'no answer: the connection is dead');
      other.client.close();
    }
  });
});

test('without a network attempts are rare, and a hint of the server is not cut short', async () => {
  const set = await inLobby();
  Object.defineProperty(globalThis, 'navigator', { value: { onLine: false }, configurable: true });
  try {
    await set.socket.lose();
    await set.timers.pass(9_000);
    assert.equal(set.sockets.length, 1);
  } finally {
    Reflect.deleteProperty(globalThis, 'navigator');
  }
  await inPage(async (page) => {
    const drained = await inLobby();
    await drained.socket.say({ tag: 'draining', body: { retry_after_ms: 3000 } });
    await drained.socket.lose(4011);
    await page.fire('online');
    await drained.timers.pass(2_990);
    assert.equal(drained.sockets.length, 1);
    await drained.timers.pass(10);
    assert.equal(drained.sockets.length, 2);
    drained.client.close();
  });
});

test('a page that is put away and shown again goes on, unless another took its session up', async () => {
  const storage = tabStorage();
  const { items } = storage;
  await inPage(async (page) => {
    for (const isTaken of [false, true]) {
      const set = await inLobby({ storage });
      /** @type {any[]} */
      const drops = [];
      set.room.onDrop(({ retryInMs }) => drops.push(retryInMs));
      await page.fire('pagehide', { persisted: true });
      assert.deepEqual([set.client.status, items.size, set.socket.closedByClient?.code, drops], ['suspended', 1, 4000, [null]]);
      await set.timers.pass(60_000);
      assert.equal(set.sockets.length, 1, 'it stays away');
      if (isTaken) {
        items.clear();
      }
      await page.fire('pageshow', { persisted: true });
      assert.equal(items.size, 0);
      await set.sockets[1].open();
      assert.equal(set.sockets[1].last('hello').resume?.key, isTaken ? undefined : KEYS[0]);
      await set.sockets[1].say(welcome({ resumed: !isTaken, resume_key: KEYS[1] }));
      assert.equal(set.sockets[1].all('join').length, Number(isTaken));
      set.client.close();
    }
  });
});

test('a join with an option that cannot be said is refused, and nothing else with it', async () => {
  const set = await inLobby();
  const bad = [{ attributes: { name: undefined } }, { attributes: { score: NaN } }, { history: -1 }].map((options) =>
    assert.rejects(set.client.joinOrCreate('bad', /** @type {any} */ (options))),
  );
  await Promise.all(bad);
  assert.throws(() => set.room.presence.update({ name: /** @type {any} */ (undefined) }));
  await set.socket.lose();
  const early = assert.rejects(set.client.joinOrCreate('bad', { history: -1 }));
  const second = await nextSocket(set);
  await second.say(welcome({ resumed: false, resume_key: KEYS[1] }));
  await early;
  assert.deepEqual(second.all('join').map(({ target, options }) => [target, options.attributes]), [[{ name: 'lobby' }, []]]);
  assert.deepEqual([set.client.status, second.all('ping').length], ['open', 1]);
});

test('what is too large is refused without a connection as well', async () => {
  const set = await inLobby();
  const refused = () => assert.rejects(set.room.send('chat', 'x'.repeat(100_000), { queue: true }), { code: 'too_large' });
  await refused();
  await set.socket.lose();
  await refused();
  const second = await nextSocket(set);
  await refused();
  await second.lose();
  await refused();
});

test('a room that is left while it is entered again is left, and stays so', async () => {
  const set = await inLobby();
  /** @type {string[]} */
  const log = [];
  set.room.onLeave(({ reason }) => log.push(reason));
  set.room.onRecover(() => log.push('recover'));
  await set.socket.lose();
  const second = await nextSocket(set);
  await second.say(welcome({ resumed: false, resume_key: KEYS[1] }));
  await set.room.leave();
  assert.deepEqual(log, ['left']);
  await second.say(joined({ ref: second.last('join').ref, channel: 8 }));
  assert.deepEqual([second.all('leave'), set.client.rooms, log], [[{ channel: 8 }], [], ['left']]);
  // Also between two attempts.
  const busy = await inLobby();
  await busy.socket.say({ tag: 'left', body: { channel: 3, reason: 'lost' } });
  await busy.socket.say({ tag: 'error', body: { code: 200, ref: { join: busy.socket.last('join').ref }, message: '' } });
  await busy.room.leave();
  const count = busy.socket.all('join').length;
  await busy.timers.pass(60_000);
  assert.equal(busy.socket.all('join').length, count);
});

test('a room that is left between hello and welcome is left at the server too', async () => {
  const set = await inLobby();
  await set.socket.lose();
  const second = await nextSocket(set);
  assert.equal(second.last('hello').resume?.rooms.length, 1);
  const leaving = set.room.leave();
  await second.say(welcome({ resumed: true, resume_key: KEYS[1] }), joined({ ref: null, recovered: true }));
  await leaving;
  assert.deepEqual([second.all('leave'), set.client.rooms], [[{ channel: 3 }], []]);
});

test('leaving twice is leaving once, and both are told when it is done', async () => {
  const { room, socket } = await inLobby();
  let told = 0;
  const both = [room.leave(), room.leave()].map((it) => it.then(() => (told += 1)));
  await settle();
  assert.equal(told, 0);
  await socket.say({ tag: 'left', body: { channel: 3, reason: 'left' } });
  await Promise.all(both);
  await room.leave();
  assert.equal(socket.all('leave').length, 1);
  for await (const _ of messages(room)) {
    assert.fail('nothing is said in a room that was left');
  }
});

test('a room that was given up may be joined again at once', async () => {
  const set = await inLobby();
  const abort = new AbortController();
  const first = assert.rejects(set.client.joinOrCreate('next', { signal: abort.signal }), { name: 'AbortError' });
  await settle();
  abort.abort();
  await first;
  const again = set.client.joinOrCreate('next');
  await settle();
  const [one, two] = set.socket.all('join').slice(1);
  const refused = (/** @type {number} */ ref) => /** @type {const} */ ({ tag: 'error', body: { code: 108, ref: { join: ref }, message: '' } });
  // The second is refused before the first is answered: a room that one is on the way to counts as well.
  await set.socket.say(refused(two.ref));
  await set.timers.pass(0);
  await set.socket.say(joined({ ref: one.ref, channel: 8, name: 'next' }), refused(set.socket.last('join').ref));
  await set.timers.pass(50);
  assert.deepEqual(set.socket.heard.map(({ tag }) => tag).filter((tag) => tag !== 'ping').slice(-5), ['join', 'join', 'join', 'leave', 'join']);
  await set.socket.say({ tag: 'left', body: { channel: 8, reason: 'left' } }, joined({ ref: set.socket.last('join').ref, channel: 9, name: 'next' }));
  assert.equal((await again).id, 'next');
  // Whoever is in it is refused.
  const twice = assert.rejects(set.client.joinOrCreate('next'), { code: 'already_joined' });
  await settle();
  await set.socket.say(refused(set.socket.last('join').ref));
  await twice;
});

test('a change of attributes that was refused is not in the next join, one whose answer was lost is', async () => {
  const set = await inLobby({}, { attributes: { name: 'crane' } });
  const { presence } = set.room;
  const refused = assert.rejects(presence.update({ bio: 'x'.repeat(5_000) }), { code: 'invalid' });
  await settle();
  const { cseq } = set.socket.last('set_attributes');
  await set.socket.say({ tag: 'error', body: { code: 100, ref: { cseq: { channel: 3, cseq } }, message: '' } });
  await refused;
  const taken = presence.update({ mood: 'glad' });
  await settle();
  await set.socket.say({ tag: 'ack', body: { channel: 3, cseq: set.socket.last('set_attributes').cseq, seq: null, durability: 'sequenced' } });
  await taken;
  const lost = assert.rejects(presence.update({ name: 'heron' }), { code: 'outcome_unknown' });
  await settle();
  await set.socket.lose();
  await assert.rejects(presence.update({ hat: true }), { code: 'offline' });
  void presence.update({ later: 1 }, { queue: true });
  const second = await nextSocket(set);
  await second.say(welcome({ resumed: false, resume_key: KEYS[1] }));
  await lost;
  assert.deepEqual(second.last('join').options.attributes, [['name', 'heron'], ['mood', 'glad']]);
});

test('a page that goes before it has connected leaves the session to the next', async () => {
  const storage = tabStorage();
  const one = await inLobby({ storage });
  one.client.suspend();
  for (let page = 2; page < 4; page += 1) {
    const set = start({ storage });
    void set.client.joinOrCreate('lobby');
    await until(() => set.sockets.length === 1);
    set.client.suspend();
  }
  const last = start({ storage });
  void last.client.joinOrCreate('lobby');
  await until(() => last.sockets.length === 1);
  await last.sockets[0].open();
  assert.deepEqual(last.sockets[0].last('hello').resume, { key: KEYS[0], rooms: [{ channel: 3, epoch: EPOCH, seq: 0 }] });
});

/**
 * A client whose application has just entered the lobby, and has yet to hear what was said there before.
 *
 * @param {...string} texts
 */
async function heldBack(...texts) {
  const set = start();
  const joining = set.client.joinOrCreate('lobby', { history: 5 });
  await settle();
  await set.sockets[0].open();
  await set.sockets[0].say(welcome());
  const { length } = texts;
  await set.sockets[0].say(joined({ ref: 1, seq: length, replay: length }), ...texts.map((text, at) => said(at + 1, text)));
  return { ...set, room: await joining };
}

test('a listener that hears what was held back when the connection is lost may close the client, and send', async () => {
  for (const way of /** @type {const} */ (['lose', 'suspend'])) {
    for (const what of /** @type {const} */ (['close', 'send'])) {
      const { room, ...set } = await heldBack('bye');
      /** @type {any[]} */
      const codes = [];
      room.on('chat', () => (what === 'close' ? set.client.close() : room.send('wave', 'x', { class: 'volatile' }).catch(({ code }) => codes.push(code))));
      await (way === 'lose' ? set.sockets[0].lose() : set.client.suspend());
      await set.timers.pass(60_000);
      const stays = way === 'lose' ? 'reconnecting' : 'suspended';
      if (what === 'close') {
        assert.deepEqual([set.client.status, set.sockets.length], ['closed', 1]);
      } else {
        await settle();
        assert.deepEqual([codes, set.states.includes(stays)], [['dropped'], true]);
      }
    }
  }
});

test('a signal that lives on keeps nothing of what has ended', async () => {
  const { client, room, socket } = await inLobby();
  const { signal } = new AbortController();
  for (let number = 0; number < 3; number += 1) {
    const joining = client.joinOrCreate(`r${number}`, { signal });
    await settle();
    await socket.say(joined({ ref: socket.last('join').ref, channel: 10 + number, name: `r${number}` }));
    await joining;
    room.on('chat', () => {}, { signal })();
  }
  assert.equal(getEventListeners(signal, 'abort').length, 0);
});

test('a request without an end has none', async () => {
  const { room, socket, timers } = await inLobby();
  // As real timers do.
  const { setTimeout } = timers;
  timers.setTimeout = (callback, ms) => setTimeout(callback, ms < 2 ** 31 ? ms : 1);
  const asked = room.request('info', null, { timeoutMs: Infinity });
  await timers.pass(5_000);
  await socket.say({ tag: 'reply', body: { channel: 3, cseq: 1, payload: { text: 'at last' } } });
  assert.equal(await asked, 'at last');
});

test('a change that was acknowledged is in a join that is said in the same breath', async () => {
  const { room, socket } = await inLobby({}, { attributes: { a: 1 } });
  void room.presence.update({ a: 2 });
  await settle();
  const { cseq } = socket.last('set_attributes');
  await socket.say({ tag: 'ack', body: { channel: 3, cseq, seq: null, durability: 'sequenced' } }, { tag: 'left', body: { channel: 3, reason: 'lost' } });
  assert.deepEqual(socket.last('join').options.attributes, [['a', { int: 2 }]]);
  assert.deepEqual(room.presence.attributes, { a: 2 });
});

test('what was held back is told until a listener ends it, and comes again if it was only the connection', async () => {
  for (const way of /** @type {const} */ (['close', 'drop'])) {
    const { room, ...set } = await heldBack('a', 'b', 'c');
    /** @type {any[]} */
    const log = [];
    room.on('chat', ({ payload, origin }) => {
      log.push(`${payload} ${origin}`);
      if (payload === 'a') {
        set.client[way]();
      }
    });
    room.onLeave(() => log.push('leave'));
    await set.timers.pass(0);
    if (way === 'close') {
      assert.deepEqual(log, ['a history', 'leave']);
      continue;
    }
    const second = await nextSocket(set);
    assert.deepEqual(second.last('hello').resume?.rooms, [{ channel: 3, epoch: EPOCH, seq: 1 }]);
    await second.say(welcome({ resumed: true, resume_key: KEYS[1] }), joined({ ref: null, recovered: true, seq: 3, replay: 2 }), said(2, 'b'), said(3, 'c'));
    assert.deepEqual(log, ['a history', 'b missed', 'c missed']);
  }
});

test('a room that a listener leaves while it is lost stays left', async () => {
  const { room, ...set } = await heldBack('bye');
  /** @type {string[]} */
  const log = [];
  room.on('chat', () => void room.leave().then(() => log.push('done')));
  room.onLeave(({ reason }) => log.push(reason));
  await set.sockets[0].say({ tag: 'left', body: { channel: 3, reason: 'lost' } });
  await settle();
  assert.deepEqual([log, set.client.rooms, set.sockets[0].all('join').length], [['lost', 'done'], [], 1]);
});

test('a listener that closes the client as a room is left behind closes it', async () => {
  const set = await inLobby();
  await set.socket.lose();
  const second = await nextSocket(set);
  void set.room.leave();
  set.room.onLeave(() => set.client.close());
  await second.say(welcome({ resumed: false, resume_key: KEYS[1] }));
  assert.deepEqual([set.client.status, set.timers.size], ['closed', 0]);
});
