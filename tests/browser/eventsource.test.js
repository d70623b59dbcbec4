// Three readers of one match that have nothing in common but the standard: Chromium's EventSource, npm
// `eventsource`, and a reader of lines over plain HTTP. Started at the same id and cut off again and
// again, they see the same events with the same ids and the same data.

import assert from 'node:assert/strict';
import http from 'node:http';
import net from 'node:net';
import { after, before, test } from 'node:test';
import { EventSource } from 'eventsource';
import { startBrowser } from './browser.js';
import { startServer } from './server.js';

const DEADLINE_MS = 60_000;
/** Events of state that each reader has to see. */
const WANTED = 120;
/** Each reader is cut off whenever it has seen so many more, each at its own. */
const CUTS = { chromium: 17, npm: 23, plain: 29 };
const NAMES = ['snapshot', 'delta', 'message', 'presence', 'gap'];

let server;
let browser;
before(async () => {
  server = await startServer([
    // Who was cut off comes back at once, so that the test is short.
    'server.retry_after_min_ms=10',
    'server.retry_after_max_ms=30',
    'rooms.open=arena-1',
  ]);
  browser = await startBrowser();
});
after(async () => {
  await browser?.close();
  await server?.stop();
});

/** A way to the server that can be cut. */
async function line() {
  const target = new URL(server.demo);
  const sockets = new Set();
  const proxy = net.createServer((near) => {
    const far = net.connect(Number(target.port), target.hostname);
    for (const [from, to] of [[near, far], [far, near]]) {
      sockets.add(from);
      from.on('error', () => {});
      from.on('close', () => {
        sockets.delete(from);
        to.destroy();
      });
      from.pipe(to);
    }
  });
  await new Promise((resolve) => proxy.listen(0, '127.0.0.1', resolve));
  return {
    url: `http://127.0.0.1:${proxy.address().port}`,
    cuts: 0,
    cut() {
      this.cuts += 1;
      for (const socket of sockets) {
        socket.destroy();
      }
    },
    close() {
      this.cut();
      proxy.close();
    },
  };
}

/** What a reader saw; it is cut off at times, and done when it has seen enough. */
function log(way, every) {
  const seen = [];
  let state = 0;
  let done;
  const enough = new Promise((resolve) => {
    done = resolve;
  });
  return {
    seen,
    enough,
    take(name, id, data) {
      if (state >= WANTED) {
        return;
      }
      seen.push({ id, name, data });
      state += name === 'delta' || name === 'snapshot' ? 1 : 0;
      if (state >= WANTED) {
        done();
      } else if (seen.length % every === 0) {
        way.cut();
      }
    },
  };
}

const PATH = '/rooms/arena-1/events';

/** An id to start from: that of the newest state now. */
async function anId() {
  const reader = plain(server.demo);
  try {
    for await (const event of reader.events) {
      if (event.id) {
        return event.id;
      }
    }
  } finally {
    reader.close();
  }
  return assert.fail('the stream ended');
}

/** One connection of a reader of lines (WHATWG HTML, section 9.2.6). */
function plain(origin, id) {
  const headers = id ? { 'Last-Event-ID': id } : {};
  const request = http.get(new URL(PATH, origin), { headers, agent: false });
  async function* events() {
    const response = await new Promise((resolve, reject) => {
      request.once('response', resolve);
      request.once('error', reject);
    });
    assert.equal(response.statusCode, 200);
    response.setEncoding('utf8');
    let rest = '';
    let event = { name: 'message', data: [], id: undefined };
    for await (const text of response) {
      const lines = (rest + text).split('\n');
      rest = lines.pop();
      for (const line of lines) {
        const [, field, value] = /^([^:]*):? ?(.*)$/.exec(line);
        if (line === '') {
          if (event.data.length > 0) {
            yield { ...event, data: event.data.join('\n') };
          }
          event = { name: 'message', data: [], id: undefined };
        } else if (field === 'event') {
          event.name = value;
        } else if (field === 'data') {
          event.data.push(value);
        } else if (field === 'id') {
          event.id = value;
        }
      }
    }
  }
  return { events: events(), close: () => request.destroy() };
}

/** The reader of lines, started again with the last id as often as it is cut off. */
async function readPlainly(way, start, log) {
  let id = start;
  let isDone = false;
  log.enough.then(() => {
    isDone = true;
  });
  while (!isDone) {
    const reader = plain(way.url, id);
    try {
      for await (const event of reader.events) {
        if (event.name === 'resume') {
          assert.equal(JSON.parse(event.data).recovered, true, 'nothing may be missing');
          continue;
        }
        id = event.id ?? id;
        log.take(event.name, id, event.data);
        if (isDone) {
          break;
        }
      }
    } catch (error) {
      // Being cut off is what this is about.
      if (!['ECONNRESET', 'ERR_STREAM_PREMATURE_CLOSE', 'ECONNREFUSED'].includes(error.code) && error.message !== 'aborted') {
        throw error;
      }
    } finally {
      reader.close();
    }
  }
}

async function within(promise, what) {
  let late;
  const deadline = new Promise((_, reject) => {
    late = setTimeout(() => reject(new Error(`waited in vain for ${what}`)), DEADLINE_MS);
  });
  try {
    return await Promise.race([promise, deadline]);
  } finally {
    clearTimeout(late);
  }
}

test('three readers see the same through every cut', { timeout: 2 * DEADLINE_MS }, async () => {
  const start = await within(anId(), 'an id');
  const ways = { chromium: await line(), npm: await line(), plain: await line() };
  const logs = Object.fromEntries(Object.entries(ways).map(([name, way]) => [name, log(way, CUTS[name])]));
  const query = `?last_event_id=${start}`;

  const source = new EventSource(`${ways.npm.url}${PATH}${query}`);
  for (const name of NAMES) {
    source.addEventListener(name, (event) => logs.npm.take(name, event.lastEventId, event.data));
  }

  const context = await browser.newContext();
  const page = await context.newPage();
  await page.exposeFunction('took', (name, id, data) => logs.chromium.take(name, id, data));
  await page.goto(`${ways.chromium.url}/healthz`);
  await page.evaluate(([url, names]) => {
    const source = new EventSource(url);
    for (const name of names) {
      source.addEventListener(name, (event) => window.took(name, event.lastEventId, event.data));
    }
  }, [`${PATH}${query}`, NAMES]);

  const plainly = readPlainly(ways.plain, start, logs.plain);
  await within(Promise.all([logs.chromium.enough, logs.npm.enough, logs.plain.enough, plainly]), 'enough events');
  source.close();
  await context.close();
  for (const way of Object.values(ways)) {
    way.close();
  }

  for (const [name, way] of Object.entries(ways)) {
    const least = Math.floor(WANTED / CUTS[name]) - 1;
    assert.ok(way.cuts >= least, `${name} was cut off ${way.cuts} times, at least ${least} were meant`);
  }
  assert.ok(logs.plain.seen.some((event) => event.name === 'delta'), 'a match has deltas');
  assert.deepEqual(logs.npm.seen, logs.plain.seen);
  assert.deepEqual(logs.chromium.seen, logs.plain.seen);
  const seqs = logs.plain.seen.map((event) => Number(event.id.split('-')[1]));
  assert.ok(seqs.every((seq, at) => at === 0 || seq > seqs[at - 1]), 'ids ascend');
});
