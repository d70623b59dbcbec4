// Which properties may have another name in dist/: those that only this package's own code ever speaks of.
// Found by what they are not: in no public declaration, none of the platform's, never a string, and not in
// a file that reads what a server says as JSON.

import { readFileSync, readdirSync } from 'node:fs';

/** Whose declarations an application sees. */
const PUBLIC = 'index types client room presence errors emitter values joins cells state roomstate edits watch watchstate websocket http messages'.split(' ');
/** Names in JSON are no names of ours. */
const JSON_READERS = ['watch', 'watchstate', 'statemodel', 'eventsource'];
/** Ours, though the platform has properties of that name as well; none that this package asks the platform for. */
const OURS = ['body', 'connection', 'done', 'features', 'ref', 'restore', 'tag'];

/** Ours, though public declarations mention them: of what applications do not use themselves. */
const HIDDEN = 'appliedCseq congested due ext first handle isOpen joinMessage joins life outbox places position post report resumable setStatus silent take vigil wire'.split(' ');

/**
 * @param {string} root of the package, with its declarations made
 * @returns {string[]}
 */
export function internalNames(root) {
  const read = (/** @type {string} */ file) => withoutComments(readFileSync(root + file, 'utf8'));
  const sources = readdirSync(`${root}src`).map((file) => read(`src/${file}`));
  const taken = new Set([
    ...PUBLIC.flatMap((name) => words(read(`types/src/${name}.d.ts`))),
    ...words(read('types/react/index.d.ts')),
    ...words(read('react/index.js')),
    ...JSON_READERS.flatMap((name) => words(read(`src/${name}.js`))),
    ...sources.flatMap((text) => [...text.matchAll(/['"`]([\w$]+)['"`]/g)].map(([, word]) => word)),
    // What a module exports goes by its name also where it is loaded later.
    ...sources.flatMap((text) => [...text.matchAll(/^export (?:async )?(?:function|const|class) (\w+)/gm)].map(([, word]) => word)),
    // Variants are strings to whoever has one.
    ...sources.flatMap((text) => [...text.matchAll(/oneOf\(\{[^;]*?\}\);/g)].flatMap(([it]) => words(it))),
  ]);
  const platform = new Set(
    readdirSync(`${root}node_modules/typescript/lib`)
      .filter((file) => /^lib\.(es\d.*|dom.*|decorators.*)\.d\.ts$/.test(file))
      .flatMap((file) => words(read(`node_modules/typescript/lib/${file}`))),
  );
  const used = new Set(sources.flatMap((text) => [...text.matchAll(/(?:\.|[{,(]\s*|^\s+(?:get |set |async |\*)?)([a-z]\w*)/gm)].map(([, name]) => name)));
  return [...used].filter((name) => (!taken.has(name) || HIDDEN.includes(name)) && (!platform.has(name) || [...OURS, ...HIDDEN].includes(name))).sort();
}

/** @param {string} text */
function words(text) {
  return text.match(/[A-Za-z_$][\w$]*/g) ?? [];
}

/** @param {string} text */
function withoutComments(text) {
  return text.replace(/\/\*[\s\S]*?\*\//g, '').replace(/^\s*\/\/.*$/gm, '');
}
