// Requests instead of a WebSocket, with the real server, and somebody on the way who misbehaves.

import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { WebSocket } from 'ws';
import { startServer } from '../../../tests/interop/server.mjs';
import { eventStream, longPolling } from '../src/http.js';
import { Client, webSocket } from '../src/index.js';
import { startMiddle } from './support/middle.js';
import { seededRandom } from './support/random.js';

const binary =
  process.env.MADANG_BIN ??
  process.env.MADANG_TEST_BINARY ??
  fileURLToPath(new URL('../../../target/debug/madang', import.meta.url));
const skip = existsSync(binary) ? false : `there is no ${binary}`;
const timeout = 60_000;

/** @type {{ play?: string, stop: () => Promise<number> }} */
let server;
/** @type {Client[]} */
const clients = [];
/** @type {Awaited<ReturnType<typeof startMiddle>>[]} */
const middles = [];
before(async () => {
  if (!skip) {
    server = await startServer();
  }
});
after(async () => {
  clients.forEach((client) => client.close());
  await Promise.all(middles.map((middle) => middle.stop()));
  await server?.stop();
});

/**
 * @param {string} url
 * @param {import('../src/types.js').ClientOptions} options
 */
function connect(url, options) {
  const client = new Client(url, { WebSocket, random: () => 0.1, ...options });
  clients.push(client);
  return client;
}

/** @param {import('./support/middle.js').Manners} manners */
async function between(manners) {
  const middle = await startMiddle(server.play ?? '', manners);
  middles.push(middle);
  return middle;
}

/**
 * Says numbered words in a room and hears everybody's.
 *
 * @param {Client} client
 * @param {string} name
 */
async function speaker(client, name) {
  const room = await client.joinOrCreate(name);
  /** @type {string[]} */
  const heard = [];
  room.on('word', ({ seq, payload }) => heard.push(`${seq} ${payload}`));
  return { client, room, heard, say: (/** @type {string} */ word) => room.send('word', word, { queue: true }) };
}

/**
 * @param {string} what
 * @param {() => boolean} reached
 */
async function until(what, reached) {
  const deadline = Date.now() + 30_000;
  while (!reached()) {
    assert.ok(Date.now() < deadline, what);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

for (const [how, upgrade, buffers, way] of /** @type {const} */ ([
  ['is there', 'pass', false, 'upgrade'],
  ['is refused', 'refuse', false, 'events'],
  ['is answered with a page', 'page', false, 'events'],
  ['is never answered', 'hang', false, 'events'],
  ['is opened and then mute', 'swallow', false, 'events'],
  ['is refused, and answers are held until they are whole', 'refuse', true, 'poll'],
  ['is never answered, and answers are held until they are whole', 'hang', true, 'poll'],
])) {
  test(`where a WebSocket ${how} the client finds its way, and remembers it`, { skip, timeout }, async () => {
    const middle = await between({ upgrade, buffers });
    const one = await speaker(connect(middle.url, { probeMs: 300 }), `way-${upgrade}-${buffers}`);
    const two = await speaker(connect(server.play ?? '', {}), `way-${upgrade}-${buffers}`);
    await Promise.all([one.say('one'), two.say('two')]);
    await until('both words', () => one.heard.length === 2 && two.heard.length === 2);
    assert.deepEqual(one.heard, two.heard);
    assert.ok(middle.asked[way] > 0, JSON.stringify(middle.asked));
    // Where requests work it is looked once whether a WebSocket can be opened after all, and where it can it is tried.
    const looks = { pass: 1, swallow: 3 }[/** @type {string} */ (upgrade)] ?? 2;
    await until('the look', () => middle.asked.upgrade === looks && one.client.status === 'open');
    // The next connection of this page begins with what has worked.
    const before = middle.asked.upgrade;
    const { resumes } = one.client;
    one.client.drop(0);
    await until('the resume', () => one.client.resumes === resumes + 1);
    const third = await speaker(connect(middle.url, { probeMs: 300 }), `way-${upgrade}-${buffers}`);
    await third.say('three');
    assert.equal(middle.asked.upgrade, upgrade === 'pass' ? before + 2 : before);
    // And after a while with the best.
    const late = connect(middle.url, { probeMs: 300, rememberMs: 0 });
    await late.joinOrCreate(`way-${upgrade}-${buffers}`);
    await until('the look', () => middle.asked.upgrade === (upgrade === 'pass' ? 4 : 2 * looks) && late.status === 'open');
  });
}

test('where nothing is answered a client gives up as it does without a network, and comes back by itself', { skip, timeout }, async () => {
  const manners = { upgrade: /** @type {'hang' | 'pass'} */ ('hang'), blocks: true };
  const middle = await between(manners);
  const client = connect(middle.url, { probeMs: 100, connectTimeoutMs: 500 });
  await until('attempts by every way', () => (middle.asked.upgrade ?? 0) > 1 && (middle.asked.http ?? 0) > 2);
  Object.assign(manners, { upgrade: 'pass', blocks: false });
  await client.joinOrCreate('back');
});

for (const [name, transport] of Object.entries({ events: eventStream, polls: longPolling })) {
  test(`requests that are cut are made again: nothing is lost and nothing comes twice, by ${name}`, { skip, timeout }, async () => {
    const draw = seededRandom(7);
    let cuts = 0;
    /** @type {import('./support/middle.js').Manners} */
    const manners = {
      cut(verb) {
        const dice = draw();
        if (!['send', 'poll'].includes(verb) || dice > 0.3) {
          return 'pass';
        }
        cuts += 1;
        return dice > 0.15 ? 'before' : 'after';
      },
    };
    const middle = await between(manners);
    const one = await speaker(connect(middle.url, { transports: [transport] }), `cut-${name}`);
    const two = await speaker(connect(server.play ?? '', {}), `cut-${name}`);
    for (let number = 0; number < 40; number += 1) {
      void two.say(`two ${number}`);
      await one.say(`one ${number}`);
    }
    await until('all words', () => one.heard.length === 80 && two.heard.length === 80);
    assert.deepEqual(one.heard, two.heard);
    assert.deepEqual(
      one.heard.map((word) => word.replace(/^\d+ /, '')).filter((word) => word.startsWith('one')),
      Array.from({ length: 40 }, (_, number) => `one ${number}`),
    );
    assert.ok(cuts > 10, `${cuts} cuts`);
    // A request that is made again is no new connection.
    assert.equal(one.client.resumes, 0);
  });
}

test('the way may change in the middle, any number of times, and nothing is lost', { skip, timeout }, async () => {
  // A client goes on to its next way when one gives no answer: here after each connection that is lost.
  const ways = [webSocket, eventStream, longPolling];
  let connections = 0;
  /** @type {import('../src/types.js').Transport} */
  const each = (url, hears, options) => ways[connections++ % 3](url, hears, options);
  const middle = await between({});
  const one = await speaker(connect(middle.url, { transports: [each] }), 'change');
  const two = await speaker(connect(server.play ?? '', {}), 'change');
  /** @type {Promise<unknown>[]} */
  const said = [];
  for (let number = 0; number < 90; number += 1) {
    said.push(one.say(`one ${number}`), two.say(`two ${number}`));
    await new Promise((resolve) => setTimeout(resolve, 5));
    if (number % 10 === 5) {
      const before = one.client.resumes;
      // Polls are made again where others are lost.
      if (number % 20 === 5 || ways[(connections - 1) % 3] === longPolling) {
        one.client.drop(0);
      } else {
        middle.kill();
      }
      await until('the resume', () => one.client.resumes > before);
    }
  }
  await Promise.all(said);
  await until('all words', () => one.heard.length === 180 && two.heard.length === 180);
  assert.deepEqual(one.heard, two.heard);
  assert.ok(one.client.resumes >= 9 && connections >= 10, `${one.client.resumes} resumes, ${connections} connections`);
});

for (const [code, verbs, what] of /** @type {const} */ ([
  [1000, ['', 'send', 'send', 'close'], 'for good says everything first'],
  [4000, ['', 'send', 'close'], 'and comes again leaves nothing on its way'],
])) {
  test(`a line whose client goes ${what}`, { timeout }, async () => {
    /** @type {string[]} */
    const asked = [];
    /** @type {AbortSignal | null | undefined} */
    let signal;
    let answer = () => {};
    /** @type {typeof globalThis.fetch} */
    const asking = (where, init) => {
      const verb = new URL(String(where)).pathname.split('/http')[1].slice(1);
      if (verb !== 'poll') {
        asked.push(verb);
      }
      if (verb === '') {
        return Promise.resolve(new Response(null, { headers: { 'Madang-Line': '0', 'Madang-Size': '1' } }));
      }
      return new Promise((resolve, reject) => {
        init?.signal?.addEventListener('abort', () => reject(new Error('aborted')));
        if (asked.filter((it) => it === 'send').length === 1 && verb === 'send') {
          signal = init?.signal;
          answer = () => resolve(new Response(null, { status: 204 }));
        } else if (verb !== 'poll') {
          resolve(new Response(null, { status: 204 }));
        }
      });
    };
    const pipe = longPolling('ws://there/play', { opened() {}, received() {}, closed: () => assert.fail('closed') }, { fetch: asking });
    [1, 2, 3].forEach((byte) => pipe.send(Uint8Array.of(byte)));
    await until('a send that is not answered', () => asked.at(-1) === 'send');
    pipe.close(code, '');
    assert.equal(signal?.aborted, code !== 1000);
    answer();
    await until('the close', () => asked.at(-1) === 'close');
    assert.deepEqual(asked, verbs);
    assert.equal(pipe.bufferedAmount, 0);
  });
}

test('a client that closes ends its session behind what it has said', { skip, timeout }, async () => {
  for (const [name, transport] of Object.entries({ events: eventStream, polls: longPolling })) {
    const stays = await speaker(connect(server.play ?? '', {}), `close-${name}`);
    /** @type {string[]} */
    const left = [];
    stays.room.presence.on('leave', ({ reason }) => left.push(String(reason)));
    const goes = await speaker(connect(server.play ?? '', { transports: [transport] }), `close-${name}`);
    const { room, client } = goes;
    void room.send('word', 'last').catch(() => {});
    client.close();
    await until('the word and the end', () => stays.heard.length === 1 && left.length === 1);
    assert.match(left[0], /gone|left/);
  }
});

test('a server\'s close code comes through', { skip, timeout }, async () => {
  for (const transport of [eventStream, longPolling]) {
    const first = connect(server.play ?? '', { transports: [transport] });
    const room = await first.joinOrCreate('replaced');
    const second = connect(server.play ?? '', { transports: [transport] });
    /** @type {any} */
    let error = null;
    room.onLeave((leave) => (error = leave.error));
    await second.reconnect(/** @type {string} */ (room.ticket));
    await until('the end of the first', () => error !== null);
    assert.equal(error.code, 'replaced');
    second.close();
  }
});
