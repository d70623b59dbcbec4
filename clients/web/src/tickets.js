/**
 * Memberships put aside as text, so that another page or process takes them up: the session's key
 * and how far a room was seen.
 *
 * In a storage they are written when the page goes and taken away when the next one starts: a tab
 * that is duplicated copies the storage, and two tabs must not fight over one session.
 *
 * Loaded when a client has a storage or is given a ticket.
 *
 * @module
 */

/** @typedef {{ key: string, name: string, channel: number, epoch: string, seq: number, cseq: number }} Ticket */
/** @typedef {Pick<Storage, 'getItem' | 'setItem' | 'removeItem'>} StorageLike */

const FORM = /^([0-9a-f]{48})\.(\d{1,10})\.([0-9a-f]{16})\.(\d{1,15})\.(\d{1,15})\.([^ ]{1,128})$/;

/**
 * @param {string} text
 * @returns {Ticket | null} null for what is no ticket
 */
export function readTicket(text) {
  const found = FORM.exec(text);
  return found && { key: found[1], channel: +found[2], epoch: found[3], seq: +found[4], cseq: +found[5], name: found[6] };
}

/**
 * Takes what was put aside, if anything was.
 *
 * @param {StorageLike | undefined} storage
 * @param {string} url of the server
 * @returns {Ticket[]}
 */
export function takeTickets(storage, url) {
  const text = storage?.getItem(itemName(url)) ?? '';
  storage?.removeItem(itemName(url));
  return text.split(' ').map(readTicket).filter((it) => it !== null);
}

/**
 * @param {StorageLike | undefined} storage
 * @param {string} url
 * @param {{ ticket: string | null }[]} rooms
 */
export function putTickets(storage, url, rooms) {
  try {
    storage?.setItem(itemName(url), rooms.map(({ ticket }) => ticket ?? '').join(' '));
  } catch {
    // A full or forbidden storage costs the resume and nothing else.
  }
}

/** @param {string} url */
function itemName(url) {
  return `madang:${url}`;
}
