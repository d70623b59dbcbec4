// Makes what is published beside the sources: declarations in types/, and one minified file for script tags
// in dist/, where everything is in the global `Madang`.
//
// node tools/build.js

import { execFileSync } from 'node:child_process';
import { readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';

const root = fileURLToPath(new URL('..', import.meta.url));

/** The file for script tags. @satisfies {import('esbuild').BuildOptions} */
export const SCRIPT = /** @type {const} */ ({
  absWorkingDir: root,
  stdin: {
    contents: "export * from './src/index.js'; export * from './src/state.js'; export * from './src/watch.js';",
    resolveDir: root,
  },
  bundle: true,
  minify: true,
  format: 'iife',
  globalName: 'Madang',
  target: 'es2022',
});

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  for (const made of ['types', 'dist']) {
    rmSync(`${root}${made}`, { recursive: true, force: true });
  }
  declarations();
  await build({ ...SCRIPT, sourcemap: true, outfile: 'dist/madang.min.js' });
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
