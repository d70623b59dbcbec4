/**
 * What a client loads later can be held up, or not be had, as a test wants it.
 *
 * @module
 */

/** @typedef {'pass' | 'hold' | 'fail'} Manner */

/** @type {Manner} */
let manner = 'pass';
/** @type {(() => void)[]} */
let waiting = [];

/** @param {{ port: import('node:worker_threads').MessagePort }} data */
export function initialize({ port }) {
  port.on('message', (/** @type {Manner} */ next) => {
    manner = next;
    if (manner !== 'hold') {
      waiting.forEach((go) => go());
      waiting = [];
    }
    port.postMessage(next);
  });
}

/** @type {import('node:module').ResolveHook} */
export async function resolve(specifier, context, next) {
  if (/^\.\/(asking|joins|rules|seldom)\.js$/.test(specifier) && /\/(src|dist)\/[\w-]+\.js$/.test(context.parentURL ?? '')) {
    while (manner === 'hold') {
      await new Promise((go) => waiting.push(() => go(null)));
    }
    if (manner === 'fail') {
      throw new Error(`${specifier} cannot be had`);
    }
  }
  return next(specifier, context);
}
