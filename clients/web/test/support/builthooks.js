/**
 * Where what tests import of the sources is found in dist/.
 *
 * @module
 */

/** @type {Record<string, string>} */
const BUILT = { index: 'index', errors: 'index', websocket: 'index', http: 'http', state: 'state', edits: 'state', watch: 'watch' };

/** @type {import('node:module').ResolveHook} */
export async function resolve(specifier, context, next) {
  const [, name = ''] = /\/src\/(\w+)\.js$/.exec(specifier) ?? [];
  const isTest = context.parentURL?.includes('/test/');
  const built = context.parentURL?.endsWith('/support/loaded.js') ? name : BUILT[name];
  return isTest && built
    ? { url: new URL(`../../dist/${built}.js`, import.meta.url).href, shortCircuit: true }
    : next(specifier, context);
}
