/**
 * What was sent to a room and is not answered yet, in the order of cseq. It outlives connections:
 * after a resume the room says how far it got, and the rest is sent again under the same numbers,
 * so that nothing is applied twice.
 *
 * @module
 */

/**
 * @typedef {object} Entry
 * @property {number} cseq
 * @property {'publish' | 'volatile' | 'direct' | 'request' | 'attributes' | 'edit'} kind
 * @property {import('./outbox.js').Build} build
 * @property {any} local the application's own mark
 * @property {number} bytes
 * @property {boolean} sent whether it ever went into a connection
 * @property {Promise<any>} done
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

  /** How many have not been sent at all. */
  get waiting() {
    return this.all().filter(({ sent }) => !sent).length;
  }

  /** And their bytes. */
  get waitingBytes() {
    return this.all().reduce((sum, { sent, bytes }) => sum + (sent ? 0 : bytes), 0);
  }

  /** @param {Entry} entry with a cseq above all before */
  add(entry) {
    this.#entries.set(entry.cseq, entry);
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
