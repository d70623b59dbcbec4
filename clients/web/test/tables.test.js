// The tables of close codes and error codes against the protocol's own lists.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { RefusedError, closeRule } from '../src/errors.js';

/** @param {string} name */
const source = (name) => readFileSync(new URL(`../../../protocol/src/${name}.rs`, import.meta.url), 'utf8');

test('the close codes are those of the protocol', () => {
  const listed = [...source('close').matchAll(/= (\d+), "(\w+)", (resumable|terminal), "([^"]+)";/g)];
  assert.ok(listed.length >= 20);
  for (const [, code, name, kind, meaning] of listed) {
    const resumable = kind === 'resumable';
    // Who comes back is told nothing, so those have no words here.
    assert.deepEqual(closeRule(Number(code)), { name, resumable, meaning: resumable ? undefined : meaning });
  }
  for (let code = 1000; code < 5000; code += 1) {
    const isListed = listed.some(([, known]) => Number(known) === code);
    assert.equal(!['unknown', 'lost'].includes(closeRule(code).name), isListed, String(code));
  }
});

test('a close code that is not in the table is one to reconnect after', () => {
  for (const [code, name] of /** @type {const} */ ([[1001, 'lost'], [1006, 'lost'], [4016, 'unknown'], [4999, 'unknown']])) {
    assert.deepEqual([closeRule(code).name, closeRule(code).resumable], [name, true]);
  }
});

test('the error codes are those of the protocol', () => {
  const listed = [...source('error').matchAll(/= (\d+), "(\w+)", "[^"]+";/g)];
  assert.ok(listed.length >= 18);
  for (const [, code, name] of listed) {
    assert.equal(new RefusedError(Number(code), '').code, name);
  }
  assert.equal(new RefusedError(199, '').code, 'unknown');
});
