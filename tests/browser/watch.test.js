// Watching in real Chromium: the tabs of one browser share one stream, and go on when the one that has it is closed.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { eventually, listen, startBrowser } from './browser.js';
import { startServer } from './server.js';

let server;
let browser;
const complaints = [];
before(async () => {
  server = await startServer(['rooms.open=arena-1']);
  browser = await startBrowser();
});
after(async () => {
  await browser?.close();
  await server?.stop();
});

/** A tab that watches, and how many streams it has opened. */
async function tab(context, options = {}) {
  const page = await context.newPage();
  listen(page, 'tab', complaints);
  const streams = [];
  page.on('request', (request) => /\/events(\?|$)/.test(request.url()) && streams.push(request.url()));
  // A page of the server's origin that runs nothing of its own.
  await page.route('**/favicon.ico', (route) => route.fulfill({ status: 204 }));
  await page.goto(new URL('/healthz', server.demo).href);
  await page.evaluate(async (options) => {
    const { watch } = await import('/client/watch.js');
    const it = watch('arena-1', options);
    window.seen = { ticks: {}, resets: 0, ids: [], status: [] };
    it.onStatus((status) => window.seen.status.push(status));
    it.state.on('reset', () => (window.seen.resets += 1));
    it.state.on('tick', ({ tick }) => {
      window.seen.ids.push(it.id);
      window.seen.ticks[tick] = JSON.stringify([it.state.room, ...[...it.state.entities()].sort((a, b) => a.id - b.id)], (_, value) =>
        // Fields come in an order of their own.
        value && typeof value === 'object' && !Array.isArray(value) ? Object.fromEntries(Object.entries(value).sort()) : value,
      );
    });
  }, options);
  return { page, streams, seen: () => page.evaluate(() => window.seen) };
}

const count = ({ ticks }) => Object.keys(ticks).length;

test('tabs share one stream through the loss of the one that has it, and see what a stream of their own shows', { timeout: 120_000 }, async () => {
  const context = await browser.newContext();
  const first = await tab(context);
  await eventually(first.seen, (seen) => count(seen) > 5, 'the first sees ticks');
  const [second, third] = [await tab(context), await tab(context)];
  const alone = await tab(context, { share: false });
  for (const it of [second, third, alone]) {
    await eventually(it.seen, (seen) => count(seen) > 10, 'everybody sees ticks');
  }
  assert.deepEqual([first, second, third].map(({ streams }) => streams.length), [1, 0, 0], 'one stream for three tabs');
  await first.page.close();
  const before = count(await second.seen());
  for (const it of [second, third]) {
    await eventually(it.seen, (seen) => count(seen) > before + 40, 'the others go on');
  }
  const opened = [...second.streams, ...third.streams];
  assert.equal(opened.length, 1, 'one of them has the stream now');
  assert.match(opened[0], /last_event_id=[0-9a-f]{16}-\d+$/);
  const truth = (await alone.seen()).ticks;
  for (const it of [second, third]) {
    const { ticks, resets, ids } = await it.seen();
    assert.equal(resets, 1, 'nobody began anew');
    assert.equal(new Set(ids).size, ids.length, 'nothing came twice');
    const both = Object.keys(ticks).filter((tick) => tick in truth);
    assert.ok(both.length > 40);
    assert.deepEqual(both.filter((tick) => ticks[tick] !== truth[tick]), [], 'the same at every tick');
    const [from, to] = [Math.min(...Object.keys(ticks)), Math.max(...Object.keys(ticks))];
    assert.deepEqual(Object.keys(truth).filter((tick) => tick > from && tick < to && !(tick in ticks)), [], 'and every tick');
  }
  await context.close();
  assert.deepEqual(complaints, []);
});

test('delayed and from the past: the same state at every tick, later and earlier', { timeout: 120_000 }, async () => {
  const context = await browser.newContext();
  const live = await tab(context);
  await eventually(live.seen, (seen) => count(seen) > 60, 'there is a past');
  const [later, too] = [await tab(context, { delay: '1500ms' }), await tab(context, { delay: 1500 })];
  const opened = Math.max(...Object.keys((await live.seen()).ticks));
  const past = await tab(context, { from: '-2s' });
  for (const it of [later, too, past]) {
    await eventually(it.seen, (seen) => count(seen) > 60, 'everybody sees ticks');
  }
  assert.deepEqual([later, too].map(({ streams }) => streams.length), [1, 0], 'the same delay is one stream');
  assert.deepEqual(live.streams.length, 1, 'and another one is not it');
  assert.match(later.streams[0], /\?delay=1500ms$/);
  // The delayed first: the live one can only have gone on meanwhile.
  const ends = [];
  for (const it of [later, live]) {
    ends.push(Math.max(...Object.keys((await it.seen()).ticks)));
  }
  assert.ok(ends[0] < ends[1], `later shows ${ends[0]}, live ${ends[1]}`);
  assert.ok(Math.min(...Object.keys((await past.seen()).ticks)) < opened, 'the past begins before it was asked for');
  const truth = (await live.seen()).ticks;
  for (const it of [later, too, past]) {
    const { ticks, ids } = await it.seen();
    const both = Object.keys(ticks).filter((tick) => tick in truth);
    assert.ok(both.length > 20, `${both.length} ticks in common`);
    assert.deepEqual(both.filter((tick) => ticks[tick] !== truth[tick]), [], 'the same at every tick');
    assert.equal(new Set(ids).size, ids.length, 'nothing came twice');
  }
  await context.close();
  assert.deepEqual(complaints, []);
});

test('a room that is not there, or may not be watched, is said to be so', { timeout: 60_000 }, async () => {
  const page = await (await browser.newContext()).newPage();
  await page.goto(new URL('/healthz', server.demo).href);
  const end = await page.evaluate(async () => {
    const { watch } = await import('/client/watch.js');
    return new Promise((resolve) => watch('arena-nowhere').onLeave(resolve));
  });
  assert.deepEqual(end, { reason: 'refused', status: 404 });
});

test('many tabs of the watch page fit one browser, which has six connections for a server', { timeout: 120_000 }, async () => {
  const context = await browser.newContext();
  const streams = [];
  const tabs = [];
  for (let number = 0; number < 8; number += 1) {
    const page = await context.newPage();
    tabs.push(page);
    listen(page, 'watch page', complaints);
    page.on('request', (request) => request.resourceType() === 'eventsource' && streams.push(new URL(request.url()).pathname));
    await page.goto(new URL('/arena/watch/', server.demo).href);
    await eventually(() => page.evaluate(() => window.arena.events), (events) => events > 5, `tab ${number} has pictures`);
    // The next tab hides it.
    await page.evaluate(() => {
      Object.defineProperty(document, 'hidden', { value: true, configurable: true });
      document.dispatchEvent(new Event('visibilitychange'));
    });
  }
  assert.equal(streams.filter((path) => path === '/rooms/arena-1/events').length, 1, streams.join(' '));
  const before = await Promise.all(tabs.map((page) => page.evaluate(() => window.arena.last)));
  for (const [number, page] of tabs.entries()) {
    await eventually(() => page.evaluate(() => window.arena.last), (last) => last > before[number] + 5, `tab ${number} goes on`);
  }
  await tabs[0].close();
  const last = await tabs[7].evaluate(() => window.arena.last);
  await eventually(() => tabs[7].evaluate(() => window.arena.last), (now) => now > last + 20, 'it goes on without the first');
  await context.close();
});
