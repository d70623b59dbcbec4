/**
 * The live copy of a room's state, for rooms with rules and for those that members edit: what a client
 * needs of it is one option.
 *
 * ```js
 * import { Client } from 'madang-client';
 * import { state } from 'madang-client/state';
 *
 * const client = new Client('wss://play.example/play', { state });
 * const room = await client.joinOrCreate('arena-1');
 * room.state.on('change', (entity, fields) => draw(entity));
 * ```
 *
 * @module
 */

import { RoomState } from './roomstate.js';
import { STATE_CLIENT_SECTIONS, STATE_SERVER_SECTIONS } from './statecodec.js';
import { readModel } from './statemodel.js';

/** @typedef {import('./cells.js').Schema} Schema */
/** @typedef {import('./cells.js').Value} Value */
/** @typedef {import('./edits.js').Change} Change */
/** @typedef {import('./types.js').Acked} Acked */
/** @typedef {import('./types.js').EditResult} EditResult */
/** @typedef {import('./types.js').Entity} Entity */
/** @typedef {import('./types.js').RoomStateEvents} RoomStateEvents */
/** @typedef {import('./types.js').StatePlugin} StatePlugin */

/** For the option `state` of a client. @type {StatePlugin} */
export const state = {
  client: STATE_CLIENT_SECTIONS,
  server: STATE_SERVER_SECTIONS,
  open(old, schema, appliedCseq, link) {
    const model = readModel(schema);
    const opened = old ?? new RoomState(model, link);
    opened.begin(model, appliedCseq);
    return opened;
  },
};

export { EditRefusedError } from './edits.js';
export { RoomState } from './roomstate.js';
