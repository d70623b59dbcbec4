/**
 * What applications see: options, events and what comes with them. Types only; nothing here runs.
 *
 * @module
 */

/** @typedef {import('./codec.js').LeaveReason} LeaveReason */
/** @typedef {import('./codec.js').PresenceMode} PresenceMode */
/** @typedef {import('./errors.js').RefusedError} RefusedError */
/** @typedef {import('./memory.js').StorageLike} StorageLike */
/** @typedef {import('./pending.js').Receipt} Receipt */
/** @typedef {import('./values.js').Attributes} Attributes */
/** @typedef {import('./cells.js').Schema} Schema */

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
 * @property {Error} error something about the session was refused, a token could not be had, or a room's schema not be read
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
 * @property {() => string | Promise<string>} [getToken] a fresh credential, for each attempt to connect and whenever the server asks for one
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

// --- A room's state ---

/**
 * An entity of a room's state: its id, the name of its kind, and its fields by name. Numbers,
 * texts, booleans, `Uint8Array`s, arrays of 2 or 3 numbers for vectors, and arrays of those for
 * lists. A field that this member may not see is zero.
 *
 * @typedef {{ readonly id: number, readonly kind: string, [field: string]: any }} Entity
 */

/**
 * How much of what this member sent the state shows: everything up to `cseq`, since `tick`.
 *
 * @typedef {{ readonly tick: number, readonly cseq: number }} Acked
 */

/**
 * Told when all that a server's batch brought of a tick is there, in this order.
 *
 * @typedef {object} RoomStateEvents
 * @property {{ tick: number }} reset there was a jump: the state came anew. What follows is the difference to what was shown before, so keep that
 * @property {[entity: Entity, fields: string[]]} remove an entity is gone; the object keeps its last values
 * @property {[entity: Entity, fields: string[]]} add an entity came, with all its fields
 * @property {[entity: Entity, fields: string[]]} change fields changed, by name; the room's own (id 0) as well
 * @property {{ tick: number, seq: number, acked: Acked }} tick everything of a tick was told
 * @property {Error} error the state is wrong, and asking for it anew did not help
 */

/**
 * What became of an edit.
 *
 * @typedef {object} EditResult
 * @property {number[]} ids of the created entities, in the order of their changes
 * @property {number} tick that shows the changes; it may not have come yet
 */

/**
 * Something sent to a room with rules.
 *
 * @typedef {object} Input
 * @property {number} cseq its number, 0 if it was not sent; shown by the state once `state.acked.cseq` is as high
 * @property {Promise<Receipt>} done the room has dealt with it
 */

/**
 * @typedef {object} JoinOptions
 * @property {'create' | 'join' | 'either'} [mode] whether the room may (default), must or must not be created
 * @property {Attributes} [attributes] shown to the others
 * @property {number} [history] how many of the newest messages to receive
 * @property {boolean} [echo] whether one's own reliable messages come back as `message` events (default)
 * @property {{ capacity?: number, presence?: PresenceMode, public?: boolean, labels?: Record<string, string> }} [create]
 * @property {Schema} [schema] of the state of a room of kind `shared`, if this join creates it
 * @property {'keep' | 'remove' | 'hand_over'} [onLeave] what becomes there of the entities of a member that leaves; `keep` by default
 */

/** @typedef {string | { kind: string, filter?: Record<string, string> }} Target */

/**
 * @typedef {object} PublishOptions
 * @property {'reliable' | 'latest' | 'volatile'} [class]
 * @property {number} [key] of class latest: only the newest message of a key matters
 * @property {any} [local] comes back with the `message` event and never leaves this program
 */

export {};
