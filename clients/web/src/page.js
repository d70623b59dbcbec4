/**
 * In a browser: notices when the network comes and goes, when the page is looked at again, and when
 * it is put away. Elsewhere, nothing.
 *
 * @module
 */

/**
 * @typedef {object} PageEvents
 * @property {() => void} wake the network is back, or the page is looked at: the connection may be dead
 * @property {() => void} hide the page is put away, for good or for a while
 * @property {() => void} show it was only for a while
 */

/** Whether there is a network, as far as anybody knows. */
export const isOnline = () => globalThis.navigator?.onLine !== false;

/**
 * @param {PageEvents} hears
 * @returns {() => void} stops it
 */
export function watchPage({ wake, hide, show }) {
  const page = globalThis.window;
  if (typeof page?.addEventListener !== 'function') {
    return () => {};
  }
  const until = new AbortController();
  const on = (/** @type {EventTarget} */ target, /** @type {string} */ name, /** @type {(event: any) => void} */ listener) =>
    target?.addEventListener(name, listener, { signal: until.signal });
  on(page, 'online', wake);
  on(page.document, 'visibilitychange', () => page.document.visibilityState === 'visible' && wake());
  on(page, 'pagehide', hide);
  on(page, 'pageshow', ({ persisted }) => persisted && show());
  return () => until.abort();
}
