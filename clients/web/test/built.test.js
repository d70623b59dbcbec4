// What is published, with its short names, passes the tests of the sources that go through what is public.

import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

const here = (/** @type {string} */ name) => fileURLToPath(new URL(name, import.meta.url));
const FILES = ['client', 'lifecycle', 'socket', 'edits', 'state', 'state-random', 'watch', 'herd', 'http', 'later'];

test('dist/ passes the tests of the sources', { timeout: 120_000 }, async () => {
  // A test runner in a test runner reports to that one unless it is told not to.
  const { NODE_TEST_CONTEXT: _, ...env } = process.env;
  const { stdout } = await promisify(execFile)(
    process.execPath,
    ['--import', here('./support/built.js'), '--test', '--test-reporter=tap', ...FILES.map((name) => here(`./${name}.test.js`))],
    { env, maxBuffer: 2 ** 24 },
  ).catch((error) => error);
  assert.match(stdout, /^# fail 0$/m, stdout);
  assert.ok(Number(/^# pass (\d+)$/m.exec(stdout)?.[1]) > 70, stdout);
});
