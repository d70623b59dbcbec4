// The quick start of the client's README, as it stands there: two people talk, a third reads what they said.

import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { after, before, test } from 'node:test';
import { DEADLINE_MS, listen, startBrowser } from './browser.js';
import { startServer } from './server.js';

const root = new URL('../../', import.meta.url);
let server;
let browser;
let files;
before(async () => {
  server = await startServer();
  browser = await startBrowser();
  const { play_port: port } = await (await fetch(new URL('/demo.json', server.demo))).json();
  const [, page] = /```html\n([\s\S]*?)```/.exec(await readFile(new URL('clients/web/README.md', root), 'utf8'));
  assert.ok(page.includes('127.0.0.1:7700'));
  files = createServer(async ({ url }, response) => {
    if (url === '/hello.html') {
      response.setHeader('content-type', 'text/html');
      response.end(page.replace('127.0.0.1:7700', `127.0.0.1:${port}`));
    } else if (/^\/clients\/web\/src\/[a-z]+\.js$/.test(url)) {
      response.setHeader('content-type', 'text/javascript');
      response.end(await readFile(new URL(url.slice(1), root)));
    } else {
      response.writeHead(204).end();
    }
  });
  await new Promise((resolve) => files.listen(0, '127.0.0.1', resolve));
});
after(async () => {
  files?.close();
  await browser?.close();
  await server?.stop();
});

test('two people talk, and who comes later reads what was said', { timeout: 90_000 }, async () => {
  const complaints = [];
  const open = async () => {
    const context = await browser.newContext();
    context.setDefaultTimeout(DEADLINE_MS);
    const page = await context.newPage();
    listen(page, 'page', complaints);
    await page.goto(`http://127.0.0.1:${files.address().port}/hello.html`);
    return page;
  };
  const say = async (page, text) => {
    await page.fill('#say', text);
    await page.press('#say', 'Enter');
  };
  const line = (page, text) => page.locator('#log li', { hasText: `Paper Crane: ${text}` });
  const [one, two] = [await open(), await open()];
  await two.waitForFunction(() => document.querySelector('form').onsubmit !== null);
  await one.waitForFunction(() => document.querySelector('form').onsubmit !== null);
  await say(one, 'hello');
  await line(two, 'hello').waitFor();
  await line(one, 'hello').waitFor();
  await say(two, 'hello yourself');
  await line(one, 'hello yourself').waitFor();
  const third = await open();
  await line(third, 'hello').first().waitFor();
  assert.equal(await third.locator('#log li').count(), 2, 'who comes later sees what was said');
  assert.deepEqual(complaints, []);
});
