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
   * @param {string} code its name
   * @param {string} message for people
   */
  constructor(number, code, message) {
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
   * @param {string} code
   * @param {string} message
   */
  constructor(number, code, message) {
    super(code, message);
    /** The close code. */
    this.number = number;
  }
}

/** The room was left, so what was on its way to it will not be answered (`left`). */
export class LeftError extends MadangError {
  /** @param {string} reason as `onLeave` is told */
  constructor(reason) {
    super('left', `left: ${reason}`);
    this.reason = reason;
  }
}

/** A session that was to be taken up is not there any more (`session_gone`): join the room instead. */
export class SessionGoneError extends MadangError {
  constructor() {
    super('session_gone', 'session over');
  }
}

/**
 * The session was lost between sending and the answer (`outcome_unknown`): whether the room has dealt
 * with it cannot be known. Sending again may do it twice.
 */
export class OutcomeUnknownError extends MadangError {
  constructor() {
    super('outcome_unknown', 'no answer');
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
export class TimeoutError extends MadangError {}

/**
 * After these close codes the client does not come back. One that is not listed is a lost connection, also
 * when only a newer server can have meant it.
 */
export const TERMINAL_CODES = [1000, 1002, 1007, 1009, 4001, 4003, 4004, 4005, 4006, 4009, 4012, 4014, 4015];
