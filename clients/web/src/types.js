/**
 * What applications see: options, events and what comes with them. Types only; nothing here runs.
 *
 * @module
 */

/** @typedef {import('./codec.js').LeaveReason} LeaveReason */
/** @typedef {import('./codec.js').PresenceMode} PresenceMode */
/** @typedef {import('./errors.js').RefusedError} RefusedError */
/** @typedef {import('./memory.js').StorageLike} StorageLike */
/** @typedef {import('./values.js').Attributes} Attributes */

// --- The client ---

/** @typedef {'connecting' | 'open' | 'reconnecting' | 'draining' | 'closed'} State */

/**
 * @typedef {object} StateEvent
 * @property {State} state
 * @property {number} [retryInMs] until the next attempt, when one is waited for
 * @property {Error} [error] why the client closed
 */

/**
 * @typedef {object} ClientEvents
 * @property {StateEvent} state
 * @property {{ rtt: number, offset: number }} rtt a ping was answered
 * @property {{ resumed: boolean }} session a session began, or was taken up again
 * @property {Error} error something about the session was refused, or a token could not be had
 */

/**
 * Time, so that tests need not wait for it.
 *
 * @typedef {object} Timers
 * @property {() => number} now wall clock in milliseconds
 * @property {(callback: () => void, ms: number) => any} setTimeout
 * @property {(timer: any) => void} clearTimeout
 */

/**
 * @typedef {object} ClientOptions
 * @property {string} [token] a credential
 * @property {() => string | Promise<string>} [getToken] a fresh credential for each attempt to connect
 * @property {any} [WebSocket] the WebSocket class, where there is no global one
 * @property {StorageLike} [storage] such as `sessionStorage`: a page reload resumes the session
 * @property {string} [name] the application's name, told to the server's operator
 * @property {number} [pingMs] how often to measure the round trip; 10,000 by default
 * @property {number} [connectTimeoutMs] until an attempt is given up; 10,000 by default
 * @property {number} [pendingMax] most unanswered sendings of a room; 1,000 by default
 * @property {() => number} [random] uniform in [0, 1), for the waiting times
 * @property {Timers} [timers]
 */

// --- A room ---

/**
 * @typedef {object} Member
 * @property {number} id ascending, never reused within an epoch
 * @property {string | null} user the authenticated user, if any
 * @property {boolean} away its connection is gone and its session still held
 * @property {Attributes} attributes
 */

/**
 * Where a message came from: `live`, or sent before the join (`history`), or while this client
 * was away (`missed`).
 *
 * @typedef {'live' | 'history' | 'missed'} Origin
 */

/**
 * @typedef {object} RoomMessage
 * @property {string} type
 * @property {any} payload a string, a `Uint8Array`, or what the JSON said
 * @property {'bytes' | 'text' | 'json'} format
 * @property {number} seq
 * @property {number} from the sender; 0 is the room itself
 * @property {Member | undefined} member the sender, when it is known and still here
 * @property {Date} at when, by the server's clock
 * @property {boolean} direct to this member alone
 * @property {boolean} mine
 * @property {any} local what `publish` was given as `local`, for one's own messages
 * @property {Origin} origin
 */

/**
 * @typedef {object} EphemeralMessage
 * @property {string} type
 * @property {any} payload
 * @property {'bytes' | 'text' | 'json'} format
 * @property {number} from
 * @property {Member | undefined} member
 * @property {number | null} key of class latest; null for volatile
 */

/**
 * @typedef {object} PresenceChange
 * @property {'join' | 'leave' | 'away' | 'back' | 'attributes' | 'collapsed'} event
 * @property {number} seq
 * @property {Origin} origin
 * @property {number | null} id whom it is about
 * @property {Member | undefined} member
 * @property {LeaveReason} [reason] of a leave
 * @property {string[]} [changed] the names of changed attributes
 */

/**
 * @typedef {object} Recovery
 * @property {boolean} recovered whether everything that was missed follows or has followed
 * @property {boolean} resumed whether the session was taken up again; if not, this is a new one
 * @property {number} replay how many logged messages follow
 */

/**
 * @typedef {object} RoomEvents
 * @property {RoomMessage} message
 * @property {EphemeralMessage} ephemeral
 * @property {PresenceChange} presence
 * @property {Map<number, Member>} members the member list or the count changed
 * @property {{ fromSeq: number, toSeq: number }} gap logged messages that will not come
 * @property {Recovery} recovered after a reconnect; what was missed follows
 * @property {{ epoch: string }} moved the room has a new home
 * @property {{ reason: LeaveReason | 'refused' | 'disconnected', error?: Error }} left final
 * @property {RefusedError} refused something sent without a promise was refused
 */

/**
 * @typedef {object} JoinOptions
 * @property {'create' | 'join' | 'either'} [mode] whether the room may (default), must or must not be created
 * @property {Attributes} [attributes] shown to the others
 * @property {number} [history] how many of the newest messages to receive
 * @property {boolean} [echo] whether one's own reliable messages come back as `message` events (default)
 * @property {{ capacity?: number, presence?: PresenceMode, public?: boolean, labels?: Record<string, string> }} [create]
 */

/** @typedef {string | { kind: string, filter?: Record<string, string> }} Target */

/**
 * @typedef {object} PublishOptions
 * @property {'reliable' | 'latest' | 'volatile'} [class]
 * @property {number} [key] of class latest: only the newest message of a key matters
 * @property {any} [local] comes back with the `message` event and never leaves this program
 */

export {};
