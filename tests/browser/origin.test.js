// A page of somebody else, in real Chromium: it can neither play in a visitor's name, nor watch, nor publish,
// unless the operator lets it.

import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import { after, before, test } from 'node:test';
import { DEADLINE_MS, startBrowser } from './browser.js';
import { startServer } from './server.js';

const KEY = 'a-key-of-a-backend-0123';
const BACKEND = [`watch.publish_keys=${KEY}`];

let browser;
/** Serves an empty page: at another port, which is another origin. */
let stranger;

before(async () => {
  stranger = createServer((_, response) => {
    response.setHeader('Content-Type', 'text/html');
    response.end('<!doctype html><title>elsewhere</title>');
  });
  await new Promise((resolve) => stranger.listen(0, '127.0.0.1', resolve));
  browser = await startBrowser();
});
after(async () => {
  await browser?.close();
  await new Promise((resolve) => stranger.close(resolve));
});

const elsewhere = () => `http://127.0.0.1:${stranger.address().port}`;

/** What becomes of everything that a page can try at a server. */
async function attempts(page, { play, demo }) {
  return page.evaluate(async ({ play, demo, key, deadlineMs }) => {
    const late = (reject) => setTimeout(() => reject(new Error('nothing happened')), deadlineMs);
    const socket = (path, protocols) => new Promise((resolve, reject) => {
      late(reject);
      const socket = new WebSocket(play + path, protocols);
      socket.onopen = () => {
        resolve('open');
        socket.close();
      };
      socket.onclose = ({ code }) => resolve(code);
    });
    const events = () => new Promise((resolve, reject) => {
      late(reject);
      const source = new EventSource(`${demo}rooms/events`);
      source.onopen = () => {
        resolve('open');
        source.close();
      };
      source.onerror = () => {
        resolve(source.readyState === EventSource.CLOSED ? 'closed' : 'again');
        source.close();
      };
    });
    const read = (path, init) => fetch(demo + path, init).then(({ status }) => status, () => 'refused');
    const event = JSON.stringify({ event: 'forged', data: 1 });
    const headers = { 'Content-Type': 'application/json', Authorization: `Bearer ${key}` };
    return {
      play: await socket('/play', ['madang.v1']),
      json: await socket('/play', ['madang.v1.json']),
      raw: await socket('/raw/courtyard'),
      events: await events(),
      rooms: await read('rooms'),
      // Even with the key: a page has no business with it.
      publish: await read('rooms/courtyard/publish', { method: 'POST', headers, body: event }),
    };
  }, { play, demo, key: KEY, deadlineMs: DEADLINE_MS });
}

async function from(url, server) {
  const page = await browser.newPage();
  await page.goto(url);
  const found = await attempts(page, server);
  await page.close();
  return found;
}

const REFUSED = { play: 1006, json: 1006, raw: 1006, events: 'closed', rooms: 'refused', publish: 'refused' };

test('a page of another origin gets in nowhere', { timeout: 120_000 }, async () => {
  const server = await startServer(BACKEND);
  try {
    assert.deepEqual(await from(elsewhere(), server), REFUSED);
    // Nor does one that has no origin.
    assert.deepEqual(await from('data:text/html,nowhere', server), REFUSED);
    // While the server's own page does.
    const own = await from(server.demo, server);
    assert.deepEqual({ ...own, publish: null }, { play: 'open', json: 'open', raw: 'open', events: 'open', rooms: 200, publish: null });
  } finally {
    await server.stop();
  }
});

test('one that the operator names gets in where it is named, and nobody else', { timeout: 120_000 }, async () => {
  const server = await startServer([...BACKEND, `access.origins=${elsewhere()}`, `watch.cors_origins=${elsewhere()}`]);
  try {
    const found = await from(elsewhere(), server);
    assert.deepEqual(found, { play: 'open', json: 'open', raw: 'open', events: 'open', rooms: 200, publish: 'refused' });
    // The same name with more behind it is another one.
    const url = elsewhere().replace('127.0.0.1', 'localhost');
    assert.deepEqual(await from(url, server), REFUSED);
  } finally {
    await server.stop();
  }
});
