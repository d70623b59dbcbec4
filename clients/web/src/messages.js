/**
 * A room's messages for `for await`. A function of its own, so that who does not use it does not load it.
 *
 * @module
 */

import { LimitError } from './errors.js';

/** @typedef {import('./room.js').Room} Room */
/** @typedef {import('./types.js').RoomMessage} RoomMessage */

const WAITING_MAX = 1_000;

/**
 * The messages of a room from now on, until it is left, the loop ends or the signal aborts.
 *
 * ```js
 * for await (const { payload } of messages(room, { type: 'chat' })) {
 *   show(payload);
 * }
 * ```
 *
 * Messages wait while the loop's body does; it throws a `LimitError` when too many do.
 *
 * @param {Room} room
 * @param {{ type?: string, signal?: AbortSignal, waitingMax?: number }} [options] `type` as for
 *   `room.on`, `*` by default; `waitingMax` is 1,000 by default
 * @returns {AsyncGenerator<RoomMessage, void, void>}
 */
export function messages(room, { type = '*', signal, waitingMax = WAITING_MAX } = {}) {
  /** @type {RoomMessage[]} */
  const waiting = [];
  let isOver = signal?.aborted || room.outbox.channel === null;
  let tooMany = false;
  let wake = () => {};
  const over = () => {
    isOver = true;
    wake();
  };
  const offs = [
    room.on(type, (message) => {
      tooMany ||= waiting.length >= waitingMax;
      if (!tooMany) {
        waiting.push(message);
      }
      wake();
    }),
    room.onLeave(over),
  ];
  signal?.addEventListener('abort', over);
  // Listening begins with the call; a generator's body only with the first `next`.
  return (async function* () {
    try {
      for (;;) {
        const message = waiting.shift();
        if (message !== undefined) {
          yield message;
        } else if (tooMany) {
          throw new LimitError('queue_full', `more than ${waitingMax} messages waited for the loop`);
        } else if (isOver) {
          return;
        } else {
          await new Promise((resolve) => {
            wake = () => resolve(null);
          });
        }
      }
    } finally {
      offs.forEach((off) => off());
      signal?.removeEventListener('abort', over);
    }
  })();
}
