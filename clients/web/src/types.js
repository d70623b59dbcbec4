/**
 * What applications see: options, events and what comes with them. Types only; nothing here runs.
 *
 * @module
 */

/** @typedef {import('./codec.js').LeaveReason} LeaveReason */
/** @typedef {import('./asking.js').Counts} Counts */
/** @typedef {import('./codec.js').PresenceMode} PresenceMode */
/** @typedef {import('./codec.js').Section} Section */
/** @typedef {import('./errors.js').RefusedError} RefusedError */
/** @typedef {import('./outbox.js').Outbox} Outbox */
/** @typedef {import('./outbox.js').Wire} Wire */
/** @typedef {import('./presence.js').Presence} Presence */
/** @typedef {import('./roomstate.js').RoomState} RoomState */
/** @typedef {import('./joins.js').StorageLike} StorageLike */
/** @typedef {import('./values.js').Attributes} Attributes */
/** @typedef {import('./cells.js').Schema} Schema */

// --- The client ---

/**
 * `suspended`: the page was put away, or the application asked for it; `closed` is final, and in all
 * others the client connects by itself.
 *
 * @typedef {'connecting' | 'open' | 'reconnecting' | 'draining' | 'suspended' | 'closed'} Status
 */

/**
 * @typedef {object} StatusEvent
 * @property {Status} status
 * @property {number} [retryInMs] until the next attempt, when one is waited for
 * @property {Error} [error] why the client closed
 */

/**
 * @typedef {object} ClientEvents
 * @property {StatusEvent} status
 * @property {{ rtt: number, offset: number }} rtt a ping was answered; milliseconds
 * @property {{ resumed: boolean }} session a session began, or was taken up again
 * @property {Error} error something about the session was refused, a token could not be had, or a room's state not be read
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
 * What a transport tells of its connection, in this order: `opened` once, then what is received, and
 * `closed` once at the end, also of one that never opened.
 *
 * @typedef {object} PipeEvents
 * @property {() => void} opened
 * @property {(batch: unknown) => void} received a batch: an `ArrayBuffer`, and anything else is a fault of the server's
 * @property {(code: number, reason: string) => void} closed a close code of the protocol, or 1006 when the connection was lost
 */

/**
 * A connection that a transport has begun to open.
 *
 * @typedef {object} Pipe
 * @property {number} bufferedAmount bytes sent that have not left this machine
 * @property {(batch: Uint8Array<ArrayBuffer>) => void} send after `opened`; batches keep their order
 * @property {(code: number, reason: string) => void} close
 */

/**
 * A way to carry bytes to a server and back: opens a connection, and throws where it cannot work at all.
 *
 * @typedef {(url: string, hears: PipeEvents, options: ClientOptions) => Pipe} Transport
 */

/**
 * What `madang-client/state` adds to a client.
 *
 * @typedef {object} StatePlugin
 * @property {Section[]} client
 * @property {Section[]} server
 * @property {(old: RoomState | null, schema: Uint8Array, appliedCseq: number, link: StateLink) => RoomState} open
 */

/** @typedef {{ wire: Wire, outbox: Outbox }} StateLink */

/**
 * @typedef {object} ClientOptions
 * @property {string} [token] a credential
 * @property {() => string | Promise<string>} [getToken] a fresh credential, for each attempt to connect and whenever the server asks for one; wins over `token`. It is waited for as long as it takes, a login of the user for instance, so bound what may hang
 * @property {StatePlugin} [state] keeps a live copy of the state of rooms that have one: `import { state } from 'madang-client/state'`
 * @property {StorageLike} [storage] such as `sessionStorage`: a page reload resumes the session
 * @property {string} [name] the application's name, told to the server's operator
 * @property {any} [WebSocket] the WebSocket class, where there is no global one
 * @property {readonly Transport[]} [transports] ways to the server; where one gets no answer the next is tried. By default WebSocket, and requests where it does not get through; `[webSocket]`, or one of `madang-client/http`, is that way alone
 * @property {number} [probeMs] until a way that gives no sign counts as blocked; 3,000 by default
 * @property {number} [rememberMs] how long a way that worked where the first did not is begun with; an hour by default
 * @property {typeof globalThis.fetch} [fetch] for the ways that are made of requests, where it is not the global one
 * @property {number} [pingMs] how often to measure the round trip; 10,000 by default
 * @property {number} [connectTimeoutMs] until an attempt is given up; 10,000 by default
 * @property {number} [pendingMax] most unanswered sendings of a room; 1,000 by default
 * @property {number} [queueMax] most sendings of a room with `queue: true` that wait for a connection; 100 by default
 * @property {number} [queueBytesMax] and their bytes; 1 MiB by default
 * @property {() => number} [random] uniform in [0, 1), for the waiting times
 * @property {Timers} [timers]
 */

/**
 * Numbers of a session. `classes` and what is summed up of them are the server's: what it sent this
 * client, dropped, and replaced by newer; `own` is what this client did.
 *
 * @typedef {object} RoomStats
 * @property {number | null} rtt the newest round trip in milliseconds
 * @property {number} clockOffset what to add to this machine's clock to get the server's, in milliseconds
 * @property {number} resumes
 * @property {number} dropped
 * @property {number} conflated
 * @property {{ reliable: Counts, latest: Counts, volatile: Counts, control: Counts, state: Counts }} classes
 * @property {number} queuedMessages that wait at the server for this client
 * @property {number} queuedBytes
 * @property {{ dropped: number, conflated: number, unanswered: number }} own
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
 * @property {'reliable' | 'latest' | 'volatile'} class
 * @property {number | null} key of class latest
 * @property {number | null} seq its place in the room's log; null for latest and volatile
 * @property {Date | null} at when, by the server's clock; null for latest and volatile
 * @property {number} from the sender; 0 is the room itself
 * @property {Member | undefined} member the sender, when it is known and still here
 * @property {boolean} direct to this member alone
 * @property {boolean} mine
 * @property {any} local what `send` was given as `local`, for one's own messages
 * @property {Origin} origin
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
 * @typedef {object} PresenceEvents
 * @property {PresenceChange} join
 * @property {PresenceChange} leave
 * @property {PresenceChange} away
 * @property {PresenceChange} back
 * @property {PresenceChange} attributes
 * @property {PresenceChange} collapsed the room has become too large for a list of its members
 * @property {Presence} change the list or the count is another than before
 */

/**
 * What came of something sent.
 *
 * @typedef {object} Receipt
 * @property {number | null} seq its place in the room's log, if it has one and this client knows it
 * @property {boolean} repeated whether it had been dealt with before, and the answer was lost
 * @property {'sequenced' | 'durable'} [durability]
 * @property {number} [tick] of a room with rules: the one that shows it
 */

/** @typedef {{ retryInMs: number | null, reason: string }} Drop */

/**
 * @typedef {object} Recovery
 * @property {boolean} recovered whether everything that was missed follows or has followed
 * @property {boolean} resumed whether the session was taken up again; if not, this is a new one
 * @property {number} replay how many logged messages follow
 */

/** @typedef {{ reason: LeaveReason | 'refused' | 'disconnected', error?: Error }} Leave */
/** @typedef {{ fromSeq: number, toSeq: number }} Gap */

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
 * The same for spectators.
 *
 * @typedef {object} WatchStateEvents
 * @property {{ tick: number }} reset the state came anew; what follows is the difference to what was shown before
 * @property {[entity: Entity, fields: string[]]} remove
 * @property {[entity: Entity, fields: string[]]} add
 * @property {[entity: Entity, fields: string[]]} change
 * @property {{ tick: number, seq: number }} tick everything of a tick was told
 */

// --- Watching ---

/**
 * @typedef {object} WatchOptions
 * @property {string} [url] of the server's side listener, such as `https://watch.example`; the page's own origin by default
 * @property {string | number} [delay] everything so much later than it happened: `'10s'`, or milliseconds
 * @property {string | number} [from] where to begin: `'-60s'` for so long ago, or a seq
 * @property {string} [token] a credential; an EventSource can only carry it in the address
 * @property {() => string | Promise<string>} [getToken] a fresh credential, for each attempt to connect; wins over `token`
 * @property {boolean} [share] whether the tabs of this browser share one connection (default); never with `from`
 * @property {any} [EventSource] the class, where there is no global one
 * @property {any} [fetch] asks why there is no stream; the global one by default
 * @property {() => number} [random] uniform in [0, 1), for the waiting times
 */

/**
 * A message that spectators see: logged, or published by a backend.
 *
 * @typedef {object} WatchMessage
 * @property {string} type
 * @property {any} payload a string, a `Uint8Array`, or what the JSON said
 * @property {'bytes' | 'text' | 'json'} format
 * @property {number | null} seq
 * @property {Date | null} at when, by the server's clock
 * @property {number} from the sender; 0 is the room itself, or a backend
 */

/** @typedef {'connecting' | 'open' | 'reconnecting' | 'closed'} WatchStatus */

/**
 * The room's stream is over: its epoch ended, it may not be watched (any more), or this watch was closed.
 *
 * @typedef {{ reason: 'ended' | 'refused' | 'closed', status?: number }} WatchEnd
 */

/**
 * What became of an edit.
 *
 * @typedef {object} EditResult
 * @property {number[]} ids of the created entities, in the order of their changes
 * @property {number} tick that shows the changes; it may not have come yet
 */

/**
 * @typedef {object} JoinOptions
 * @property {Attributes} [attributes] shown to the others
 * @property {number} [history] how many of the newest messages to receive
 * @property {number} [keep] how many `room.history` keeps; as many as `history` by default
 * @property {boolean} [echo] whether one's own reliable messages come back as messages (default)
 * @property {{ capacity?: number, presence?: PresenceMode, public?: boolean, labels?: Record<string, string> }} [create] what the room is like if this join creates it
 * @property {Schema} [schema] of the state of a room of kind `shared`, if this join creates it
 * @property {'keep' | 'remove' | 'hand_over'} [onLeave] what becomes there of the entities of a member that leaves; `keep` by default
 * @property {AbortSignal} [signal] gives the join up
 * @property {'create' | 'join' | 'either'} [mode] set by the method that is called
 */

/** A room's name, or a match: any room of a kind with these labels. @typedef {string | { kind: string, filter?: Record<string, string> }} Target */

/**
 * @typedef {object} SendOptions
 * @property {'reliable' | 'latest' | 'volatile'} [class]
 * @property {number} [key] of class latest: only the newest message of a key matters
 * @property {number | { id: number }} [to] one member instead of everyone; reliable
 * @property {boolean} [queue] of class reliable: without a connection it waits for one
 * @property {any} [local] comes back with the message and never leaves this program
 */

/**
 * @typedef {object} RequestOptions
 * @property {number} [timeoutMs] 10,000 by default
 * @property {AbortSignal} [signal]
 * @property {boolean} [queue] without a connection it waits for one
 */

export {};
