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
 * @property {(retries: boolean) => void} lost the connection is gone; `retries`: it comes back by itself
 * @property {(status: number) => void} over the server wants no further tries; its HTTP status
 * @property {() => string | null} snapshot the state as it is shown, as data of a `snapshot` event
 */

/** @typedef {{ listen: (name: string) => void, close: () => void }} Source */
/** @typedef {{ EventSource?: any, random?: () => number, fetch?: any, token?: string, getToken?: () => string | Promise<string> }} Options */
/** @typedef {(url: string, hears: Hears, options: Options) => Source} Open */

/** Events that a leader keeps for tabs that missed some. */
const KEPT_MAX = 256;
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
      if (!isClosed) {
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
    hears.lost(true);
    timer = setTimeout(start, backoffMs(attempts++, random));
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
        hears.lost(true);
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
        hears.lost(true);
        start();
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
  const { navigator, BroadcastChannel } = globalThis;
  if (navigator?.locks === undefined || BroadcastChannel === undefined) {
    return direct(url, hears, options);
  }
  const name = `madang-watch:${url}`;
  const channel = new BroadcastChannel(name);
  const gone = new AbortController();
  /** @type {Source | null} */
  let source = null;
  /** Whether everything up to `id` was seen; otherwise the leader is asked. */
  let isCurrent = false;
  let id = '';
  /** The newest `resume`, for tabs that come later. */
  let resume = '';
  /** @type {Told[]} */
  let kept = [];
  const names = new Set(OWN);

  const take = (/** @type {Told} */ event) => {
    id = event.id;
    if (event.name === 'resume') {
      resume = event.data;
    }
    kept.push(event);
    kept = kept.slice(-KEPT_MAX);
    hears.told(event);
  };
  const post = (/** @type {any} */ message) => channel.postMessage(message);
  const ask = () => post({ ask: id, names: [...names] });
  const lead = () => {
    source = direct(url, {
      ...hears,
      told(event) {
        // The same as a follower: it may have been told already.
        isCurrent = true;
        take(event);
        post({ event });
      },
      lost(retries) {
        post({ lost: retries });
        hears.lost(retries);
      },
      over(status) {
        post({ over: status });
        hears.over(status);
      },
    }, options, id);
    names.forEach((it) => source?.listen(it));
    post({ leads: true });
  };
  /** Whoever has missed too much gets the state as it is, and is told that something is missing. */
  const answer = (/** @type {string} */ from) => {
    const place = kept.map((event) => event.id).lastIndexOf(from);
    const snapshot = hears.snapshot();
    if (from !== '' && place >= 0) {
      post({ behind: from, events: kept.slice(place + 1), id });
    } else if (resume !== '') {
      const { epoch, ...rest } = JSON.parse(resume);
      const events = [{ name: 'resume', id, data: JSON.stringify({ ...rest, epoch, recovered: false }) }];
      post({ behind: from, id, events: snapshot === null ? events : [...events, { name: 'snapshot', id, data: snapshot }] });
    }
  };
  channel.onmessage = ({ data }) => {
    if (source !== null) {
      if (data.ask !== undefined) {
        data.names.forEach(source.listen);
        answer(data.ask);
      }
    } else if (data.event !== undefined) {
      if (isCurrent && data.event.after === id) {
        take(data.event);
      } else if (seqOf(data.event.id) > seqOf(id) || epochOf(data.event.id) !== epochOf(id)) {
        isCurrent = false;
        ask();
      }
    } else if (data.behind === id && !isCurrent) {
      data.events.forEach(take);
      id = data.id;
      isCurrent = true;
    } else if (data.leads) {
      ask(); // Also to say which events this tab wants.
    } else if (data.lost !== undefined) {
      hears.lost(data.lost);
    } else if (data.over !== undefined) {
      hears.over(data.over);
    }
  };
  navigator.locks
    .request(name, { signal: gone.signal }, () => {
      lead();
      return new Promise((resolve) => gone.signal.addEventListener('abort', resolve));
    })
    .catch(() => {});
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
      channel.close();
    },
  };
};

/** @param {string} id */
const epochOf = (id) => id.slice(0, 16);
/** @param {string} id */
const seqOf = (id) => Number(id.slice(17));
