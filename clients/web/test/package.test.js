// The package as npm would publish it: what is in it, what its modules ask for, and that Node and a bundler take it.

import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { cp, mkdir, mkdtemp, readFile, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { build } from 'esbuild';

const run = promisify(execFile);
const root = fileURLToPath(new URL('..', import.meta.url));
/** An application that has installed it. */
let app = '';
/** @type {string[]} */
let files = [];

before(async () => {
  const { stdout } = await run('npm', ['pack', '--dry-run', '--json', '--ignore-scripts'], { cwd: root });
  files = JSON.parse(stdout)[0].files.map((/** @type {{ path: string }} */ { path }) => path);
  app = await mkdtemp(join(tmpdir(), 'madang-app-'));
  for (const file of files) {
    const to = join(app, 'node_modules/madang-client', file);
    await mkdir(dirname(to), { recursive: true });
    await cp(join(root, file), to);
  }
  await writeFile(
    join(app, 'app.mjs'),
    `import { Client, MadangError, RefusedError } from 'madang-client';
     import { EditRefusedError, state } from 'madang-client/state';
     import { watch } from 'madang-client/watch';
     const client = new Client('ws://127.0.0.1:1/play', { state, WebSocket: class { close() {} } });
     const errors = [];
     client.on('error', (error) => errors.push(error.message));
     const joining = client.joinOrCreate('lobby').catch((error) => error);
     client.close();
     const error = await joining;
     const ticket = await new Client('ws://127.0.0.1:1/play', { WebSocket: class { close() {} } }).reconnect('none').catch((it) => it.code);
     console.log(JSON.stringify([error.code, error instanceof MadangError, EditRefusedError.prototype instanceof MadangError, typeof watch, ticket]));
     process.exit();`,
  );
});
after(() => rm(app, { recursive: true }));

test('every file that the exports name is in the package', async () => {
  const { exports, unpkg } = JSON.parse(await readFile(join(root, 'package.json'), 'utf8'));
  const named = [`./${unpkg}`, ...Object.values(exports).flatMap((it) => (typeof it === 'string' ? it : Object.values(it)))];
  assert.deepEqual(named.filter((name) => !files.includes(name.slice(2))), []);
  assert.ok(!files.some((name) => /^(test|tools|node_modules)\//.test(name)));
});

test('modules ask for files by their whole names and for React alone besides, as Deno and browsers want it', async () => {
  for (const directory of ['src', 'dist', 'react']) {
    for (const name of await readdir(join(root, directory))) {
      const text = name.endsWith('.js') && name !== 'madang.min.js' ? await readFile(join(root, directory, name), 'utf8') : '';
      const code = text.replace(/\/\*[\s\S]*?\*\//g, '');
      for (const [, wanted] of code.matchAll(/(?:\bfrom\s*|\bimport\s*\(?\s*)["']([^"']+)["']/g)) {
        assert.match(wanted, name === 'react.js' || directory === 'react' ? /^(react|\.\.?\/.*\.js)$/ : /^\.\/.*\.js$/, `${directory}/${name}`);
      }
      assert.doesNotMatch(code, /\b(process|Buffer|require)\b\./, `${directory}/${name} needs nothing of Node`);
    }
  }
});

const WANTED = ['normal', true, true, 'function', 'invalid'];

test('Node takes what is published, and the sources under the condition "development"', async () => {
  for (const flags of [[], ['--conditions=development']]) {
    const { stdout } = await run(process.execPath, [...flags, join(app, 'app.mjs')], { cwd: app });
    assert.deepEqual(JSON.parse(stdout), WANTED);
  }
});

test('a bundler makes one program of it, that runs', async () => {
  for (const format of /** @type {const} */ (['esm', 'cjs'])) {
    const outfile = join(app, `bundle.${format === 'esm' ? 'mjs' : 'cjs'}`);
    const contents = `import '${join(app, 'app.mjs')}';`;
    if (format === 'esm') {
      await build({ stdin: { contents, resolveDir: app }, bundle: true, minify: true, format, outfile, platform: 'node', target: 'es2022' });
    } else {
      // Top-level await is no part of a script.
      const text = `import { Client } from 'madang-client'; module.exports = typeof Client; console.log(JSON.stringify(module.exports));`;
      await build({ stdin: { contents: text, resolveDir: app }, bundle: true, format, outfile, platform: 'node', target: 'es2022' });
    }
    const { stdout } = await run(process.execPath, [outfile], { cwd: app });
    assert.deepEqual(JSON.parse(stdout), format === 'esm' ? WANTED : 'function');
  }
});
