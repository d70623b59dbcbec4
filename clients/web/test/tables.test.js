// The tables of close codes and error codes against the protocol's own lists.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { TERMINAL_CODES } from '../src/errors.js';
import { closeMeaning, errorName } from '../src/seldom.js';

/** @param {string} name */
const source = (name) => readFileSync(new URL(`../../../protocol/src/${name}.rs`, import.meta.url), 'utf8');

test('the close codes are those of the protocol', () => {
  const listed = [...source('close').matchAll(/= (\d+), "(\w+)", (resumable|terminal), "([^"]+)";/g)];
  assert.ok(listed.length >= 20);
  const words = [];
  for (const [, code, name, , meaning] of listed) {
    const said = closeMeaning(Number(code), name);
    if (said !== name) {
      assert.equal(said, `${meaning} ${name}`);
      words.push(name);
    }
  }
  assert.deepEqual(words, ['message_too_big', 'unauthorized', 'unsupported_version', 'replaced', 'kicked']);
  const terminal = listed.filter(([, , , kind]) => kind === 'terminal').map(([, code]) => Number(code));
  assert.deepEqual(TERMINAL_CODES, terminal.sort((a, b) => a - b));
});

test('what the server says of a close is in the words', () => {
  assert.equal(closeMeaning(4004, 'bad_message: too short'), 'bad_message: too short');
  assert.equal(closeMeaning(4001, ''), 'The credential was missing or refused.');
  assert.equal(closeMeaning(4014, ''), 'closed with 4014');
});

test('the error codes are those of the protocol', () => {
  const listed = [...source('error').matchAll(/= (\d+), "(\w+)", "[^"]+";/g)];
  assert.ok(listed.length >= 18);
  for (const [, code, name] of listed) {
    assert.equal(errorName(Number(code)), name);
  }
  assert.equal(errorName(199), 'unknown');
});
