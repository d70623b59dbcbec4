// The built files where there is no Node: imported by relative names with their extension, nothing else asked
// for. Always by a Node that is held to it; by Deno as well where there is one: MADANG_TEST_DENO, or `deno` in
// the path (`npm install --prefix DIRECTORY deno` brings it).

import assert from 'node:assert/strict';
import { execFile, spawnSync } from 'node:child_process';
import { existsSync, readFileSync, readdirSync } from 'node:fs';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { startServer as startReal } from '../../../tests/interop/server.mjs';
import { startServer as startSmall } from './support/server.js';

const here = (/** @type {string} */ name) => fileURLToPath(new URL(name, import.meta.url));
const run = promisify(execFile);

const binary = process.env.MADANG_BIN ?? process.env.MADANG_TEST_BINARY ?? here('../../../target/debug/madang');
const deno = process.env.MADANG_TEST_DENO ?? 'deno';
const skip = spawnSync(deno, ['--version']).status === 0 ? false : 'there is no Deno: MADANG_TEST_DENO';

/** @type {{ play: string, stop: () => Promise<any> }} */
let server;
before(async () => {
  // The real one where it is at hand.
  if (existsSync(binary)) {
    server = await startReal();
  } else {
    const small = await startSmall();
    server = { play: small.url, stop: () => small.close() };
  }
});
after(() => server.stop());

const WANTED = { said: 'world', mine: true, isLogged: true, refused: [true, 'string'], asked: true, ticket: 'invalid', watch: 'function' };

test('what is built runs where nothing is asked for but files by their whole names', { timeout: 60_000 }, async () => {
  const { stdout } = await run(process.execPath, ['--import', here('./support/strict.js'), here('./support/anywhere.mjs'), server.play]);
  assert.deepEqual(JSON.parse(stdout), WANTED);
});

test('Deno runs it', { skip, timeout: 60_000 }, async () => {
  const only = ['--no-config', '--no-npm', '--no-remote', '--allow-net=127.0.0.1'];
  const { stdout } = await run(deno, ['run', ...only, here('./support/anywhere.mjs'), server.play]);
  assert.deepEqual(JSON.parse(stdout), WANTED);
});

for (const directory of ['src', 'dist']) {
  test(`${directory}/ asks for files that are there, by relative names, and for nothing of Node`, () => {
    const names = readdirSync(here(`../${directory}`)).filter((name) => name.endsWith('.js') && name !== 'react.js');
    let asked = 0;
    for (const name of names) {
      const code = readFileSync(here(`../${directory}/${name}`), 'utf8')
        .replace(/\/\*[\s\S]*?\*\/|^\s*\/\/.*$/gm, '')
        // One that was found ahead and could not be had is asked for by another name.
        .replace(/\bimport\s*\(\s*`\$\{\w+\}\?\$\{Date\.now\(\)\s*>>\s*14\}`\)/, '');
      const what = `${directory}/${name}`;
      for (const [, wanted] of code.matchAll(/(?:\bfrom\s*|\bimport\s*\(?\s*)(["'`][^"'`]+["'`])/g)) {
        assert.match(wanted, /^["']\.\/[\w-]+\.js["']$/, what);
        assert.ok(names.includes(wanted.slice(3, -1)), `${what} asks for ${wanted}`);
        asked += 1;
      }
      // What cannot be read off the text cannot be found ahead, by neither Deno nor a bundler.
      assert.doesNotMatch(code, /\bimport\s*\((?!\s*["'])/, what);
      assert.doesNotMatch(code, /\brequire\s*\(|\bmodule\.exports\b|\bexports\.|\bcreateRequire\b|\b__(?:file|dir)name\b|["']npm:|["']node:|\bprocess\.|\bBuffer\./, what);
    }
    assert.ok(asked >= 10, `${asked} imports were looked at`);
  });
}
