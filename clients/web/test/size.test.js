// What a page has to load: each entry bundled, minified and gzipped.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { gzipSync } from 'node:zlib';
import { build } from 'esbuild';

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
  ['the client', "export { Client } from 'madang-client';", 13_500],
  ['the client with state', "export { Client } from 'madang-client'; export { state } from 'madang-client/state';", 20_000],
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
