/**
 * In a browser: notices when the network comes and goes, when the page is looked at again, and when
 * it is put away. Elsewhere, nothing.
 *
 * @module
 */

/**
 * @param {AbortSignal} signal stops it
 * @param {() => void} wake the network is back, or the page is looked at: the connection may be dead
 * @param {() => void} hide the page is put away, for good or for a while
 * @param {() => void} show it was only for a while
 */
export function watchPage(signal, wake, hide, show) {
  const page = globalThis.window;
  const on = (/** @type {EventTarget} */ target, /** @type {string} */ name, /** @type {(event: any) => void} */ listener) =>
    target?.addEventListener?.(name, listener, { signal });
  on(page, 'online', wake);
  on(page?.document, 'visibilitychange', () => page.document.visibilityState === 'visible' && wake());
  on(page, 'pagehide', hide);
  on(page, 'pageshow', ({ persisted }) => persisted && show());
}
