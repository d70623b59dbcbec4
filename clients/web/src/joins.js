/**
 * Joins that are more than a room's name: those that say what to look for or how a room is made, and those
 * that take up a membership of another page or process by its ticket, a text of the session's key and of how
 * far a room was seen.
 *
 * In a storage tickets are written when the page goes and taken away when the next one starts: a tab
 * that is duplicated copies the storage, and two tabs must not fight over one session.
 *
 * Loaded with the first such join, or for a client that has a storage.
 *
 * @module
 */

/** @typedef {import('./client.js').Client} Client */
/** @typedef {import('./types.js').JoinOptions} JoinOptions */
/** @typedef {import('./types.js').Target} Target */
/** What puts memberships aside, and takes them up. @typedef {{ take: () => void, put: () => void }} Shelf */
/** @typedef {{ key: string, name: string, channel: number, epoch: string, seq: number, cseq: number }} Ticket */
/** What is used of a `Storage`. @typedef {{ getItem: (key: string) => string | null, setItem: (key: string, value: string) => void, removeItem: (key: string) => void }} StorageLike */

/** The extensions of `join`: a state's schema, and what a room of kind `shared` does when a member leaves. */
const [EXT_SCHEMA, EXT_ON_LEAVE] = [1, 2];
const ON_LEAVE = ['keep', 'remove', 'hand_over'];

/**
 * Parts of a `join`, as they are on the wire.
 *
 * @param {Target} target what was asked for
 * @param {JoinOptions} options
 * @returns {import('./room.js').Making}
 */
export function making(target, { create, schema, onLeave }) {
  /** @type {[number, Uint8Array][]} */
  const ext = [];
  if (schema) {
    ext.push([EXT_SCHEMA, new TextEncoder().encode(JSON.stringify(schema))]);
  }
  if (onLeave) {
    ext.push([EXT_ON_LEAVE, new Uint8Array([ON_LEAVE.indexOf(onLeave)])]);
  }
  return {
    match: typeof target === 'string' ? undefined : { match: { kind: target.kind, filter: pairs(target.filter) } },
    create: create && { ...create, labels: pairs(create.labels) },
    ext,
  };
}

const pairs = (/** @type {Record<string, string>} */ labels = {}) => Object.entries(labels);

const FORM = /^([0-9a-f]{48})\.(\d{1,10})\.([0-9a-f]{16})\.(\d{1,15})\.(\d{1,15})\.([^ ]{1,128})$/;

/**
 * @param {string} text
 * @returns {Ticket | null} null for what is no ticket
 */
function readTicket(text) {
  const found = FORM.exec(text);
  return found && { key: found[1], channel: +found[2], epoch: found[3], seq: +found[4], cseq: +found[5], name: found[6] };
}

/**
 * Has the client take up the membership of a ticket when it connects.
 *
 * @param {Client} client
 * @param {string} text
 * @param {JoinOptions | undefined} options
 * @param {boolean} isInTime whether it has no session yet
 * @param {Pick<typeof import('./errors.js'), 'MadangError' | 'SessionGoneError'>} errors
 */
export function takeUpBy(client, text, options, isInTime, { MadangError, SessionGoneError }) {
  const ticket = readTicket(text);
  if (!ticket) {
    throw new MadangError('invalid', 'this is no ticket of a room');
  }
  if (!isInTime || (client.resumeKey ?? ticket.key) !== ticket.key) {
    throw new SessionGoneError();
  }
  offer(client, [ticket]);
  return client.enterNew(ticket.name, { ...options, mode: 'join' }, true);
}

/**
 * @param {Client} client
 * @param {Ticket[]} tickets of one session
 */
function offer(client, tickets) {
  const before = client.takeUp;
  client.resumeKey = tickets[0]?.key ?? null;
  client.takeUp = () => {
    client.takeUp = null;
    before?.();
    tickets.forEach((ticket) => takeUp(client, ticket));
  };
}

/**
 * A room that an application waits for is one that an earlier page of this session was in. This page has shown
 * nothing yet, so it asks for as much of the past as a join would.
 *
 * @param {Client} client
 * @param {Ticket} ticket
 */
function takeUp({ places: { joins, entered } }, { name, channel, epoch, seq, cseq }) {
  const [ref, room] = [...joins].find(([, { first, target }]) => first && target === name) ?? [];
  if (ref !== undefined && room && !entered.has(channel)) {
    room.epoch = epoch;
    room.seq = Math.max(0, seq - (room.options.history ?? 0));
    room.outbox.cseq = cseq;
    room.outbox.channel = channel;
    joins.delete(ref);
    entered.set(channel, room);
  }
}

/**
 * Takes what was put aside for this client, and from now on puts aside what is to outlive its page.
 *
 * @param {Client} client
 * @param {StorageLike} storage
 */
export function shelve(client, storage) {
  const name = `madang:${client.baseUrl}`;
  let text = '';
  const shelf = {
    take() {
      text = storage.getItem(name) ?? '';
      storage.removeItem(name);
      offer(client, text.split(' ').map(readTicket).filter((it) => it !== null));
    },
    put() {
      try {
        // A page that goes before it has connected leaves what it found.
        storage.setItem(name, client.takeUp ? text : client.rooms.map(({ ticket }) => ticket ?? '').join(' '));
      } catch {
        // A full or forbidden storage costs the resume and nothing else.
      }
    },
  };
  client.shelf = shelf;
  shelf.take();
}
