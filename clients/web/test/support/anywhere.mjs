/**
 * An application that asks for nothing but the built files by their names, and for a `WebSocket` that is there:
 * for Deno, and for whatever runs JavaScript like it. It joins, talks, asks, is refused and is answered for, so
 * that what is loaded later is loaded as well; then it says what came of it.
 *
 * Its arguments: the server's address, and where `fetch` finds nothing.
 *
 * @module
 */

import { Client, RefusedError, messages } from '../../dist/index.js';
import { state } from '../../dist/state.js';
import { watch } from '../../dist/watch.js';

const { Deno, process } = /** @type {any} */ (globalThis);
const [url] = Deno ? Deno.args : process.argv.slice(2);

const client = new Client(url, { state, pingMs: 50 });
const room = await client.joinOrCreate('anywhere', { attributes: { name: 'Crane' } });
const heard = messages(room, { type: 'chat' });
const { seq } = await room.send('chat', { hello: 'world' });
const { value } = await heard.next();
const refused = await client.create('anywhere').catch((error) => error);
const timedOut = await room.request('no such thing', null, { timeoutMs: 2_000 }).catch((error) => error);
const ticket = await new Client(url).reconnect('none').catch((error) => error.code);
if (client.rtt === null) {
  await new Promise((resolve) => client.on('rtt', resolve));
}
console.log(
  JSON.stringify({
    said: value?.payload.hello,
    mine: value?.mine,
    isLogged: Number(seq) > 0,
    refused: [refused instanceof RefusedError, typeof refused.code],
    asked: timedOut instanceof Error,
    ticket,
    watch: typeof watch,
  }),
);
client.close();
Deno ? Deno.exit(0) : process.exit(0);
