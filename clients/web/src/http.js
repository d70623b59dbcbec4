/**
 * Transports for where no WebSocket gets through: requests carry what goes up, a stream of events or
 * polls what comes down (SPEC.md, section 20).
 *
 * What goes up is sent one request at a time, and again under the same number until it is answered;
 * a poll too. A stream that breaks is a lost connection.
 *
 * It shares nothing with the rest of the client, which loads it only when it is needed.
 *
 * @module
 */

/** @typedef {import('./types.js').Pipe} Pipe */
/** @typedef {import('./types.js').PipeEvents} PipeEvents */
/** @typedef {import('./types.js').Transport} Transport */
/** @typedef {import('./types.js').ClientOptions} ClientOptions */
/** @typedef {{ bytes: ArrayBuffer, close: string | null }} Answer */

/** The reason of a close when the server could not be asked at all: other ways by requests would not help. */
const UNREACHABLE = 'unreachable';

const LOST = 1006;
/** The client goes for good: what it has said is said to the end. With any other code it comes again, and says again what was not taken. */
const NORMAL = 1000;
/** Close codes from here on are the server's own: it has been reached. */
const OWN_CODES = 3_000;
const PROBE_MS = 3_000;
/** How long a way that worked where a WebSocket had not is begun with, as `rememberMs` of the client. */
const REMEMBER_MS = 3_600_000;
const SUBPROTOCOL = 'madang.v1';
/** So long a request is made again that was not answered. */
const PATIENCE_MS = 8_000;
const RETRY_FIRST_MS = 100;
const RETRY_MAX_MS = 2_000;
/** What an answer may take beyond the time that the server takes for it. */
const LATE_MS = 10_000;
/** A stream is lost after so many of the server's intervals without a byte. */
const SILENT_INTERVALS = 2.5;
/** Answers that another attempt may better. */
const PASSING = [0, 408, 409, 429, 500, 502, 503, 504];

/** Requests up, a stream of Server-Sent Events down. @type {Transport} */
export const eventStream = (url, hears, options) => new Line(url, hears, options, true);

/** Requests both ways. @type {Transport} */
export const longPolling = (url, hears, options) => new Line(url, hears, options, false);

const KINDS = [eventStream, longPolling];

/** What a client's `resumeKey` was when a WebSocket could be opened after all. @type {WeakMap<object, string | null>} */
const openedAt = new WeakMap();

/**
 * A stream where one gets through, else polls; a way counts as working when the first batch has come by it.
 * Until then what was sent (a hello) is kept, and said again by the next way.
 *
 * A server that was away for a moment looks like a network where no WebSocket gets through. So when requests work it
 * is tried whether one can be opened after all: if so, nothing is remembered, and the line counts as lost. One that
 * opens and then brings no welcome carries nothing, and is not tried again.
 *
 * @internal
 * @param {string} url
 * @param {PipeEvents} hears
 * @param {ClientOptions} options
 * @param {Record<string, string>} [memory] by host: when a way has worked, and which
 * @param {{ readonly resumeKey: string | null, hintAtMs?: number | undefined }} [client] whose key is another after each welcome
 * @returns {Pipe}
 */
export function anyRequests(url, hears, options, memory = {}, client = { resumeKey: null }) {
  const due = new Alarms(options);
  const place = `madang ${new URL(url).host}`;
  const [since = '', known] = (memory[place] ?? '').split(' ');
  const first = Number(known === '1');
  const isMute = openedAt.has(client) && openedAt.get(client) === client.resumeKey;
  const isRemembered = Math.abs(due.now() - parseInt(since)) < (options.rememberMs ?? REMEMBER_MS);
  let isFirst = true;
  /** @type {Uint8Array<ArrayBuffer>[] | null} */
  let sent = [];
  /** Counts ways taken: what comes late by one that was given up means nothing. */
  let turn = 0;
  /** @type {Pipe} */
  let pipe;
  /** @type {any} */
  let probe;
  const endProbe = () => {
    due.stopAll();
    if (probe) {
      probe.onopen = null;
      probe.close();
    }
  };
  const tryWebSocket = () => {
    const { WebSocket = globalThis.WebSocket } = options;
    if (isRemembered || isMute || !WebSocket) {
      return;
    }
    probe = new WebSocket(url, [SUBPROTOCOL]);
    due.start('probe', options.probeMs ?? PROBE_MS, endProbe);
    probe.onclose = () => due.stop('probe');
    // The `ws` package throws what nobody listens to.
    probe.onerror = () => {};
    probe.onopen = () => {
      endProbe();
      delete memory[place];
      openedAt.set(client, client.resumeKey);
      client.hintAtMs = due.now(); // There is nothing to wait for.
      turn += 1;
      pipe.close(4000, 'websocket');
      hears.closed(LOST, 'websocket');
    };
  };
  const take = () => {
    const mine = ++turn;
    const way = isFirst ? first : 1 - first;
    const failed = (/** @type {number} */ code, /** @type {string} */ reason) => {
      endProbe();
      if (sent === null || !isFirst || code >= OWN_CODES || reason === UNREACHABLE) {
        hears.closed(code, reason);
        return;
      }
      isFirst = false;
      const old = pipe;
      take();
      old.close(4000, reason);
    };
    if (isFirst) {
      due.start('probe', options.probeMs ?? PROBE_MS, () => failed(LOST, 'held up'));
    }
    pipe = KINDS[way](
      url,
      {
        opened: () => {
          if (mine === 1) {
            hears.opened();
          } else if (mine === turn) {
            sent?.forEach((batch) => pipe.send(batch));
          }
        },
        received: (batch) => {
          if (mine === turn) {
            if (sent !== null) {
              sent = null;
              due.stopAll();
              // What another tab has forgotten meanwhile stays so. The client looks at the time before it comes here.
              if (!isRemembered || memory[place]) {
                try {
                  memory[place] = `${isRemembered ? since : due.now()} ${way}`;
                } catch {
                  // The storage is full.
                }
              }
              tryWebSocket();
            }
            hears.received(batch);
          }
        },
        closed: (code, reason) => mine === turn && failed(code, reason),
      },
      options,
    );
  };
  take();
  return {
    get bufferedAmount() {
      return pipe.bufferedAmount;
    },
    send: (batch) => {
      sent?.push(batch);
      pipe.send(batch);
    },
    close: (code, reason) => {
      turn += 1;
      endProbe();
      pipe.close(code, reason);
    },
  };
}

/** Timers by what they are for, one each. */
class Alarms {
  #set;
  #clear;
  now;
  /** @type {Record<string, any>} */
  #timers = {};

  /** @param {ClientOptions} options */
  constructor({ timers = /** @type {any} */ (globalThis) }) {
    this.now = timers.now ?? Date.now;
    this.#set = timers.setTimeout;
    this.#clear = timers.clearTimeout;
  }

  /**
   * @param {string} name
   * @param {number} ms
   * @param {() => void} action
   */
  start(name, ms, action) {
    this.stop(name);
    // In browsers these must not be called as methods of another object.
    const set = this.#set;
    this.#timers[name] = set(action, ms);
  }

  /** @param {string} name */
  stop(name) {
    const clear = this.#clear;
    clear(this.#timers[name]);
  }

  stopAll() {
    Object.keys(this.#timers).forEach((name) => this.stop(name));
  }
}

/**
 * @param {string} url of the WebSocket
 * @param {string} verb
 */
function address(url, verb) {
  const { origin, pathname, search } = new URL(url.replace(/^ws/, 'http'));
  return `${origin}${pathname.replace(/\/$/, '')}/http${verb}${verb === '' ? search : ''}`;
}

/** @implements {Pipe} */
class Line {
  #url;
  #hears;
  #isStream;
  #fetch;
  #due;
  #gone = new AbortController();
  /** @type {string | null} */
  #key = null;
  /** @type {Uint8Array<ArrayBuffer>[]} */
  #queue = [];
  #isSending = false;
  #sent = 0;
  /** @type {number | null} */
  #leaving = null;
  #hasLeft = false;
  #waitMs = 0;
  #sizeMax = 0;
  bufferedAmount = 0;

  /**
   * @param {string} url
   * @param {PipeEvents} hears
   * @param {ClientOptions} options
   * @param {boolean} isStream
   */
  constructor(url, hears, options, isStream) {
    const { fetch = globalThis.fetch } = options;
    this.#url = url;
    this.#hears = hears;
    this.#isStream = isStream;
    // In browsers it must not be called as a method.
    this.#fetch = (/** @type {string} */ where, /** @type {RequestInit} */ init) => fetch(where, init);
    this.#due = new Alarms(options);
    queueMicrotask(() => this.#isOver || hears.opened());
  }

  get #isOver() {
    return this.#gone.signal.aborted;
  }

  /** @param {Uint8Array<ArrayBuffer>} batch */
  send(batch) {
    if (!this.#isOver && this.#leaving === null) {
      this.#queue.push(batch);
      this.bufferedAmount += batch.length;
      void this.#pump();
    }
  }

  /** @param {number} code */
  close(code) {
    this.#leaving ??= code;
    if (!this.#isSending || code !== NORMAL) {
      this.#leave();
    }
  }

  /** Tells the server that the client goes. */
  #leave() {
    if (this.#isOver || this.#hasLeft) {
      return;
    }
    this.#hasLeft = true;
    const stop = () => this.#stop();
    if (this.#leaving !== NORMAL || this.#key === null) {
      // What is still on its way would come when the session is on another line.
      stop();
    }
    if (this.#key === null) {
      return;
    }
    // For good: only behind the answer, because the end of a stream is the loss of its line; not without end.
    this.#due.stopAll();
    this.#due.start('leave', LATE_MS, stop);
    // A page may be on its way out.
    this.#fetch(address(this.#url, `/close?code=${this.#leaving}`), this.#request(null, null, { keepalive: true })).then(stop, stop);
  }

  /** Nothing is heard of it any more. */
  #stop() {
    this.#gone.abort();
    this.#due.stopAll();
    this.#queue = [];
    this.bufferedAmount = 0;
  }

  /**
   * @param {number} code
   * @param {string} reason
   */
  #end(code, reason) {
    if (!this.#isOver) {
      this.#stop();
      if (this.#leaving === null) {
        this.#hears.closed(code, reason);
      }
    }
  }

  /** @param {string} said by the server: a code and its name */
  #closed(said) {
    const [code, ...reason] = said.split(' ');
    this.#end(Number(code), reason.join(' '));
  }

  /** Sends what waits, one request after the other. */
  async #pump() {
    if (this.#isSending) {
      return;
    }
    this.#isSending = true;
    while (this.#queue.length > 0 && !this.#isOver) {
      const body = this.#takeBatches();
      if (this.#key === null) {
        await this.#open(body);
      } else {
        this.#sent += 1;
        const answer = await this.#persist('/send', this.#sent, body, LATE_MS);
        if (answer !== null && answer.close !== null) {
          this.#closed(answer.close);
        }
      }
      this.bufferedAmount = Math.max(0, this.bufferedAmount - body.length);
    }
    this.#isSending = false;
    if (this.#leaving !== null) {
      this.#leave();
    }
  }

  /** As many batches as one request may carry: batches end to end are a batch. */
  #takeBatches() {
    let count = 1;
    let size = this.#queue[0].length;
    while (count < this.#queue.length && size + this.#queue[count].length <= this.#sizeMax) {
      size += this.#queue[count].length;
      count += 1;
    }
    const body = new Uint8Array(size);
    let at = 0;
    for (const batch of this.#queue.splice(0, count)) {
      body.set(batch, at);
      at += batch.length;
    }
    return body;
  }

  /** @param {Uint8Array<ArrayBuffer>} hello and what came with it */
  async #open(hello) {
    /** @type {Response} */
    let response;
    let bytes;
    try {
      response = await this.#fetch(address(this.#url, ''), this.#request(null, hello, { 'Content-Type': 'application/octet-stream' }));
      bytes = await response.arrayBuffer();
    } catch {
      this.#end(LOST, UNREACHABLE);
      return;
    }
    const close = response.headers.get('Madang-Close');
    const key = response.headers.get('Madang-Line');
    if (close !== null) {
      this.#closed(close);
    } else if (key === null) {
      // A page of somebody on the way, or of a server without lines.
      this.#end(LOST, UNREACHABLE);
    } else if (!this.#isOver) {
      this.#key = key;
      this.#waitMs = Number(response.headers.get('Madang-Wait') ?? 20_000);
      this.#sizeMax = Number(response.headers.get('Madang-Size') ?? 0);
      void (this.#isStream ? this.#stream(bytes) : this.#poll(bytes));
    }
  }

  /** @param {ArrayBuffer} first */
  async #poll(first) {
    let bytes = first;
    for (let number = 1; ; number += 1) {
      if (bytes.byteLength > 0) {
        this.#hears.received(bytes);
      }
      const answer = this.#isOver ? null : await this.#persist('/poll', number, null, this.#waitMs + LATE_MS);
      if (answer === null) {
        return;
      }
      bytes = answer.bytes;
      if (answer.close !== null) {
        if (bytes.byteLength > 0) {
          this.#hears.received(bytes);
        }
        this.#closed(answer.close);
        return;
      }
    }
  }

  /**
   * What came with the opening is not given on before the stream shows itself: if somebody on the way
   * holds it up, the session is better opened by another way.
   *
   * @param {ArrayBuffer} first
   */
  async #stream(first) {
    try {
      const response = await this.#fetch(address(this.#url, '/events'), this.#request(null, null, {}));
      // In quotes, because names that are ours elsewhere are short in what is published.
      const stream = response['body'];
      if (!response.ok || stream === null) {
        const close = response.headers.get('Madang-Close');
        close === null ? this.#end(LOST, `HTTP ${response.status}`) : this.#closed(close);
        return;
      }
      const reader = stream.pipeThrough(new TextDecoderStream()).getReader();
      let rest = '';
      while (!this.#isOver) {
        this.#due.start('silence', this.#waitMs * SILENT_INTERVALS, () => this.#end(LOST, 'the stream is silent'));
        const { 'done': isDone, value } = await reader.read();
        if (isDone || this.#isOver) {
          break;
        }
        // Only what is new can end an event.
        const from = Math.max(0, rest.length - 1);
        rest += value;
        let start = 0;
        for (let end; (end = rest.indexOf('\n\n', Math.max(start, from))) >= 0 && !this.#isOver; start = end + 2) {
          this.#event(rest.slice(start, end), first);
        }
        rest = rest.slice(start);
      }
    } catch {
      // The end says it.
    }
    this.#end(LOST, 'the stream ended');
  }

  /**
   * @param {string} text
   * @param {ArrayBuffer} first
   */
  #event(text, first) {
    const lines = text.split('\n');
    const field = (/** @type {string} */ name) => lines.find((line) => line.startsWith(name))?.slice(name.length).trim();
    const [name, data] = [field('event:'), field('data:')];
    if (name === 'open') {
      this.#hears.received(first);
    } else if (name === 'ping') {
      this.send(new Uint8Array(0));
    } else if (name === 'close') {
      this.#closed(data ?? '');
    } else if (name === undefined && data !== undefined) {
      this.#hears.received(Uint8Array.from(atob(data), (char) => char.charCodeAt(0)).buffer);
    }
  }

  /**
   * Makes a request until it is answered. Null when the line is over.
   *
   * @param {string} verb
   * @param {number} number
   * @param {Uint8Array<ArrayBuffer> | null} body
   * @param {number} withinMs
   * @returns {Promise<Answer | null>}
   */
  async #persist(verb, number, body, withinMs) {
    let pauseMs = RETRY_FIRST_MS;
    /** @type {number | null} */
    let untilMs = null;
    while (!this.#isOver) {
      const { status, answer } = await this.#try(verb, number, body, withinMs);
      if (this.#isOver || answer !== null) {
        return this.#isOver ? null : answer;
      }
      const nowMs = this.#due.now();
      untilMs ??= nowMs + PATIENCE_MS;
      if (!PASSING.includes(status) || nowMs >= untilMs) {
        this.#end(LOST, status === 0 ? 'no answer' : `HTTP ${status}`);
        return null;
      }
      const ms = pauseMs;
      await new Promise((resolve) => this.#due.start(`retry ${verb}`, ms, () => resolve(null)));
      pauseMs = Math.min(2 * pauseMs, RETRY_MAX_MS);
    }
    return null;
  }

  /**
   * @param {string} verb
   * @param {number} number
   * @param {Uint8Array<ArrayBuffer> | null} body
   * @param {number} withinMs
   * @returns {Promise<{ status: number, answer: Answer | null }>}
   */
  async #try(verb, number, body, withinMs) {
    const late = new AbortController();
    this.#due.start(verb, withinMs, () => late.abort());
    const stop = () => late.abort();
    this.#gone.signal.addEventListener('abort', stop);
    try {
      const request = this.#request(number, body, { signal: late.signal });
      const response = await this.#fetch(address(this.#url, verb), request);
      const bytes = await response.arrayBuffer();
      const close = response.headers.get('Madang-Close');
      if (/^text\/html/.test(response.headers.get('Content-Type') ?? '')) {
        // A page of somebody on the way.
        return { status: response.ok ? 0 : response.status, answer: null };
      }
      const isAnswer = close !== null || response.status === 200 || response.status === 204;
      return { status: response.status, answer: isAnswer ? { bytes: response.ok ? bytes : new ArrayBuffer(0), close } : null };
    } catch {
      return { status: 0, answer: null };
    } finally {
      this.#due.stop(verb);
      this.#gone.signal.removeEventListener('abort', stop);
    }
  }

  /**
   * @param {number | null} number
   * @param {Uint8Array<ArrayBuffer> | null} body
   * @param {{ signal?: AbortSignal, keepalive?: boolean, 'Content-Type'?: string }} more
   * @returns {RequestInit}
   */
  #request(number, body, { signal, keepalive, ...headers }) {
    return {
      method: 'POST',
      headers: {
        ...headers,
        ...(this.#key === null ? {} : { 'Madang-Line': this.#key }),
        ...(number === null ? {} : { 'Madang-Number': String(number) }),
      },
      'body': body,
      cache: 'no-store',
      credentials: 'omit',
      signal: keepalive ? null : (signal ?? this.#gone.signal),
      keepalive,
    };
  }
}
