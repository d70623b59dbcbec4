// The demo and the page that watches over TLS, in real Chromium, which trusts the certificate because it
// was given what the server said of it.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { eventually, listen, startBrowser, visitor } from './browser.js';
import { startServer } from './server.js';

let server;
let browser;
/** Whatever a page complains about. */
const complaints = [];

before(async () => {
  server = await startServer(['rooms.open=arena-1'], { isSealed: true });
  browser = await startBrowser([`--ignore-certificate-errors-spki-list=${server.spki}`]);
});
after(async () => {
  await browser?.close();
  await server?.stop();
});

test('the courtyard is played over wss', { timeout: 120_000 }, async () => {
  assert.match(server.demo, /^https:/);
  const urls = [];
  const [crane, fox] = await Promise.all(['Paper Crane', 'River Fox'].map(async (name) => {
    const page = await visitor(browser, { name, colour: '#ff9a5c' }, complaints);
    page.on('websocket', (socket) => urls.push(socket.url()));
    await page.goto(`${server.demo}?room=sealed`);
    await page.locator('#pill[data-state="open"]').waitFor();
    return page;
  }));
  const line = (page, text) => page.locator('#log .text', { hasText: new RegExp(`^${text}$`) });
  const say = async (page, text) => {
    await page.fill('#say', text);
    await page.press('#say', 'Enter');
  };
  await say(crane, 'hello fox');
  await line(fox, 'hello fox').waitFor();
  // A connection that was lost comes back by a new one, with what was missed.
  await fox.click('#drop');
  await fox.locator('#pill[data-state="reconnecting"]').waitFor();
  await say(crane, 'while you were away');
  await fox.locator('#pill[data-state="open"]').waitFor();
  await line(fox, 'while you were away').waitFor();
  assert.ok(urls.length >= 3 && urls.every((url) => url.startsWith('wss://')), `${urls}`);
  assert.deepEqual(complaints, []);
});

test('a match is watched over https', { timeout: 120_000 }, async () => {
  const page = await (await browser.newContext()).newPage();
  listen(page, 'watcher', complaints);
  const requests = [];
  page.on('request', (request) => requests.push(request.url()));
  await page.goto(`${server.demo}arena/watch/?room=arena-1`);
  const tick = () => page.evaluate(() => window.arena?.tick ?? 0);
  const first = await eventually(tick, (now) => now > 0, 'the state is shown');
  await eventually(tick, (now) => now > first + 20, 'and goes on');
  assert.ok(requests.some((url) => url.includes('/rooms/arena-1/events')), `${requests}`);
  assert.ok(requests.every((url) => /^(https|data|blob):/.test(url)), `${requests}`);
  assert.deepEqual(complaints, []);
});
