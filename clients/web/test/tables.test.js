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
  const words = [];
  for (const [, code, name, kind, meaning] of listed) {
    const rule = closeRule(Number(code), name);
    assert.deepEqual([rule.name, rule.resumable], [name, kind === 'resumable'], code);
    if (rule.meaning !== name) {
      assert.equal(rule.meaning, `${meaning} ${name}`);
      words.push(name);
    }
  }
  assert.deepEqual(words, ['message_too_big', 'unauthorized', 'unsupported_version', 'replaced', 'kicked']);
  for (let code = 1000; code < 5000; code += 1) {
    const isTerminal = listed.some(([, known, , kind]) => Number(known) === code && kind === 'terminal');
    assert.equal(closeRule(code, '').resumable, !isTerminal, String(code));
  }
});

test('a close code that is not in the table is one to reconnect after', () => {
  for (const code of [1001, 1006, 4002, 4999]) {
    assert.deepEqual([closeRule(code, '').name, closeRule(code, '').resumable], ['lost', true]);
  }
});

test('what the server says of a close is in the words', () => {
  assert.deepEqual(closeRule(4004, 'bad_message: too short'), { name: 'bad_message', resumable: false, meaning: 'bad_message: too short' });
  assert.equal(closeRule(4001, '').meaning, 'The credential was missing or refused.');
  assert.equal(closeRule(4014, '').meaning, 'closed with 4014');
});

test('the error codes are those of the protocol', () => {
  const listed = [...source('error').matchAll(/= (\d+), "(\w+)", "[^"]+";/g)];
  assert.ok(listed.length >= 18);
  for (const [, code, name] of listed) {
    assert.equal(new RefusedError(Number(code), '').code, name);
  }
  assert.equal(new RefusedError(199, '').code, 'unknown');
});
