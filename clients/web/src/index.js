/**
 * The client of Madang for browsers and Node.
 *
 * ```js
 * import { Client } from 'madang-client';
 *
 * const client = new Client('wss://play.example/play');
 * const room = await client.join('lobby', { history: 20 });
 * room.on('message', ({ type, payload, mine }) => console.log(type, payload, mine));
 * await room.publish('chat', 'hello');
 * ```
 *
 * @module
 */

export { Client } from './client.js';
export {
  ClosedError,
  DecodeError,
  DroppedError,
  EditRefusedError,
  LeftError,
  LimitError,
  MadangError,
  OutcomeUnknownError,
  RefusedError,
} from './errors.js';
export { Replica } from './replica.js';
export { Room } from './room.js';
export { RoomState } from './state.js';
