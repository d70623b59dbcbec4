// A thousand clients lose their server at the same moment, and do not come back at the same moment.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { PICTURE, RUN, draw } from '../tools/herd.js';
import { densest, simulate } from './support/herd.js';

test('a thousand clients of a server that died come back spread over seconds, and the picture shows it', async () => {
  const run = await simulate(RUN);
  const { tries, back } = run;
  assert.equal(back.length, RUN.clients, 'everybody is back, once');
  assert.ok(back[0] >= RUN.outageMs);
  assert.ok(densest(back, 100) <= RUN.clients * 0.05, `${densest(back, 100)} came within 100 ms`);
  assert.ok(densest(tries, 10) <= RUN.clients * 0.05, `${densest(tries, 10)} tried within 10 ms`);
  assert.ok(back[RUN.clients / 2] - RUN.outageMs > 1_000, 'half of them take longer than a second');
  assert.ok(back[RUN.clients - 1] - RUN.outageMs < 25_000, 'and nobody longer than the longest wait');
  const early = tries.filter((ms) => ms < RUN.outageMs).length;
  assert.ok(early < RUN.clients * 8, `${early} attempts at a server that is away`);
  assert.equal(readFileSync(PICTURE, 'utf8'), draw(run), 'node tools/herd.js draws it anew');
});

test('what the server asks for is kept to the millisecond, and its own spread with it', async () => {
  /** @type {number[]} */
  const hints = [];
  const { tries, back } = await simulate({
    clients: 200,
    seed: 2,
    outageMs: 900,
    hintMs: (_, random) => {
      hints.push(Math.round(1_000 + random() * 4_000));
      return /** @type {number} */ (hints.at(-1));
    },
  });
  hints.sort((a, b) => a - b);
  assert.deepEqual(tries, hints);
  assert.deepEqual(back, hints.map((ms) => ms + 5));
});
