/**
 * Many clients of one server that goes away, in virtual time: when do they try, and when are they back?
 *
 * @module
 */

import { packBatches, splitBatch } from '../../src/batch.js';
import { Client, webSocket } from '../../src/index.js';
import { decodeClient, encodeServer } from './codec.js';
import { seededRandom } from './random.js';
import { settle, welcome } from './script.js';

/** Virtual time for many timers: a heap. */
class VirtualTime {
  nowMs = 1_000_000;
  #count = 0;
  /** @type {{ at: number, id: number, callback: () => void }[]} */
  #heap = [];
  /** @type {Set<number>} */
  #gone = new Set();

  now = () => this.nowMs;

  /**
   * @param {() => void} callback
   * @param {number} ms
   */
  setTimeout = (callback, ms) => {
    const id = ++this.#count;
    const heap = this.#heap;
    heap.push({ at: this.nowMs + ms, id, callback });
    for (let at = heap.length - 1; at > 0 && before(heap[at], heap[(at - 1) >> 1]); at = (at - 1) >> 1) {
      [heap[at], heap[(at - 1) >> 1]] = [heap[(at - 1) >> 1], heap[at]];
    }
    return id;
  };

  /** @param {number} id */
  clearTimeout = (id) => void this.#gone.add(id);

  /** @param {number} untilMs */
  async run(untilMs) {
    await new Promise((resolve) => setImmediate(resolve));
    for (let next = this.#heap[0]; next !== undefined && next.at <= untilMs; next = this.#heap[0]) {
      this.#pop();
      if (!this.#gone.delete(next.id)) {
        this.nowMs = next.at;
        next.callback();
        // Promises of the client settle before the next timer.
        await new Promise((resolve) => queueMicrotask(() => queueMicrotask(() => queueMicrotask(() => resolve(null)))));
      }
    }
    this.nowMs = untilMs;
  }

  #pop() {
    const heap = this.#heap;
    const last = /** @type {any} */ (heap.pop());
    if (heap.length === 0) {
      return;
    }
    heap[0] = last;
    for (let at = 0; ; ) {
      let least = at;
      for (const child of [2 * at + 1, 2 * at + 2]) {
        if (child < heap.length && before(heap[child], heap[least])) {
          least = child;
        }
      }
      if (least === at) {
        return;
      }
      [heap[at], heap[least]] = [heap[least], heap[at]];
      at = least;
    }
  }
}

/**
 * @param {{ at: number, id: number }} a
 * @param {{ at: number, id: number }} b
 */
function before(a, b) {
  return a.at < b.at || (a.at === b.at && a.id < b.id);
}

/**
 * All clients are connected; at time 0 the server dies, and is back after a while.
 *
 * @param {object} options
 * @param {number} options.clients
 * @param {number} options.seed
 * @param {number} options.outageMs
 * @param {(client: number, random: () => number) => number | null} [options.hintMs] what the server tells each client before it dies
 * @param {number} [options.untilMs]
 * @returns {Promise<{ tries: number[], back: number[] }>} times in milliseconds, ascending
 */
export async function simulate({ clients, seed, outageMs, hintMs = () => null, untilMs = outageMs + 60_000 }) {
  const time = new VirtualTime();
  const random = seededRandom(seed);
  const start = time.nowMs + 20_000;
  /** @type {number[]} */
  const tries = [];
  /** @type {number[]} */
  const back = [];
  /** @type {Set<Socket>} */
  const open = new Set();
  let isDown = false;

  /** The far end answers after 5 ms, or refuses. */
  class Socket {
    readyState = 0;
    bufferedAmount = 0;
    /** @type {any} */
    onopen;
    /** @type {any} */
    onmessage;
    /** @type {any} */
    onclose;

    constructor() {
      if (time.nowMs >= start) {
        tries.push(time.nowMs - start);
      }
      time.setTimeout(() => {
        if (isDown) {
          this.lose();
        } else if (this.readyState === 0) {
          this.readyState = 1;
          open.add(this);
          this.onopen({});
        }
      }, 5);
    }

    /** @param {Uint8Array} batch */
    send(batch) {
      for (const { tag, body } of splitBatch(batch).map(decodeClient)) {
        if (tag === 'hello') {
          if (time.nowMs >= start) {
            back.push(time.nowMs - start);
          }
          this.say(welcome({ resumed: body.resume !== null }));
        } else if (tag === 'ping') {
          this.say({ tag: 'pong', body: { id: body.id, server_time_us: Math.round(time.nowMs * 1000) } });
        }
      }
    }

    /** @param {import('../../src/codec.js').ServerMessage} message */
    say(message) {
      this.onmessage({ data: packBatches([encodeServer(message)], 1 << 20)[0].slice().buffer });
    }

    lose() {
      if (this.readyState < 2) {
        this.readyState = 3;
        this.onclose({ code: 1006, reason: '' });
      }
    }

    close() {
      this.readyState = 3;
      open.delete(this);
    }
  }

  const all = Array.from({ length: clients }, () => new Client('ws://example/play', { WebSocket: Socket, transports: [webSocket], timers: time, random }));
  await time.run(start);
  [...open].forEach((socket, index) => {
    const hint = hintMs(index, random);
    if (hint !== null) {
      socket.say({ tag: 'draining', body: { retry_after_ms: Math.round(hint) } });
    }
  });
  await settle();
  isDown = true;
  for (const socket of [...open]) {
    open.delete(socket);
    socket.lose();
  }
  await time.run(start + outageMs);
  isDown = false;
  await time.run(start + untilMs);
  all.forEach((client) => client.close());
  return { tries, back };
}

/**
 * The most that fall into any window of that length.
 *
 * @param {number[]} times ascending
 * @param {number} windowMs
 */
export function densest(times, windowMs) {
  let most = 0;
  for (let from = 0, to = 0; to < times.length; to += 1) {
    while (times[to] - times[from] >= windowMs) {
      from += 1;
    }
    most = Math.max(most, to - from + 1);
  }
  return most;
}
