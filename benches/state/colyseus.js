// Replays the scenarios through @colyseus/schema as its server does it each tick, and prints both
// results. Arguments: `scenarios FILE` writes the change lists; `compare FILE` reads Madang's.

import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { Decoder, Encoder, schema, t } from '@colyseus/schema';
import { scenarios } from './scenarios.js';

const CHECK_EVERY = 20;
const manifest = new URL('node_modules/@colyseus/schema/package.json', import.meta.url);
const { version } = JSON.parse(readFileSync(manifest, 'utf8'));

Encoder.BUFFER_SIZE = 1 << 20;

/** How numbers travel, and how far from what was set they may be. */
const SETTINGS = {
  float32: { number: () => t.float32(), off: 0.0001 },
  // The finest of 16 bits: 1000 / 65535 is 0.0153, which is coarser than Madang's 0.01.
  'quantized, 16 bits': { number: (min, max) => t.quantized({ min, max, bits: 16 }), off: 0.0077 },
};

function shapes(number) {
  const Player = schema({ x: number(0, 1000), y: number(0, 1000), vx: number(-20, 20), vy: number(-20, 20), health: t.uint8() }, 'Player');
  const Bullet = schema({ x: number(0, 1000), y: number(0, 1000), owner: t.uint8() }, 'Bullet');
  const Seat = schema({ name: t.string(), ready: t.boolean() }, 'Seat');
  const board = { turn: t.uint16(), title: t.string(), board: t.array('uint8'), chat: t.array('string') };
  return {
    '32 players': [Player, schema({ all: t.map(Player) }, 'Players')],
    '500 bullets': [Bullet, schema({ all: t.map(Bullet) }, 'Bullets')],
    '2,000 bullets': [Bullet, schema({ all: t.map(Bullet) }, 'Bullets')],
    'board game': [Seat, schema({ ...board, all: t.map(Seat) }, 'Board')],
  };
}

/** Sets as a game would: a vector is two fields. */
function set(it, field, value) {
  if (field === 'at') {
    [it.x, it.y] = value;
  } else if (field === 'velocity') {
    [it.vx, it.vy] = value;
  } else {
    it[field] = value;
  }
}

function get(it, field) {
  return field === 'at' ? [it.x, it.y] : field === 'velocity' ? [it.vx, it.vy] : it[field];
}

function run({ name, ticks }, setting) {
  const { number, off } = SETTINGS[setting];
  const [Entity, State] = shapes(number)[name];
  const state = new State();
  const encoder = new Encoder(state);
  const seen = new State();
  const decoder = new Decoder(seen);
  const [bytes, sets, encodes] = [[], [], []];
  const wanted = new Map([[0, {}]]);
  ticks.forEach((ops, tick) => {
    let start = performance.now();
    const fresh = new Map();
    for (const [op, id, a, b, c] of ops) {
      // The shortest keys: a map's are strings on the wire.
      const it = id === 0 ? state : (fresh.get(id) ?? state.all.get(id.toString(36)));
      if (op === 'new') {
        fresh.set(id, new Entity());
      } else if (op === 'gone') {
        state.all.delete(id.toString(36));
      } else if (op === 'set') {
        set(it, a, b);
      } else if (op === 'cell') {
        it[a][b] = c;
      } else if (op === 'push') {
        it[a].push(b);
      } else {
        it[a].shift();
      }
    }
    for (const [id, it] of fresh) {
      state.all.set(id.toString(36), it);
    }
    sets.push(performance.now() - start);
    start = performance.now();
    const encoded = encoder.hasChanges === false ? new Uint8Array(0) : encoder.encode();
    encoder.discardChanges();
    encodes.push(performance.now() - start);
    bytes.push(encoded.length);
    if (encoded.length > 0) {
      decoder.decode(encoded.slice());
    }
    for (const [op, id, a, b, c] of ops) {
      if (op === 'new') {
        wanted.set(id, {});
      } else if (op === 'gone') {
        wanted.delete(id);
      } else if (op === 'set') {
        wanted.get(id)[a] = b;
      } else {
        const list = (wanted.get(id)[a] ??= []);
        op === 'push' ? list.push(b) : op === 'shift' ? list.shift() : (list[b] = c);
      }
    }
    if (tick % CHECK_EVERY === 0 || tick === ticks.length - 1) {
      assert.equal(seen.all.size, wanted.size - 1);
      for (const [id, fields] of wanted) {
        const it = id === 0 ? seen : seen.all.get(id.toString(36));
        for (const [field, value] of Object.entries(fields)) {
          const found = get(it, field);
          if (field === 'at' || field === 'velocity') {
            value.forEach((part, axis) => assert.ok(Math.abs(part - found[axis]) <= off, `${found} is not ${value}`));
          } else {
            assert.deepEqual(Array.isArray(value) ? [...found] : found, value);
          }
        }
      }
    }
  });
  bytes.shift();
  return {
    scenario: name,
    encoder: name === 'board game' ? `Colyseus ${version}` : `Colyseus ${version}, ${setting}`,
    bytes_mean: bytes.reduce((sum, length) => sum + length, 0) / bytes.length,
    bytes_max: Math.max(...bytes),
    encode_us: median(encodes.slice(1)) * 1000,
    set_us: median(sets.slice(1)) * 1000,
  };
}

function median(times) {
  return times.sort((a, b) => a - b)[times.length >> 1];
}

const [what, file] = process.argv.slice(2);
if (what === 'scenarios') {
  writeFileSync(file, JSON.stringify(scenarios));
} else {
  const rows = JSON.parse(readFileSync(file, 'utf8'));
  let lost = 0;
  console.log('| scenario | encoder | bytes a tick, mean | max | encode, µs | setting, µs |\n|---|---|---|---|---|---|');
  const results = scenarios.flatMap((scenario) => {
    const settings = scenario.name === 'board game' ? ['float32'] : Object.keys(SETTINGS);
    const ours = rows.find((row) => row.scenario === scenario.name);
    const theirs = settings.map((setting) => run(scenario, setting));
    lost += theirs.filter((row) => row.bytes_mean <= ours.bytes_mean).length;
    return [ours, ...theirs];
  });
  for (const row of results) {
    console.log(`| ${row.scenario} | ${row.encoder} | ${row.bytes_mean.toFixed(1)} | ${row.bytes_max} | ${row.encode_us.toFixed(1)} | ${row.set_us.toFixed(1)} |`);
  }
  console.log(`\n${JSON.stringify(results)}`);
  if (lost > 0) {
    console.error(`${lost} of the others need no more bytes`);
    process.exitCode = 1;
  }
}
