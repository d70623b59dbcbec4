// The codec against the golden vectors that the protocol's own test writes.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { packBatches, splitBatch } from '../src/batch.js';
import { decodeClient, decodeServer, encodeClient, encodeServer } from './support/codec.js';
import { DecodeError } from '../src/errors.js';
import { fromHex, toHex, toTwin } from './support/twin.js';

/**
 * @param {string} name
 * @returns {any[]}
 */
function vectors(name) {
  const file = new URL(`../../../protocol/testdata/${name}.json`, import.meta.url);
  const entries = JSON.parse(readFileSync(file, 'utf8'));
  assert.ok(entries.length > 0, `${name}.json has vectors`);
  return entries;
}

/** @type {Record<string, { decode: (bytes: Uint8Array) => any, encode: (message: any) => Uint8Array }>} */
const CODECS = {
  client: { decode: decodeClient, encode: encodeClient },
  server: { decode: decodeServer, encode: encodeServer },
};

for (const [direction, { decode, encode }] of Object.entries(CODECS)) {
  test(`every ${direction} vector decodes to its value and encodes to its bytes`, () => {
    for (const { name, hex, json } of vectors(direction)) {
      const message = decode(fromHex(hex));
      assert.deepEqual({ [message.tag]: toTwin(message.body) }, json, name);
      assert.equal(toHex(encode(message)), hex, name);
    }
  });
}

test('the vectors hold every message there is', () => {
  const seen = (/** @type {string} */ direction) =>
    new Set(vectors(direction).map(({ hex }) => CODECS[direction].decode(fromHex(hex)).tag));
  assert.equal(seen('client').size, 11);
  assert.equal(seen('server').size, 23);
});

test('what must be rejected is rejected, and what only a later server says is skipped', () => {
  const skipped = [];
  for (const { name, direction, hex } of vectors('reject')) {
    if (hex === undefined) {
      continue; // A vector of the JSON twin, which this client does not speak.
    }
    const decode = CODECS[direction].decode;
    const bytes = fromHex(hex);
    try {
      assert.equal(decode(bytes), null, name);
      skipped.push(name);
    } catch (error) {
      assert.ok(error instanceof DecodeError, name);
    }
  }
  assert.deepEqual(skipped, ['unknown tag from the server', 'presence event 6', 'leave reason 6', 'snapshot, part 5', 'edited, refusal 6']);
});

test('unusual but valid forms are accepted', () => {
  for (const { name, direction, hex, canonical } of vectors('accept')) {
    if (hex === undefined) {
      continue; // A vector of the JSON twin.
    }
    const { decode, encode } = CODECS[direction];
    assert.equal(toHex(encode(decode(fromHex(hex)))), canonical, name);
  }
});

test('batches split as they should, and broken ones not at all', () => {
  for (const { name, hex, messages, broken } of vectors('batch')) {
    const split = () => splitBatch(fromHex(hex)).map(toHex);
    if (broken) {
      assert.throws(split, DecodeError, name);
    } else {
      assert.deepEqual(split(), messages, name);
    }
  }
});

test('packing and splitting are inverse, and no batch is above its bound', () => {
  const messages = Array.from({ length: 300 }, (_, index) => new Uint8Array((index * 37) % 700).fill(index));
  const batches = packBatches(messages, 2000);
  assert.ok(batches.length > 10);
  assert.ok(batches.every((batch) => batch.length <= 2000));
  assert.deepEqual(batches.flatMap((batch) => splitBatch(batch)).map(toHex), messages.map(toHex));
});

test('a message that is not of the wire cannot be encoded', () => {
  assert.throws(() => encodeClient(/** @type {any} */ ({ tag: 'dance', body: {} })), RangeError);
  assert.throws(() => encodeClient({ tag: 'ping', body: { id: 2 ** 53 } }), RangeError);
  assert.throws(() => encodeClient({ tag: 'ping', body: { id: -1 } }), RangeError);
  assert.throws(() => encodeClient({ tag: 'leave', body: { channel: 2 ** 32 } }), RangeError);
});
