/**
 * `node --import` of this has Node take only what Deno and browsers take as well, and gives it a `WebSocket` as
 * they have one.
 *
 * @module
 */

import { register } from 'node:module';
import { WebSocket } from 'ws';

Object.assign(globalThis, { WebSocket });
register('./stricthooks.js', import.meta.url);
