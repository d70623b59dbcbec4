// Makes what is published beside the sources: declarations in types/; in dist/ the modules, minified, with what
// is not public under short names, and one file for script tags, where everything is in the global `Madang`.
//
// node tools/build.js

import { execFileSync } from 'node:child_process';
import { mkdirSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { basename } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';
import { minify } from 'terser';
import { internalNames } from './names.js';

const root = fileURLToPath(new URL('..', import.meta.url));

/** @type {import('esbuild').BuildOptions} */
const COMMON = { absWorkingDir: root, bundle: true, minify: true, format: 'esm', target: 'es2022', sourcemap: true, write: false };

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  for (const made of ['types', 'dist']) {
    rmSync(`${root}${made}`, { recursive: true, force: true });
  }
  declarations();
  mkdirSync(`${root}dist`);
  const mangleProps = new RegExp(`^(?:${internalNames(root).join('|')})$`);
  await write({
    ...COMMON,
    mangleProps,
    // One namespace of short names, so that the entries fit each other; what they share is in a chunk.
    // What is loaded later has a name that stays, as what is asked for has.
    entryPoints: ['src/index.js', 'src/state.js', 'src/http.js', 'src/watch.js', 'src/rules.js', 'src/seldom.js', 'src/asking.js', 'src/joins.js', { in: 'react/index.js', out: 'react' }]
      .map((it) => (typeof it === 'string' ? { in: it, out: basename(it, '.js') } : it)),
    external: ['react'],
    splitting: true,
    chunkNames: '[name]-[hash]',
  });
  await write({
    ...COMMON,
    mangleProps,
    stdin: {
      contents: "export * from './src/index.js'; export * from './src/state.js'; export * from './src/http.js'; export * from './src/watch.js';",
      resolveDir: root,
      sourcefile: 'madang.min.js',
    },
    format: 'iife',
    globalName: 'Madang',
  });
}

/** @param {import('esbuild').BuildOptions} options */
async function write(options) {
  const { outputFiles = [] } = await build({ ...options, outdir: 'dist' });
  const texts = new Map(outputFiles.map(({ path, text }) => [basename(path).replace('stdin', 'madang.min'), text]));
  for (const [name, text] of texts) {
    if (name.endsWith('.js')) {
      // What tells a bundler to let an import be is not kept by esbuild.
      const { code, map } = await minify(text.replaceAll('import(`', 'import(/* webpackIgnore: true *//* @vite-ignore */`'), {
        ecma: 2020,
        module: options.format === 'esm',
        // What is used once stays a function of its own: copied to where it is used it does not compress as well.
        format: { comments: /webpackIgnore|@vite-ignore/ },
        compress: { passes: 3, unsafe_arrows: true, unsafe_methods: true, inline: 0, reduce_funcs: false, sequences: false },
        sourceMap: { content: texts.get(`${name}.map`), filename: name, url: `${name}.map` },
      });
      writeFileSync(`${root}dist/${name}`, code ?? '');
      writeFileSync(`${root}dist/${name}.map`, String(map));
    }
  }
}

function declarations() {
  execFileSync('node', ['node_modules/typescript/bin/tsc', '-p', 'tsconfig.build.json'], { cwd: root, stdio: 'inherit' });
  // The compiler strips what is `@internal` from TypeScript only.
  for (const name of readdirSync(`${root}types/src`)) {
    const file = `${root}types/src/${name}`;
    const member = / {4}\/\*\*(?:(?!\*\/)[\s\S])*?@internal(?:(?!\*\/)[\s\S])*\*\/\n {4}[\s\S]*?;\n(?= {4}(?:\/\*\*|[#\w[])|\})/g;
    writeFileSync(file, readFileSync(file, 'utf8').replace(member, ''));
  }
}
