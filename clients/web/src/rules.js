/**
 * What a room with rules has beyond others: a state, and acknowledgements of what they have dealt with. Loaded
 * when such a room is entered.
 *
 * @module
 */

/** @typedef {import('./client.js').Client} Client */
/** @typedef {import('./outbox.js').Entry} Entry */
/** @typedef {import('./outbox.js').Outbox} Outbox */
/** @typedef {import('./room.js').Room} Room */

/**
 * The room's state, as the plug-in has it. Without one the rest of the room is usable all the same.
 *
 * @param {Client} client
 * @param {Room} room
 * @param {Uint8Array} schema
 * @param {number} appliedCseq
 * @param {typeof import('./errors.js').MadangError} MadangError
 * @returns {Room['state']}
 */
export function openState(client, { state: old, outbox }, schema, appliedCseq, MadangError) {
  const plugin = client.options.state;
  try {
    if (!plugin) {
      throw new MadangError('no_plugin', 'the room has a state: new Client(url, { state })');
    }
    return plugin.open(old, schema, appliedCseq, { wire: client, outbox });
  } catch (error) {
    client.emit('error', /** @type {Error} */ (error));
    return null;
  }
}

/**
 * The rules have dealt with everything sent up to here, and what they refused was said.
 *
 * @param {Outbox} outbox
 * @param {{ cseq: number, tick: number }} ack
 */
export function covered(outbox, { cseq, tick }) {
  const isCovered = (/** @type {Entry} */ entry) =>
    entry.cseq <= cseq && (entry.kind === 'publish' || entry.kind === 'volatile');
  for (const entry of outbox.takeAll(isCovered)) {
    entry.resolve({ seq: null, repeated: false, tick });
  }
}
