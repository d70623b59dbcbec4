// What is loaded when it is first needed: what comes behind it keeps its order, and what cannot be had is said
// or tried again.

import assert from 'node:assert/strict';
import { register } from 'node:module';
import { after, beforeEach, test } from 'node:test';
import { MessageChannel } from 'node:worker_threads';
import { KEYS, inLobby, joined, nextSocket, said, settle, start, until, welcome } from './support/script.js';
import { withSchema } from './support/parts.js';

const { port1, port2 } = new MessageChannel();
register('./support/latehooks.js', { parentURL: import.meta.url, data: { port: port2 }, transferList: [port2] });

/**
 * From now on what is loaded later comes, is held up, or cannot be had.
 *
 * @param {'pass' | 'hold' | 'fail'} manner
 */
function letThem(manner) {
  return new Promise((resolve) => {
    port1.once('message', resolve);
    port1.postMessage(manner);
  });
}

beforeEach(() => letThem('pass'));
after(() => port1.close());

test('what comes behind a message whose code is not here yet waits for it, and so does the close', async () => {
  const set = await inLobby();
  /** @type {any[]} */
  const seen = [];
  set.room.on('chat', ({ payload }) => seen.push(payload));
  set.room.onGap(({ toSeq }) => seen.push(toSeq));
  set.client.on('status', ({ status }) => seen.push(status));
  await letThem('hold');
  await set.socket.say(said(1, 'a'), { tag: 'gap', body: { channel: 3, from_seq: 2, to_seq: 5 } }, said(6, 'b'));
  await set.socket.say(said(7, 'c'), { tag: 'gap', body: { channel: 3, from_seq: 8, to_seq: 8 } }, said(9, 'd'));
  await set.socket.lose();
  assert.deepEqual(seen, ['a']);
  await letThem('pass');
  await until(() => seen.includes('reconnecting'));
  assert.deepEqual(seen, ['a', 5, 'b', 'c', 8, 'd', 'reconnecting']);
});

test('a connection that is given up meanwhile is not acted for any more', async () => {
  const set = await inLobby();
  await letThem('hold');
  await set.socket.say({ tag: 'draining', body: { retry_after_ms: 3000 } }, said(1, 'void'));
  set.client.drop(0);
  await letThem('pass');
  const second = await nextSocket(set);
  await second.say(welcome({ resumed: true, resume_key: KEYS[1] }));
  await second.say(joined({ ref: null, recovered: true }));
  assert.equal(set.states.includes('draining'), false);
  assert.deepEqual([set.client.status, set.texts()], ['open', []]);
});

test('without the code for it a message is as good as not heard: the client says so, and comes back for it', async () => {
  const set = start();
  /** @type {string[]} */
  const errors = [];
  set.client.on('error', ({ message }) => errors.push(message));
  const joining = set.client.join('lobby');
  await until(() => set.sockets.length === 1);
  await set.sockets[0].open();
  await set.sockets[0].say(welcome());
  await letThem('fail');
  /** @param {number} index */
  const refuse = async (index) => {
    const { ref } = set.sockets[index].last('join');
    await set.sockets[index].say({ tag: 'error', body: { code: 101, ref: { join: ref }, message: '' } });
  };
  await refuse(0);
  await until(() => set.client.status === 'reconnecting');
  assert.deepEqual(errors, ['./seldom.js cannot be had']);
  await letThem('pass');
  const second = await nextSocket(set);
  await second.say(welcome({ resumed: true, resume_key: KEYS[1] }));
  const refused = assert.rejects(joining, { code: 'no_such_room' });
  await refuse(1);
  await refused;
});

test('an end is an end, with the words of the server alone', async () => {
  const set = await inLobby();
  await letThem('fail');
  /** @type {any[]} */
  const ends = [];
  set.room.onLeave(({ error }) => ends.push(error));
  await set.socket.lose(4001, 'unauthorized: too old');
  await until(() => set.client.status === 'closed');
  assert.deepEqual([ends[0].code, ends[0].number, ends[0].message], ['unauthorized', 4001, 'unauthorized: too old']);
  await set.timers.pass(60_000);
  assert.deepEqual([set.sockets.length, set.timers.size], [1, 0]);
});

test('a room with rules is entered when what it needs is here, with all that came behind', async () => {
  const set = start({ state: undefined });
  const joining = set.client.joinOrCreate('arena');
  await until(() => set.sockets.length === 1);
  await set.sockets[0].open();
  await set.sockets[0].say(welcome());
  await letThem('hold');
  const schema = withSchema({ kinds: [{ name: 'x', fields: [] }] });
  await set.sockets[0].say(joined({ ref: set.sockets[0].last('join').ref, ...schema }), said(1, 'a'));
  assert.deepEqual(set.client.rooms, []);
  await letThem('pass');
  const room = await joining;
  /** @type {any[]} */
  const heard = [];
  room.on('chat', ({ payload }) => heard.push(payload));
  await set.timers.pass(0);
  assert.deepEqual(heard, ['a']);
  const sending = room.send('chat', 'x');
  await settle();
  await set.sockets[0].say({ tag: 'input_ack', body: { channel: 3, tick: 4, cseq: sending.cseq } });
  assert.deepEqual(await sending, { seq: null, repeated: false, tick: 4 });
});

test('a join, a request or numbers that cannot be loaded reject, and work the next time', async () => {
  const set = await inLobby();
  await letThem('fail');
  await assert.rejects(set.client.join({ kind: 'arena' }), { message: './joins.js cannot be had' });
  await assert.rejects(set.room.request('info'), { message: './asking.js cannot be had' });
  await assert.rejects(set.client.stats(), { message: './asking.js cannot be had' });
  assert.deepEqual([set.room.unanswered, set.client.status], [0, 'open']);
  await letThem('pass');
  const asked = set.room.request('info');
  await settle();
  await set.socket.say({ tag: 'reply', body: { channel: 3, cseq: set.socket.last('request').cseq, payload: { text: 'yes' } } });
  assert.equal(await asked, 'yes');
});

test('what every page needs is there from the start', async () => {
  await letThem('fail');
  const set = await inLobby();
  const { room, socket } = set;
  const sent = room.send('chat', 'x');
  await settle();
  await socket.say(said(1, 'x', { from: 1, cseq: 1 }));
  assert.deepEqual([(await sent).seq, set.client.rtt], [1, null]);
  assert.equal(set.client.serverTime(), set.timers.nowMs, 'from the welcome alone');
  assert.ok(socket.all('ping').length > 0, 'its clock is asked for');
});
