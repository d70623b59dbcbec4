// Sockets are killed again and again under an arena and a chat in a page of real Chromium; what everybody has
// heard is compared afterwards: nothing lost, nothing twice, nothing out of order.
//
// MADANG_BIN: the server to test. MADANG_TEST_SOAK_SECONDS: for how long, 20 by default. MADANG_TEST_SOAK_SEED: other kills, so
// that half an hour may be done in slices: `for seed in 1 2 3 4 5 6; do MADANG_TEST_SOAK_SECONDS=300 MADANG_TEST_SOAK_SEED=$seed
// node --test soak.test.js || break; done`.

import assert from 'node:assert/strict';
import net from 'node:net';
import { after, before, test } from 'node:test';
import { eventually, listen, startBrowser } from './browser.js';
import { startServer } from './server.js';

const SECONDS = Number(process.env.MADANG_TEST_SOAK_SECONDS ?? 20);
const SEED = Number(process.env.MADANG_TEST_SOAK_SEED ?? 1);
/** Between two kills of a line. */
const KILL_MS = [300, 4_000];

let server;
let browser;
before(async () => {
  server = await startServer();
  browser = await startBrowser();
});
after(async () => {
  await browser?.close();
  await server?.stop();
});

/** The same numbers for the same seed (mulberry32). */
function seeded(seed) {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 0x100000000;
  };
}

/** A line to the server whose sockets are killed at random times: now both ends, now after half of what was under way. */
async function killer(port, random) {
  const sockets = new Set();
  const proxy = net.createServer((near) => {
    const far = net.connect(port, '127.0.0.1');
    for (const [from, to] of [[near, far], [far, near]]) {
      sockets.add(from);
      from.setNoDelay(true);
      from.on('error', () => {});
      from.on('close', () => {
        sockets.delete(from);
        to.destroy();
      });
      from.pipe(to);
    }
  });
  await new Promise((resolve) => proxy.listen(0, '127.0.0.1', resolve));
  const line = {
    port: proxy.address().port,
    kills: 0,
    stop() {
      clearTimeout(line.timer);
    },
    close() {
      line.stop();
      sockets.forEach((socket) => socket.destroy());
      proxy.close();
    },
  };
  const kill = () => {
    line.timer = setTimeout(kill, KILL_MS[0] + random() ** 2 * (KILL_MS[1] - KILL_MS[0]));
    line.kills += Number(sockets.size > 0);
    for (const socket of sockets) {
      if (random() < 0.5) {
        socket.destroy();
      } else {
        // What was read is passed on, the rest is lost.
        socket.unpipe();
        setTimeout(() => socket.destroy(), random() * 50);
      }
    }
  };
  line.timer = setTimeout(kill, KILL_MS[1]);
  return line;
}

/** Runs in the page: a member of a chat and of an arena, and what it hears; it sends once everybody is there. */
async function play({ name, port, seed }) {
  const { Client } = await import('/client/index.js');
  const { state } = await import('/client/state.js');
  let drawn = seed;
  const client = new Client(`ws://127.0.0.1:${port}/play`, {
    name: 'soak',
    state,
    queueMax: 1_000,
    // Real waits would be most of a short run.
    random: () => ((drawn = (drawn * 16_807) % 2_147_483_647) / 2_147_483_647) * 0.1,
  });
  const me = { client, heard: [], sent: [], unsure: [], pictures: {}, drops: 0, gaps: 0, lost: 0, inputs: 0, errors: [] };
  (window.soak ??= {})[name] = me;
  const chat = await client.joinOrCreate('soak-chat');
  chat.on('chat', ({ payload, seq }) => me.heard.push(`${seq} ${payload}`));
  chat.onGap(() => (me.gaps += 1));
  const arena = await client.joinOrCreate('arena-soak');
  for (const room of [chat, arena]) {
    room.onDrop(() => (me.drops += 1));
    room.onRecover(({ resumed, recovered }) => (me.lost += Number(!resumed || (!recovered && room === chat))));
    room.onLeave(({ reason }) => me.errors.push(`left ${room.id}: ${reason}`));
  }
  client.on('error', (error) => me.errors.push(String(error)));
  const { kinds } = arena.state.schema;
  const common = new Map(kinds.map(({ name, fields }) => [name, fields.filter(({ visibility = 'everyone' }) => visibility === 'everyone' || visibility === 'members').map((it) => it.name)]));
  arena.state.on('tick', ({ tick }) => {
    // The members' common picture as a number, so that half an hour of them fits.
    const all = [arena.state.room, ...arena.state.entities()].filter(({ kind }) => common.get(kind).length > 0).sort((a, b) => a.id - b.id);
    const text = JSON.stringify(all.map((it) => [it.id, it.kind, ...common.get(it.kind).map((field) => it[field])]));
    let hash = 0;
    for (let at = 0; at < text.length; at += 1) {
      hash = (Math.imul(hash, 31) + text.charCodeAt(at)) | 0;
    }
    me.pictures[tick] = hash;
  });
  arena.state.on('error', (error) => me.errors.push(String(error)));
  let number = 0;
  me.start = () => {
    me.timers = [
      setInterval(() => {
        const text = `${name} ${(number += 1)}`;
        me.sent.push(text);
        chat.send('chat', text, { queue: true }).catch((error) => me.unsure.push(`${text}: ${error.code}`));
      }, 50),
      setInterval(() => {
        const view = new DataView(new ArrayBuffer(9));
        view.setUint32(0, (me.inputs += 1), true);
        view.setInt8(4, me.inputs % 40 < 20 ? 127 : -127);
        void arena.send('input', new Uint8Array(view.buffer), { class: 'volatile' });
      }, 100),
    ];
  };
  me.stop = () => me.timers.forEach(clearInterval);
  me.unanswered = () => chat.unanswered;
  me.resyncs = () => arena.state.resyncs;
}

test(`${SECONDS} s of killed sockets lose and repeat nothing (seed ${SEED})`, { timeout: SECONDS * 1000 + 180_000 }, async () => {
  const complaints = [];
  const page = await (await browser.newContext()).newPage();
  listen(page, 'page', complaints);
  /** By port: a client that has come to poll for what comes down makes a killed request again, and has nothing to resume. */
  const polls = {};
  page.on('request', (request) => {
    const { port, pathname } = new URL(request.url());
    polls[port] = (polls[port] ?? 0) + Number(pathname.endsWith('/http/poll'));
  });
  // A page of the server's origin that runs nothing of its own.
  await page.route('**/favicon.ico', (route) => route.fulfill({ status: 204 }));
  await page.goto(new URL('/healthz', server.demo).href);
  const { play_port: port } = await (await fetch(new URL('/demo.json', server.demo))).json();
  const lines = { one: await killer(port, seeded(SEED)), two: await killer(port, seeded(SEED + 1)) };
  try {
    for (const [name, { port: its }] of [...Object.entries(lines), ['still', { port }]]) {
      await page.evaluate(play, { name, port: its, seed: SEED * 1000 + its });
    }
    await page.evaluate(() => Object.values(window.soak).forEach((it) => it.start()));
    await new Promise((resolve) => setTimeout(resolve, SECONDS * 1000));
    Object.values(lines).forEach((line) => line.stop());
    await page.evaluate(() => Object.values(window.soak).forEach((it) => it.stop()));
    await eventually(
      () => page.evaluate(() => Object.values(window.soak).map((it) => [it.client.status, it.unanswered(), it.heard.length])),
      (all) => all.every(([status, unanswered, heard]) => status === 'open' && unanswered === 0 && heard === all[0][2]),
      'everybody is back and answered',
      120_000,
    );
    const ends = await page.evaluate(() =>
      Object.fromEntries(
        Object.entries(window.soak).map(([name, { client, timers, start, stop, unanswered, resyncs, ...it }]) => [name, { ...it, resumes: client.resumes, resyncs: resyncs() }]),
      ),
    );
    const { still } = ends;
    assert.deepEqual([still.drops, still.gaps, still.errors], [0, 0, []]);
    const texts = still.heard.map((line) => line.slice(line.indexOf(' ') + 1));
    assert.equal(new Set(still.heard).size, still.heard.length);
    for (const [name, end] of Object.entries(ends)) {
      assert.deepEqual(end.errors, [], name);
      assert.deepEqual([end.gaps, end.lost, end.unsure], [0, 0, []], `${name}: every session was resumed, and everything recovered`);
      assert.deepEqual(end.heard, still.heard, `${name} heard what the undisturbed one heard`);
      assert.deepEqual(texts.filter((text) => text.startsWith(`${name} `)), end.sent, `what ${name} sent came once and in order`);
      const ticks = Object.keys(end.pictures).filter((tick) => tick in still.pictures);
      assert.ok(ticks.length > SECONDS * 4, `${name} saw ${ticks.length} ticks of the arena`);
      assert.deepEqual(ticks.filter((tick) => end.pictures[tick] !== still.pictures[tick]), [], `${name} saw the same arena`);
      assert.equal(end.resyncs, 0);
    }
    for (const [name, line] of Object.entries(lines)) {
      const { resumes } = ends[name];
      const asked = polls[line.port] ?? 0;
      assert.ok(line.kills >= SECONDS / 8 && resumes + asked >= SECONDS / 8, `${name} was killed ${line.kills} times, came back ${resumes} times and polled ${asked} times`);
      console.log(`${name}: ${line.kills} kills, ${resumes} resumes, ${asked} polls, ${ends[name].sent.length} sent, ${ends[name].heard.length} heard, ${Object.keys(ends[name].pictures).length} ticks`);
    }
    // The browser itself says when a socket cannot be opened, when a request's is killed, and when a line is no more because its
    // stream was killed.
    const ofKills = /WebSocket connection to .* failed|Failed to load resource: (net::ERR_|.* status of 410 )/;
    assert.deepEqual(complaints.filter((text) => !ofKills.test(text)), []);
  } finally {
    Object.values(lines).forEach((line) => line.close());
  }
});
