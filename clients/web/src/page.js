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
  if (!window) {
    return;
  }
  const until = new AbortController();
  const on = (/** @type {EventTarget} */ target, /** @type {string} */ name, /** @type {(event: any) => void} */ listener) =>
    target?.addEventListener?.(name, listener, { signal: until.signal });
  const wake = () => tryNow(client, probe);
  on(window, 'online', wake);
  on(window.document, 'visibilitychange', () => window.document.visibilityState === 'visible' && wake());
  on(window, 'pagehide', () => client.suspend());
  on(window, 'pageshow', ({ persisted }) => {
    // Another page may have taken the session up meanwhile.
    if (persisted && client.status === 'suspended') {
      client.shelf?.take();
      client.reconnectNow();
    }
  });
  client.on('status', ({ status }) => status === 'closed' && until.abort());
}

/**
 * The network is back, or somebody looks at the page again: the connection may be dead.
 *
 * @param {Client} client
 * @param {() => void} probe
 */
function tryNow(client, probe) {
  if (client.isOpen) {
    probe();
  } else if (client.due.has('reconnect') && client.hintAtMs === undefined) {
    // Many pages may hear of it at the same moment.
    client.due.start('reconnect', client.random() * WAKE_MS, () => void client.connect());
  }
}
