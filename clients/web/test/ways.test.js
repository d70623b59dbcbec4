// Which way a client takes to its server: what it concludes from a WebSocket that fails, what it remembers, and
// when it looks again.

import assert from 'node:assert/strict';
import { beforeEach, test } from 'node:test';
import { packBatches } from '../src/batch.js';
import { longPolling } from '../src/http.js';
import { Client, webSocket } from '../src/index.js';
import { memory } from '../src/ways.js';
import { encodeServer } from './support/codec.js';
import { KEYS, ManualTimers, fakeWebSocket, inLobby, settle, start, until, welcome } from './support/script.js';

beforeEach(() => Object.keys(memory).forEach((name) => delete memory[name]));

/** A server whose lines work; its WebSockets are the test's. Each page has a host of its own unless one is given. */
function page({ host = `h${(hosts += 1)}`, timers = new ManualTimers(), rememberMs = 3_600_000 } = {}) {
  const { WebSocket, sockets } = fakeWebSocket();
  let lines = 0;
  const fetch = async (/** @type {string} */ where, /** @type {RequestInit} */ { signal } = {}) => {
    const verb = new URL(where).pathname.split('/http')[1];
    if (verb === '') {
      lines += 1;
      return new Response(batch(welcome()), { headers: { 'Madang-Line': '0', 'Madang-Size': '65536', 'Madang-Wait': '100000000' } });
    }
    if (verb === '/events') {
      return new Response(
        new ReadableStream({
          start(down) {
            down.enqueue(new TextEncoder().encode('event: open\ndata: 20000\n\n'));
            signal?.addEventListener('abort', () => down.error(new Error('aborted')));
          },
        }),
      );
    }
    return new Response(null, { status: 204 });
  };
  const client = new Client(`ws://${host}/play`, { WebSocket, timers, fetch: /** @type {any} */ (fetch), random: () => 0.5, rememberMs });
  return { client, timers, sockets, host, lines: () => lines, remembered: () => memory[`madang ${host}`] };
}
let hosts = 0;

/** @param {import('../src/codec.js').ServerMessage[]} messages */
const batch = (...messages) => packBatches(messages.map(encodeServer), 1 << 20)[0].slice();

/**
 * Lets time pass a little at a time until something has happened.
 *
 * @param {ManualTimers} timers
 * @param {() => boolean} reached
 */
async function within(timers, reached) {
  for (let turn = 0; !reached(); turn += 1) {
    assert.ok(turn < 2_000, String(reached));
    await timers.pass(10);
  }
}

test('a server that was away for a moment is not taken for a network without WebSockets', async () => {
  const { client, timers, sockets, lines, remembered } = page();
  await until(() => sockets.length === 1);
  await sockets[0].open();
  await sockets[0].say(welcome());
  await sockets[0].lose();
  await within(timers, () => sockets.length === 2);
  await sockets[1].lose();
  await within(timers, () => lines() === 1 && sockets.length === 3);
  assert.equal(client.status, 'open');
  assert.ok(remembered());
  // Requests work, and a WebSocket can be opened after all.
  await sockets[2].open();
  assert.deepEqual([remembered(), client.status, sockets[2].heard, sockets[2].closedByClient !== null], [undefined, 'reconnecting', [], true]);
  await timers.pass(0);
  assert.equal(sockets.length, 4, 'at once, however often it has failed before');
  await sockets[3].open();
  await sockets[3].say(welcome({ resumed: true }));
  assert.deepEqual([client.status, lines()], ['open', 1]);
  client.close();
  assert.equal(timers.size, 0);
});

test('where a WebSocket opens and is mute it is looked at once more, and then left alone', async () => {
  const { client, timers, sockets, lines, remembered } = page();
  for (const line of [1, 2]) {
    await within(timers, () => sockets.length === 2 * line - 1);
    await sockets[2 * line - 2].open();
    await within(timers, () => lines() === line);
    await settle();
    await sockets[2 * line - 1]?.open();
  }
  await within(timers, () => client.status === 'open');
  assert.deepEqual([sockets.length, remembered() !== undefined], [3, true]);
  client.drop(0);
  await within(timers, () => lines() === 3);
  assert.equal(sockets.length, 3);
  client.close();
});

test('it is looked at after each outage, by each client, and what another tab has forgotten stays so', async () => {
  const timers = new ManualTimers();
  for (let number = 0; number < 2; number += 1) {
    const { client, sockets, lines, remembered } = page({ host: 'outages', timers });
    await until(() => sockets.length === 1);
    await sockets[0].open();
    await sockets[0].say(welcome());
    for (let outage = 1; outage < 4; outage += 1) {
      await sockets.at(-1)?.lose();
      const count = sockets.length;
      await within(timers, () => sockets.length === count + 1);
      await sockets.at(-1)?.lose();
      await within(timers, () => lines() === outage && sockets.length === count + 2);
      await sockets.at(-1)?.open();
      assert.equal(remembered(), undefined);
      await within(timers, () => sockets.length === count + 3);
      await sockets.at(-1)?.open();
      await sockets.at(-1)?.say(welcome({ resumed: true, resume_key: KEYS[outage] }));
      assert.equal(client.status, 'open');
    }
    client.close();
  }
  memory['madang outages'] = `${timers.nowMs} 0`;
  const late = page({ host: 'outages', timers });
  await settle();
  delete memory['madang outages'];
  await within(timers, () => late.client.status === 'open');
  assert.deepEqual([late.lines(), late.sockets.length, late.remembered()], [1, 0, undefined]);
  late.client.close();
});

test('a look ends with its line', async () => {
  const { client, timers, sockets, lines } = page();
  await until(() => sockets.length === 1);
  await sockets[0].lose();
  await within(timers, () => lines() === 1 && sockets.length === 2);
  client.drop(60_000);
  assert.deepEqual([sockets[1].closedByClient !== null, sockets[1].onopen], [true, null]);
  client.close();
  await settle();
  assert.equal(timers.size, 0);
});

test('what was remembered is not renewed by itself: after its time a WebSocket is tried again', async () => {
  const timers = new ManualTimers();
  const tried = [];
  for (let visit = 0; visit < 6; visit += 1) {
    const { client, sockets, lines } = page({ host: 'visited', timers });
    await settle();
    await sockets[0]?.lose();
    await within(timers, () => lines() === 1 && client.status === 'open');
    tried.push(sockets.length > 0);
    client.close();
    await settle();
    timers.nowMs += 25 * 60_000;
  }
  assert.deepEqual(tried, [true, false, false, true, false, false]);
});

test('a server that closes before its welcome was reached: there is no need for another way', async () => {
  const { client, timers, sockets, lines } = page();
  await until(() => sockets.length === 1);
  await sockets[0].open();
  await sockets[0].lose(4017, 'busy');
  await within(timers, () => sockets.length === 2);
  await sockets[1].open();
  await sockets[1].say(welcome());
  assert.deepEqual([client.status, lines()], ['open', 0]);
  client.close();
});

test('a page of somebody on the way is no answer to a poll, unless it says that there is none', async () => {
  let polls = 0;
  let isGone = false;
  const fetch = async (/** @type {string} */ where) => {
    const verb = new URL(where).pathname.split('/http')[1];
    if (verb === '') {
      return new Response(batch(welcome()), { headers: { 'Madang-Line': '0', 'Madang-Size': '65536', 'Madang-Wait': '20000' } });
    }
    if (verb !== '/poll') {
      return new Response(null, { status: 204 });
    }
    polls += 1;
    return polls === 1 ? new Response('<html>please sign in</html>', { status: isGone ? 404 : 200, headers: { 'Content-Type': 'text/html' } }) : new Promise(() => {});
  };
  const { client, timers } = start({ fetch: /** @type {any} */ (fetch), transports: [longPolling] });
  await within(timers, () => polls === 2);
  assert.equal(client.status, 'open');
  client.close();
  polls = 0;
  isGone = true;
  const other = start({ fetch: /** @type {any} */ (fetch), transports: [longPolling] });
  await within(other.timers, () => other.states.includes('reconnecting'));
  assert.equal(polls, 1);
  other.client.close();
});

test('a token that cannot be had says nothing about the way', async () => {
  /** @type {number[]} */
  const taken = [];
  const transports = [0, 1, 2].map((way) => /** @type {import('../src/types.js').Transport} */ ((...them) => {
    taken.push(way);
    return webSocket(...them);
  }));
  let isThere = true;
  const set = await inLobby({ transports, getToken: async () => (isThere ? 'x' : Promise.reject(new Error('no token'))) });
  isThere = false;
  await set.socket.lose();
  await set.timers.pass(5_000);
  assert.deepEqual(taken, [0]);
  isThere = true;
  await within(set.timers, () => set.sockets.length === 2);
  assert.deepEqual(taken, [0, 0]);
});
