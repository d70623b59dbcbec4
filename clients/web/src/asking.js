/**
 * What is asked, not sent: how long a request is waited for, and statistics, which are asked of the server and
 * summed up. Loaded with the first of them; it imports nothing of what is loaded already.
 *
 * @module
 */

/** @template S @typedef {import('./schema.js').Shape<S>} Shape */
/** @typedef {import('./client.js').Client} Client */
/** @typedef {import('./codec.js').Table} Table */
/** @typedef {import('./room.js').Room} Room */
/** @typedef {import('./types.js').RequestOptions} RequestOptions */
/** @typedef {import('./types.js').RoomStats} RoomStats */

/** @typedef {{ sent: number, dropped: number, conflated: number }} Counts */
/**
 * @typedef {object} Stats
 * @property {number} ref
 * @property {Counts} reliable
 * @property {Counts} latest
 * @property {Counts} volatile
 * @property {Counts} control
 * @property {number} queued_messages
 * @property {number} queued_bytes
 * @property {number} resumes
 * @property {Counts} state
 */

/** @typedef {{ tag: 'get_stats', body: { ref: number } }} StatsClientMessage */
/** @typedef {{ tag: 'stats', body: Stats }} StatsServerMessage */

/**
 * What this needs of the rest of the client.
 *
 * @typedef {Pick<typeof import('./errors.js'), 'DroppedError'> & Pick<typeof import('./schema.js'), 'struct'>} Tools
 */

const REQUEST_TIMEOUT_MS = 10_000;

/**
 * Gives a request up after its time, or by its signal.
 *
 * @param {import('./outbox.js').Outbox} outbox
 * @param {Promise<any>} sending
 * @param {RequestOptions} options
 * @param {import('./types.js').Timers} timers
 * @param {typeof import('./errors.js').TimeoutError} Timeout
 */
export function bound(outbox, sending, { timeoutMs = REQUEST_TIMEOUT_MS, signal }, timers, Timeout) {
  // Timers that are set for longer go off at once.
  const timer =
    timeoutMs < 2 ** 31 && timers.setTimeout(() => outbox.giveUp(sending, new Timeout('timeout', `no answer came within ${timeoutMs} ms`)), timeoutMs);
  const abort = () => outbox.giveUp(sending, signal?.reason);
  if (signal?.aborted) {
    abort();
  }
  signal?.addEventListener('abort', abort);
  const answered = () => {
    timers.clearTimeout(timer);
    signal?.removeEventListener('abort', abort);
  };
  sending.then(answered, answered);
}

/**
 * Makes the messages known.
 *
 * @param {Table} says
 * @param {Table} hears
 * @param {Tools['struct']} struct
 */
export function learnStats(says, hears, struct) {
  /** @type {Shape<any>} */
  const u32 = (io, it) => io.u32(it) ?? it;
  /** @type {Shape<any>} */
  const u53 = (io, it) => io.u53(it) ?? it;
  const counts = struct({ sent: u53, dropped: u53, conflated: u53 });
  says[8] = ['get_stats', struct({ ref: u32 })];
  hears[12] = [
    'stats',
    struct({ ref: u32, reliable: counts, latest: counts, volatile: counts, control: counts, queued_messages: u32, queued_bytes: u53, resumes: u32, state: counts }),
  ];
}

/**
 * Asks the server, and sums up what it and the rooms say.
 *
 * @param {Client} client
 * @param {Room[]} rooms
 * @param {Tools} tools
 * @returns {Promise<RoomStats>}
 */
export async function askStats(client, rooms, { DroppedError, struct }) {
  learnStats(client.says, client.hears, struct);
  const { attempt } = client;
  const ref = ++client.refs;
  /** @type {import('./emitter.js').Off[]} */
  let offs = [];
  try {
    const answer = await new Promise((resolve, reject) => {
      const lost = () => {
        if (!client.isOpen || attempt !== client.attempt) {
          reject(new DroppedError('offline', 'there is no connection'));
        }
      };
      offs = [client.on(/** @type {any} */ ('stats'), (/** @type {any} */ it) => it.ref === ref && resolve(it)), client.on('status', lost)];
      lost();
      client.say({ tag: 'get_stats', body: { ref } });
    });
    return summary(answer, client, rooms);
  } finally {
    offs.forEach((off) => off());
  }
}

/**
 * @param {Stats} answer
 * @param {Client} client
 * @param {Room[]} rooms
 * @returns {RoomStats}
 */
function summary(answer, { rtt, offset: clockOffset, resumes }, rooms) {
  const { ref: _, resumes: __, queued_messages: queuedMessages, queued_bytes: queuedBytes, ...classes } = answer;
  const own = { dropped: 0, conflated: 0, unanswered: 0 };
  for (const { outbox } of rooms) {
    own.dropped += outbox.dropped;
    own.conflated += outbox.conflated;
    own.unanswered += outbox.unanswered;
  }
  let [dropped, conflated] = [0, 0];
  for (const it of Object.values(classes)) {
    dropped += it.dropped;
    conflated += it.conflated;
  }
  return { rtt, clockOffset, resumes, dropped, conflated, classes, queuedMessages, queuedBytes, own };
}
