/**
 * A session put aside while a page is being replaced by the next, so that a reload resumes it.
 *
 * It is written when the page goes and taken away when the next one starts: a tab that is
 * duplicated copies the storage, and two tabs must not fight over one session.
 *
 * @module
 */

/**
 * @typedef {object} Saved
 * @property {string} resumeKey
 * @property {SavedRoom[]} rooms
 */

/**
 * @typedef {object} SavedRoom
 * @property {string} name
 * @property {number} channel
 * @property {string} epoch
 * @property {number} seq
 * @property {number} cseq
 */

/** @typedef {Pick<Storage, 'getItem' | 'setItem' | 'removeItem'>} StorageLike */

/**
 * Takes what was put aside, if anything was.
 *
 * @param {StorageLike} storage
 * @param {string} url of the server
 * @returns {Saved | null}
 */
export function takeSaved(storage, url) {
  const text = storage.getItem(itemName(url));
  if (text === null) {
    return null;
  }
  storage.removeItem(itemName(url));
  try {
    const saved = JSON.parse(text);
    return isSaved(saved) ? saved : null;
  } catch {
    return null; // Somebody else wrote it: it is not ours to understand.
  }
}

/**
 * @param {StorageLike} storage
 * @param {string} url
 * @param {Saved} saved
 */
export function putSaved(storage, url, saved) {
  try {
    storage.setItem(itemName(url), JSON.stringify(saved));
  } catch {
    // A full or forbidden storage costs the resume and nothing else.
  }
}

/**
 * In a browser: notices when the network is back and when the page goes. Elsewhere, nothing.
 *
 * @param {() => void} online
 * @param {(() => void) | undefined} hidden
 * @returns {() => void} stops it
 */
export function watchPage(online, hidden) {
  const page = globalThis.window;
  if (typeof page?.addEventListener !== 'function') {
    return () => {};
  }
  page.addEventListener('online', online);
  if (hidden !== undefined) {
    page.addEventListener('pagehide', hidden);
  }
  return () => {
    page.removeEventListener('online', online);
    if (hidden !== undefined) {
      page.removeEventListener('pagehide', hidden);
    }
  };
}

/** @param {string} url */
function itemName(url) {
  return `madang:${url}`;
}

/** @param {any} it */
function isSaved(it) {
  return (
    typeof it?.resumeKey === 'string' &&
    /^[0-9a-f]{48}$/.test(it.resumeKey) &&
    Array.isArray(it.rooms) &&
    it.rooms.every(
      (/** @type {any} */ room) =>
        typeof room?.name === 'string' &&
        /^[0-9a-f]{16}$/.test(room.epoch) &&
        [room.channel, room.seq, room.cseq].every((n) => Number.isSafeInteger(n) && n >= 0),
    )
  );
}
