// A sample application, as somebody would write it against the published package: checked by the strict
// compiler, and not run.

import { Client, RefusedError, messages, type Receipt, type Room, type RoomMessage } from 'madang-client';
import { EditRefusedError, state, type RoomState, type Schema } from 'madang-client/state';
import { usePresence, useRoom, useSharedState, useWatch } from 'madang-client/react';
import { watch } from 'madang-client/watch';

const schema: Schema = {
  kinds: [
    { name: 'board', fields: [{ name: 'title', type: { one: 'text' } }] },
    { name: 'note', fields: [{ name: 'at', type: { one: { vec2: { quantised: { min: 0, step: 0.5, steps: 2000 } } } } }] },
  ],
};

const client = new Client('wss://play.example/play', {
  getToken: async () => (await fetch('/token')).text(),
  state,
  storage: sessionStorage,
});
client.on('status', ({ status, retryInMs }) => console.log(status, retryInMs?.toFixed()));
client.on('error', (error: Error) => console.error(error.message));

export async function play(): Promise<void> {
  const abort = new AbortController();
  let room: Room;
  try {
    room = await client.joinOrCreate('lobby', { attributes: { name: 'crane', level: 3 }, history: 20, signal: abort.signal });
  } catch (error) {
    if (error instanceof RefusedError && error.temporary) {
      console.log(error.code, error.number);
    }
    throw error;
  }
  const off = room.on('chat', ({ payload, from, at, mine }: RoomMessage) => console.log(payload, from, at?.toISOString(), mine));
  room.onDrop(({ retryInMs, reason }) => console.log(retryInMs, reason));
  room.onRecover(({ recovered }) => console.log(recovered));
  room.onLeave(({ reason, error }) => console.log(reason, error?.message));
  room.presence.on('join', ({ member }) => console.log(member?.attributes.name));
  const receipt: Receipt = await room.send('chat', 'hello', { queue: true });
  console.log(receipt.seq, room.history.length, room.presence.count);
  const { cseq } = room.send('input', new Uint8Array([1]), { class: 'volatile' });
  void room.send('pos', { x: 1 }, { class: 'latest', key: 2 });
  const answer: { score: number } = await room.request('score', null, { timeoutMs: 500 });
  const { dropped, conflated, rtt, clockOffset } = await room.stats();
  console.log(cseq, answer.score, dropped + conflated, rtt, clockOffset);
  for await (const { payload } of messages(room, { type: 'chat' })) {
    if (payload === 'bye') break;
  }
  off();
  await room.leave();
  const again = await client.reconnect(room.ticket ?? '');
  // @ts-expect-error there is no such class
  void again.send('chat', 'x', { class: 'fast' });
  // @ts-expect-error a room is entered by its name or by a match
  void client.join(7);
}

export async function draw(): Promise<void> {
  const room = await client.create('board-1', { schema, onLeave: 'keep' });
  const board: RoomState | null = room.state;
  if (board === null) return;
  board.on('change', (entity, fields) => console.log(entity.id, fields.join()));
  board.listen(7, 'at', (value: number[]) => console.log(value[0]));
  try {
    const { ids } = await board.edit([board.create('note', { at: [1, 2] }), board.set(0, { title: 'plan' })]);
    console.log(ids[0].toFixed());
  } catch (error) {
    if (error instanceof EditRefusedError) console.log(error.refused[0].reason);
  }
}

export function spectate(): () => void {
  const arena = watch('arena-1', { url: 'https://watch.example', delay: '10s' });
  arena.state.on('tick', ({ tick }) => console.log(tick, arena.state.room.round, arena.status));
  arena.on('chat', ({ payload, seq }) => console.log(payload, seq?.toFixed()));
  return () => arena.close();
}

export function Lobby() {
  const { room, status, error } = useRoom(client, 'lobby', { history: 20 });
  const members = usePresence(room);
  const titles = useSharedState(room, (it) => [...it.entities('note')].map(({ title }) => String(title)));
  const { watch: arena } = useWatch('arena-1', { delay: 500 });
  const round = useSharedState(arena, (it) => it.room.round as number);
  return (
    <p title={error?.message}>
      {status} {members.map(({ id }) => id).join()} {titles?.join()} {round?.toFixed()}
    </p>
  );
}
