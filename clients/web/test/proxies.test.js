// The client behind Debian's nginx and HAProxy as they are configured by themselves: no fields of a WebSocket passed on,
// answers buffered, 60 s without a byte and the connection is over.

import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { WebSocket } from 'ws';
import { startServer } from '../../../tests/interop/server.mjs';
import { eventStream, longPolling } from '../src/http.js';
import { Client, webSocket } from '../src/index.js';
import { isThere, startProxy } from './support/proxies.js';

const binary =
  process.env.MADANG_BIN ??
  process.env.MADANG_TEST_BINARY ??
  fileURLToPath(new URL('../../../target/debug/madang', import.meta.url));
const timeout = 120_000;

/** @param {'nginx' | 'haproxy'} name */
const without = (name) => (!existsSync(binary) ? `there is no ${binary}` : !isThere(name) && `there is no ${name}: make test-needs`);

/** What nginx needs to pass a WebSocket on. */
const UPGRADES = 'proxy_http_version 1.1; proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection upgrade;';
/** What takes the server's wish not to be buffered away. */
const HELD_UP = 'proxy_ignore_headers X-Accel-Buffering;';
/** One second instead of sixty: what has to be sent in between shows in seconds. */
const IMPATIENT = 'proxy_read_timeout 1s; proxy_send_timeout 1s;';

/** @type {{ play?: string, stop: () => Promise<number> }} */
let server;
before(async () => {
  if (existsSync(binary)) {
    server = await startServer(['play.http_wait_ms=300']);
  }
});
after(() => server?.stop());

for (const [name, how, more, options, way] of /** @type {const} */ ([
  ['nginx', 'by itself', '', {}, 'events'],
  ['nginx', 'that passes WebSockets on', UPGRADES, {}, 'socket'],
  ['nginx', 'that holds every answer up', HELD_UP, { probeMs: 500 }, 'polls'],
  ['nginx', 'that waits one second, by events', IMPATIENT, { transports: [eventStream] }, 'events'],
  ['nginx', 'that waits one second, by polls', IMPATIENT, { transports: [longPolling] }, 'polls'],
  ['haproxy', 'by itself', '', {}, 'socket'],
  ['haproxy', 'that takes WebSockets away', 'http-request del-header Upgrade', {}, 'events'],
  ['haproxy', 'by polls', '', { transports: [longPolling] }, 'polls'],
])) {
  test(`${name} ${how}: everything comes, in order, once`, { skip: without(name), timeout }, async () => {
    const proxy = await startProxy(name, server.play ?? '', more);
    const asked = { socket: 0, events: 0, polls: 0 };
    class Counted extends WebSocket {
      /** @param {any[]} them */
      constructor(...them) {
        super(.../** @type {[string]} */ (/** @type {unknown} */ (them)));
        this.addEventListener('open', () => (asked.socket += 1));
      }
    }
    /** @type {typeof globalThis.fetch} */
    const counted = async (where, init) => {
      const response = await fetch(where, init);
      const verb = String(where).split('/').at(-1);
      asked.events += Number(verb === 'events' && response.ok);
      asked.polls += Number(verb === 'poll' && response.ok);
      return response;
    };
    const [one, two] = [new Client(proxy.url, { WebSocket: Counted, fetch: counted, ...options }), new Client(server.play ?? '', { WebSocket, transports: [webSocket] })];
    try {
      const room = `proxies-${name}-${how.replace(/\W/g, '')}`;
      /** @type {string[][]} */
      const heard = [[], []];
      const rooms = await Promise.all([one, two].map((client) => client.joinOrCreate(room)));
      rooms.forEach((it, at) => it.on('word', ({ seq, payload }) => heard[at].push(`${seq} ${payload}`)));
      const resumes = one.resumes;
      for (let number = 0; number < 40; number += 1) {
        await Promise.all(rooms.map((it, at) => it.send('word', `${at} ${number}`)));
      }
      // Longer than an impatient proxy waits for a byte: it has to get some meanwhile.
      await new Promise((resolve) => setTimeout(resolve, 2_500));
      await rooms[1].send('word', 'last');
      await rooms[0].send('word', 'x'.repeat(60_000));
      const deadline = Date.now() + 30_000;
      while (heard.some((words) => words.length < 82)) {
        assert.ok(Date.now() < deadline, `${heard.map((words) => words.length)} words, ${JSON.stringify(asked)}`);
        await new Promise((resolve) => setTimeout(resolve, 10));
      }
      assert.deepEqual(heard[0], heard[1]);
      assert.ok(asked[way] > 0, JSON.stringify(asked));
      assert.equal(one.resumes, resumes, 'the connection held');
    } finally {
      one.close();
      two.close();
      await proxy.stop();
    }
  });
}

test('silence for longer than nginx and HAProxy wait by themselves, 60 and 50 s, ends nothing', { skip: without('nginx') || without('haproxy'), timeout }, async () => {
  const patient = await startServer();
  const play = patient.play ?? '';
  const proxies = await Promise.all([startProxy('nginx', play, UPGRADES), startProxy('haproxy', play, '')]);
  const ways = [webSocket, eventStream, longPolling];
  const clients = proxies.flatMap(({ url }) => ways.map((way) => new Client(url, { WebSocket, transports: [way] })));
  try {
    const rooms = await Promise.all(clients.map((client) => client.joinOrCreate('patience')));
    const heard = rooms.map(() => 0);
    rooms.forEach((room, at) => room.on('word', () => (heard[at] += 1)));
    await new Promise((resolve) => setTimeout(resolve, 65_000));
    await rooms[0].send('word', 'at last');
    const deadline = Date.now() + 20_000;
    while (heard.some((words) => words === 0)) {
      assert.ok(Date.now() < deadline, JSON.stringify(heard));
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
    assert.deepEqual(heard, rooms.map(() => 1));
    assert.deepEqual(clients.map((client) => client.resumes), rooms.map(() => 0), 'no connection was made anew');
  } finally {
    clients.forEach((client) => client.close());
    await Promise.all(proxies.map((proxy) => proxy.stop()));
    await patient.stop();
  }
});
