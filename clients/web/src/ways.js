/**
 * The ways to a server that a client takes by itself: WebSocket, and requests where that does not get
 * through. What requests need is loaded when it is needed, and what has worked is remembered.
 *
 * @module
 */

import { webSocket } from './websocket.js';

/** By host: when a way by requests has worked where a WebSocket had not, and which. @type {Record<string, string>} */
export let memory = {};
try {
  memory = /** @type {any} */ (globalThis.localStorage) ?? memory;
} catch {
  // There is a storage that may not be used: the page remembers it by itself.
}

/**
 * Which way to begin with: 0 is a WebSocket, 1 are requests, where those have worked not long ago.
 *
 * @param {string} url
 * @param {number} nowMs
 * @param {number} [rememberMs]
 */
export const firstWay = (url, nowMs, rememberMs = 3_600_000) =>
  Number(Math.abs(nowMs - parseInt(memory[`madang ${new URL(url).host}`])) < rememberMs);

/**
 * @param {number} way
 * @returns {Promise<import('./types.js').Transport>}
 */
export const loadWay = async (way) => (way ? (await again(import('./http.js'))).anyRequests : webSocket);

/** What requests, and numbers of the session, need. */
export const loadAsking = () => again(import('./asking.js'));

/**
 * A browser that could not have a module once does not ask for it again (whatwg/html#6768), unless by another
 * name, here of every 16 seconds. Which one it was is in the error alone, and not in Safari's.
 *
 * @template T
 * @param {Promise<T>} loading
 * @returns {Promise<T>}
 */
export const again = (loading) =>
  loading.catch((error) => {
    const url = String(error).split('module: ')[1];
    return url ? import(/* webpackIgnore: true */ /* @vite-ignore */ `${url}?${Date.now() >> 14}`) : loading;
  });
