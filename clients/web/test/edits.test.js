// Edits of a shared state: by names here, by numbers on the wire, answered one by one.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { EditRefusedError } from '../src/edits.js';
import { OutcomeUnknownError } from '../src/errors.js';
import { KEYS, inLobby, joined, nextSocket, settle, start, welcome } from './support/script.js';
import { ServerPart, withSchema } from './support/parts.js';

/** @typedef {import('../src/cells.js').Schema} Schema */
/** @typedef {import('../src/state.js').RoomState} RoomState */

/** @type {Schema} */
const SCHEMA = {
  kinds: [
    { name: 'board', fields: [{ name: 'title', type: { one: 'text' } }] },
    {
      name: 'stroke',
      fields: [
        { name: 'points', type: { list: { vec2: 'f32' } } },
        { name: 'width', type: { one: { number: 'f64' } } },
        { name: 'done', type: { one: 'bool' } },
        { name: 'z', type: { one: 'int' } },
        { name: 'count', type: { one: 'uint' } },
        { name: 'blob', type: { one: 'bytes' } },
        { name: 'tilt', type: { one: { vec3: 'f32' } } },
      ],
    },
  ],
};

async function onBoard() {
  const set = await inLobby({}, {}, { ...withSchema(SCHEMA), kind: 'shared' });
  const members = new ServerPart(SCHEMA, 'members').set(0, 'board', { title: 'plan' }).set(7, 'stroke', { z: 4 });
  await set.socket.say(members.snapshot(1));
  return { ...set, members, state: /** @type {RoomState} */ (set.room.state) };
}

test('changes by name become edits by number, and their ids come back', async () => {
  const set = await onBoard();
  const { state, socket } = set;
  const stroke = state.create('stroke', { points: [[0, 1], [2, 3]], width: 1.5, z: -2 });
  const blob = new Uint8Array([1, 2]);
  const edited = state.edit([
    stroke,
    state.set(stroke, { done: true }),
    state.give(stroke, { id: 5 }),
    state.set(7, { z: 5, count: null }, { ifVersion: 1 }),
    state.create('stroke', { blob, tilt: [1, 2, 3] }),
    state.set(state.room, { title: '마당' }),
    state.remove(/** @type {import('../src/types.js').Entity} */ (state.get(7))),
  ]);
  blob.fill(9);
  await settle();
  assert.deepEqual(socket.last('edit'), {
    channel: 3,
    cseq: 1,
    edits: [
      {
        create: {
          temp: 0,
          kind: 1,
          fields: [
            [0, { list: [{ vec2: [0, 1] }, { vec2: [2, 3] }] }],
            [1, { one: { number: 1.5 } }],
            [3, { one: { int: -2 } }],
          ],
        },
      },
      { set: { entity: { temp: 0 }, field: 2, value: { one: { bool: true } }, if_version: null } },
      { give: { entity: { temp: 0 }, to: 5 } },
      { set: { entity: { id: 7 }, field: 3, value: { one: { int: 5 } }, if_version: 1 } },
      { set: { entity: { id: 7 }, field: 4, value: null, if_version: 1 } },
      { create: { temp: 1, kind: 1, fields: [[5, { one: { bytes: new Uint8Array([1, 2]) } }], [6, { one: { vec3: [1, 2, 3] } }]] } },
      { set: { entity: { id: 0 }, field: 0, value: { one: { text: '마당' } }, if_version: null } },
      { remove: { entity: { id: 7 } } },
    ],
  });
  await socket.say({ tag: 'edited', body: { channel: 3, cseq: 1, tick: 2, created: [[1, 31], [0, 30]], refused: [] } });
  assert.deepEqual(await edited, { ids: [30, 31], tick: 2 });
  assert.equal(set.room.unanswered, 0);
});

test('refusals are named by the change and the field that they are about', async () => {
  const { state, socket } = await onBoard();
  const edited = state.edit([state.set(7, { z: 1, count: 2, done: true }), state.create('stroke'), state.remove(7)]);
  await settle();
  await socket.say({
    tag: 'edited',
    body: { channel: 3, cseq: 1, tick: 4, created: [], refused: [[1, 'changed'], [3, 'full'], [4, 'not_owner']] },
  });
  await assert.rejects(edited, (/** @type {any} */ error) => {
    assert.ok(error instanceof EditRefusedError);
    assert.deepEqual(error.refused, [
      { change: 0, field: 'count', reason: 'changed' },
      { change: 1, field: null, reason: 'full' },
      { change: 2, field: null, reason: 'not_owner' },
    ]);
    assert.deepEqual([error.ids, error.tick], [[null], 4]);
    assert.match(error.message, /change 0 \(count\): changed/);
    return true;
  });
});

test('what does not fit the schema is refused before it is sent', async () => {
  const { state, socket } = await onBoard();
  assert.throws(() => state.create('star'), { name: 'TypeError', message: /star/ });
  assert.throws(() => state.create('stroke', { colour: 1 }), /colour/);
  assert.throws(() => state.set(99, { z: 1 }), /99/);
  for (const fields of [
    { z: 1.5 }, { z: '1' }, { count: -1 }, { width: Infinity }, { done: 1 }, { blob: 'x' }, { tilt: [1, 2] },
    { points: [[1, 2, 3]] }, { points: [1] }, { points: 3 }, { points: new Array(4097).fill([0, 0]) }, { tilt: [1, 2, NaN] },
  ]) {
    assert.throws(() => state.set(7, /** @type {any} */ (fields)), TypeError, JSON.stringify(fields));
  }
  const stroke = state.create('stroke');
  await assert.rejects(state.edit([state.set(stroke, { z: 1 }), stroke]), TypeError);
  await assert.rejects(state.edit([stroke, stroke]), TypeError);
  await assert.rejects(state.edit(Array.from({ length: 257 }, () => state.remove(7))), { code: 'too_large' });
  await settle();
  assert.deepEqual(socket.all('edit'), []);
});

test('an edit is sent again after a resume, and one whose answer was lost says that it is', async () => {
  const set = await onBoard();
  const { state } = set;
  const lostAnswer = state.edit([state.set(7, { z: 1 })]);
  const lost = state.edit([state.set(7, { z: 2 })]);
  const repeated = state.edit([state.set(7, { z: 3 })]);
  await settle();
  await set.socket.lose();
  const offline = state.edit([state.create('stroke')], { queue: true });
  const second = await nextSocket(set);
  await second.say(welcome({ resumed: true, resume_key: KEYS[1] }));
  await second.say(joined({ ref: null, recovered: true, applied_cseq: 1, ...withSchema(SCHEMA) }), set.members.snapshot(5));
  assert.deepEqual(second.all('edit').map(({ cseq }) => cseq), [2, 3, 4]);
  await assert.rejects(lostAnswer, OutcomeUnknownError);
  await second.say(
    { tag: 'edited', body: { channel: 3, cseq: 2, tick: 6, created: [], refused: [] } },
    { tag: 'ack', body: { channel: 3, cseq: 3, seq: null, durability: 'sequenced' } },
    { tag: 'edited', body: { channel: 3, cseq: 4, tick: 6, created: [[0, 8]], refused: [] } },
  );
  assert.deepEqual(await lost, { ids: [], tick: 6 });
  await assert.rejects(repeated, OutcomeUnknownError);
  assert.deepEqual(await offline, { ids: [8], tick: 6 });
});

test('an edit that waits is not made in another state than it was for', async () => {
  const set = await onBoard();
  await set.socket.lose();
  const offline = set.state.edit([set.state.set(7, { z: 1 })], { queue: true });
  const said = set.room.send('chat', 'kept', { queue: true });
  const second = await nextSocket(set);
  await second.say(welcome({ resumed: false, resume_key: KEYS[1] }));
  await second.say(joined({ ref: second.last('join').ref, epoch: 'ab'.repeat(8), ...withSchema(SCHEMA) }));
  await assert.rejects(offline, { code: 'dropped' });
  assert.deepEqual([second.all('edit').length, second.all('publish').length], [0, 1]);
  await second.say({ tag: 'input_ack', body: { channel: 3, tick: 1, cseq: second.last('publish').cseq } });
  assert.equal((await said).tick, 1);
});

test('a join says what a room of kind shared is made with, every time', async () => {
  const { client, sockets } = start();
  void client.joinOrCreate('board', { schema: SCHEMA, onLeave: 'hand_over' });
  void client.joinOrCreate('other', { onLeave: 'keep' });
  await settle();
  await sockets[0].open();
  await sockets[0].say(welcome());
  const [board, other] = sockets[0].all('join');
  assert.deepEqual(board.ext.map(([number]) => number), [1, 2]);
  assert.deepEqual(JSON.parse(new TextDecoder().decode(board.ext[0][1])), SCHEMA);
  assert.deepEqual([...board.ext[1][1]], [2]);
  assert.deepEqual(other.ext, [[2, new Uint8Array([0])]]);
});
