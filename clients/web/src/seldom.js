/**
 * What a server says seldom, and what a client does about it: something was refused or will not come, the server
 * goes away, a room or the session is to go on elsewhere, the credential expires, this is the end. Loaded when
 * something is said that is not known otherwise; what comes behind it waits meanwhile. It imports nothing of
 * what is loaded already.
 *
 * @module
 */

/** @typedef {import('./client.js').Client} Client */
/** @typedef {import('./codec.js').Table} Table */
/** @typedef {import('./errors.js').RefusedError} RefusedError */
/** @typedef {import('./room.js').Room} Room */

/** @typedef {'session' | { join: number } | { cseq: { channel: number, cseq: number } }} ErrorRef */
/** @typedef {{ tag: 'renew', body: { ref: number, token: string } }} SeldomClientMessage */
/**
 * @typedef {{ tag: 'presence_count', body: { channel: number, count: number } }
 *   | { tag: 'gap', body: { channel: number, from_seq: number, to_seq: number } }
 *   | { tag: 'error', body: { code: number, ref: ErrorRef, message: string } }
 *   | { tag: 'draining', body: { retry_after_ms: number } }
 *   | { tag: 'redirect', body: { url: string } }
 *   | { tag: 'moved', body: { channel: number, epoch: string } }
 *   | { tag: 'expiring', body: { close_ms: number } }
 *   | { tag: 'renewed', body: { ref: number, expires_ms: number | null } }} SeldomServerMessage
 */

/** Redirects in a row before the client goes back to the address it was given. */
const REDIRECTS_MAX = 5;

/** Refusals of a join that may be tried again, by a room that was entered before. */
const REFUSED_FOR_NOW = ['busy', 'server_full', 'room_full'];

/** How long a membership that nobody wants may stand in the way of a join, in milliseconds from one attempt to the next. */
const LEAVING = [0, 50, 200, 1_000];

/** How often each was tried again. @type {WeakMap<Room, number>} */
const attempts = new WeakMap();

/** The names of error codes, by their hundreds and in their order. @type {Record<number, string>} */
const ERROR_CODES = {
  1: 'invalid no_such_room room_exists wrong_kind not_a_member no_such_member unknown_request no_match already_joined unknown_type stale_cseq refused no_state',
  2: 'room_full too_many_rooms server_full draining busy',
  3: 'forbidden bad_token banned',
  5: 'internal room_failed',
};

/**
 * What close codes mean that a program or its user can do something about; for the rest what the server says
 * is more than enough.
 *
 * @type {Record<number, string>}
 */
const CLOSE_MEANINGS = {
  1009: 'A message was larger than the limit.',
  4001: 'The credential was missing or refused.',
  4005: 'Client and server share no protocol version.',
  4009: 'The session was resumed on another connection.',
  4012: 'The client was removed.',
};

/**
 * @param {number} code
 * @param {string} reason as the server gives it: the code's name, and behind a colon what was wrong
 */
export const closeMeaning = (code, reason) => [CLOSE_MEANINGS[code], reason].filter(Boolean).join(' ') || `closed with ${code}`;

/** @param {number} number */
export const errorName = (number) => ERROR_CODES[Math.floor(number / 100)]?.split(' ')[number % 100] ?? 'unknown';

/**
 * What this needs of the rest of the client.
 *
 * @typedef {Pick<typeof import('./errors.js'), 'RefusedError'> & Pick<typeof import('./codec.js'), 'decode'> & Pick<typeof import('./schema.js'), 'choice' | 'struct'> & Pick<typeof import('./backoff.js'), 'backoffMs'>} Tools
 */

/**
 * Makes the messages known.
 *
 * @param {Table} says
 * @param {Table} hears
 * @param {Pick<Tools, 'choice' | 'struct'>} tools
 */
export function learnSeldom(says, hears, { choice, struct }) {
  const [u16, u32, u53, text] = /** @type {const} */ (['u16', 'u32', 'u53', 'text']).map(
    (name) => (/** @type {any} */ io, /** @type {any} */ it) => io[name](it) ?? it,
  );
  const errorRef = choice([() => 'session', struct({ join: u32 }), struct({ cseq: struct({ channel: u32, cseq: u53 }) })], (it) =>
    it === 'session' ? 0 : 'join' in it ? 1 : 2);
  says[11] = ['renew', struct({ ref: u32, token: text })];
  hears[7] = ['presence_count', struct({ channel: u32, count: u32 })];
  hears[10] = ['gap', struct({ channel: u32, from_seq: u53, to_seq: u53 })];
  hears[13] = ['error', struct({ code: u16, ref: errorRef, message: text })];
  hears[14] = ['draining', struct({ retry_after_ms: u32 })];
  hears[15] = ['redirect', struct({ url: text })];
  hears[16] = ['moved', struct({ channel: u32, epoch: (io, it) => io.hex(8, it) ?? it })];
  hears[23] = ['expiring', struct({ close_ms: u32 })];
  hears[24] = ['renewed', struct({ ref: u32, expires_ms: (io, it) => (io.bool(it != null) ?? it != null ? u53(io, it) : null) })];
}

/**
 * @param {Client} client
 * @param {Uint8Array} encoded a message that is not known otherwise
 * @param {Tools} tools
 */
export function hearSeldom(client, encoded, tools) {
  const { decode, RefusedError } = tools;
  /** @type {Table} */
  const hears = [];
  learnSeldom(client.says, hears, tools);
  /** @type {SeldomServerMessage | null} */
  let message;
  try {
    message = decode(hears, encoded);
  } catch (error) {
    client.garbled(/** @type {Error} */ (error));
    return;
  }
  switch (message?.tag) {
    case undefined:
      client.skipped += 1;
      break;
    case 'presence_count':
      inRoom(client, message.body, ({ presence }, { count }) => presence.counted(count));
      break;
    case 'gap':
      inRoom(client, message.body, (room, { from_seq: fromSeq, to_seq: toSeq }) => {
        room.seq = Math.max(room.seq, toSeq);
        room.life.emit('gap', { fromSeq, toSeq });
      });
      break;
    case 'moved':
      inRoom(client, message.body, moved);
      break;
    case 'error': {
      const { code, ref, message: words } = message.body;
      refused(client, ref, new RefusedError(code, errorName(code), words), tools);
      break;
    }
    case 'draining':
      drain(client, message.body.retry_after_ms);
      break;
    case 'redirect':
      redirect(client, message.body.url);
      break;
    case 'expiring':
      void renew(client);
      break;
  }
}

/**
 * @template {{ channel: number }} B
 * @param {Client} client
 * @param {B} body
 * @param {(room: Room, body: B) => void} act
 */
function inRoom({ places }, body, act) {
  const room = places.entered.get(body.channel);
  room?.inTurn(() => act(room, body));
}

/**
 * The room has a new home, and what is known of it is void.
 *
 * @param {Room} room
 * @param {{ epoch: string }} body
 */
function moved(room, { epoch }) {
  const { id } = room.me;
  room.newEpoch(epoch);
  room.ownIds.add(id);
  room.replayLeft = 0;
  room.state?.begin(null, 0);
  room.life.emit('recover', { recovered: false, resumed: true, replay: 0 });
}

/**
 * @param {Client} client
 * @param {ErrorRef} ref
 * @param {RefusedError} error
 * @param {Tools} tools
 */
function refused(client, ref, error, tools) {
  if (ref === 'session') {
    client.emit('error', error);
  } else if ('cseq' in ref) {
    refusedSending(client.places.entered.get(ref.cseq.channel), ref.cseq.cseq, error);
  } else {
    refusedJoin(client, ref.join, error, tools);
  }
}

/**
 * @param {Room | undefined} room
 * @param {number} cseq
 * @param {RefusedError} error
 */
function refusedSending(room, cseq, error) {
  if (!room) {
    return;
  }
  if (error.code === 'room_failed') {
    room.failure = error; // What follows is that everybody is out.
  }
  const entry = room.outbox.take(cseq);
  if (entry) {
    entry.reject(error);
  } else {
    room.life.emit('refuse', error);
  }
}

/**
 * @param {Client} client
 * @param {number} ref
 * @param {RefusedError} error
 * @param {Tools} tools
 */
function refusedJoin({ places, due, random }, ref, error, { backoffMs }) {
  const room = places.joins.get(ref);
  if (!room || error.code === 'draining') {
    return; // When it drains the join stays, and goes to the server that this one is replaced by.
  }
  places.joins.delete(ref);
  const count = attempts.get(room) ?? 0;
  attempts.set(room, count + 1);
  // By a join that was given up: it is left as soon as it is answered.
  const isGivenUp = error.code === 'already_joined' && count < LEAVING.length && places.rooms.every(({ id }) => id !== room.id);
  // A room that was entered before is worth waiting for.
  if (isGivenUp || (!room.first && REFUSED_FOR_NOW.includes(error.code))) {
    const next = places.wait(room);
    due.start(`join ${next}`, isGivenUp ? LEAVING[count] : backoffMs(count, random), () => places.ask(next));
  } else {
    room.end({ reason: 'refused', error });
  }
}

/**
 * @param {Client} client
 * @param {number} retryInMs
 */
function drain(client, retryInMs) {
  client.hintAtMs = client.timers.now() + retryInMs;
  client.due.start('drain', retryInMs, () => client.lose('draining', 0));
  client.setStatus('draining', { retryInMs });
}

/**
 * @param {Client} client
 * @param {string} url
 */
function redirect(client, url) {
  const isFollowed = ++client.redirects <= REDIRECTS_MAX && mayFollow(url, client.baseUrl);
  if (!isFollowed) {
    client.redirects = 0;
  }
  client.url = isFollowed ? url : client.baseUrl;
  client.vigil.clock.forget();
  client.lose('redirected', isFollowed ? 0 : undefined);
}

/**
 * Whether a redirect leads to a server of this kind, and not from an encrypted one to one in the clear.
 *
 * @param {string} url
 * @param {string} from
 */
function mayFollow(url, from) {
  try {
    return (from.startsWith('wss:') ? /^wss:/ : /^wss?:/).test(new URL(url).protocol);
  } catch {
    return false;
  }
}

/**
 * The server asks for a fresh credential. Without one it closes, and the next attempt asks again.
 *
 * @param {Client} client
 */
async function renew(client) {
  const { attempt } = client;
  try {
    const token = await client.options.getToken?.();
    if (token !== undefined && attempt === client.attempt) {
      client.say({ tag: 'renew', body: { ref: 0, token } });
    }
  } catch (cause) {
    client.emit('error', cause instanceof Error ? cause : new Error(String(cause)));
  }
}
