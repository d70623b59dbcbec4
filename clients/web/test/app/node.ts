// A sample bot, as somebody would write it for Node: checked by the strict compiler without the types of a
// browser, and with every declaration that it reaches.

import { Client, messages, webSocket, type Room } from 'madang-client';
import { eventStream, longPolling } from 'madang-client/http';
import { state, type RoomState } from 'madang-client/state';
import { watch, type Watch } from 'madang-client/watch';

const kept = new Map<string, string>();

const client = new Client('ws://127.0.0.1:7700/play', {
  state,
  token: process.env['TOKEN'] ?? '',
  transports: [webSocket, eventStream, longPolling],
  storage: {
    getItem: (key) => kept.get(key) ?? null,
    setItem: (key, value) => void kept.set(key, value),
    removeItem: (key) => void kept.delete(key),
  },
});
client.on('status', ({ status }) => console.log(status));

export async function play(): Promise<void> {
  const room: Room = await client.joinOrCreate({ kind: 'arena' }, { signal: AbortSignal.timeout(1000) });
  const arena: RoomState | null = room.state;
  arena?.on('add', (entity, fields) => console.log(entity.id, fields.join()));
  for await (const { payload, from } of messages(room, { type: 'chat' })) {
    console.log(payload, from);
  }
  await room.send('chat', Buffer.from('bye'));
  client.close();
}

/** @param EventSource a class, which Node has not */
export function spectate(EventSource: unknown): Watch {
  const arena = watch('arena-1', { url: 'http://127.0.0.1:7701', EventSource, fetch });
  arena.onLeave(({ reason, status }) => console.log(reason, status?.toFixed()));
  return arena;
}
