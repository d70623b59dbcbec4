/**
 * Has Node take only what Deno and browsers take as well: files by their whole names.
 *
 * @module
 */

/** @type {import('node:module').ResolveHook} */
export async function resolve(specifier, context, next) {
  if (context.parentURL && !/^(file:|\.\.?\/).*\.js$/.test(specifier)) {
    throw new Error(`${context.parentURL} asks for ${specifier}`);
  }
  return next(specifier, context);
}
