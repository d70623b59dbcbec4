/**
 * React hooks. Rooms are shared by the components that ask for the same one, entered once and left when
 * the last of them has gone; mounting twice, as StrictMode does, neither joins nor leaves.
 *
 * ```jsx
 * import { Client } from 'madang-client';
 * import { usePresence, useRoom } from 'madang-client/react';
 *
 * const client = new Client('wss://play.example/play');
 *
 * function Lobby() {
 *   const { room, status } = useRoom(client, 'lobby');
 *   const members = usePresence(room);
 *   return room === null ? <p>{status}</p> : <p>{members.length} here</p>;
 * }
 * ```
 *
 * @module
 */

import { useCallback, useEffect, useRef, useState, useSyncExternalStore } from 'react';
import { watch } from '../src/watch.js';

/** @typedef {import('../src/client.js').Client} Client */
/** @typedef {import('../src/room.js').Room} Room */
/** @typedef {import('../src/roomstate.js').RoomState} RoomState */
/** @typedef {import('../src/watch.js').Watch} Watch */
/** @typedef {import('../src/watchstate.js').WatchState} WatchState */
/** @typedef {import('../src/types.js').Entity} Entity */
/** @typedef {import('../src/types.js').JoinOptions} JoinOptions */
/** @typedef {import('../src/types.js').Member} Member */
/** @typedef {import('../src/types.js').Target} Target */
/** @typedef {import('../src/types.js').WatchOptions} WatchOptions */
/** @typedef {import('../src/types.js').WatchStatus} WatchStatus */

/**
 * `joining`: not entered yet; `live`; `away`: the connection is lost and comes back; `left` is final.
 *
 * @typedef {'joining' | 'live' | 'away' | 'left'} RoomStatus
 */

/** @typedef {{ room: Room | null, status: RoomStatus, error: Error | null }} RoomView */

/**
 * Something opened by the first who uses it and closed some time after the last has gone: a component
 * that is mounted anew finds it open. What has ended by then is opened anew.
 *
 * @template T
 * @typedef {{ value: T, users: number, close: () => void, hasEnded: () => boolean }} Held
 */

/** @type {RoomView} */
const NOTHING = { room: null, status: 'joining', error: null };

/** @type {WeakMap<Client, Map<string, Held<RoomStore>>>} */
const rooms = new WeakMap();

/** A room of a client, and how it is with it. */
class RoomStore {
  #view = NOTHING;
  /** @type {Set<() => void>} */
  #listeners = new Set();
  #abort = new AbortController();

  /**
   * @param {Client} client
   * @param {Target} target
   * @param {JoinOptions & { how?: 'joinOrCreate' | 'join' | 'create' }} options
   */
  constructor(client, target, { how = 'joinOrCreate', ...options }) {
    client[how](target, { ...options, signal: this.#abort.signal }).then(
      (room) => {
        if (this.#abort.signal.aborted) {
          void room.leave();
          return;
        }
        room.onDrop(() => this.#set({ ...this.#view, status: 'away' }));
        room.onRecover(() => this.#set({ ...this.#view, status: 'live' }));
        room.onLeave(({ error = null }) => this.#set({ room, status: 'left', error }));
        this.#set({ room, status: 'live', error: null });
      },
      (error) => this.#set({ room: null, status: 'left', error }),
    );
  }

  /** @param {() => void} listener */
  subscribe = (listener) => {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  };

  view = () => this.#view;

  close() {
    this.#abort.abort();
    void this.#view.room?.leave();
  }

  /** @param {RoomView} view */
  #set(view) {
    this.#view = view;
    this.#listeners.forEach((listener) => listener());
  }
}

/**
 * Uses something held, and lets go of it a moment after the component has: StrictMode, or a parent that is
 * drawn anew, mounts it again at once.
 *
 * @template T
 * @param {Map<string, Held<T>>} all
 * @param {string} key
 * @param {() => Omit<Held<T>, 'users'>} open
 * @returns {{ value: T, release: () => void }}
 */
function hold(all, key, open) {
  const known = all.get(key);
  // Whoever has one that has ended keeps it; whoever comes later tries again.
  const held = known === undefined || known.hasEnded() ? { ...open(), users: 0 } : known;
  all.set(key, held);
  held.users += 1;
  return {
    value: held.value,
    release: () =>
      setTimeout(() => {
        held.users -= 1;
        if (held.users === 0) {
          if (all.get(key) === held) {
            all.delete(key);
          }
          held.close();
        }
      }, 0),
  };
}

/**
 * Enters a room while the component is there.
 *
 * @param {Client | null} client null: not yet
 * @param {Target} target the room's name, or what to look for
 * @param {JoinOptions & { how?: 'joinOrCreate' | 'join' | 'create' }} [options] as they are when the room is
 *   first asked for; `how` is `joinOrCreate` by default
 * @returns {RoomView}
 */
export function useRoom(client, target, options = {}) {
  const [held, setHeld] = useState(/** @type {{ client: Client, key: string, store: RoomStore } | null} */ (null));
  const latest = useRef(options);
  latest.current = options;
  const key = JSON.stringify(target);
  useEffect(() => {
    if (client === null) {
      return undefined;
    }
    const all = rooms.get(client) ?? new Map();
    rooms.set(client, all);
    const { value, release } = hold(all, key, () => {
      const opened = new RoomStore(client, JSON.parse(key), latest.current);
      return { value: opened, close: () => opened.close(), hasEnded: () => opened.view().status === 'left' };
    });
    setHeld({ client, key, store: value });
    return () => {
      setHeld(null);
      release();
    };
  }, [client, key]);
  // Until the effect has run it is the one that was asked for before.
  const store = held?.client === client && held.key === key ? held.store : null;
  const view = store?.view ?? nothing;
  return useSyncExternalStore(store?.subscribe ?? subscribeToNothing, view, nothing);
}

/**
 * The members of a room, drawn anew when they change. Empty where the room does not list them.
 *
 * @param {Room | null} room
 * @returns {readonly Member[]}
 */
export function usePresence(room) {
  const subscribe = useCallback((/** @type {() => void} */ changed) => room?.presence.on('change', changed) ?? (() => {}), [room]);
  return useRead(subscribe, () => [...(room?.presence ?? [])].map((member) => ({ ...member, attributes: { ...member.attributes } })));
}

/**
 * What a component shows of a state: of a room's, or of one that is watched. It is read again after each
 * tick and drawn anew when it is another than before.
 *
 * @template T
 * @param {{ state: RoomState | WatchState | null } | null} of a room or a watch
 * @param {(state: RoomState | WatchState) => T} read
 * @returns {T | undefined} undefined while there is no state
 */
export function useSharedState(of, read) {
  const state = of?.state ?? null;
  const subscribe = useCallback(
    (/** @type {() => void} */ changed) => /** @type {any} */ (state)?.on('tick', changed) ?? (() => {}),
    [state],
  );
  return useRead(subscribe, () => (state === null ? undefined : read(state)));
}

/** @type {Map<string, Held<Watch>>} */
const watches = new Map();

/**
 * Watches a room while the component is there.
 *
 * @param {string} room its name
 * @param {WatchOptions} [options] as for `watch`; another `url`, `delay` or `from` is another stream
 * @returns {{ watch: Watch | null, status: WatchStatus }}
 */
export function useWatch(room, options = {}) {
  const [held, setHeld] = useState(/** @type {{ key: string, watched: Watch } | null} */ (null));
  const latest = useRef(options);
  latest.current = options;
  const { url, delay, from } = options;
  const key = JSON.stringify([room, url, delay, from]);
  useEffect(() => {
    const { value, release } = hold(watches, key, () => {
      const opened = watch(JSON.parse(key)[0], latest.current);
      return { value: opened, close: () => opened.close(), hasEnded: () => opened.status === 'closed' };
    });
    setHeld({ key, watched: value });
    return () => {
      setHeld(null);
      release();
    };
  }, [key]);
  const watched = held?.key === key ? held.watched : null;
  const subscribe = useCallback((/** @type {() => void} */ changed) => watched?.onStatus(changed) ?? (() => {}), [watched]);
  const status = useSyncExternalStore(subscribe, () => watched?.status ?? 'connecting', connecting);
  return { watch: watched, status };
}

/** JSON shows nothing of what is in these, or not as a list. */
const LISTS = [Uint8Array, Map, Set];

/**
 * Something that is read anew with every change; the same value, by what it says, draws nothing.
 *
 * @template T
 * @param {(changed: () => void) => () => void} subscribe
 * @param {() => T} read
 * @returns {T}
 */
function useRead(subscribe, read) {
  const seen = useRef(/** @type {{ text: string | undefined, value: T } | null} */ (null));
  const get = () => {
    const value = read();
    const text = JSON.stringify(value, (_, it) => (LISTS.some((list) => it instanceof list) ? [...it] : it));
    if (seen.current === null || seen.current.text !== text) {
      // Entities change in place, so what is handed out is a copy that does not.
      seen.current = { text, value: structuredClone(value) };
    }
    return seen.current.value;
  };
  return useSyncExternalStore(subscribe, get, get);
}

/** @returns {() => void} */
const subscribeToNothing = () => () => {};
const nothing = () => NOTHING;
/** @returns {WatchStatus} */
const connecting = () => 'connecting';
