/**
 * Everything that can be refused or go wrong, as classes, with the numbers of the wire beside
 * them. The two tables repeat those of SPEC.md.
 *
 * @module
 */

/** The base of every error of this client. */
export class MadangError extends Error {
  /** @param {string} message */
  constructor(message) {
    super(message);
    this.name = new.target.name;
  }
}

/** Bytes that are not a message. */
export class DecodeError extends MadangError {}

/** A variant that this version does not have: a message with it is skipped, not a fault. */
export class UnknownTagError extends DecodeError {}

/** The server refused something; the connection goes on. */
export class RefusedError extends MadangError {
  /**
   * @param {number} code as in the table of error codes
   * @param {string} message for people
   */
  constructor(code, message) {
    super(message || errorName(code));
    /** The number. */
    this.code = code;
    /** Its name, `unknown` for one of a later version. */
    this.reason = errorName(code);
    /** Whether the same may work later. */
    this.temporary = Math.floor(code / 100) === 2;
  }
}

/** The connection ended for good: the client does not reconnect. */
export class ClosedError extends MadangError {
  /**
   * @param {number} code of the WebSocket close
   * @param {string} message
   */
  constructor(code, message) {
    super(message);
    /** The close code; 1000 when the application closed the client itself. */
    this.code = code;
    /** Its name. */
    this.reason = closeRule(code).name;
  }
}

/** The room was left, so what was on its way to it will not be answered. */
export class LeftError extends MadangError {
  /** @param {string} reason as in the `left` event */
  constructor(reason) {
    super(`the room was left: ${reason}`);
    this.reason = reason;
  }
}

/**
 * The session was lost between sending and the answer: whether the room has dealt with it cannot
 * be known. Sending again may do it twice.
 */
export class OutcomeUnknownError extends MadangError {}

/**
 * What was to be sent now or never was not: there is no connection, or it takes no more, or it was
 * lost before the room had dealt with it. Nothing came of it.
 */
export class DroppedError extends MadangError {}

/** Some changes of an edit were refused; the others were made. */
export class EditRefusedError extends MadangError {
  /**
   * @param {{ change: number, field: string | null, reason: string }[]} refused
   * @param {(number | null)[]} ids
   * @param {number} tick
   */
  constructor(refused, ids, tick) {
    super(refused.map(({ change, field, reason }) => `change ${change}${field ? ` (${field})` : ''}: ${reason}`).join('; '));
    /**
     * The refused changes, by their place in the edit; `field` where it was one of several. Reasons:
     * `unknown`, `invalid`, `not_owner`, `changed`, `full`, `no_such_member`.
     */
    this.refused = refused;
    /** The ids of the created entities in the order of their changes, null where it was refused. */
    this.ids = ids;
    /** The tick that shows the changes that were made. */
    this.tick = tick;
  }
}

/** Too much waits to be sent or answered already, or one message is larger than the server takes. */
export class LimitError extends MadangError {}

/** @type {Record<number, string>} */
const ERROR_NAMES = {
  100: 'invalid',
  101: 'no_such_room',
  102: 'room_exists',
  103: 'wrong_kind',
  104: 'not_a_member',
  105: 'no_such_member',
  106: 'unknown_request',
  107: 'no_match',
  108: 'already_joined',
  109: 'unknown_type',
  110: 'stale_cseq',
  111: 'refused',
  112: 'no_state',
  200: 'room_full',
  201: 'too_many_rooms',
  202: 'server_full',
  203: 'draining',
  204: 'busy',
  300: 'forbidden',
  301: 'bad_token',
  302: 'banned',
  500: 'internal',
  501: 'room_failed',
};

/**
 * @typedef {object} CloseRule
 * @property {string} name
 * @property {boolean} resumable whether to reconnect; the session lives on
 * @property {string} meaning
 */

/** @type {Record<number, [name: string, kind: 'terminal' | 'resumable', meaning: string]>} */
const CLOSE_CODES = {
  1000: ['normal', 'terminal', 'The client closed with 1000: the session ended with it.'],
  1002: ['protocol_error', 'terminal', 'The WebSocket framing was broken.'],
  1007: ['invalid_payload', 'terminal', 'A text message was not UTF-8.'],
  1009: ['message_too_big', 'terminal', 'A message was larger than the limit.'],
  1011: ['internal_error', 'resumable', 'The server failed; this is its fault.'],
  4001: ['unauthorized', 'terminal', 'The credential was missing or refused.'],
  4002: ['expired', 'resumable', 'The credential expired and no new one came; resume with a new one.'],
  4003: ['hello_timeout', 'terminal', 'No hello came in time.'],
  4004: ['bad_message', 'terminal', 'A message could not be decoded or was not allowed at this point.'],
  4005: ['unsupported_version', 'terminal', 'Client and server share no protocol version.'],
  4006: ['hello_too_big', 'terminal', 'Too many bytes came before the session was accepted.'],
  4007: ['rate_limited', 'resumable', 'The client went on asking for far more than it may, after it had been slowed down.'],
  4008: ['slow_consumer', 'resumable', 'The client read too slowly and its queue of reliable messages was full.'],
  4009: ['replaced', 'terminal', 'The session was resumed on another connection.'],
  4010: ['liveness_timeout', 'resumable', 'Nothing came from the client in time, not even an answer to a ping.'],
  4011: ['draining', 'resumable', 'The server is going away; reconnect after the hint of the draining message.'],
  4012: ['kicked', 'terminal', 'The client was removed.'],
  4013: ['control_overflow', 'resumable', 'Too many answers were waiting: the client asked faster than it read.'],
  4014: ['room_closed', 'terminal', 'The raw room was closed.'],
  4015: ['room_refused', 'terminal', 'The raw room could not be joined: it is full, or not a raw room.'],
  4017: ['busy', 'resumable', 'The server is at a limit; try again later.'],
  4018: [
    'superseded',
    'resumable',
    "An earlier attempt to resume the session was dealt with late and took this connection's place; resume again.",
  ],
};

/**
 * What to do about a close code. One that is not listed is taken as a lost connection, also when
 * only a newer server can have meant it.
 *
 * @param {number} code
 * @returns {CloseRule}
 */
export function closeRule(code) {
  const known = CLOSE_CODES[code];
  if (known !== undefined) {
    return { name: known[0], resumable: known[1] === 'resumable', meaning: known[2] };
  }
  return code >= 4000 && code <= 4999
    ? { name: 'unknown', resumable: true, meaning: 'The server closed with a code this client does not know.' }
    : { name: 'lost', resumable: true, meaning: 'The connection was lost.' };
}

/** @param {number} code */
export function errorName(code) {
  return ERROR_NAMES[code] ?? 'unknown';
}

/** The close codes this client knows, ascending. */
export const KNOWN_CLOSE_CODES = Object.keys(CLOSE_CODES).map(Number);
