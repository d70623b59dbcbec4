// How long the client waits before it connects again, and what it makes of pings.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { backoffMs } from '../src/backoff.js';
import { Clock } from '../src/clock.js';
import { seededRandom } from './support/random.js';

test('waiting times fill the whole range under an exponential ceiling', () => {
  const random = seededRandom(7);
  const runs = Array.from({ length: 2000 }, () => Array.from({ length: 8 }, (_, attempt) => backoffMs(attempt, random)));
  const ceilings = [500, 1000, 2000, 4000, 8000, 16_000, 20_000, 20_000];
  ceilings.forEach((ceiling, attempt) => {
    const waits = runs.map((run) => run[attempt]);
    const mean = waits.reduce((sum, wait) => sum + wait, 0) / waits.length;
    assert.ok(Math.max(...waits) <= ceiling);
    assert.ok(Math.max(...waits) > ceiling * 0.98, `attempt ${attempt} reaches its ceiling`);
    assert.ok(Math.min(...waits) < ceiling * 0.02, `attempt ${attempt} may be short`);
    assert.ok(Math.abs(mean / ceiling - 0.5) < 0.03, `attempt ${attempt} is uniform`);
  });
});

test('the same seed waits the same, another one does not', () => {
  const draw = (/** @type {number} */ seed) => {
    const random = seededRandom(seed);
    return [0, 1, 2].map((attempt) => backoffMs(attempt, random));
  };
  assert.deepEqual(draw(1), draw(1));
  assert.notDeepEqual(draw(1), draw(2));
});

test('the clock believes the shortest round trip', () => {
  const clock = new Clock();
  assert.equal(clock.rtt, null);
  assert.equal(clock.offset, undefined);
  clock.sample(1000, 1300, 5010 + 290);
  clock.sample(2000, 2020, 6020);
  clock.sample(3000, 3400, 7350);
  assert.equal(clock.offset, 4010, 'the middle of the 20 ms round trip');
  assert.equal(clock.rtt, 400, 'the newest');
  clock.sample(5000, 4000, 0);
  assert.equal(clock.rtt, 400, 'a clock set back in between says nothing');
  for (let index = 0; index < 12; index += 1) {
    clock.sample(0, 100, 50);
  }
  assert.equal(clock.offset, 0, 'old samples go');
});
