/**
 * The client of Madang for browsers and Node.
 *
 * ```js
 * import { Client } from 'madang-client';
 *
 * const client = new Client('wss://play.example/play');
 * const room = await client.joinOrCreate('lobby', { history: 20 });
 * room.on('chat', ({ payload, mine }) => console.log(payload, mine));
 * await room.send('chat', 'hello');
 * ```
 *
 * @module
 */

/** @typedef {import('./cells.js').Schema} Schema */
/** @typedef {import('./emitter.js').ListenOptions} ListenOptions */
/** @typedef {import('./emitter.js').Off} Off */
/** @typedef {import('./joins.js').StorageLike} StorageLike */
/** @typedef {import('./types.js').ClientEvents} ClientEvents */
/** @typedef {import('./types.js').ClientOptions} ClientOptions */
/** @typedef {import('./types.js').Drop} Drop */
/** @typedef {import('./types.js').Entity} Entity */
/** @typedef {import('./types.js').Gap} Gap */
/** @typedef {import('./types.js').JoinOptions} JoinOptions */
/** @typedef {import('./types.js').Leave} Leave */
/** @typedef {import('./types.js').Member} Member */
/** @typedef {import('./types.js').Origin} Origin */
/** @typedef {import('./types.js').Pipe} Pipe */
/** @typedef {import('./types.js').PipeEvents} PipeEvents */
/** @typedef {import('./types.js').PresenceChange} PresenceChange */
/** @typedef {import('./types.js').PresenceEvents} PresenceEvents */
/** @typedef {import('./types.js').Receipt} Receipt */
/** @typedef {import('./types.js').Recovery} Recovery */
/** @typedef {import('./types.js').RequestOptions} RequestOptions */
/** @typedef {import('./types.js').RoomMessage} RoomMessage */
/** @typedef {import('./types.js').RoomStats} RoomStats */
/** @typedef {import('./types.js').SendOptions} SendOptions */
/** @typedef {import('./types.js').StatePlugin} StatePlugin */
/** @typedef {import('./types.js').Status} Status */
/** @typedef {import('./types.js').StatusEvent} StatusEvent */
/** @typedef {import('./types.js').Target} Target */
/** @typedef {import('./types.js').Timers} Timers */
/** @typedef {import('./types.js').Transport} Transport */
/** @typedef {import('./values.js').AttributeValue} AttributeValue */
/** @typedef {import('./values.js').Attributes} Attributes */

export { Client } from './client.js';
export {
  ClosedError,
  DecodeError,
  DroppedError,
  LeftError,
  LimitError,
  MadangError,
  OutcomeUnknownError,
  RefusedError,
  SessionGoneError,
  TimeoutError,
} from './errors.js';
export { messages } from './messages.js';
export { Presence } from './presence.js';
export { Room } from './room.js';
export { webSocket } from './websocket.js';
