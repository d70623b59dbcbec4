// The arena's step in JavaScript takes the same runs as the one in Rust, to the last bit.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import * as movement from '../../examples/arena/web/movement.js';

const data = JSON.parse(readFileSync(new URL('../../examples/arena/testdata/movement.json', import.meta.url), 'utf8'));

test('the numbers of the movement are those of the room', () => {
  for (const [name, value] of Object.entries(data.constants)) {
    assert.deepEqual(movement[name], value, name);
  }
});

test('every run is repeated bit by bit', () => {
  assert.ok(data.runs.length > 0);
  let steps = 0;
  for (const { name, start, steps: run } of data.runs) {
    const [x, y, vx, vy, dash, rest, stun] = start;
    const body = { x, y, vx, vy, dash, rest, stun };
    for (const [goX, goY, buttons, load, knock, wanted] of run) {
      if (knock > 0) {
        Object.assign(body, { stun: knock, dash: 0, vx: 6, vy: -8 }); // As the file was made: a hit is no part of the step.
      }
      movement.step(body, goX, goY, (buttons & movement.DASH) !== 0, load);
      steps += 1;
      const found = [body.x, body.y, body.vx, body.vy, body.dash, body.rest, body.stun];
      found.forEach((value, place) => assert.ok(Object.is(value, wanted[place]), `${name}, step ${steps}: ${found} and not ${wanted}`));
    }
  }
  assert.ok(steps >= 720, `${steps} steps`);
});
