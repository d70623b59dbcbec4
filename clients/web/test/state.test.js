// A room's state as its member sees it: parts put together, told tick by tick, mended when wrong.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { KEYS, inLobby, joined, nextSocket, settle, welcome } from './support/script.js';
import { ServerPart, acked, gone, withSchema } from './support/parts.js';

/** @typedef {import('../src/cells.js').Schema} Schema */
/** @typedef {import('../src/state.js').RoomState} RoomState */

const NUMBER = { quantised: { min: 0, step: 0.5, steps: 2000 } };
/** @type {Schema} */
const SCHEMA = {
  kinds: [
    { name: 'arena', fields: [{ name: 'round', type: { one: 'uint' } }] },
    {
      name: 'ship',
      fields: [
        { name: 'at', type: { one: { vec2: NUMBER } }, visibility: 'everyone' },
        { name: 'hp', type: { one: 'uint' }, visibility: 'members' },
        { name: 'plan', type: { one: 'text' }, visibility: 'team' },
        { name: 'cards', type: { one: 'int' }, visibility: 'owner' },
        { name: 'seed', type: { one: 'uint' }, visibility: 'nobody' },
      ],
    },
    { name: 'note', fields: [{ name: 'text', type: { one: 'text' }, visibility: 'owner' }] },
    { name: 'odd', fields: ['id', 'kind', '__proto__'].map((name) => ({ name, type: { one: 'uint' } })) },
  ],
};

/**
 * A member of a room with state, before its first snapshot, and what its listeners are told.
 *
 * @param {Partial<import('../src/codec.js').Joined>} [some]
 */
async function inArena(some = {}) {
  const set = await inLobby({}, {}, { ...withSchema(SCHEMA), kind: 'arena', ...some });
  const state = /** @type {RoomState} */ (set.room.state);
  /** @type {any[]} */
  const log = [];
  state.on('reset', () => log.push(['reset']));
  for (const name of /** @type {const} */ (['add', 'change', 'remove'])) {
    state.on(name, ({ id }, fields) => log.push([name, id, ...fields]));
  }
  state.on('tick', ({ tick }) => log.push(['tick', tick]));
  const members = new ServerPart(SCHEMA, 'members').set(0, 'arena', { round: 1 });
  /** What was told since this was last asked. */
  const told = () => log.splice(0);
  return { ...set, state, members, told };
}

test('a room without a schema has no state, and one whose schema is unknown says so', async () => {
  assert.equal((await inLobby()).room.state, null);
  const strange = { kinds: [{ name: 'x', fields: [{ name: 'f', type: { one: 'complex' } }] }] };
  for (const schema of [strange, { kinds: [] }, { kinds: [{ name: 'x' }] }, 7, { kinds: [{ name: 'x', fields: [{ name: 'f', type: { one: { vec2: { quantised: { min: 0, step: 0, steps: 1 } } } } }] }] }]) {
    const set = await inLobby({}, {}, {});
    /** @type {Error[]} */
    const errors = [];
    set.client.on('error', (error) => errors.push(error));
    await set.socket.lose();
    const second = await nextSocket(set);
    await second.say(welcome({ resumed: true, resume_key: KEYS[1] }));
    await second.say(joined({ ref: null, ...withSchema(/** @type {any} */ (schema)) }));
    assert.match(String(errors[0]), /schema/);
    assert.equal(set.room.state, null);
    assert.equal(set.room.live, true);
  }
});

test('a snapshot shows everything at once, deltas change it in place, and the tick comes last', async () => {
  const { state, members, socket, told } = await inArena();
  assert.deepEqual([state.tick, state.size, state.stale, state.room.round], [0, 0, true, 0]);
  await socket.say(members.set(7, 'ship', { at: [10, 20], hp: 100 }).snapshot(5));
  assert.deepEqual(told(), [['reset'], ['add', 7, 'at', 'hp', 'plan', 'cards', 'seed'], ['change', 0, 'round'], ['tick', 5]]);
  const ship = state.get(7);
  assert.deepEqual(ship, { id: 7, kind: 'ship', at: [5, 10], hp: 100, plan: '', cards: 0, seed: 0 });
  assert.deepEqual([state.tick, state.seq, state.size, state.stale, state.room.round], [5, 5, 1, false, 1]);
  await socket.say(members.set(7, 'ship', { at: [12, 20] }).set(9, 'ship', { hp: 3 }).delta(6));
  assert.deepEqual(told(), [['add', 9, 'at', 'hp', 'plan', 'cards', 'seed'], ['change', 7, 'at'], ['tick', 6]]);
  assert.equal(state.get(7), ship, 'the same object');
  assert.deepEqual(ship?.at, [6, 10]);
  assert.deepEqual([...state.entities('ship')].map(({ id }) => id), [7, 9]);
  assert.deepEqual([...state.entities('note')], []);
  await socket.say(members.remove(7).set(0, 'arena', { round: 2 }).delta(7));
  assert.deepEqual(told(), [['remove', 7], ['change', 0, 'round'], ['tick', 7]]);
  assert.deepEqual([state.get(7), state.room.round, state.size, [...state.entities()].length], [undefined, 2, 1, 1]);
});

test('several ticks of one batch are told one by one, and one that was seen is ignored', async () => {
  const { state, members, socket, told } = await inArena();
  const first = members.set(7, 'ship', { hp: 1 }).snapshot(1);
  const second = members.set(7, 'ship', { hp: 2 }).delta(2);
  const third = members.set(7, 'ship', { hp: 3 }).delta(4);
  /** @type {number[]} */
  const seen = [];
  state.on('change', ({ hp }) => hp && seen.push(hp));
  await socket.say(first, second, third);
  await socket.say(second, third);
  assert.deepEqual(told().filter(([name]) => name === 'tick'), [['tick', 1], ['tick', 2], ['tick', 4]]);
  assert.deepEqual(seen, [2, 3]);
  assert.deepEqual(socket.all('resync'), []);
});

test('an entity is the sum of the parts it is in', async () => {
  const { state, members, socket, told } = await inArena();
  const team = new ServerPart(SCHEMA, { team: 2 }).set(7, 'ship', { plan: 'north' });
  const owner = new ServerPart(SCHEMA, 'owner').set(7, 'ship', { cards: -4 }).set(8, 'note', { text: 'mine' });
  members.set(7, 'ship', { hp: 9 });
  await socket.say(members.snapshot(3), team.snapshot(3), owner.snapshot(3));
  assert.deepEqual(state.get(7), { id: 7, kind: 'ship', at: [0, 0], hp: 9, plan: 'north', cards: -4, seed: 0 });
  assert.deepEqual(state.get(8), { id: 8, kind: 'note', text: 'mine' }, 'in the owner\'s part alone');
  told();
  await socket.say(members.set(7, 'ship', { hp: 8 }).delta(4), owner.set(7, 'ship', { cards: -5 }).remove(8).delta(4));
  assert.deepEqual(told(), [['remove', 8], ['change', 7, 'hp', 'cards'], ['tick', 4]]);
  // It is given away: it leaves the owner's part and stays in the others.
  await socket.say(owner.remove(7).delta(5));
  assert.deepEqual(told(), [['change', 7, 'cards'], ['tick', 5]]);
  assert.equal(state.get(7)?.cards, 0);
});

test('parts that come anew are shown together, also when some have not changed for a while', async () => {
  const { state, members, socket, told } = await inArena();
  const owner = new ServerPart(SCHEMA, 'owner').set(7, 'ship', { cards: 1 }).set(8, 'note', { text: 'mine' });
  members.set(7, 'ship', { hp: 9 });
  await socket.say(members.snapshot(3), owner.snapshot(4));
  assert.deepEqual(told().slice(0, 3), [['reset'], ['add', 7, 'at', 'hp', 'plan', 'cards', 'seed'], ['add', 8, 'text']]);
  await socket.say(members.snapshot(5), owner.snapshot(7));
  assert.deepEqual(told(), [['reset'], ['tick', 7]]);
  assert.deepEqual([state.tick, state.size], [7, 2]);
  // A part that is new in a later tick is of that tick.
  const cell = new ServerPart(SCHEMA, { cell: 1 }).set(9, 'ship', {});
  await socket.say(members.set(7, 'ship', { hp: 8 }).delta(8), cell.snapshot(9), members.set(7, 'ship', { hp: 7 }).delta(9));
  assert.deepEqual(told(), [['change', 7, 'hp'], ['tick', 8], ['add', 9, 'at', 'hp', 'plan', 'cards', 'seed'], ['change', 7, 'hp'], ['tick', 9]]);
});

test('a tick that comes in two batches is told once, and its changes as they come', async () => {
  const { members, socket, told } = await inArena();
  const owner = new ServerPart(SCHEMA, 'owner').set(7, 'ship', { cards: 1 });
  await socket.say(members.set(7, 'ship', { hp: 9 }).snapshot(3), owner.snapshot(3));
  told();
  await socket.say(members.set(7, 'ship', { hp: 8 }).delta(4));
  await socket.say(owner.set(7, 'ship', { cards: 2 }).delta(4));
  assert.deepEqual(told(), [['change', 7, 'hp'], ['tick', 4], ['change', 7, 'cards']]);
});

test('another team takes the place of the old one, and a part that is gone is forgotten', async () => {
  const { state, members, socket, told } = await inArena();
  const two = new ServerPart(SCHEMA, { team: 2 }).set(7, 'ship', { plan: 'north' });
  const three = new ServerPart(SCHEMA, { team: 3 }).set(8, 'ship', { plan: 'south' });
  members.set(7, 'ship', { hp: 9 }).set(8, 'ship', { hp: 9 });
  await socket.say(members.snapshot(3), two.snapshot(3));
  told();
  await socket.say(gone({ team: 3 }), three.snapshot(4));
  assert.deepEqual(told(), [['change', 7, 'plan'], ['change', 8, 'plan'], ['tick', 4]]);
  assert.deepEqual([state.get(7)?.plan, state.get(8)?.plan], ['', 'south']);
  await socket.say(gone({ team: 2 }));
  assert.equal(state.get(8)?.plan, 'south', 'of a part that is not there it means nothing');
  await socket.say(gone({ team: 3 }));
  assert.deepEqual([state.get(8)?.plan, state.get(8)?.hp], ['', 9]);
  assert.deepEqual(socket.all('resync'), []);
  // A delta of a team that is not there is wrong.
  two.set(7, 'ship', { plan: 'east' });
  await socket.say(two.delta(6));
  assert.deepEqual(socket.all('resync'), [{ channel: 3, part: { team: 2 }, tick: 0, hash: 0 }]);
});

test('an entity that goes from cell to cell within a tick changes, and is neither gone nor new', async () => {
  const { state, members, socket, told } = await inArena();
  const left = new ServerPart(SCHEMA, { cell: 4 }).set(7, 'ship', { at: [1, 1], hp: 5 }).set(9, 'ship', { hp: 1 });
  const right = new ServerPart(SCHEMA, { cell: 5 });
  await socket.say(members.snapshot(1), left.snapshot(1), right.snapshot(1));
  const ship = state.get(7);
  told();
  right.set(7, 'ship', { at: [3, 1], hp: 5 });
  await socket.say(left.remove(7).delta(2), right.delta(2));
  assert.deepEqual(told(), [['change', 7, 'at'], ['tick', 2]]);
  // And back, the other way round on the wire.
  left.set(7, 'ship', { at: [2, 1], hp: 5 });
  await socket.say(left.delta(3), right.remove(7).delta(3));
  assert.deepEqual(told(), [['change', 7, 'at'], ['tick', 3]]);
  assert.equal(state.get(7), ship);
  assert.deepEqual(ship?.at, [1, 0.5]);
  // In both for a moment, and then gone from the one that it came into last.
  await socket.say(right.set(7, 'ship', { at: [3, 1], hp: 5 }).delta(4));
  assert.deepEqual(ship?.at, [1.5, 0.5]);
  await socket.say(right.remove(7).delta(5));
  assert.deepEqual(ship?.at, [1, 0.5]);
  told();
  // From a cell into the common part, as one that loses its place.
  await socket.say(members.set(7, 'ship', { at: [2, 1], hp: 5 }).delta(6), left.remove(7).delta(6));
  assert.deepEqual(told(), [['tick', 6]]);
  await socket.say(gone({ cell: 4 }));
  assert.deepEqual(told(), [['remove', 9]]);
  assert.deepEqual([...state.entities()], [ship]);
});

test('a delta that does not fit asks for the state once and is not shown, and what comes mends it', async () => {
  const { state, members, socket, told, room } = await inArena();
  await socket.say(members.set(7, 'ship', { hp: 1 }).set(8, 'ship', { hp: 1 }).snapshot(1));
  const ship = state.get(7);
  told();
  members.set(7, 'ship', { hp: 2 });
  const wrong = members.delta(2);
  wrong.body.hash = (wrong.body.hash ^ 1) >>> 0;
  const right = members.set(7, 'ship', { hp: 3 }).delta(3);
  await socket.say(wrong, right, gone('owner'));
  const { hash: _, ...asked } = socket.last('resync');
  assert.deepEqual(asked, { channel: 3, part: 'members', tick: 2 });
  assert.deepEqual([told(), ship?.hp, state.stale, state.resyncs], [[], 1, true, 1]);
  await socket.say(members.set(7, 'ship', { hp: 4 }).delta(4), new ServerPart(SCHEMA, 'owner').snapshot(4));
  assert.equal(socket.all('resync').length, 1, 'asked once');
  await socket.say(members.set(7, 'ship', { hp: 5 }).remove(8).set(9, 'ship', {}).snapshot(5));
  assert.deepEqual(told(), [['reset'], ['remove', 8], ['add', 9, 'at', 'hp', 'plan', 'cards', 'seed'], ['change', 7, 'hp'], ['tick', 5]]);
  assert.equal(state.get(7), ship);
  // A gap, and broken bytes.
  members.set(7, 'ship', { hp: 6 }).delta(6);
  await socket.say(members.set(7, 'ship', { hp: 7 }).delta(7));
  assert.deepEqual([socket.last('resync').tick, state.resyncs, ship?.hp], [5, 2, 5]);
  await socket.say(members.snapshot(8));
  const broken = members.set(7, 'ship', { hp: 8 }).delta(9);
  broken.body.changes = broken.body.changes.slice(0, -1);
  await socket.say(broken);
  assert.deepEqual([socket.last('resync').tick, state.resyncs, ship?.hp, room.live], [8, 3, 7, true]);
});

test('a server that is wrong again and again is asked no more', async () => {
  const { state, members, socket } = await inArena();
  /** @type {Error[]} */
  const errors = [];
  state.on('error', (error) => errors.push(error));
  for (let tick = 1; tick <= 30; tick += 1) {
    const snapshot = members.snapshot(tick);
    snapshot.body.hash = (snapshot.body.hash ^ 1) >>> 0;
    await socket.say(snapshot);
  }
  assert.equal(socket.all('resync').length, 10);
  assert.ok(errors.length > 0 && state.stale && state.size === 0);
});

test('what is acknowledged is shown with its tick, or at the end of a batch that changes nothing', async () => {
  const { state, members, socket, room, told } = await inArena();
  await socket.say(members.set(7, 'ship', { hp: 1 }).snapshot(1));
  const reliable = room.send('jump', 'high');
  const done = room.send('move', new Uint8Array([1]), { class: 'volatile' });
  const { cseq } = done;
  const later = room.send('move', new Uint8Array([2]));
  await settle();
  assert.deepEqual(socket.all('publish').map((p) => [p.class, p.cseq]), [['reliable', 1], ['volatile', 2], ['reliable', 3]]);
  assert.deepEqual([cseq, later.cseq, room.unanswered], [2, 3, 3]);
  told();
  /** @type {any[]} */
  const seen = [];
  state.on('change', () => seen.push(['change', state.acked.cseq]));
  state.on('tick', ({ tick, acked: shown }) => seen.push([tick, shown]));
  await socket.say(acked(4, 2), members.set(7, 'ship', { hp: 2 }).delta(4));
  assert.deepEqual(seen.splice(0), [['change', 2], [4, { tick: 4, cseq: 2 }]]);
  assert.deepEqual(await reliable, { seq: null, repeated: false, tick: 4 });
  assert.deepEqual(await done, { seq: null, repeated: false, tick: 4 });
  assert.equal(room.unanswered, 1);
  // Two ticks in one batch: the first is shown without what the second acknowledges.
  await socket.say(members.set(7, 'ship', { hp: 3 }).delta(5), acked(6, 3));
  assert.deepEqual(seen.splice(0), [['change', 2], [5, { tick: 4, cseq: 2 }], [6, { tick: 6, cseq: 3 }]]);
  assert.deepEqual([(await later).tick, state.tick], [6, 6]);
});

test('an acknowledgement of a state that is owed waits for it', async () => {
  const { state, members, socket, room } = await inArena();
  await socket.say(members.snapshot(1));
  room.send('move', 'left', { class: 'volatile' });
  await settle();
  members.set(0, 'arena', { round: 2 }).delta(2);
  await socket.say(members.set(0, 'arena', { round: 3 }).delta(3));
  await socket.say(acked(4, 1));
  assert.deepEqual([state.acked.cseq, state.stale, room.unanswered], [0, true, 0]);
  await socket.say(acked(5, 1), members.snapshot(5));
  assert.deepEqual([state.acked, state.room.round], [{ tick: 5, cseq: 1 }, 3]);
});

test('a refused input rejects, and what cannot be sent has no number', async () => {
  const { members, socket, room, state } = await inArena();
  await socket.say(members.snapshot(1));
  const refused = room.send('cheat', 'x', { class: 'volatile' });
  await settle();
  await socket.say({ tag: 'error', body: { code: 111, ref: { cseq: { channel: 3, cseq: refused.cseq } }, message: 'no' } }, acked(2, 1));
  await assert.rejects(refused, { code: 'refused', message: 'no' });
  assert.equal(state.acked.cseq, 1);
  socket.bufferedAmount = 1 << 20;
  const dropped = room.send('move', 'x', { class: 'volatile' });
  assert.equal(dropped.cseq, 0);
  await assert.rejects(dropped, { code: 'dropped' });
  const lobby = await inLobby();
  assert.deepEqual(await lobby.room.send('move', 'x', { class: 'volatile' }), { seq: null, repeated: false });
});

test('after a resume the state comes again, and inputs are known to be dealt with or dropped', async () => {
  const set = await inArena();
  const { state, members, room, told } = set;
  await set.socket.say(members.set(7, 'ship', { hp: 1 }).set(8, 'ship', {}).snapshot(1));
  const ship = state.get(7);
  const [one, two] = [room.send('move', 'a', { class: 'volatile' }), room.send('move', 'b', { class: 'volatile' })];
  const reliable = room.send('jump', 'c');
  await settle();
  await set.socket.lose();
  assert.deepEqual([state.stale, state.get(7)?.hp], [true, 1], 'what is shown stays');
  const away = room.send('move', 'd', { class: 'volatile' });
  assert.equal(away.cseq, 0);
  const waits = room.send('move', 'e', { queue: true });
  const second = await nextSocket(set);
  await second.say(welcome({ resumed: true, resume_key: KEYS[1] }));
  told();
  members.set(7, 'ship', { hp: 4 }).remove(8);
  await second.say(
    joined({ ref: null, recovered: true, applied_cseq: 1, ...withSchema(SCHEMA) }),
    members.snapshot(30),
    new ServerPart(SCHEMA, 'owner').set(7, 'ship', { cards: 2 }).snapshot(30),
  );
  assert.equal((await one).repeated, true);
  await assert.rejects(two, { code: 'dropped' });
  assert.deepEqual(second.all('publish').map(({ cseq, payload }) => [cseq, payload]), [[3, { text: 'c' }], [4, { text: 'e' }]]);
  assert.equal(room.state, state);
  assert.deepEqual(told(), [['reset'], ['remove', 8], ['change', 7, 'hp', 'cards'], ['tick', 30]]);
  assert.equal(state.get(7), ship);
  assert.deepEqual(state.acked, { tick: 30, cseq: 1 });
  await second.say(acked(31, 4));
  assert.deepEqual([(await reliable).tick, (await waits).tick, state.acked.cseq], [31, 31, 4]);
});

test('a room that came back with another schema shows that', async () => {
  const set = await inArena();
  const { state, members, told } = set;
  await set.socket.say(members.set(7, 'ship', { hp: 1 }).snapshot(9));
  told();
  await set.socket.lose();
  const second = await nextSocket(set);
  /** @type {Schema} */
  const other = { kinds: [{ name: 'board', fields: [] }, { name: 'ship', fields: [{ name: 'speed', type: { one: 'uint' } }] }] };
  await second.say(welcome({ resumed: false, resume_key: KEYS[1] }));
  await second.say(joined({ ref: second.last('join').ref, epoch: 'ab'.repeat(8), ...withSchema(other) }));
  await second.say(new ServerPart(other, 'members').set(7, 'ship', { speed: 5 }).snapshot(2));
  assert.deepEqual(told(), [['reset'], ['remove', 7], ['add', 7, 'speed'], ['tick', 2]]);
  assert.deepEqual([state.get(7), state.room, state.tick], [{ id: 7, kind: 'ship', speed: 5 }, { id: 0, kind: 'board' }, 2]);
});

test('a room that moved shows its new state from the next snapshot on', async () => {
  const { state, members, socket } = await inArena();
  await socket.say(members.snapshot(9));
  await socket.say({ tag: 'moved', body: { channel: 3, epoch: 'cd'.repeat(8) } }, members.set(0, 'arena', { round: 5 }).delta(10));
  assert.deepEqual([state.room.round, state.stale], [1, true]);
  await socket.say(members.snapshot(1));
  assert.deepEqual([state.room.round, state.tick, socket.all('resync')], [5, 1, []]);
});

test('a field is listened to by itself, and one named like an entity\'s own has a way in', async () => {
  const { state, members, socket } = await inArena();
  /** @type {any[]} */
  const heard = [];
  const stop = state.listen(7, 'hp', (value, entity) => heard.push([value, entity.id]));
  state.listen(0, 'round', (value) => heard.push(['round', value]));
  await socket.say(members.set(7, 'ship', { hp: 1, at: [1, 1] }).snapshot(1));
  await socket.say(members.set(7, 'ship', { hp: 2 }).delta(2));
  await socket.say(members.set(7, 'ship', { at: [2, 2] }).delta(3));
  await socket.say(members.remove(7).delta(4));
  stop();
  await socket.say(members.set(7, 'ship', { hp: 9 }).set(0, 'arena', { round: 2 }).delta(5));
  assert.deepEqual(heard, [[1, 7], ['round', 1], [2, 7], [undefined, 7], ['round', 2]]);
  await socket.say(members.set(11, 'odd', { id: 5, kind: 6, ['__proto__']: 7 }).delta(6));
  const odd = state.get(11);
  assert.deepEqual([odd?.id, odd?.kind, state.value(11, 'id'), state.value(11, 'kind')], [11, 'odd', 5, 6]);
  assert.equal(Object.getPrototypeOf(odd), Object.prototype);
  assert.equal(state.value(11, '__proto__'), 7);
  assert.equal(state.value(11, 'none'), undefined);
});

test('a room whose rules failed says how', async () => {
  const { members, socket, room } = await inArena();
  await socket.say(members.snapshot(1));
  /** @type {any[]} */
  const left = [];
  room.onLeave(({ reason, error }) => left.push([reason, error?.message]));
  const waiting = room.send('jump', 'x');
  await socket.say(
    { tag: 'error', body: { code: 501, ref: { cseq: { channel: 3, cseq: 0 } }, message: 'the rules of the room failed: division' } },
    { tag: 'left', body: { channel: 3, reason: 'failed' } },
  );
  assert.deepEqual(left, [['failed', 'the rules of the room failed: division']]);
  await assert.rejects(waiting, { code: 'room_failed' });
});
