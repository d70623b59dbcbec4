// What a page has to load: each entry bundled, minified and gzipped.

import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { runInNewContext } from 'node:vm';
import { gzipSync } from 'node:zlib';
import { build } from 'esbuild';

/**
 * What a bundler makes of an application that is only this: what the page loads at once, not what may be
 * loaded later.
 *
 * @param {string} code that imports from the package
 * @param {string} [later] of what is loaded later, the name of the part that is meant instead
 * @returns {Promise<number>} bytes
 */
async function gzipped(code, later) {
  const outdir = await mkdtemp(join(tmpdir(), 'madang-size-'));
  try {
    const { metafile } = await build({
      stdin: { contents: code, resolveDir: fileURLToPath(new URL('.', import.meta.url)) },
      bundle: true,
      minify: true,
      splitting: true,
      format: 'esm',
      target: 'es2022',
      metafile: true,
      outdir,
    });
    const names = Object.keys(metafile.outputs);
    const first = later ? new RegExp(`/${later}-\\w+\\.js$`) : /\/stdin\.js$/;
    const loaded = new Set(names.filter((name) => first.test(name)));
    assert.equal(loaded.size, 1);
    for (const name of loaded) {
      metafile.outputs[name].imports.filter(({ kind }) => kind === 'import-statement').forEach(({ path }) => loaded.add(path));
    }
    let bytes = 0;
    for (const name of loaded) {
      bytes += gzipSync(await readFile(join(outdir, name.split('/').at(-1) ?? '')), { level: 9 }).length;
    }
    return bytes;
  } finally {
    await rm(outdir, { recursive: true });
  }
}

const CLIENT = "export { Client } from 'madang-client';";

for (const [what, code, most] of /** @type {const} */ ([
  // All that a page loads that joins a room by WebSocket, sends and receives there, and comes back.
  ['the client', CLIENT, 10_000],
  ['the client with state', `${CLIENT} export { state } from 'madang-client/state';`, 17_100],
  ['watching', "export { watch } from 'madang-client/watch';", 4_000],
])) {
  test(`${what} takes at most ${most} bytes`, async (t) => {
    const bytes = await gzipped(code);
    t.diagnostic(`${bytes} bytes`);
    assert.ok(bytes <= most, `${bytes} bytes`);
  });
}

// Each follows when it is needed.
for (const [part, most] of /** @type {const} */ ([['seldom', 1_800], ['joins', 900], ['asking', 900], ['rules', 350], ['http', 2_750]])) {
  test(`what is loaded later, ${part}, takes at most ${most} bytes`, async (t) => {
    const bytes = await gzipped(CLIENT, part);
    t.diagnostic(`${bytes} bytes`);
    assert.ok(bytes <= most, `${bytes} bytes`);
  });
}

test('what is not used is not loaded', async () => {
  const [all, client] = [await gzipped("export * from 'madang-client';"), await gzipped(CLIENT)];
  assert.ok(client < all, 'the iterator of messages is left out');
});

test('one file serves script tags, with everything in one global', async () => {
  const script = await readFile(new URL('../dist/madang.min.js', import.meta.url), 'utf8');
  const { TextEncoder, TextDecoder, AbortController } = globalThis;
  /** @type {any} */
  const page = { TextEncoder, TextDecoder, AbortController };
  runInNewContext(`${script}; globalThis.Madang = Madang;`, page);
  for (const name of ['Client', 'Room', 'RefusedError', 'messages', 'state', 'EditRefusedError', 'watch']) {
    assert.ok(name in page.Madang, name);
  }
});
