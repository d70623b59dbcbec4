/**
 * The transport over WebSocket: the first of them, and the shape of all. A transport carries whole
 * batches of bytes both ways, in order, and says when it ends; it knows neither messages nor
 * sessions, so that switching to another one is a resume like any other.
 *
 * @module
 */

/** @typedef {import('./types.js').Transport} Transport */

/** The binary wire's WebSocket subprotocol. */
export const SUBPROTOCOL = 'madang.v1';

/** @type {Transport} */
export const webSocket = (url, hears, { WebSocket = globalThis.WebSocket }) => {
  if (!WebSocket) {
    throw new TypeError('no WebSocket: pass one');
  }
  const socket = new WebSocket(url, [SUBPROTOCOL]);
  socket.binaryType = 'arraybuffer';
  socket.onopen = () => hears.opened();
  socket.onmessage = (/** @type {MessageEvent} */ { data }) => hears.received(data);
  // The close that follows every error says all there is to know; the `ws` package throws what nobody listens to.
  socket.onerror = () => {};
  socket.onclose = (/** @type {CloseEvent} */ { code, reason }) => hears.closed(code, reason);
  // What it sends while it closes comes to nothing, as what is sent over a lost connection does.
  return socket;
};
