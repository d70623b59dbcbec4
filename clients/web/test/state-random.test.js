// A member's state against the room's own, through anything that may happen on the way: entities
// that move, are given away and go, views and teams that change, deltas that are lost or garbled,
// snapshots that are owed, connections that break.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { packBatches } from '../src/batch.js';
import { encodeServer } from './support/codec.js';
import { KEYS, inLobby, joined, nextSocket, welcome } from './support/script.js';
import { ServerPart, gone, withSchema } from './support/parts.js';

/** @typedef {import('../src/cells.js').Schema} Schema */
/** @typedef {import('../src/statecodec.js').Part} Part */
/** @typedef {import('../src/codec.js').ServerMessage} ServerMessage */
/** @typedef {import('../src/state.js').RoomState} RoomState */

/** @type {Schema} */
const SCHEMA = {
  kinds: [
    { name: 'world', fields: [{ name: 'round', type: { one: 'uint' } }] },
    {
      name: 'ship',
      fields: [
        { name: 'x', type: { one: 'uint' }, visibility: 'everyone' },
        { name: 'name', type: { one: 'text' }, visibility: 'members' },
        { name: 'plan', type: { one: 'text' }, visibility: 'team' },
        { name: 'cards', type: { one: 'int' }, visibility: 'owner' },
      ],
    },
    { name: 'rule', fields: [{ name: 'text', type: { one: 'text' }, visibility: 'everyone' }] },
    { name: 'hand', fields: [{ name: 'cards', type: { one: 'int' }, visibility: 'owner' }] },
  ],
};
const [CELLS, TEAMS, SEEDS, TICKS] = [6, 3, 20, 120];

/** @typedef {{ kind: 'ship' | 'rule' | 'hand', cell: number | null, team: number, mine: boolean, fields: Record<string, any> }} Thing */

/** The room, and what the one member is shown of it. */
class World {
  round = 0;
  /** @type {Map<number, Thing>} */
  things = new Map();
  #nextId = 1;
  team = 0;
  /** @type {Set<number>} */
  cells = new Set();
  /** What was told, by part. @type {Map<string, ServerPart>} */
  #told = new Map();
  #draw;

  /** @param {(bound: number) => number} draw */
  constructor(draw) {
    this.#draw = draw;
  }

  /** Some things happen. */
  step() {
    const draw = this.#draw;
    this.round += draw(2);
    if (this.things.size < 12 && draw(2) === 0) {
      const kind = /** @type {const} */ (['ship', 'ship', 'ship', 'rule', 'hand'])[draw(5)];
      const cell = kind === 'ship' && draw(4) > 0 ? draw(CELLS) : null;
      this.things.set(this.#nextId++, { kind, cell, team: draw(TEAMS), mine: draw(3) === 0, fields: {} });
    }
    for (const [id, thing] of this.things) {
      const chance = draw(12);
      if (chance === 0) {
        this.things.delete(id);
      } else if (chance === 1) {
        thing.mine = !thing.mine;
      } else if (chance === 2 && thing.kind === 'ship') {
        thing.cell = draw(5) === 0 ? null : draw(CELLS);
      } else if (chance === 3) {
        thing.team = draw(TEAMS);
      } else if (chance < 8) {
        const words = { x: draw(300), name: 'n'.repeat(draw(3)), plan: `p${draw(3)}`, text: `t${draw(4)}`, cards: draw(9) - 4 };
        const names = { ship: ['x', 'name', 'plan', 'cards'], rule: ['text'], hand: ['cards'] }[thing.kind];
        for (let times = 0; times <= draw(3); times += 1) {
          const name = /** @type {keyof typeof words} */ (names[draw(names.length)]);
          thing.fields[name] = words[name];
        }
      }
    }
    if (draw(8) === 0) {
      this.team = draw(TEAMS);
    }
    if (draw(4) === 0) {
      const cell = draw(CELLS);
      if (!this.cells.delete(cell)) {
        this.cells.add(cell);
      }
    }
  }

  /**
   * What a tick tells the member: its part and what is new, parts first, as a server does.
   *
   * @param {number} tick
   */
  tell(tick) {
    /** @type {ServerMessage[]} */
    const messages = [];
    const wanted = this.#parts();
    for (const [key, { part }] of this.#told) {
      if (!wanted.has(key)) {
        this.#told.delete(key);
        messages.push(gone(part));
      }
    }
    /** @type {ServerMessage[]} */
    const deltas = [];
    for (const [key, part] of wanted) {
      const told = this.#told.get(key);
      if (told === undefined) {
        const fresh = new ServerPart(SCHEMA, part);
        this.#told.set(key, fresh);
        this.#write(fresh);
        messages.push(fresh.snapshot(tick));
      } else {
        this.#write(told);
        const delta = told.delta(tick);
        if (delta.body.changes.length > 0) {
          deltas.push(delta);
        } else {
          told.tick = delta.body.base_tick;
        }
      }
    }
    return [...messages, ...deltas];
  }

  /**
   * All of it anew.
   *
   * @param {number} tick
   */
  tellAll(tick) {
    this.#told.clear();
    return this.tell(tick);
  }

  /** What the member must see. */
  picture() {
    /** @type {Record<number, any>} */
    const picture = { 0: { id: 0, kind: 'world', round: this.round } };
    for (const [id, { kind, cell, team, mine, fields }] of this.things) {
      const isNear = kind !== 'hand' && (cell === null || this.cells.has(cell));
      const [hasPlan, hasCards] = [kind === 'ship' && team !== 0 && team === this.team, kind !== 'rule' && mine];
      if (!isNear && !hasPlan && !hasCards) {
        continue;
      }
      const cards = hasCards ? (fields.cards ?? 0) : 0;
      if (kind === 'rule') {
        picture[id] = { id, kind, text: fields.text ?? '' };
      } else if (kind === 'hand') {
        picture[id] = { id, kind, cards };
      } else {
        const [x, name] = isNear ? [fields.x ?? 0, fields.name ?? ''] : [0, ''];
        picture[id] = { id, kind, x, name, plan: hasPlan ? (fields.plan ?? '') : '', cards };
      }
    }
    return picture;
  }

  /** @returns {Map<string, Part>} */
  #parts() {
    /** @type {[string, Part][]} */
    const parts = [['members', 'members']];
    if (this.team !== 0) {
      parts.push([`team ${this.team}`, { team: this.team }]);
    }
    parts.push(['owner', 'owner']);
    this.cells.forEach((cell) => parts.push([`cell ${cell}`, { cell }]));
    return new Map(parts);
  }

  /**
   * Brings a part up to date.
   *
   * @param {ServerPart} to
   */
  #write(to) {
    const { part } = to;
    if (part === 'members') {
      to.set(0, 'world', { round: this.round });
    }
    for (let id = 1; id < this.#nextId; id += 1) {
      const thing = this.things.get(id);
      const names = thing === undefined ? null : fieldsIn(part, thing);
      if (thing === undefined || names === null) {
        to.remove(id);
      } else {
        const seen = Object.entries(thing.fields).filter(([name]) => names.includes(name));
        to.set(id, thing.kind, Object.fromEntries(seen));
      }
    }
  }
}

/**
 * The fields of a thing that are in a part; null where it is not in it.
 *
 * @param {Part} part
 * @param {Thing} thing
 */
function fieldsIn(part, { kind, cell, team, mine }) {
  if (part === 'owner') {
    return mine && kind !== 'rule' ? ['cards'] : null;
  }
  if (typeof part === 'object' && 'team' in part) {
    return kind === 'ship' && team === part.team ? ['plan'] : null;
  }
  const isHere = typeof part === 'object' && 'cell' in part ? cell === part.cell : cell === null;
  return isHere && kind !== 'hand' ? ['x', 'name', 'text'] : null;
}

/** @param {RoomState} state */
function shown(state) {
  return Object.fromEntries([state.room, ...state.entities()].map((entity) => [entity.id, { ...entity }]));
}

/**
 * Keeps a copy by events alone, so that they are known to tell everything.
 *
 * @param {RoomState} state
 */
function follow(state) {
  /** @type {Record<number, any>} */
  const copy = { 0: { ...state.room } };
  let ticks = 0;
  state.on('add', (entity) => {
    assert.ok(!(entity.id in copy), 'what is added was not there');
    copy[entity.id] = { ...entity };
  });
  state.on('remove', ({ id }) => {
    assert.ok(id in copy, 'what is removed was there');
    delete copy[id];
  });
  state.on('change', (entity, fields) => {
    assert.ok(fields.length > 0 && entity.id in copy);
    for (const field of fields) {
      assert.notDeepEqual(copy[entity.id][field], entity[field], 'what is told to have changed has');
      copy[entity.id][field] = entity[field];
    }
  });
  state.on('tick', ({ tick }) => {
    assert.equal(tick, state.tick);
    ticks += 1;
  });
  return { copy, ticks: () => ticks };
}

test('whatever happens on the way, what is shown is what the room has', async () => {
  const reached = { resyncs: 0, resumes: 0, owed: 0, compared: 0, moves: 0 };
  for (let seed = 1; seed <= SEEDS; seed += 1) {
    let random = seed;
    const draw = (/** @type {number} */ bound) => {
      random = (Math.imul(random, 1664525) + 1013904223) >>> 0;
      return Math.floor((random / 0x100000000) * bound);
    };
    await run(draw, reached, seed);
  }
  for (const [what, count] of Object.entries(reached)) {
    assert.ok(count > 50, `${what}: ${count}`);
  }
});

/**
 * @param {(bound: number) => number} draw
 * @param {Record<string, number>} reached
 * @param {number} seed
 */
async function run(draw, reached, seed) {
  const set = await inLobby({}, {}, withSchema(SCHEMA));
  let { socket } = set;
  const state = /** @type {RoomState} */ (set.room.state);
  const { copy, ticks } = follow(state);
  const world = new World(draw);
  let asked = 0;
  let isOwed = true;
  let faulty = false;
  for (let tick = 1; tick <= TICKS; tick += 1) {
    world.step();
    const chance = tick < TICKS - 3 ? draw(20) : 19;
    if (chance === 0) {
      await socket.lose();
      socket = await nextSocket(set);
      asked = 0;
      await socket.say(welcome({ resumed: true, resume_key: KEYS[1] }));
      await socket.say(joined({ ref: null, recovered: true, ...withSchema(SCHEMA) }));
      reached.resumes += 1;
      isOwed = true;
    }
    const messages = isOwed ? world.tellAll(tick) : world.tell(tick);
    reached.owed += Number(isOwed);
    reached.moves += Number(messages.some(({ tag }) => tag === 'part_gone'));
    isOwed = chance === 1; // The next tick's: this one's are dropped, as under pressure.
    if (isOwed) {
      continue;
    }
    const kept = messages.filter((message) => {
      const isLost = chance === 2 && message.tag !== 'part_gone' && draw(2) === 0;
      if (chance === 3 && message.tag === 'delta') {
        message.body.changes[draw(message.body.changes.length)] ^= 1 << draw(8);
        faulty = true;
      }
      faulty ||= isLost;
      return !isLost;
    });
    if (kept.length > 0) {
      await socket.sayBytes(packBatches(kept.map(encodeServer), 1 << 20)[0]);
    }
    const resyncs = socket.all('resync').length;
    if (resyncs > asked) {
      assert.ok(faulty, `seed ${seed}, tick ${tick}: nothing was wrong`);
      assert.equal(resyncs, asked + 1);
      asked = resyncs;
      reached.resyncs += 1;
      isOwed = true;
    }
    // What was lost shows at that part's next delta; only then is the copy known to be wrong.
    faulty &&= !isOwed;
    if (!state.stale && !faulty) {
      assert.deepEqual(shown(state), world.picture(), `seed ${seed}, tick ${tick}`);
      assert.deepEqual(copy, world.picture(), `seed ${seed}, tick ${tick}: by events`);
      reached.compared += 1;
    }
  }
  await socket.sayBytes(packBatches(world.tellAll(TICKS + 1).map(encodeServer), 1 << 20)[0]);
  assert.deepEqual([shown(state), copy], [world.picture(), world.picture()], `seed ${seed}, in the end`);
  assert.ok(ticks() > TICKS / 2);
}
