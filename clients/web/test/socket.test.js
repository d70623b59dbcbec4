// The client over real sockets, with the `ws` package as its WebSocket.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { WebSocket } from 'ws';
import { Client } from '../src/index.js';
import { startServer } from './support/server.js';

/** @type {Awaited<ReturnType<typeof startServer>>} */
let server;
/** @type {Client[]} */
const clients = [];
before(async () => {
  server = await startServer();
});
after(async () => {
  clients.forEach((client) => client.close());
  await server.close();
});

/** @param {import('../src/types.js').JoinOptions} [options] */
async function enter(options) {
  const client = new Client(server.url, { WebSocket });
  clients.push(client);
  const room = await client.joinOrCreate('lobby', options);
  /** @type {string[]} */
  const heard = [];
  room.on('message', ({ payload }) => heard.push(payload));
  return { client, room, heard };
}

/**
 * Waits for what an event brings about.
 *
 * @param {(listener: () => void) => (() => void)} listen
 * @param {() => boolean} reached
 */
async function until(listen, reached) {
  if (!reached()) {
    await new Promise((resolve) => {
      const off = listen(() => {
        if (reached()) {
          off();
          resolve(null);
        }
      });
    });
  }
}

test('two clients talk, are cut, and miss and repeat nothing', { timeout: 30_000 }, async () => {
  const one = await enter({ attributes: { name: 'crane' } });
  const two = await enter();
  await until((it) => one.room.presence.on('change', it), () => one.room.presence.members.size === 2);
  assert.equal(two.room.presence.members.get(one.room.me.id)?.attributes.name, 'crane');
  const receipts = [];
  for (let index = 0; index < 300; index += 1) {
    receipts.push(one.room.send('chat', `m${index}`, { queue: true }));
    if (index % 60 === 30) {
      await receipts.at(-1);
      server.cut();
    }
  }
  const seqs = (await Promise.all(receipts)).map(({ seq }) => seq);
  const wanted = seqs.map((_, index) => `m${index}`);
  await until((it) => two.room.on('message', it), () => two.heard.length >= wanted.length);
  await until((it) => one.room.on('message', it), () => one.heard.length >= wanted.length);
  assert.deepEqual(two.heard, wanted);
  assert.deepEqual(one.heard, wanted);
  assert.ok(one.client.resumes > 0);
  assert.deepEqual(await one.room.request('info'), { members: 2 });
});

test('a server that forgot the sessions is joined anew', { timeout: 30_000 }, async () => {
  const one = await enter({ history: 5 });
  const seen = one.heard.length;
  /** @type {any[]} */
  const recovered = [];
  one.room.onRecover((event) => recovered.push(event));
  server.forget();
  server.cut();
  await until((it) => one.room.onRecover(it), () => recovered.length === 1);
  assert.equal(recovered[0].resumed, false);
  assert.equal((await one.room.send('chat', 'again', { queue: true })).repeated, false);
  assert.equal(one.heard.at(-1), 'again');
  assert.ok(one.heard.length <= seen + 6);
});
