/**
 * Where a watch's events come from: one EventSource, or one for all tabs of a browser. HTTP/1.1 allows a
 * browser six connections to a host, and each EventSource holds one.
 *
 * @module
 */

import { backoffMs } from './backoff.js';

/**
 * An event of the stream. `after` is the id of the one before it.
 *
 * @typedef {{ name: string, id: string, data: string, after?: string }} Told
 */

/**
 * @typedef {object} Hears
 * @property {(event: Told) => void} told
 * @property {() => void} lost the connection is gone, and comes back by itself
 * @property {(status: number) => void} over the server wants no further tries; its HTTP status
 * @property {() => string | null} snapshot the state as it is shown, as data of a `snapshot` event
 */

/** @typedef {{ listen: (name: string) => void, close: () => void }} Source */
/** @typedef {{ EventSource?: any, random?: () => number, fetch?: any, token?: string, getToken?: () => string | Promise<string> }} Options */
/** @typedef {(url: string, hears: Hears, options: Options) => Source} Open */

/** Events that a leader keeps for tabs that missed some. */
const KEPT_MAX = 256;
/** After so many seconds of silence a leader is asked whether it is there, and after so many it is one no more. */
const ASKED_AFTER = 5;
const GONE_AFTER = 8;
const OWN = ['resume', 'snapshot', 'delta', 'message', 'presence', 'gap', 'end'];

/**
 * One EventSource. The browser comes back by itself after a lost connection, when the server's `retry`
 * says; after an answer that is none, this does, unless the answer is final.
 *
 * @param {string} url
 * @param {Hears} hears
 * @param {Options} [options]
 * @param {string} [id] of the last event, if some were seen
 * @returns {Source}
 */
export function direct(url, hears, { EventSource = globalThis.EventSource, random, fetch = globalThis.fetch, token, getToken } = {}, id = '') {
  if (EventSource === undefined) {
    throw new TypeError('there is no EventSource here: pass a class, watch(room, { EventSource })');
  }
  let attempts = 0;
  const names = new Set(OWN);
  /** @type {any} */
  let source;
  /** @type {any} */
  let timer;
  let isClosed = false;
  /** Whether a fresh credential has been tried since the last event. */
  let isRenewed = false;
  const listen = (/** @type {string} */ name) => {
    source.addEventListener(name, (/** @type {MessageEvent} */ { data, lastEventId }) => {
      // An EventSource has an `error` and an `open` of its own, which have no data.
      if (!isClosed && data !== undefined) {
        attempts = 0;
        isRenewed = false;
        const after = id;
        id = lastEventId || id;
        hears.told({ name, id, data, after });
      }
    });
  };
  const address = () => {
    const more = [];
    if (id !== '') {
      more.push(`last_event_id=${id}`);
    }
    if (token !== undefined) {
      more.push(`token=${encodeURIComponent(token)}`);
    }
    return more.length === 0 ? url : `${url}${url.includes('?') ? '&' : '?'}${more.join('&')}`;
  };
  const retry = () => {
    timer = setTimeout(start, backoffMs(attempts++, random));
    hears.lost();
  };
  const start = async () => {
    try {
      token = await getToken?.() ?? token;
    } catch {
      if (!isClosed) {
        retry();
      }
      return;
    }
    if (!isClosed) {
      open();
    }
  };
  const open = () => {
    source = new EventSource(address());
    names.forEach(listen);
    source.onerror = async (/** @type {any} */ event) => {
      // An `error` event of the server's own has data, and is none.
      if (isClosed || event.data !== undefined) {
        return;
      }
      if (source.readyState !== 2) {
        hears.lost();
        return;
      }
      // The browser gives up and does not say why.
      source.onerror = null;
      const status = await fetch(address(), { method: 'HEAD' }).then((/** @type {any} */ it) => it.status, () => 0);
      if (isClosed) {
        return;
      }
      if (status === 401 && getToken !== undefined && !isRenewed) {
        // An EventSource comes back with the address that it had, and that one's credential has expired.
        isRenewed = true;
        start();
        hears.lost();
        return;
      }
      if (status === 204 || [400, 401, 403, 404, 405].includes(status)) {
        hears.over(status);
        return;
      }
      retry();
    };
  };
  if (getToken === undefined) {
    open();
  } else {
    start();
  }
  return {
    listen(name) {
      if (!names.has(name)) {
        names.add(name);
        if (source !== undefined) {
          listen(name);
        }
      }
    },
    close() {
      isClosed = true;
      clearTimeout(timer);
      source?.close();
    },
  };
}

/**
 * One EventSource for all tabs: the one that holds a lock has it, and tells the others. When it goes,
 * the next one holds the lock and goes on behind the last event that it was told.
 *
 * @type {Open}
 */
export const shared = (url, hears, options) => {
  const { navigator } = globalThis;
  const { EventSource = globalThis.EventSource } = options;
  const name = `madang-watch:${url}`;
  /** Null without the others: this is closed, or may not share. @type {BroadcastChannel | null} */
  let channel = null;
  try {
    if (navigator?.locks !== undefined && EventSource !== undefined) {
      channel = new BroadcastChannel(name);
    }
  } catch {
    // There is none, or pages may not store anything here.
  }
  if (channel === null) {
    return direct(url, hears, options);
  }
  /** Ends the newest request for the lock. */
  let gone = new AbortController();
  /** @type {Source | null} */
  let source = null;
  /** Whether everything up to `id` was seen; otherwise the leader is asked. */
  let isCurrent = false;
  /** Whether the last that was heard of the connection is that it is lost. */
  let isLost = false;
  let id = '';
  /** The newest `resume`, for tabs that come later. */
  let resume = '';
  /** @type {Told[]} */
  let kept = [];
  /** Seconds since the leader said something. */
  let silence = 0;
  const names = new Set(OWN);

  const post = (/** @type {any} */ message) => channel?.postMessage(message);
  const ask = () => post({ ask: id, names: [...names] });
  const take = (/** @type {Told} */ event) => {
    // A listener may have closed this while several events are told.
    if (channel !== null) {
      id = event.id;
      if (event.name === 'resume') {
        resume = event.data;
        isLost = false;
      }
      kept.push(event);
      kept = kept.slice(-KEPT_MAX);
      hears.told(event);
    }
  };
  const tellLost = () => {
    isLost = true;
    hears.lost();
  };
  const hush = () => {
    clearInterval(timer);
    channel?.close();
    channel = null;
  };
  const open = (/** @type {Hears} */ by) => {
    const opened = direct(url, by, options, id);
    names.forEach(opened.listen);
    source = opened;
  };
  const lead = () => {
    open({
      ...hears,
      told(event) {
        // The same as a follower: it may have been told already.
        isCurrent = true;
        take(event);
        post({ event, lost: isLost });
      },
      lost() {
        post({ lost: true });
        tellLost();
      },
      over(status) {
        // The credential is this tab's: the next one leads with its own.
        post(status === 401 || status === 403 ? { lost: true } : { over: status });
        hears.over(status);
      },
    });
    post({ leads: true });
  };
  const resumed = (/** @type {boolean} */ recovered) => ({ name: 'resume', id, data: JSON.stringify({ ...JSON.parse(resume), recovered }) });
  /** Whoever has missed too much gets the state as it is, and is told that something is missing. */
  const answer = (/** @type {string} */ from) => {
    const place = from === '' ? -1 : kept.map((event) => event.id).lastIndexOf(from);
    if (place >= 0) {
      post({ behind: from, events: kept.slice(place + 1), id, lost: isLost });
    } else if (resume === '' || (from !== '' && (id === '' || !isNewer(id, from)))) {
      // Nothing to tell yet, to one who was told more at least: it asks again with the next event.
      post({ lost: isLost });
    } else {
      const snapshot = hears.snapshot();
      post({ behind: from, events: [resumed(false), ...(snapshot === null ? [] : [{ name: 'snapshot', id, data: snapshot }])], id, lost: isLost });
    }
  };
  channel.onmessage = ({ data }) => {
    if (source !== null) {
      if (data.ask !== undefined) {
        data.names.forEach(source.listen);
        answer(data.ask);
      } else if (data.ping) {
        post({ pong: true });
      }
      return;
    }
    if (data.ask !== undefined || data.ping) {
      return;
    }
    silence = 0;
    if (data.event !== undefined) {
      if (isCurrent && data.event.after === id) {
        take(data.event);
      } else if (isNewer(data.event.id, id)) {
        isCurrent = false;
        ask();
      } else if (id !== '' && data.event.id === id) {
        isCurrent = true; // The leader was behind, and has seen as much now.
      }
    } else if (data.behind === id && !isCurrent) {
      data.events.forEach(take);
      id = data.id;
      isCurrent = true;
    } else if (data.leads) {
      ask(); // Also to say which events this tab wants.
    } else if (data.over !== undefined) {
      hears.over(data.over);
    }
    if (data.lost) {
      tellLost();
    } else if (data.lost === false && isLost && isCurrent) {
      // Its `resume` told nothing new to this tab, or came before this one was up to date.
      take(resumed(true));
    }
  };
  /** Leads once it has the lock: when its turn comes, or at once by taking it from whoever holds it. */
  const queue = (/** @type {boolean} */ steals) => {
    gone.abort();
    gone = new AbortController();
    const { signal } = gone;
    let hasLed = false;
    navigator.locks
      .request(name, steals ? { steal: true } : { signal }, () => {
        if (signal.aborted) {
          return undefined;
        }
        lead();
        hasLed = true;
        return new Promise((resolve) => signal.addEventListener('abort', resolve));
      })
      .catch(() => {
        if (signal.aborted) {
          return;
        }
        if (!hasLed) {
          // A page that may have no locks, such as a sandboxed frame.
          hush();
          open(hears);
          return;
        }
        // This tab stood still, and another one has taken the lock.
        source?.close();
        source = null;
        isCurrent = false;
        silence = 0;
        ask();
        queue(false);
      });
  };
  // A tab that is frozen, or shows an alert, keeps the lock. Ticks are counted and no clock is read: a follower that
  // stood still itself, or slept with its machine, has counted nothing. The leader is asked and does not beat by
  // itself, for timers of hidden tabs are held up and messages are not.
  const timer = setInterval(() => {
    if (source !== null) {
      return;
    }
    silence += 1;
    if (silence === ASKED_AFTER) {
      post({ ping: true });
    } else if (silence === GONE_AFTER) {
      silence = 0;
      tellLost();
      if (channel !== null) {
        queue(true);
      }
    }
  }, 1000);
  queue(false);
  ask();
  return {
    listen(it) {
      if (!names.has(it)) {
        names.add(it);
        source?.listen(it);
        post({ ask: id, names: [it] });
      }
    },
    close() {
      source?.close();
      gone.abort();
      hush();
    },
  };
};

/**
 * Whether an id stands behind another, or is of another epoch.
 *
 * @param {string} id
 * @param {string} than
 */
const isNewer = (id, than) => id.slice(0, 16) !== than.slice(0, 16) || Number(id.slice(17)) > Number(than.slice(17));
