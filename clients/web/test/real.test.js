// The client with the real server: MADANG_BIN (or MADANG_TEST_BINARY), else target/debug/madang, where
// there is one.

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { WebSocket } from 'ws';
import { startServer } from '../../../tests/interop/server.mjs';
import { eventStream, longPolling } from '../src/http.js';
import { Client, webSocket } from '../src/index.js';
import { state } from '../src/state.js';

/** @typedef {import('../src/room.js').Room} Room */
/** @typedef {import('../src/state.js').RoomState} RoomState */
/** @typedef {import('../src/types.js').JoinOptions} JoinOptions */

const binary =
  process.env.MADANG_BIN ??
  process.env.MADANG_TEST_BINARY ??
  fileURLToPath(new URL('../../../target/debug/madang', import.meta.url));
const skip = existsSync(binary) ? false : `there is no ${binary}`;

/** Each test runs over each of them. */
const WAYS = { 'by WebSocket': webSocket, 'by events': eventStream, 'by polls': longPolling };

/** @type {{ play?: string, stop: () => Promise<number> }} */
let server;
/** @type {Client[]} */
const clients = [];
before(async () => {
  if (!skip) {
    server = await startServer();
  }
});
after(async () => {
  clients.forEach((client) => client.close());
  await server?.stop();
});

/**
 * @param {string} name
 * @param {string} way
 * @param {JoinOptions} [options]
 */
async function enter(name, way, options) {
  const client = new Client(server.play ?? '', { WebSocket, state, transports: [WAYS[/** @type {keyof typeof WAYS} */ (way)]] });
  clients.push(client);
  const room = await client.joinOrCreate(`${name}-${way.replace(' ', '-')}`, options);
  return { client, room, state: /** @type {RoomState} */ (room.state) };
}

/**
 * Waits for a tick at which something holds.
 *
 * @param {RoomState} state
 * @param {() => boolean} reached
 */
async function until(state, reached) {
  if (!reached()) {
    await new Promise((resolve) => {
      const off = state.on('tick', () => {
        if (reached()) {
          off();
          resolve(null);
        }
      });
    });
  }
}

/**
 * What every member may see, as text.
 *
 * @param {RoomState} state
 */
function common(state) {
  const { kinds } = state.schema;
  const isCommon = ({ visibility = 'everyone' }) => visibility === 'everyone' || visibility === 'members';
  const entities = [state.room, ...state.entities()].sort((a, b) => a.id - b.id);
  return JSON.stringify(
    entities.flatMap((entity) => {
      const fields = kinds.find(({ name }) => name === entity.kind)?.fields.filter(isCommon) ?? [];
      return fields.length === 0 ? [] : [[entity.id, entity.kind, fields.map(({ name }) => entity[name])]];
    }),
  );
}

/**
 * The picture of each tick.
 *
 * @param {RoomState} state
 */
function record(state) {
  /** @type {Map<number, string>} */
  const pictures = new Map();
  state.on('tick', ({ tick }) => pictures.set(tick, common(state)));
  return pictures;
}

/** @param {Room} room */
function own({ state, me }) {
  return [...(state?.entities('player') ?? [])].find(({ member }) => member === me.id);
}

/** @type {import('../src/cells.js').Schema} */
const BOARD = {
  kinds: [
    { name: 'board', fields: [{ name: 'title', type: { one: 'text' } }] },
    {
      name: 'stroke',
      fields: [
        { name: 'points', type: { list: { vec2: { quantised: { min: 0, step: 0.25, steps: 8000 } } } } },
        { name: 'color', type: { one: 'text' } },
        { name: 'secret', type: { one: 'uint' }, visibility: 'owner' },
      ],
    },
  ],
};

for (const way of Object.keys(WAYS)) {
  test(`${way}: two players see the same of an arena tick by tick, also across a lost connection`, { skip, timeout: 60_000 }, async () => {
    const one = await enter('arena-web', way);
    const two = await enter('arena-web', way);
    const [first, second] = [record(one.state), record(two.state)];
    let resets = 0;
    two.state.on('reset', () => (resets += 1));
    await until(two.state, () => second.size >= 10);
    two.client.drop(0);
    await until(two.state, () => resets === 2);
    const [from, has] = [two.state.tick, second.size];
    await until(two.state, () => second.size >= has + 10);
    await until(one.state, () => one.state.tick >= two.state.tick);
    const ticks = [...second.keys()].filter((tick) => first.has(tick));
    assert.ok(ticks.filter((tick) => tick > from).length >= 8, 'some of them after the loss');
    assert.ok(ticks.length >= 16);
    for (const tick of ticks) {
      assert.equal(second.get(tick), first.get(tick), `tick ${tick}`);
    }
    assert.deepEqual([one.state.resyncs, two.state.resyncs, two.client.resumes], [0, 0, 1]);
    assert.ok((await two.client.stats()).classes.state.sent >= 15);
  });

  test(`${way}: what a player sends is acknowledged with the tick that shows it`, { skip, timeout: 60_000 }, async () => {
    const { room, state } = await enter('arena-input', way);
    await until(state, () => own(room) !== undefined);
    const player = own(room);
    const [x, y] = player?.at ?? [];
    /** @type {(Promise<{ tick?: number }> & { cseq: number })[]} */
    const sent = [];
    let number = 0;
    const stop = state.on('tick', () => {
      number += 1;
      // Its number, and one step to the left, or to the right where there is more room.
      sent.push(room.send('input', new Uint8Array([number, 0, 0, 0, x > 0 ? 0x81 : 0x7f, 0, 0, 0, 0]), { class: 'volatile' }));
    });
    await until(state, () => sent.length >= 20);
    stop();
    const last = sent[sent.length - 1];
    const { tick = 0 } = await last;
    await until(state, () => state.acked.cseq >= last.cseq);
    assert.ok(state.acked.tick >= tick && tick > 0);
    assert.ok(sent.every(({ cseq }, index) => index === 0 || cseq > sent[index - 1].cseq));
    await until(state, () => Math.hypot(player?.at[0] - x, player?.at[1] - y) > 1);
    assert.equal(own(room), player, 'the same object all the time');
    await assert.rejects(room.send('input', 'no bytes', { class: 'volatile' }), { code: 'refused' });
    await assert.rejects(room.send('dance', 'x'), { code: 'refused' });
    await assert.rejects(state.edit([state.set(0, { round: 9 })]), { code: 'no_state' });
  });

  test(`${way}: members of a room of kind shared make one board, also across lost connections`, { skip, timeout: 60_000 }, async () => {
    const options = /** @type {const} */ ({ schema: BOARD, onLeave: 'keep' });
    const one = await enter('shared.web', way, options);
    const two = await enter('shared.web', way, options);
    assert.equal(one.room.kind, 'shared');
    const { state } = one;
    const stroke = state.create('stroke', { color: '#d33', secret: 7 });
    const { ids: [id] } = await one.state.edit([stroke, state.set(stroke, { points: [[1, 2], [3.25, 4]] })]);
    await until(two.state, () => two.state.get(id) !== undefined);
    assert.deepEqual(two.state.get(id), { id, kind: 'stroke', points: [[1, 2], [3.25, 4]], color: '#d33', secret: 0 });
    await until(state, () => state.get(id)?.secret === 7);
    await assert.rejects(two.state.edit([two.state.set(id, { color: '#000' }), two.state.set(0, { title: 'ours' })]), (/** @type {any} */ error) => {
      assert.deepEqual(error.refused, [{ change: 0, field: 'color', reason: 'not_owner' }]);
      return true;
    });
    await until(state, () => state.room.title === 'ours');
    await one.state.edit([state.give(id, two.room.me)]);
    await until(two.state, () => two.state.get(id)?.secret === 7);
    await until(state, () => state.get(id)?.secret === 0);
    /** @type {Promise<any>[]} */
    const edits = [];
    for (let turn = 0; turn < 60; turn += 1) {
      const it = turn % 2 === 0 ? one : two;
      const last = [...it.state.entities('stroke')].at(-1);
      const edit = it.state.edit([
        it.state.create('stroke', { color: `#${turn}`, points: [[turn, turn]] }),
        ...(last === undefined ? [] : [it.state.set(last, { points: [...last.points, [turn, 1]] })]),
      ], { queue: true });
      edits.push(edit);
      // Refused where it is another's; unknown where the answer is lost. The state says what came of it.
      await edit.catch((error) => assert.match(error.code, /edit_refused|outcome_unknown/));
      if (turn % 20 === 10) {
        it.client.drop(0);
      }
    }
    // Behind everything that either has sent.
    await one.state.edit([state.set(0, { title: 'one is done' })], { queue: true });
    await until(two.state, () => two.state.room.title === 'one is done');
    await two.state.edit([two.state.set(0, { title: 'done' })], { queue: true });
    await until(state, () => state.room.title === 'done');
    await until(two.state, () => two.state.room.title === 'done');
    assert.equal(common(state), common(two.state));
    assert.ok(state.size >= 58 && edits.length === 60);
    assert.deepEqual([state.resyncs, two.state.resyncs], [0, 0]);
    assert.ok(one.client.resumes + two.client.resumes >= 2);
  });

  test(`${way}: a token lets in, is renewed while connected, and one that is wrong is final`, { skip, timeout: 60_000 }, async () => {
    const directory = mkdtempSync(join(tmpdir(), 'madang-web-'));
    const key = join(directory, 'key');
    const run = (/** @type {string[]} */ ...args) => execFileSync(binary, ['token', ...args], { encoding: 'utf8' }).trim();
    run('keygen', '--algorithm', 'HS256', key);
    const sign = (/** @type {string} */ ttl) => run('sign', '--algorithm', 'HS256', '--key', key, '--sub', 'ada', '--ttl', ttl);
    const guarded = await startServer([
      'auth.anonymous=off',
      `auth.keys=HS256@file:${key}`,
      'auth.leeway_s=0',
      'auth.renew_ms=3600000',
      'auth.expired_ms=0',
    ]);
    /** @type {Client[]} */
    const own = [];
    const come = (/** @type {any} */ options) => {
      const client = new Client(guarded.play, { WebSocket, transports: [WAYS[/** @type {keyof typeof WAYS} */ (way)]], ...options });
      own.push(client);
      /** @type {string[]} */
      const statuses = [];
      client.on('status', ({ status, error }) => statuses.push(error === undefined ? status : `${status}: ${error.message}`));
      return { client, statuses };
    };
    try {
      const short = sign('3s');
      let asked = 0;
      const renewed = come({ getToken: () => ((asked += 1) === 1 ? short : sign('1h')) });
      const room = await renewed.client.joinOrCreate('lobby');
      const forgotten = come({ token: short });
      await forgotten.client.joinOrCreate('lobby');
      // Both tokens have expired when the second is closed for it, and cannot come back with it.
      const lost = new Promise((resolve) => forgotten.client.on('status', ({ status }) => status !== 'open' && resolve(null)));
      await lost;
      await room.send('chat', 'still here');
      assert.equal(asked, 2);
      assert.deepEqual(renewed.statuses.filter((status) => status !== 'open' && status !== 'connecting'), []);
      for (const options of [{ token: 'a.b.c' }, {}]) {
        const wrong = come(options);
        await assert.rejects(wrong.client.joinOrCreate('lobby'), /unauthorized|credential/);
      }
    } finally {
      own.forEach((client) => client.close());
      assert.equal(await guarded.stop(), 0);
      rmSync(directory, { recursive: true });
    }
  });
}
