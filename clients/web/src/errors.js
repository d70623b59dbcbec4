/**
 * Everything that can be refused or go wrong, as classes. Each error has a `code`, a short name that
 * stays the same in every build, and says in plain words what happened. The tables repeat those of
 * SPEC.md.
 *
 * @module
 */

/** The base of every error of this client. */
export class MadangError extends Error {
  /**
   * @param {string} code
   * @param {string} message
   */
  constructor(code, message) {
    super(message);
    // A bundler renames classes, so their names say nothing.
    this.name = 'MadangError';
    /** What happened, for programs. */
    this.code = code;
  }
}

/** Bytes that are not a message (`bad_message`). */
export class DecodeError extends MadangError {
  /** @param {string} message */
  constructor(message) {
    super('bad_message', message);
  }
}

/** A variant that this version does not have: a message with it is skipped, not a fault. */
export class UnknownTagError extends DecodeError {}

/** The server refused something; the connection goes on. The code is that of SPEC.md, such as `room_full`. */
export class RefusedError extends MadangError {
  /**
   * @param {number} number as in the table of error codes
   * @param {string} message for people
   */
  constructor(number, message) {
    const code = ERROR_CODES[number] ?? 'unknown';
    super(code, message || code);
    /** The number on the wire. */
    this.number = number;
    /** Whether the same may work later. */
    this.temporary = number >= 200 && number < 300;
  }
}

/** The connection ended for good: the client does not reconnect. The code is the close code's name. */
export class ClosedError extends MadangError {
  /**
   * @param {number} number of the close; 1000 when the application closed the client itself
   * @param {string} [message]
   */
  constructor(number, message) {
    const { name, meaning } = closeRule(number);
    super(name, message ?? meaning ?? name);
    /** The close code. */
    this.number = number;
  }
}

/** The room was left, so what was on its way to it will not be answered (`left`). */
export class LeftError extends MadangError {
  /** @param {string} reason as `onLeave` is told */
  constructor(reason) {
    super('left', `the room was left: ${reason}`);
    this.reason = reason;
  }
}

/** A session that was to be taken up is not there any more (`session_gone`): join the room instead. */
export class SessionGoneError extends MadangError {
  constructor() {
    super('session_gone', 'the session is over, or was taken up elsewhere: join the room instead');
  }
}

/**
 * The session was lost between sending and the answer (`outcome_unknown`): whether the room has dealt
 * with it cannot be known. Sending again may do it twice.
 */
export class OutcomeUnknownError extends MadangError {
  /** @param {string} message */
  constructor(message) {
    super('outcome_unknown', message);
  }
}

/**
 * Nothing was sent, or nothing came of it: there is no connection and the message was not to wait
 * (`offline`), or it was to be sent now or never and could not be (`dropped`).
 */
export class DroppedError extends MadangError {}

/** Too many wait (`queue_full`), or one message is larger than the server takes (`too_large`). */
export class LimitError extends MadangError {}

/** No answer came in time (`timeout`). The room may have dealt with it all the same. */
export class TimeoutError extends MadangError {
  /** @param {number} ms */
  constructor(ms) {
    super('timeout', `no answer came within ${ms} ms`);
  }
}

/** @type {Record<number, string>} */
const ERROR_CODES = {
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

/** After these the client comes back: they need no words, for nobody is told that it ended. @type {Record<number, string>} */
const RESUMABLE = {
  1011: 'internal_error',
  4002: 'expired',
  4007: 'rate_limited',
  4008: 'slow_consumer',
  4010: 'liveness_timeout',
  4011: 'draining',
  4013: 'control_overflow',
  4017: 'busy',
  4018: 'superseded',
};

/** @type {Record<number, [name: string, meaning: string]>} */
const TERMINAL = {
  1000: ['normal', 'The client closed with 1000: the session ended with it.'],
  1002: ['protocol_error', 'The WebSocket framing was broken.'],
  1007: ['invalid_payload', 'A text message was not UTF-8.'],
  1009: ['message_too_big', 'A message was larger than the limit.'],
  4001: ['unauthorized', 'The credential was missing or refused.'],
  4003: ['hello_timeout', 'No hello came in time.'],
  4004: ['bad_message', 'A message could not be decoded or was not allowed at this point.'],
  4005: ['unsupported_version', 'Client and server share no protocol version.'],
  4006: ['hello_too_big', 'Too many bytes came before the session was accepted.'],
  4009: ['replaced', 'The session was resumed on another connection.'],
  4012: ['kicked', 'The client was removed.'],
  4014: ['room_closed', 'The raw room was closed.'],
  4015: ['room_refused', 'The raw room could not be joined: it is full, or not a raw room.'],
};

/**
 * What to do about a close code. One that is not listed is taken as a lost connection, also when
 * only a newer server can have meant it.
 *
 * @param {number} number
 * @returns {{ name: string, resumable: boolean, meaning: string | undefined }}
 */
export function closeRule(number) {
  const [name, meaning] = TERMINAL[number] ?? [RESUMABLE[number] ?? (number >= 4000 ? 'unknown' : 'lost')];
  return { name, resumable: meaning === undefined, meaning };
}
