/**
 * What was sent to a room and is not answered yet, in the order of cseq. It outlives connections:
 * after a resume the room says how far it got, and the rest is sent again under the same numbers,
 * so that nothing is applied twice.
 *
 * @module
 */

/** @typedef {import('./codec.js').ClientMessage} ClientMessage */
/** @typedef {{ seq: number | null, repeated: boolean, durability?: 'sequenced' | 'durable', tick?: number }} Receipt */

/**
 * @typedef {object} Entry
 * @property {number} cseq
 * @property {'publish' | 'volatile' | 'direct' | 'request' | 'attributes' | 'edit'} kind
 * @property {(head: { channel: number, cseq: number }) => ClientMessage} build the message, anew for every sending: type numbers may change
 * @property {any} local the application's own mark
 * @property {boolean} sent whether it ever went into a socket
 * @property {(value: any) => void} resolve
 * @property {(error: Error) => void} reject
 */

/** Unanswered sendings of one room. */
export class Pending {
  /** @type {Map<number, Entry>} */
  #entries = new Map();

  /** How many wait. */
  get size() {
    return this.#entries.size;
  }

  /** @param {Entry} entry with a cseq above all before */
  add(entry) {
    this.#entries.set(entry.cseq, entry);
  }

  /** @param {number} cseq */
  get(cseq) {
    return this.#entries.get(cseq);
  }

  /**
   * Takes an entry out, to be settled by the caller.
   *
   * @param {number} cseq
   */
  take(cseq) {
    const entry = this.#entries.get(cseq);
    this.#entries.delete(cseq);
    return entry;
  }

  /** The entries in ascending order of cseq. */
  all() {
    return [...this.#entries.values()];
  }

  /**
   * Takes out all for which `test` holds, ascending.
   *
   * @param {(entry: Entry) => boolean} test
   */
  takeAll(test) {
    const taken = this.all().filter(test);
    for (const entry of taken) {
      this.#entries.delete(entry.cseq);
    }
    return taken;
  }
}
