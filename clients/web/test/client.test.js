// The client's state machine against a scripted server, in time that passes by hand.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ClosedError, LimitError, OutcomeUnknownError, RefusedError } from '../src/errors.js';
import { Client, webSocket } from '../src/index.js';
import { EPOCH, KEYS, ManualTimers, fakeWebSocket, inLobby, joined, nextSocket, said, settle, start, tabStorage, until, welcome } from './support/script.js';

test('hello comes first, join after the welcome', async () => {
  const { client, sockets, states } = start({ token: 'secret' });
  const joining = client.joinOrCreate('lobby', { history: 5, attributes: { name: 'crane', x: 1.5, n: 3 } });
  await settle();
  await sockets[0].open();
  assert.deepEqual(sockets[0].heard.map(({ tag }) => tag), ['hello']);
  assert.equal(sockets[0].last('hello').token, 'secret');
  assert.equal(sockets[0].last('hello').resume, null);
  await sockets[0].say(welcome());
  const join = sockets[0].last('join');
  assert.equal(join.history, 5);
  assert.deepEqual(join.options.attributes, [['name', 'crane'], ['x', { float: 1.5 }], ['n', { int: 3 }]]);
  assert.deepEqual(states, ['connecting', 'open']);
  await sockets[0].say(joined({ ref: join.ref }));
  assert.equal((await joining).me.id, 1);
});

test('the application misses nothing that comes with its join', async () => {
  const { client, timers, sockets } = start();
  const joining = client.joinOrCreate('lobby', { history: 5 });
  await settle();
  await sockets[0].open();
  await sockets[0].say(welcome());
  // All in one batch, before the join's promise has come back.
  void sockets[0].say(joined({ seq: 8, replay: 2 }), said(7, 'a'), said(8, 'b'), said(9, 'c'));
  const room = await joining;
  /** @type {any[]} */
  const heard = [];
  room.on('message', ({ payload, origin, at }) => heard.push([payload, origin, at?.getTime()]));
  await timers.pass(1);
  assert.deepEqual(heard, [['a', 'history', 900_070], ['b', 'history', 900_080], ['c', 'live', 900_090]]);
});

test('a reliable publication resolves with its seq by its echo, or by an ack', async () => {
  const { room, socket, log } = await inLobby();
  const first = room.send('chat', 'hello', { local: 'mark' });
  const second = room.send('chat', { a: 1 });
  await settle();
  const [one, two] = socket.all('publish');
  assert.deepEqual([one.cseq, two.cseq], [1, 2]);
  assert.deepEqual([one.class, one.type, one.payload], ['reliable', 'chat', { text: 'hello' }]);
  assert.deepEqual(two.payload, { json: '{"a":1}' });
  await socket.say(said(4, 'hello', { from: 1, cseq: 1 }));
  assert.deepEqual(await first, { seq: 4, repeated: false });
  assert.deepEqual([log[0].mine, log[0].local, log[0].from], [true, 'mark', 1]);
  await socket.say({ tag: 'ack', body: { channel: 3, cseq: 2, seq: 5, durability: 'sequenced' } });
  assert.equal((await second).seq, 5);
  assert.equal(room.unanswered, 0);
});

test('publications of one turn share a WebSocket message, within the server\'s bound', async () => {
  const { room, socket } = await inLobby();
  const before = socket.frames;
  for (let index = 0; index < 10; index += 1) {
    void room.send('blob', new Uint8Array(20_000));
  }
  await settle();
  assert.equal(socket.all('publish').length, 10);
  assert.equal(socket.frames - before, 4);
  await assert.rejects(room.send('blob', new Uint8Array(70_000)), LimitError);
});

test('a refusal rejects with its code, and its cseq is used up', async () => {
  const { room, socket } = await inLobby();
  const refused = room.send('note', 'psst', { to: 9 });
  await settle();
  const { cseq, to } = socket.last('direct');
  assert.equal(to, 9);
  await socket.say({ tag: 'error', body: { code: 105, ref: { cseq: { channel: 3, cseq } }, message: 'not here' } });
  await assert.rejects(refused, (/** @type {any} */ error) => error instanceof RefusedError && error.code === 'no_such_member' && error.number === 105);
  void room.send('chat', 'x');
  await settle();
  assert.equal(socket.last('publish').cseq, cseq + 1);
});

test('a refused join rejects', async () => {
  const { client, sockets } = start();
  const joining = client.join('lobby');
  await settle();
  await sockets[0].open();
  await sockets[0].say(welcome());
  assert.equal(sockets[0].last('join').mode, 'join');
  const refused = assert.rejects(joining, { number: 101, code: 'no_such_room' });
  await sockets[0].say({ tag: 'error', body: { code: 101, ref: { join: 1 }, message: 'no such room' } });
  await refused;
});

test('classes latest and volatile go as such and are not kept for a lost connection', async () => {
  const set = await inLobby();
  const { room, socket } = set;
  assert.equal(room.send('pos', new Uint8Array([1]), { class: 'latest', key: 4 }).cseq, 1);
  room.send('wave', 'hi', { class: 'volatile' });
  await settle();
  assert.deepEqual(socket.all('publish').map((p) => [p.class, p.cseq]), [[{ latest: 4 }, 1], ['volatile', 2]]);
  await socket.lose();
  for (let at = 0; at < 5; at += 1) {
    room.send('pos', new Uint8Array([at]), { class: 'latest', key: 4 });
    room.send('wave', 'gone', { class: 'volatile' });
  }
  const chat = room.send('chat', 'kept', { queue: true });
  const second = await nextSocket(set);
  await second.say(welcome({ resumed: true, resume_key: KEYS[1] }));
  await second.say(joined({ ref: null, recovered: true, applied_cseq: 2 }));
  const sent = second.all('publish');
  assert.deepEqual(sent.map((p) => [p.type, p.cseq]), [['chat', 3], ['pos', 4]]);
  assert.deepEqual(sent[1].payload, { bytes: new Uint8Array([4]) });
  await second.say(said(1, 'kept', { from: 1, cseq: 3 }));
  assert.equal((await chat).seq, 1);
});

test('a socket that takes no more holds back the latest and drops the volatile', async () => {
  const { room, socket, timers } = await inLobby();
  socket.bufferedAmount = 1 << 20;
  room.send('pos', 'one', { class: 'latest', key: 1 });
  room.send('pos', 'two', { class: 'latest', key: 1 });
  room.send('wave', 'hi', { class: 'volatile' });
  await timers.pass(60);
  assert.equal(socket.all('publish').length, 0);
  socket.bufferedAmount = 0;
  await timers.pass(60);
  assert.deepEqual(socket.all('publish').map((p) => p.payload), [{ text: 'two' }]);
  room.send('pos', 'three', { class: 'latest', key: 1 });
  await timers.pass(60);
  assert.deepEqual(socket.all('publish').map((p) => p.cseq), [1, 2]);
});

test('resume replays what was missed exactly once and sends the rest again', async () => {
  const set = await inLobby();
  const { room, socket, log, texts, timers } = set;
  await socket.say(said(1, 'one'));
  const echoed = room.send('chat', 'mine, heard');
  const lostEcho = room.send('chat', 'mine, echo lost');
  const lostAck = room.presence.update({ away: true });
  const lost = room.send('chat', 'mine, lost');
  const never = room.send('chat', 'mine, after');
  await settle();
  await socket.say(said(2, 'mine, heard', { from: 1, cseq: 1 }));
  assert.equal((await echoed).seq, 2);
  await socket.lose();
  assert.equal(set.client.status, 'reconnecting');
  const offline = room.send('chat', 'mine, offline', { queue: true });
  const second = await nextSocket(set);
  assert.deepEqual(second.last('hello').resume, {
    key: KEYS[0],
    rooms: [{ channel: 3, epoch: EPOCH, seq: 2 }],
  });
  await second.say(welcome({ resumed: true, resume_key: KEYS[1] }));
  assert.deepEqual(second.all('publish'), [], 'nothing is sent before the room is found again');
  await second.say(said(4, 'out of turn', { from: 1, cseq: 2 }));
  /** @type {any[]} */
  const recovered = [];
  room.onRecover((event) => {
    recovered.push(event);
    room.send('pos', 'here', { class: 'latest', key: 0 });
  });
  await second.say(
    joined({ ref: null, recovered: true, seq: 4, replay: 2, applied_cseq: 3 }),
    said(2, 'one again'),
    said(3, 'missed'),
    said(4, 'mine, echo lost', { from: 1, cseq: 2 }),
  );
  assert.deepEqual(recovered, [{ recovered: true, resumed: true, replay: 2 }]);
  assert.deepEqual(texts(), ['one', 'mine, heard', 'missed', 'mine, echo lost']);
  assert.deepEqual(log.map(({ origin }) => origin), ['live', 'live', 'missed', 'missed']);
  assert.deepEqual(await lostEcho, { seq: 4, repeated: false });
  assert.deepEqual(await lostAck, { seq: null, repeated: true });
  assert.deepEqual(second.all('publish').map(({ cseq }) => cseq), [4, 5, 6, 7], 'the oldest first');
  assert.deepEqual(second.all('set_attributes'), []);
  await second.say(
    said(5, 'mine, lost', { from: 1, cseq: 4 }),
    said(6, 'mine, after', { from: 1, cseq: 5 }),
    said(7, 'mine, offline', { from: 1, cseq: 6 }),
    said(7, 'mine, offline', { from: 1, cseq: 6 }),
  );
  assert.deepEqual((await Promise.all([lost, never, offline])).map(({ seq }) => seq), [5, 6, 7]);
  assert.equal(texts().length, 7);
  assert.equal(log.at(-1).origin, 'live');
  await timers.pass(0);
  assert.equal(set.client.resumes, 1);
});

test('a replay cut short goes on where it stopped', async () => {
  const set = await inLobby();
  await set.socket.say(said(1, '1'));
  await set.socket.lose();
  const second = await nextSocket(set);
  await second.say(welcome({ resumed: true, resume_key: KEYS[1] }));
  await second.say(joined({ ref: null, recovered: true, seq: 4, replay: 3 }), said(2, '2'));
  await second.lose();
  const third = await nextSocket(set);
  assert.deepEqual(third.last('hello').resume, { key: KEYS[1], rooms: [{ channel: 3, epoch: EPOCH, seq: 2 }] });
  await third.say(welcome({ resumed: true, resume_key: KEYS[2] }));
  await third.say(joined({ ref: null, recovered: true, seq: 4, replay: 2 }), said(3, '3'), said(4, '4'));
  assert.deepEqual(set.texts(), ['1', '2', '3', '4']);
});

test('a lost welcome is survived: the old key is offered again', async () => {
  const set = await inLobby();
  await set.socket.lose();
  const second = await nextSocket(set);
  await second.lose(); // Its welcome, with a new key, was on the way.
  const third = await nextSocket(set);
  assert.equal(third.last('hello').resume?.key, KEYS[0]);
  await third.say(welcome({ resumed: true, resume_key: KEYS[2] }));
  await third.say(joined({ ref: null, recovered: true }));
  assert.equal(third.all('ping').length, 1, 'something is sent at once, so that the old key can go');
  await third.lose();
  const fourth = await nextSocket(set);
  assert.equal(fourth.last('hello').resume?.key, KEYS[2]);
});

test('a session that is gone: rooms are entered anew, and what is unknown is said to be', async () => {
  const set = await inLobby({}, { attributes: { name: 'crane' }, history: 3 }, {}, 'create');
  const { room, socket } = set;
  await socket.say(said(5, 'five'));
  const unknown = room.send('chat', 'on its way');
  void room.presence.update({ name: 'heron' });
  await settle();
  await socket.lose();
  const unsent = room.send('chat', 'not sent yet', { queue: true });
  /** @type {any[]} */
  const recovered = [];
  room.onRecover((event) => recovered.push(event));
  const second = await nextSocket(set);
  await second.say(welcome({ resumed: false, resume_key: KEYS[1] }));
  await assert.rejects(unknown, OutcomeUnknownError);
  const join = second.last('join');
  assert.deepEqual(join.target, { name: 'lobby' });
  assert.deepEqual(join.since, { epoch: EPOCH, seq: 5 });
  assert.deepEqual([join.mode, join.history], ['either', 3]);
  assert.deepEqual(join.options.attributes, [['name', 'heron']]);
  await second.say(joined({ ref: join.ref, channel: 8, epoch: 'f'.repeat(16), seq: 2, replay: 1, member: 4 }), said(2, 'other', { channel: 8 }));
  assert.deepEqual(recovered, [{ recovered: false, resumed: false, replay: 1 }]);
  assert.deepEqual(set.texts(), ['five', 'other'], 'a new epoch counts from the start');
  assert.equal(second.last('publish').channel, 8);
  await second.say(said(3, 'not sent yet', { channel: 8, from: 4, cseq: second.last('publish').cseq }));
  assert.equal((await unsent).seq, 3);
});

test('a room that is full for the moment is entered again later, and one that is gone is not', async () => {
  const set = await inLobby();
  /** @type {any[]} */
  const left = [];
  set.room.onLeave((event) => left.push(event));
  await set.socket.lose();
  const second = await nextSocket(set);
  await second.say(welcome({ resumed: false }));
  const refuse = (/** @type {number} */ code) =>
    second.say({ tag: 'error', body: { code, ref: { join: second.last('join').ref }, message: '' } });
  await refuse(200);
  assert.equal(second.all('join').length, 1);
  await set.timers.pass(250);
  await refuse(204);
  await set.timers.pass(499);
  assert.equal(second.all('join').length, 2);
  await set.timers.pass(1);
  assert.equal(second.all('join').length, 3);
  assert.equal(left.length, 0);
  await refuse(300);
  assert.deepEqual([left[0].reason, left[0].error.number], ['refused', 300]);
});

test('history that was seen before is not delivered again', async () => {
  const set = await inLobby({}, { history: 10 });
  await set.socket.say(said(1, '1'), said(2, '2'));
  await set.socket.lose();
  const second = await nextSocket(set);
  await second.say(welcome({ resumed: false }));
  await second.say(
    joined({ ref: second.last('join').ref, seq: 3, replay: 3, member: 5 }),
    said(1, '1'), said(2, '2'), said(3, '3'),
  );
  assert.deepEqual(set.texts(), ['1', '2', '3']);
  assert.equal(set.room.me.id, 5);
});

test('a request resolves with its answer, and is asked anew when the answer was lost', async () => {
  const set = await inLobby();
  const answer = set.room.request('info', { deep: true });
  await settle();
  await set.socket.say({ tag: 'reply', body: { channel: 3, cseq: set.socket.last('request').cseq, payload: { json: '{"ok":1}' } } });
  assert.deepEqual(await answer, { ok: 1 });
  const lost = set.room.request('info');
  await settle();
  await set.socket.lose();
  const second = await nextSocket(set);
  await second.say(welcome({ resumed: true }));
  await second.say(joined({ ref: null, recovered: true, applied_cseq: 2 }));
  assert.equal(second.last('request').cseq, 3);
  // This one reached the room, and its answer was lost as well.
  await second.say({ tag: 'ack', body: { channel: 3, cseq: 3, seq: null, durability: 'sequenced' } });
  assert.equal(second.last('request').cseq, 4);
  await second.say({ tag: 'reply', body: { channel: 3, cseq: 4, payload: { text: 'at last' } } });
  assert.equal(await lost, 'at last');
});

test('type numbers are used as soon as they are known, both ways', async () => {
  const { room, socket, log } = await inLobby();
  await socket.say({ tag: 'types', body: { channel: 3, first: 0, names: ['chat', 'move'] } });
  await socket.say(said(1, 'x', { type: 1 }));
  assert.equal(log[0].type, 'move');
  void room.send('move', 'a');
  void room.send('jump', 'b');
  await settle();
  assert.deepEqual(socket.all('publish').map(({ type }) => type), [1, 'jump']);
});

test('members come, change, go away, come back and leave', async () => {
  const { room, socket } = await inLobby();
  /** @type {any[]} */
  const changes = [];
  for (const event of /** @type {const} */ (['join', 'leave', 'away', 'back', 'attributes', 'collapsed'])) {
    room.presence.on(event, ({ event, id }) => changes.push([event, id]));
  }
  /** @param {number} seq @param {import('../src/codec.js').PresenceEvent} event */
  const presence = (seq, event) => socket.say({ tag: 'presence', body: { channel: 3, seq, event } });
  await presence(1, { join: { id: 2, user: 'u', away: false, attributes: [['name', 'fox'], ['n', { int: 2 }]] } });
  assert.deepEqual(room.presence.members.get(2), { id: 2, user: 'u', away: false, attributes: { name: 'fox', n: 2 } });
  await presence(2, { attributes: { id: 2, cseq: 1, changes: [['name', 'wolf'], ['n', null]] } });
  await presence(3, { away: 2 });
  assert.deepEqual(room.presence.members.get(2), { id: 2, user: 'u', away: true, attributes: { name: 'wolf' } });
  await presence(4, { back: 2 });
  await presence(4, { away: 2 });
  assert.equal(room.presence.members.get(2)?.away, false, 'a repeated seq changes nothing');
  const mine = room.presence.update({ name: 'owl' });
  await settle();
  await presence(5, { attributes: { id: 1, cseq: socket.last('set_attributes').cseq, changes: [['name', 'owl']] } });
  assert.equal((await mine).seq, 5);
  assert.equal(room.me.attributes.name, 'owl');
  await presence(6, { leave: { id: 2, reason: 'gone' } });
  assert.equal(room.presence.count, 1);
  await presence(7, { collapsed: { count: 300 } });
  assert.deepEqual([room.presence.mode, room.presence.count, room.presence.members.size], ['count', 300, 0]);
  await socket.say({ tag: 'presence_count', body: { channel: 3, count: 301 } });
  assert.equal(room.presence.count, 301);
  assert.deepEqual(changes, [['join', 2], ['attributes', 2], ['away', 2], ['back', 2], ['attributes', 1], ['leave', 2], ['collapsed', null]]);
});

test('replayed presence does not undo the newer member list', async () => {
  const set = await inLobby();
  await set.socket.lose();
  const second = await nextSocket(set);
  await second.say(welcome({ resumed: true }));
  await second.say(
    joined({ ref: null, recovered: true, seq: 2, replay: 2 }),
    { tag: 'presence', body: { channel: 3, seq: 1, event: { join: { id: 7, user: null, away: false, attributes: [] } } } },
    { tag: 'presence', body: { channel: 3, seq: 2, event: { leave: { id: 7, reason: 'left' } } } },
  );
  assert.deepEqual([...set.room.presence.members.keys()], [1]);
});

test('an explicit gap is said and moves the position', async () => {
  const set = await inLobby();
  /** @type {any[]} */
  const gaps = [];
  set.room.onGap((gap) => gaps.push(gap));
  await set.socket.say({ tag: 'gap', body: { channel: 3, from_seq: 1, to_seq: 9 } });
  assert.deepEqual(gaps, [{ fromSeq: 1, toSeq: 9 }]);
  assert.equal(set.room.seq, 9);
});

test('draining: the hint is kept, whoever closes first', async () => {
  for (const closes of [true, false]) {
    const set = await inLobby();
    await set.socket.say({ tag: 'draining', body: { retry_after_ms: 3000 } });
    assert.equal(set.client.status, 'draining');
    await set.socket.say(said(1, 'still here'));
    assert.deepEqual(set.texts(), ['still here']);
    if (closes) {
      await set.timers.pass(1000);
      await set.socket.lose(4011, 'draining');
      await set.timers.pass(1990);
    } else {
      await set.timers.pass(2990);
      assert.equal(set.socket.closedByClient, null);
    }
    assert.equal(set.sockets.length, 1);
    await set.timers.pass(10);
    assert.equal(set.sockets.length, 2);
    assert.notEqual(set.socket.closedByClient?.code, 1000, 'the session goes on');
    await set.sockets[1].open();
    assert.equal(set.sockets[1].last('hello').resume?.key, KEYS[0]);
  }
});

test('terminal close codes end it, resumable and unknown ones do not', async () => {
  for (const code of [1000, 1002, 1009, 4001, 4004, 4009, 4012]) {
    const set = await inLobby();
    /** @type {any[]} */
    const left = [];
    set.room.onLeave((event) => left.push(event));
    const waiting = set.room.send('chat', 'x');
    await settle();
    await set.socket.lose(code, 'because');
    assert.equal(set.client.status, 'closed', String(code));
    assert.ok(left[0].error instanceof ClosedError);
    assert.equal(left[0].error.number, code);
    assert.match(left[0].error.message, /because/);
    await assert.rejects(waiting, ClosedError);
    await set.timers.pass(60_000);
    assert.equal(set.sockets.length, 1, `${code} is final`);
    assert.equal(set.timers.size, 0, 'and leaves no timer');
  }
  for (const code of [1001, 1005, 1006, 1011, 1012, 3000, 4007, 4008, 4010, 4013, 4017, 4999]) {
    const set = await inLobby();
    await set.socket.lose(code);
    assert.equal(set.client.status, 'reconnecting', String(code));
    await nextSocket(set);
  }
});

test('attempts that fail wait longer and longer, and a settled connection starts over', async () => {
  const set = start();
  /** @type {number[]} */
  const waits = [];
  set.client.on('status', ({ retryInMs }) => retryInMs !== undefined && waits.push(retryInMs));
  await settle();
  for (let attempt = 0; attempt < 8; attempt += 1) {
    await set.sockets[attempt].lose();
    await set.timers.pass(10_000);
  }
  assert.deepEqual(waits, [250, 500, 1000, 2000, 4000, 8000, 10_000, 10_000]);
  const last = set.sockets[8];
  await last.open();
  await last.say(welcome());
  await set.timers.pass(11_000);
  await last.lose();
  assert.equal(waits.at(-1), 250);
});

test('an attempt without welcome is given up', async () => {
  const set = start({ connectTimeoutMs: 4000 });
  await settle();
  await set.sockets[0].open();
  await set.timers.pass(4000);
  assert.notEqual(set.sockets[0].closedByClient, null);
  await set.sockets[0].say(welcome());
  assert.equal(set.client.status, 'reconnecting', 'a dropped socket is not listened to');
  await nextSocket(set);
});

test('a silent server is a lost one, but a sleeping tab is not', async () => {
  const set = await inLobby({ pingMs: 5000 });
  await set.timers.pass(60_000);
  assert.equal(set.client.status, 'reconnecting');
  const other = await inLobby({ pingMs: 5000 });
  const { socket, client, timers } = other;
  for (let round = 0; round < 30; round += 1) {
    await socket.say({ tag: 'pong', body: { id: socket.last('ping').id, server_time_us: 0 } });
    await timers.pass(5000);
  }
  assert.equal(client.status, 'open');
});

test('unknown server messages are skipped, known ones beside them are heard', async () => {
  const { socket, texts, client } = await inLobby();
  const known = said(1, 'known');
  const { encodeServer } = await import('./support/codec.js');
  const { packBatches } = await import('../src/batch.js');
  const [batch] = packBatches([new Uint8Array([200, 1, 2, 3]), encodeServer(known), new Uint8Array([251, 0, 1])], 1 << 16);
  await socket.sayBytes(batch);
  assert.deepEqual(texts(), ['known']);
  // A known message with a reason of a later version.
  await socket.sayBytes(new Uint8Array([3, 2, 3, 9]));
  await until(() => client.skipped === 3);
  assert.equal(client.status, 'open');
});

test('what was sent before the room lost its epoch is unknown, what was not is sent', async () => {
  const set = await inLobby();
  const sent = set.room.send('chat', 'a');
  await settle();
  await set.socket.lose();
  const unsent = set.room.send('chat', 'b', { queue: true });
  const second = await nextSocket(set);
  await second.say(welcome({ resumed: true }));
  await second.say(joined({ ref: null, epoch: 'f'.repeat(16), recovered: false }));
  await assert.rejects(sent, OutcomeUnknownError);
  assert.deepEqual(second.all('publish').map(({ payload }) => payload), [{ text: 'b' }]);
  void unsent;
  const movedAway = set.room.send('chat', 'c');
  await settle();
  const lost = assert.rejects(movedAway, OutcomeUnknownError);
  await second.say({ tag: 'moved', body: { channel: 3, epoch: '1'.repeat(16) } });
  await lost;
});

test('bytes that are no message end it with an error', async () => {
  const { socket, client, timers, sockets } = await inLobby();
  /** @type {any[]} */
  const errors = [];
  client.on('status', ({ error }) => error && errors.push(error));
  await socket.sayBytes(new Uint8Array([2, 2, 255]));
  assert.equal(client.status, 'closed');
  assert.equal(errors[0].code, 'bad_message');
  await timers.pass(60_000);
  assert.equal(sockets.length, 1);
});

test('a redirect is followed with the session, but not for ever', async () => {
  const set = await inLobby();
  await set.socket.say({ tag: 'redirect', body: { url: 'ws://other/play' } });
  const second = await nextSocket(set, 100);
  assert.equal(second.url, 'ws://other/play');
  assert.equal(second.last('hello').resume?.key, KEYS[0]);
  await second.lose();
  const third = await nextSocket(set);
  assert.equal(third.url, 'ws://example/play', 'nobody is there: back to the start');
  for (let hop = 0; hop < 6; hop += 1) {
    const socket = set.sockets[set.sockets.length - 1];
    await socket.say(welcome({ resumed: true }), { tag: 'redirect', body: { url: `ws://hop${hop}/` } });
    await nextSocket(set, 20_000);
  }
  assert.ok(set.sockets.slice(3).some(({ url }) => url === 'ws://example/play'), 'a circle is left');
  const other = await inLobby();
  await other.socket.say({ tag: 'redirect', body: { url: 'ws://mute/' } });
  await other.timers.pass(60_000);
  assert.deepEqual(other.sockets.slice(1, 4).map(({ url }) => url), ['ws://mute/', 'ws://example/play', 'ws://example/play'], 'one that never answers is left as well');
});

test('a redirect never leads out of encryption', async () => {
  const { WebSocket, sockets } = fakeWebSocket();
  const timers = new ManualTimers();
  void new Client('wss://example/play', { WebSocket, timers, transports: [webSocket], random: () => 0.5 });
  await settle();
  for (const [url, next] of [['ws://other/play', 'wss://example/play'], ['https://other/', 'wss://example/play'], ['wss://other/play', 'wss://other/play']]) {
    const socket = sockets[sockets.length - 1];
    await socket.open();
    await socket.say(welcome());
    await socket.say({ tag: 'redirect', body: { url } });
    await timers.pass(8000);
    const [before, after] = sockets.slice(sockets.indexOf(socket));
    assert.notEqual(before.closedByClient, null);
    assert.equal(after.url, next);
  }
});

test('a room that moved starts a new epoch, a lost one is entered again', async () => {
  const set = await inLobby();
  await set.socket.say(said(5, 'five'));
  await set.socket.say({ tag: 'moved', body: { channel: 3, epoch: 'f'.repeat(16) } });
  await set.socket.say(said(1, 'one'));
  assert.deepEqual(set.texts(), ['five', 'one']);
  await set.socket.say({ tag: 'left', body: { channel: 3, reason: 'lost' } });
  const again = set.socket.last('join');
  assert.deepEqual(again.since, { epoch: 'f'.repeat(16), seq: 1 });
  await set.socket.say(joined({ ref: again.ref, channel: 4, epoch: '1'.repeat(16) }));
  await set.socket.say(said(1, 'anew', { channel: 4 }));
  assert.deepEqual(set.texts(), ['five', 'one', 'anew']);
});

test('leaving and being removed', async () => {
  const set = await inLobby();
  /** @type {any[]} */
  const reasons = [];
  set.room.onLeave(({ reason }) => reasons.push(reason));
  const leaving = set.room.leave();
  await settle();
  assert.equal(set.socket.last('leave').channel, 3);
  await set.socket.say({ tag: 'left', body: { channel: 3, reason: 'left' } });
  await leaving;
  await assert.rejects(set.room.send('chat', 'x'), { reason: 'left' });
  const other = await inLobby();
  other.room.onLeave(({ reason }) => reasons.push(reason));
  await other.socket.say({ tag: 'left', body: { channel: 3, reason: 'kicked' } });
  assert.deepEqual(reasons, ['left', 'kicked']);
  assert.deepEqual(other.client.rooms, []);
});

test('who is put out and comes back numbers on: what was on its way is not taken for something said before', async () => {
  const set = await inLobby();
  void set.room.send('chat', 'heard');
  const onItsWay = set.room.send('chat', 'on its way');
  await settle();
  await set.socket.say(said(1, 'heard', { from: 1, cseq: 1 }));
  // The server had not read the second when it put this member out; it reads it behind the new join.
  await set.socket.say({ tag: 'left', body: { channel: 3, reason: 'kicked' } });
  await assert.rejects(onItsWay, { reason: 'kicked' });
  const joining = set.client.joinOrCreate('lobby');
  await settle();
  await set.socket.say(joined({ ref: set.socket.last('join').ref, seq: 1, member: 2, applied_cseq: 0 }));
  const again = await joining;
  await set.timers.pass(0);
  const sent = again.send('chat', 'new');
  assert.equal(sent.cseq, 3, 'above all that this session has used in this room');
  await settle();
  assert.deepEqual(set.socket.all('publish').map(({ cseq }) => cseq), [1, 2, 3]);
});

test('stats, round trip and the server\'s time', async () => {
  const { client, socket, timers } = await inLobby();
  const asked = client.stats();
  await until(() => socket.all('get_stats').length > 0);
  const counts = { sent: 1, dropped: 2, conflated: 3 };
  await socket.say({
    tag: 'stats',
    body: { ref: socket.last('get_stats').ref, reliable: counts, latest: counts, volatile: counts, control: counts, queued_messages: 0, queued_bytes: 0, resumes: 0, state: counts },
  });
  const stats = await asked;
  assert.deepEqual([stats.classes.latest.conflated, stats.dropped, stats.conflated], [3, 10, 15]);
  await timers.pass(9000);
  const { id } = socket.last('ping');
  const sentAt = timers.nowMs;
  timers.nowMs += 40;
  await socket.say({ tag: 'pong', body: { id, server_time_us: (sentAt + 5020) * 1000 } });
  assert.ok(client.rtt !== null && client.rtt >= 40);
});

test('close ends the session with 1000 and everything with it', async () => {
  const { client, socket, timers, room } = await inLobby();
  /** @type {any[]} */
  const reasons = [];
  room.onLeave(({ reason }) => reasons.push(reason));
  void room.send('chat', 'last words');
  client.close();
  assert.equal(socket.last('publish').payload && socket.closedByClient?.code, 1000);
  assert.deepEqual(reasons, ['left']);
  assert.equal(timers.size, 0);
  await assert.rejects(client.joinOrCreate('lobby'), ClosedError);
});

test('the next page takes the session up, with the past that it asks for', async () => {
  const storage = tabStorage();
  const { items } = storage;
  const before = await inLobby({ storage }, { history: 3 });
  await before.socket.say(said(9, 'nine'));
  void before.room.send('chat', 'x');
  before.client.suspend();
  assert.notEqual(before.socket.closedByClient?.code, 1000);
  const { client, sockets, timers } = start({ storage });
  const joining = client.joinOrCreate('lobby', { history: 3 });
  await until(() => sockets.length === 1);
  await sockets[0].open();
  assert.deepEqual(sockets[0].last('hello').resume, { key: KEYS[0], rooms: [{ channel: 3, epoch: EPOCH, seq: 6 }] });
  assert.equal(items.size, 0, 'a duplicated tab finds nothing to fight over');
  await sockets[0].say(welcome({ resumed: true, resume_key: KEYS[1] }));
  assert.deepEqual(sockets[0].all('join'), []);
  void sockets[0].say(joined({ ref: null, recovered: true, seq: 9, replay: 1, applied_cseq: 1 }), said(9, 'nine'));
  const room = await joining;
  /** @type {any[]} */
  const heard = [];
  room.on('message', ({ payload, origin }) => heard.push([payload, origin]));
  await timers.pass(1);
  assert.deepEqual(heard, [['nine', 'history']]);
  void room.send('chat', 'y');
  await settle();
  assert.equal(sockets[0].last('publish').cseq, 2);
});

test('what was put aside and is gone by now costs a join', async () => {
  /** @type {string | null} */
  let item = `${KEYS[0]}.3.${EPOCH}.9.4.lobby`;
  const storage = { getItem: () => item, setItem: () => {}, removeItem: () => { item = null; } };
  const { client, sockets } = start({ storage });
  const joining = client.joinOrCreate('lobby', { history: 2 });
  await until(() => sockets.length === 1);
  await sockets[0].open();
  await sockets[0].say(welcome({ resumed: false }));
  const join = sockets[0].last('join');
  assert.deepEqual([join.since, join.history], [{ epoch: EPOCH, seq: 7 }, 2]);
  await sockets[0].say(joined({ ref: join.ref }));
  assert.equal((await joining).id, 'lobby');
});

test('a token is fetched for each attempt', async () => {
  let count = 0;
  const set = start({ getToken: async () => `t${(count += 1)}` });
  await settle();
  await set.sockets[0].open();
  assert.equal(set.sockets[0].last('hello').token, 't1');
  await set.sockets[0].lose();
  assert.equal((await nextSocket(set)).last('hello').token, 't2');
});

test('a token that expires is renewed, and one that cannot be had is said', async () => {
  let count = 0;
  const getToken = async () => {
    count += 1;
    if (count === 3) {
      throw new Error('no token today');
    }
    return `t${count}`;
  };
  const set = start({ getToken });
  /** @type {string[]} */
  const errors = [];
  set.client.on('error', ({ message }) => errors.push(message));
  await settle();
  const [socket] = set.sockets;
  await socket.open();
  await socket.say(welcome());
  await socket.say({ tag: 'expiring', body: { close_ms: 60_000 } });
  assert.deepEqual(socket.all('renew'), [{ ref: 0, token: 't2' }]);
  await socket.say({ tag: 'renewed', body: { ref: 0, expires_ms: 3_600_000 } });
  await socket.say({ tag: 'expiring', body: { close_ms: 60_000 } });
  await settle();
  assert.deepEqual([errors, socket.all('renew').length], [['no token today'], 1]);
});

test('a listener that throws disturbs nobody, and an unsubscribed one is not called', async () => {
  const { room, socket, texts } = await inLobby();
  /** @type {any[]} */
  const uncaught = [];
  const listeners = process.listeners('uncaughtException');
  process.removeAllListeners('uncaughtException');
  process.once('uncaughtException', (error) => uncaught.push(error));
  const off = room.on('message', () => {
    throw new Error('mine');
  });
  await socket.say(said(1, 'a'));
  await settle();
  for (const listener of listeners) {
    process.on('uncaughtException', listener);
  }
  off();
  await socket.say(said(2, 'b'));
  assert.deepEqual(texts(), ['a', 'b']);
  assert.equal(uncaught.length, 1);
});
