/**
 * What a session was sent and has missed: asked of the server, and summed up. Loaded when it is first
 * asked for, so it imports nothing of what is loaded already.
 *
 * @module
 */

/** @template S @typedef {import('./schema.js').Shape<S>} Shape */
/** @typedef {import('./codec.js').Table} Table */
/** @typedef {import('./clock.js').Clock} Clock */
/** @typedef {import('./room.js').Room} Room */
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

const COUNTS = struct({ sent: 'u53', dropped: 'u53', conflated: 'u53' });
/** @type {Shape<Stats>} */
const STATS = struct({
  ref: 'u32',
  reliable: COUNTS,
  latest: COUNTS,
  volatile: COUNTS,
  control: COUNTS,
  queued_messages: 'u32',
  queued_bytes: 'u53',
  resumes: 'u32',
  state: COUNTS,
});

/**
 * Makes the messages known.
 *
 * @param {Table} says
 * @param {Table} hears
 */
export function learnStats(says, hears) {
  says[8] = ['get_stats', struct({ ref: 'u32' })];
  hears[12] = ['stats', STATS];
}

/**
 * @param {Stats} answer
 * @param {Clock} clock
 * @param {number} resumes
 * @param {Room[]} rooms
 * @returns {RoomStats}
 */
export function summary(answer, { rtt, offset: clockOffset }, resumes, rooms) {
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

/**
 * Named fields in their order: by a method of reader and writer, or a shape.
 *
 * @param {Record<string, 'u32' | 'u53' | Shape<any>>} fields
 * @returns {Shape<any>}
 */
function struct(fields) {
  return (io, value) =>
    Object.fromEntries(
      Object.entries(fields).map(([name, kind]) => [name, typeof kind === 'string' ? io[kind](value?.[name]) : kind(io, value?.[name])]),
    );
}
