/**
 * Somebody on the way: a proxy in front of a server that misbehaves as it is told.
 *
 * @module
 */

import http from 'node:http';
import net from 'node:net';

/**
 * @typedef {object} Manners
 * @property {'pass' | 'refuse' | 'page' | 'hang' | 'swallow'} [upgrade] what becomes of a WebSocket: passed on, refused as
 *   without its fields, answered with a page, never answered, or opened and then mute
 * @property {boolean} [buffers] whether an answer is held until it is whole
 * @property {boolean} [blocks] whether requests are never answered
 * @property {(verb: string) => 'pass' | 'before' | 'after'} [cut] whether to cut a request's connection instead: before the
 *   server has seen it, or after it has answered
 */

/**
 * @param {string} play the server's address, `ws://HOST:PORT/play`
 * @param {Manners} manners may be changed at any time
 */
export async function startMiddle(play, manners) {
  const { port } = new URL(play);
  /** @type {Set<net.Socket>} */
  const sockets = new Set();
  const asked = /** @type {Record<string, number>} */ ({});
  const count = (/** @type {string} */ what) => (asked[what] = (asked[what] ?? 0) + 1);
  const middle = http.createServer((request, response) => {
    const verb = request.url?.split('/').at(-1)?.split('?')[0] ?? '';
    count(verb);
    const cut = manners.cut?.(verb) ?? 'pass';
    if (cut === 'before') {
      request.socket.destroy();
      return;
    }
    if (manners.blocks) {
      return;
    }
    const headers = { ...request.headers, connection: 'close' };
    const onward = http.request({ port, path: request.url, method: request.method, headers }, (answer) => {
      /** @type {Buffer[]} */
      const held = [];
      const isHeld = manners.buffers || cut === 'after';
      if (!isHeld) {
        response.writeHead(answer.statusCode ?? 502, answer.headers);
        response.flushHeaders();
      }
      answer.on('data', (data) => (isHeld ? held.push(data) : response.write(data)));
      answer.on('error', () => response.destroy());
      answer.on('end', () => {
        if (cut === 'after') {
          request.socket.destroy();
          return;
        }
        if (isHeld) {
          response.writeHead(answer.statusCode ?? 502, answer.headers);
        }
        response.end(Buffer.concat(held));
      });
    });
    onward.on('error', () => response.destroy());
    response.on('close', () => onward.destroy());
    request.pipe(onward);
  });
  middle.on('connection', (socket) => {
    sockets.add(socket);
    socket.on('error', () => {});
    socket.on('close', () => sockets.delete(socket));
  });
  middle.on('upgrade', (request, socket, head) => {
    count('upgrade');
    const upgrade = manners.upgrade ?? 'pass';
    if (upgrade === 'hang') {
      return;
    }
    if (upgrade === 'refuse' || upgrade === 'page') {
      const page = upgrade === 'page' ? 'HTTP/1.1 200 OK\r\nContent-Type: text/html' : 'HTTP/1.1 426 Upgrade Required';
      socket.end(`${page}\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello`);
      return;
    }
    const onward = net.connect(Number(port), '127.0.0.1');
    const fields = request.rawHeaders.map((it, at) => (at % 2 === 0 ? `${it}: ` : `${it}\r\n`)).join('');
    onward.write(`${request.method} ${request.url} HTTP/1.1\r\n${fields}\r\n`);
    onward.write(head);
    if (upgrade === 'swallow') {
      // The handshake comes back, and nothing else.
      onward.once('data', (data) => {
        socket.write(data.subarray(0, data.indexOf('\r\n\r\n') + 4));
        onward.resume();
      });
      socket.resume();
    } else {
      socket.pipe(onward).pipe(socket);
    }
    onward.on('error', () => socket.destroy());
    socket.on('error', () => onward.destroy());
    socket.on('close', () => onward.destroy());
    onward.on('close', () => socket.destroy());
  });
  await new Promise((resolve) => middle.listen(0, '127.0.0.1', () => resolve(null)));
  const address = /** @type {net.AddressInfo} */ (middle.address());
  return {
    url: `ws://127.0.0.1:${address.port}/play`,
    asked,
    /** Ends every connection that there is. */
    kill: () => sockets.forEach((socket) => socket.destroy()),
    stop() {
      sockets.forEach((socket) => socket.destroy());
      return new Promise((resolve) => middle.close(() => resolve(null)));
    },
  };
}
