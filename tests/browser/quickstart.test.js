// The quick start of the client's README, done as it stands there: its commands, its page, and nothing else. Only the
// ports are others, so that tests may run beside each other.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { DEADLINE_MS, listen, startBrowser } from './browser.js';
import { startServer } from './server.js';

const root = new URL('../../', import.meta.url);
let directory;
let server;
let browser;
let files;
let port;
before(async () => {
  const readme = await readFile(new URL('clients/web/README.md', root), 'utf8');
  const [, page] = /```html\n([\s\S]*?)```/.exec(readme);
  const [, settings, origin] = /^make run ARGS="--set (access\.origins=\S*(http:\/\/127\.0\.0\.1:8000)\S*)"$/m.exec(readme);
  const [, program, ...words] = /^(python3) (-m) (http\.server) (8000) (--bind) (127\.0\.0\.1)$/m.exec(readme);
  // The root of the repository, but for what the user saves there.
  directory = await mkdtemp(join(tmpdir(), 'madang-quickstart-'));
  await symlink(fileURLToPath(new URL('clients', root)), join(directory, 'clients'));
  files = spawn(program, ['-u', ...words.map((word) => (word === '8000' ? '0' : word))], { cwd: directory, stdio: ['ignore', 'pipe', 'ignore'] });
  port = await new Promise((resolve, reject) => {
    files.once('error', reject);
    files.once('exit', (code) => reject(new Error(`${program} ended with ${code}`)));
    createInterface({ input: files.stdout }).on('line', (line) => {
      const found = /port (\d+)/.exec(line);
      found && resolve(found[1]);
    });
  });
  server = await startServer([settings.replace(origin, `http://127.0.0.1:${port}`)]);
  const { play_port: playPort } = await (await fetch(new URL('/demo.json', server.demo))).json();
  assert.ok(page.includes('127.0.0.1:7700'));
  await writeFile(join(directory, 'hello.html'), page.replace('127.0.0.1:7700', `127.0.0.1:${playPort}`));
  browser = await startBrowser();
});
after(async () => {
  files?.kill();
  await browser?.close();
  await server?.stop();
  await rm(directory, { recursive: true, force: true });
});

test('two people talk, and who comes later reads what was said', { timeout: 90_000 }, async () => {
  const complaints = [];
  const open = async () => {
    const context = await browser.newContext();
    context.setDefaultTimeout(DEADLINE_MS);
    const page = await context.newPage();
    listen(page, 'page', complaints);
    // Every browser asks for a picture, and nobody was told to have one.
    await page.route('**/favicon.ico', (route) => route.fulfill({ status: 204 }));
    await page.goto(`http://127.0.0.1:${port}/hello.html`);
    // The page is there once it may be talked in.
    await page.waitForFunction(() => document.querySelector('form').onsubmit !== null);
    return page;
  };
  const say = async (page, text) => {
    await page.fill('#say', text);
    await page.press('#say', 'Enter');
  };
  const line = (page, text) => page.locator('#log li').getByText(`Paper Crane: ${text}`, { exact: true });
  const [one, two] = [await open(), await open()];
  await say(one, 'hello');
  await line(two, 'hello').waitFor();
  await line(one, 'hello').waitFor();
  await say(two, 'hello yourself');
  await line(one, 'hello yourself').waitFor();
  const third = await open();
  await line(third, 'hello yourself').waitFor();
  assert.deepEqual(await third.locator('#log li').allTextContents(), ['Paper Crane: hello', 'Paper Crane: hello yourself'], 'who comes later sees what was said');
  assert.deepEqual(complaints, []);
});
