// What a page has to load: each entry bundled, minified and gzipped.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { runInNewContext } from 'node:vm';
import { gzipSync } from 'node:zlib';
import { build } from 'esbuild';
import { SCRIPT } from '../tools/build.js';

/**
 * @param {string} code that imports from the package
 * @returns {Promise<number>} bytes
 */
async function gzipped(code) {
  const { outputFiles } = await build({
    stdin: { contents: code, resolveDir: fileURLToPath(new URL('.', import.meta.url)) },
    bundle: true,
    minify: true,
    format: 'esm',
    target: 'es2022',
    write: false,
  });
  return gzipSync(outputFiles[0].contents, { level: 9 }).length;
}

for (const [what, code, most] of /** @type {const} */ ([
  ['the client', "export { Client } from 'madang-client';", 14_000],
  ['the client with state', "export { Client } from 'madang-client'; export { state } from 'madang-client/state';", 21_200],
  ['watching', "export { watch } from 'madang-client/watch';", 4_000],
])) {
  test(`${what} takes at most ${most} bytes`, async (t) => {
    const bytes = await gzipped(code);
    t.diagnostic(`${bytes} bytes`);
    assert.ok(bytes <= most, `${bytes} bytes`);
  });
}

test('what is not used is not loaded', async () => {
  const [all, client] = [await gzipped("export * from 'madang-client';"), await gzipped("export { Client } from 'madang-client';")];
  assert.ok(client < all, 'the iterator of messages is left out');
});

test('one file serves script tags, with everything in one global', async () => {
  const { outputFiles } = await build({ ...SCRIPT, write: false });
  const { TextEncoder, TextDecoder } = globalThis;
  /** @type {any} */
  const page = { TextEncoder, TextDecoder };
  runInNewContext(`${outputFiles[0].text}; globalThis.Madang = Madang;`, page);
  for (const name of ['Client', 'Room', 'RefusedError', 'messages', 'state', 'EditRefusedError', 'watch']) {
    assert.ok(name in page.Madang, name);
  }
});
