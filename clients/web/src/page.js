/**
 * In a browser: notices when the network comes and goes, when the page is looked at again, and when it is put
 * away. Elsewhere, nothing.
 *
 * @module
 */

/** @typedef {import('./client.js').Client} Client */

/** Whoever hears at once that the network is back comes back within so long, each in its own time. */
const WAKE_MS = 500;

/**
 * Until the client is closed.
 *
 * @param {Client} client
 * @param {() => void} probe the connection may be dead
 */
export function watchPage(client, probe) {
  const { window } = globalThis;
  const document = window?.document;
  const until = new AbortController();
  const { signal } = until;
  const on = (/** @type {EventTarget} */ target, /** @type {string} */ name, /** @type {(event: any) => void} */ listener) =>
    target?.addEventListener?.(name, listener, { signal });
  // The network is back, or somebody looks at the page again: the connection may be dead.
  const wake = () => {
    if (client.isOpen) {
      probe();
    } else if (client.due.has('reconnect') && client.hintAtMs === undefined) {
      // Many pages may hear of it at the same moment.
      client.due.start('reconnect', client.random() * WAKE_MS, () => client.connect());
    }
  };
  on(window, 'online', wake);
  on(document, 'visibilitychange', () => document.hidden || wake());
  on(window, 'pagehide', () => client.suspend());
  on(window, 'pageshow', ({ persisted }) => {
    // Another page may have taken the session up meanwhile.
    if (persisted && client.status === 'suspended') {
      client.shelf?.take();
      client.connect();
    }
  });
  client.on('status', () => client.status === 'closed' && until.abort());
}
