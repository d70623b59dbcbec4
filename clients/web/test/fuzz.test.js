// The codec beside the Rust one: the same bytes are the same message to both, or to neither.
//
// MADANG_WIRE_LINES: the Rust one, else target/debug/examples/wire_lines, where there is one. MADANG_FUZZ_SEED
// and MADANG_FUZZ_CASES: other and more cases than the usual ones.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { DecodeError } from '../src/errors.js';
import { decodeClient, decodeServer, encodeClient, encodeServer } from './support/codec.js';
import { seededRandom } from './support/random.js';
import { fromHex, toHex, toTwin } from './support/twin.js';

const binary = process.env.MADANG_WIRE_LINES ?? fileURLToPath(new URL('../../../target/debug/examples/wire_lines', import.meta.url));
const skip = existsSync(binary) ? false : `there is no ${binary}: cargo build -p madang-protocol --example wire_lines`;
const SEED = Number(process.env.MADANG_FUZZ_SEED ?? 1);
const CASES = Number(process.env.MADANG_FUZZ_CASES ?? 20_000);
const BYTES_MAX = 2_000;

/** @type {Record<string, { decode: (bytes: Uint8Array) => any, encode: (message: any) => Uint8Array }>} */
const CODECS = {
  client: { decode: decodeClient, encode: encodeClient },
  server: { decode: decodeServer, encode: encodeServer },
};

/** @typedef {{ direction: string, bytes: Uint8Array }} Case */

/** The golden vectors, good and bad ones. @returns {Case[]} */
function seeds() {
  return ['client', 'server', 'reject', 'accept'].flatMap((name) => {
    const file = new URL(`../../../protocol/testdata/${name}.json`, import.meta.url);
    /** @type {any[]} */
    const vectors = JSON.parse(readFileSync(file, 'utf8'));
    return vectors
      .filter(({ hex, direction = name }) => hex !== undefined && direction in CODECS)
      .map(({ hex, direction = name }) => ({ direction, bytes: fromHex(hex) }));
  });
}

/**
 * One of the golden vectors, damaged in a few places, or nothing but chance.
 *
 * @param {Case[]} from
 * @param {() => number} random
 * @returns {Case}
 */
function draw(from, random) {
  const below = (/** @type {number} */ most) => Math.floor(random() * most);
  // What begins an integer of several bytes, and where one-byte integers and flags end.
  const byte = () => (random() < 0.5 ? below(256) : [0, 1, 2, 127, 128, 250, 251, 252, 253, 254, 255][below(11)]);
  const { direction, bytes } = from[below(from.length)];
  if (random() < 0.05) {
    return { direction, bytes: Uint8Array.from({ length: below(40) }, byte) };
  }
  let list = [...bytes].slice(0, BYTES_MAX);
  for (let left = below(4); left >= 0; left -= 1) {
    const at = below(list.length + 1);
    switch (below(6)) {
      case 0:
        list[Math.min(at, list.length - 1)] = byte();
        break;
      case 1:
        list.splice(at, 0, ...Array.from({ length: 1 + below(3) }, byte));
        break;
      case 2:
        list.splice(at, 1 + below(3));
        break;
      case 3:
        list = list.slice(0, at);
        break;
      case 4: {
        const other = [...from[below(from.length)].bytes];
        list = [...list.slice(0, at), ...other.slice(below(other.length))].slice(0, BYTES_MAX);
        break;
      }
      default: {
        const place = Math.min(at, Math.max(0, list.length - 1));
        list[place] = (list[place] ?? 0) ^ (1 << below(8));
      }
    }
  }
  return { direction, bytes: Uint8Array.from(list) };
}

/**
 * What the Rust codec says to each case.
 *
 * @param {Case[]} cases
 * @returns {Promise<string[]>}
 */
async function askRust(cases) {
  const child = spawn(binary, { stdio: ['pipe', 'pipe', 'inherit'] });
  child.stdin.end(cases.map(({ direction, bytes }) => `${direction} ${toHex(bytes)}\n`).join(''));
  let text = '';
  for await (const piece of child.stdout.setEncoding('utf8')) {
    text += piece;
  }
  return text.split('\n').slice(0, -1);
}

/**
 * @param {Case} it
 * @returns {{ hex: string, json: any } | null} null when it is no message
 */
function askJavaScript({ direction, bytes }) {
  const { decode, encode } = CODECS[direction];
  let message;
  try {
    message = decode(bytes);
  } catch (error) {
    if (error instanceof DecodeError) {
      return null;
    }
    throw error;
  }
  return message && { hex: toHex(encode(message)), json: { [message.tag]: toTwin(message.body) } };
}

test(`the same bytes are the same message to both codecs, or to neither (seed ${SEED})`, { skip, timeout: 120_000 }, async () => {
  const random = seededRandom(SEED);
  const vectors = seeds();
  const cases = Array.from({ length: CASES }, () => draw(vectors, random));
  const answers = await askRust(cases);
  assert.equal(answers.length, cases.length, 'an answer to each');
  let accepted = 0;
  cases.forEach((it, index) => {
    const what = `${it.direction} ${toHex(it.bytes)}`;
    const mine = askJavaScript(it);
    const [hex, json] = split(answers[index]);
    if (mine === null) {
      assert.equal(hex, 'reject', `Rust accepts what JavaScript rejects: ${what}`);
      return;
    }
    accepted += 1;
    assert.equal(mine.hex, hex, what);
    assert.deepEqual(mine.json, JSON.parse(json), what);
  });
  assert.ok(accepted > CASES / 20 && accepted < CASES * 0.95, `${accepted} of ${CASES} are messages: both sorts are tried`);
});

/** @param {string} answer */
function split(answer) {
  const end = answer.indexOf(' ');
  return end < 0 ? [answer, ''] : [answer.slice(0, end), answer.slice(end + 1)];
}
