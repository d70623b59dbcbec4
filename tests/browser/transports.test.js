// Each way to the server in a page of real Chromium: a chat and a match over each, over all of them in turn in the
// middle of a match, and where WebSockets are swallowed on the way.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { startMiddle } from '../../clients/web/test/support/middle.js';
import { eventually, listen, startBrowser } from './browser.js';
import { startServer } from './server.js';

let server;
let browser;
let url;
before(async () => {
  server = await startServer();
  browser = await startBrowser();
  const { play_port: port } = await (await fetch(new URL('/demo.json', server.demo))).json();
  url = `ws://127.0.0.1:${port}/play`;
});
after(async () => {
  await browser?.close();
  await server?.stop();
});

/** A page of the server's origin that runs nothing of its own, and what it complains about. */
async function empty() {
  const complaints = [];
  const context = await browser.newContext();
  const page = await context.newPage();
  listen(page, 'page', complaints);
  await page.route('**/favicon.ico', (route) => route.fulfill({ status: 204 }));
  await page.goto(new URL('/healthz', server.demo).href);
  return { page, complaints };
}

/** Runs in the page: somebody in a chat and a match, by the ways that are named, one after the other. */
async function play({ name, url, ways, room }) {
  const { Client, webSocket } = await import('/client/index.js');
  const { eventStream, longPolling } = await import('/client/http.js');
  const { state } = await import('/client/state.js');
  const known = { webSocket, eventStream, longPolling };
  const me = { heard: [], sent: [], pictures: {}, taken: [], errors: [], lost: 0 };
  (window.players ??= {})[name] = me;
  const turn = (...them) => {
    const way = ways[me.taken.length % ways.length];
    me.taken.push(way);
    return known[way](...them);
  };
  const client = new Client(url, { state, random: () => 0.1, queueMax: 1_000, ...(ways === null ? { probeMs: 1_000 } : { transports: [turn] }) });
  me.client = client;
  const [chat, arena] = await Promise.all([client.joinOrCreate(`${room}-chat`), client.joinOrCreate(`arena-${room}`)]);
  chat.on('chat', ({ payload, seq }) => me.heard.push(`${seq} ${payload}`));
  chat.onGap(() => (me.lost += 1));
  for (const it of [chat, arena]) {
    it.onRecover(({ resumed, recovered }) => (me.lost += Number(!resumed || (it === chat && !recovered))));
    it.onLeave(({ reason }) => me.errors.push(`left ${it.id}: ${reason}`));
  }
  client.on('error', (error) => me.errors.push(String(error)));
  const { kinds } = arena.state.schema;
  const common = new Map(kinds.map(({ name, fields }) => [name, fields.filter(({ visibility = 'everyone' }) => visibility === 'everyone' || visibility === 'members').map((it) => it.name)]));
  arena.state.on('tick', ({ tick }) => {
    const all = [arena.state.room, ...arena.state.entities()].filter(({ kind }) => common.get(kind).length > 0).sort((a, b) => a.id - b.id);
    me.pictures[tick] = JSON.stringify(all.map((it) => [it.id, it.kind, ...common.get(it.kind).map((field) => it[field])]));
  });
  let number = 0;
  const say = () => {
    const text = `${name} ${(number += 1)}`;
    me.sent.push(text);
    chat.send('chat', text, { queue: true }).catch((error) => me.errors.push(String(error)));
    void arena.send('input', new Uint8Array([number, number >> 8, 0, 0, number % 40 < 20 ? 0x7f : 0x81, 0, 0, 0, 0]), { class: 'volatile' });
  };
  me.start = () => (me.timer = setInterval(say, 50));
  me.stop = () => clearInterval(me.timer);
  me.resyncs = () => arena.state.resyncs;
  me.unanswered = () => chat.unanswered;
}

/** Both are there: what either says from now on the other hears too. */
const begin = (page) => page.evaluate(() => Object.values(window.players).forEach((it) => it.start()));

const read = (page, name) =>
  page.evaluate((name) => {
    const { heard, sent, pictures, taken, errors, lost, resyncs, unanswered, client } = window.players[name];
    return { heard, sent, pictures, taken, errors, lost, resyncs: resyncs(), unanswered: unanswered(), resumes: client.resumes };
  }, name);

/** Stops both, waits until everything has come, and compares. */
async function compare(page, names) {
  await page.evaluate((names) => names.forEach((name) => window.players[name].stop()), names);
  const all = await eventually(
    () => Promise.all(names.map((name) => read(page, name))),
    (all) => all.every((it) => it.unanswered === 0 && it.heard.length === all.reduce((sum, { sent }) => sum + sent.length, 0)),
    'everything that was said',
  );
  for (const it of all) {
    assert.deepEqual([it.lost, it.errors, it.resyncs], [0, [], 0]);
    assert.deepEqual(it.heard, all[0].heard);
    const own = new Set(it.sent);
    assert.deepEqual(it.heard.map((line) => line.replace(/^\d+ /, '')).filter((text) => own.has(text)), it.sent);
  }
  const shared = Object.keys(all[0].pictures).filter((tick) => tick in all[1].pictures);
  assert.ok(shared.length > 20, `${shared.length} ticks`);
  for (const tick of shared) {
    assert.equal(all[1].pictures[tick], all[0].pictures[tick], `tick ${tick}`);
  }
  return all;
}

for (const way of ['webSocket', 'eventStream', 'longPolling']) {
  test(`a chat and a match by ${way}`, { timeout: 60_000 }, async () => {
    const { page, complaints } = await empty();
    const asked = { events: 0, poll: 0, send: 0 };
    page.on('request', (request) => {
      const verb = new URL(request.url()).pathname.split('/').at(-1);
      asked[verb] += Number(request.method() === 'POST');
    });
    await page.evaluate(play, { name: 'one', url, ways: [way], room: way });
    await page.evaluate(play, { name: 'two', url, ways: ['webSocket'], room: way });
    await begin(page);
    await eventually(() => read(page, 'one'), ({ heard, pictures }) => heard.length > 60 && Object.keys(pictures).length > 40, 'some of a match');
    await compare(page, ['one', 'two']);
    assert.ok(way === 'webSocket' || asked.send > 10, JSON.stringify(asked));
    assert.equal(asked.events, way === 'eventStream' ? 1 : 0);
    assert.equal(asked.poll > 0, way === 'longPolling');
    assert.deepEqual(complaints, []);
    await page.context().close();
  });
}

test('the way changes again and again in the middle of a match, and nothing is lost', { timeout: 120_000 }, async () => {
  const { page, complaints } = await empty();
  const ways = ['webSocket', 'eventStream', 'longPolling', 'eventStream', 'webSocket', 'longPolling'];
  await page.evaluate(play, { name: 'one', url, ways, room: 'change' });
  await page.evaluate(play, { name: 'two', url, ways: ['webSocket'], room: 'change' });
  await begin(page);
  for (let change = 1; change <= 12; change += 1) {
    const before = (await read(page, 'one')).heard.length;
    await eventually(() => read(page, 'one'), ({ heard }) => heard.length > before + 8, 'some of a match');
    await page.evaluate(() => window.players.one.client.drop(0));
    await eventually(() => read(page, 'one'), ({ resumes }) => resumes === change, 'the resume');
  }
  const [one] = await compare(page, ['one', 'two']);
  assert.equal(one.resumes, 12);
  assert.deepEqual(new Set(one.taken), new Set(ways));
  assert.deepEqual(complaints, []);
  await page.context().close();
});

for (const [how, manners, verb, room] of [
  ['are swallowed', { upgrade: 'hang' }, 'events', 'way-hang'],
  ['are answered with a page', { upgrade: 'page' }, 'events', 'way-page'],
  ['are swallowed and answers held until they are whole', { upgrade: 'hang', buffers: true }, 'poll', 'way-held'],
]) {
  test(`where WebSockets ${how} a page finds its way, and the next one knows it`, { timeout: 60_000 }, async (t) => {
    const middle = await startMiddle(url, manners);
    t.after(() => middle.stop());
    const { page } = await empty();
    await page.evaluate(play, { name: 'one', url: middle.url, ways: null, room });
    await page.evaluate(play, { name: 'two', url, ways: ['webSocket'], room });
    await begin(page);
    await eventually(() => read(page, 'one'), ({ heard, pictures }) => heard.length > 20 && Object.keys(pictures).length > 30, 'some of a match');
    await compare(page, ['one', 'two']);
    assert.ok(middle.asked[verb] > 0, JSON.stringify(middle.asked));
    // It is looked once whether a WebSocket can be opened after all.
    assert.equal(middle.asked.upgrade, 2);
    await page.reload();
    await page.evaluate(play, { name: 'one', url: middle.url, ways: null, room });
    assert.equal(middle.asked.upgrade, 2, 'this one begins with what has worked');
    await page.context().close();
  });
}

test('a server that was away for a moment does not make a page give WebSockets up', { timeout: 60_000 }, async (t) => {
  const manners = { upgrade: 'pass' };
  const middle = await startMiddle(url, manners);
  t.after(() => middle.stop());
  const { page } = await empty();
  await page.evaluate(play, { name: 'one', url: middle.url, ways: null, room: 'away' });
  // It is back as soon as a line is asked for.
  manners.upgrade = 'refuse';
  manners.cut = () => {
    manners.upgrade = 'pass';
    return 'pass';
  };
  middle.kill();
  const remembered = () => page.evaluate((url) => localStorage.getItem(`madang ${new URL(url).host}`), middle.url);
  await eventually(
    async () => [await page.evaluate(() => window.players.one.client.status), await remembered(), middle.asked.events, middle.asked.upgrade],
    ([status, memory, events, upgrade]) => status === 'open' && memory === null && events === 1 && upgrade === 4,
    'the WebSocket',
  );
  assert.equal((await read(page, 'one')).lost, 0);
  await page.context().close();
});

test('code that could not be had once is had the next time', { timeout: 60_000 }, async () => {
  const { page } = await empty();
  const asked = [];
  await page.route('**/client/seldom.js*', (route) => {
    asked.push(new URL(route.request().url()).search);
    return asked.length === 1 ? route.abort() : route.continue();
  });
  const codes = await page.evaluate(async (url) => {
    const { Client } = await import('/client/index.js');
    const client = new Client(url);
    const refused = () => client.join('nobody-made-this').catch(({ code }) => code);
    const codes = [await refused(), await refused(), client.resumes];
    client.close();
    return codes;
  }, url);
  assert.deepEqual(codes, ['no_such_room', 'no_such_room', 0]);
  assert.equal(asked.length, 2, 'what was had is not asked for again');
  await page.context().close();
});
