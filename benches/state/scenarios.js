// The change lists that every encoder replays. A fixed seed: each run has the same.
//
// A tick is a list of [op, entity, ...]: new (kind), gone, set (field, value), and for lists cell
// (field, place, value), push (field, value), shift (field). Entity 0 is the room.

let seed = 7;
const draw = (bound) => {
  seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0;
  return (seed / 0x100000000) * bound;
};
const whole = (bound) => Math.floor(draw(bound));

const one = (name, type) => ({ name, type: { one: type } });
const list = (name, type) => ({ name, type: { list: type } });
/** Steps of 0.01. */
const centi = (min, max) => ({
  vec2: { quantised: { min, step: 0.01, steps: Math.round((max - min) / 0.01) } },
});

/** 32 players at 20 Hz, 5 to 15 units a second, a turn each second or so, a hit now and then. */
function players() {
  const all = Array.from({ length: 32 }, (_, place) => ({
    id: place + 1,
    at: [draw(1000), draw(1000)],
    velocity: [0, 0],
    health: 100,
  }));
  const ticks = [all.flatMap((it) => [['new', it.id, 1], ...['at', 'velocity', 'health'].map((field) => ['set', it.id, field, it[field]])])];
  for (let tick = 0; tick < 1200; tick++) {
    const ops = [];
    for (const it of all) {
      if (tick === 0 || draw(1) < 0.05) {
        const [angle, speed] = [draw(2 * Math.PI), 5 + draw(10)];
        it.velocity = [Math.cos(angle) * speed, Math.sin(angle) * speed];
        ops.push(['set', it.id, 'velocity', it.velocity]);
      }
      it.at = it.at.map((at, axis) => (((at + it.velocity[axis] / 20) % 999) + 999) % 999);
      ops.push(['set', it.id, 'at', it.at]);
      if (draw(1) < 0.01) {
        it.health = it.health > 10 ? it.health - 10 : 100;
        ops.push(['set', it.id, 'health', it.health]);
      }
    }
    ticks.push(ops);
  }
  const kinds = [
    { name: 'room', fields: [] },
    { name: 'player', fields: [one('at', centi(0, 1000)), one('velocity', centi(-20, 20)), one('health', 'uint')] },
  ];
  return { name: '32 players', schema: { kinds }, ticks };
}

/** `count` that move each tick at up to 300 units a second and live two seconds. */
function bullets(count, name) {
  let last = 0;
  let all = [];
  const ticks = [];
  for (let tick = 0; tick < 600; tick++) {
    const ops = [];
    for (const it of all) {
      if (it.ends <= tick) {
        ops.push(['gone', it.id]);
      }
    }
    all = all.filter((it) => it.ends > tick);
    for (const it of all) {
      it.at = it.at.map((at, axis) => (((at + it.velocity[axis] / 20) % 999) + 999) % 999);
      ops.push(['set', it.id, 'at', it.at]);
    }
    while (all.length < count) {
      const [angle, speed] = [draw(2 * Math.PI), 60 + draw(240)];
      const it = {
        id: ++last,
        at: [draw(999), draw(999)],
        velocity: [Math.cos(angle) * speed, Math.sin(angle) * speed],
        // Those of the first tick are of every age.
        ends: tick + (tick === 0 ? 1 + whole(40) : 40),
      };
      all.push(it);
      ops.push(['new', it.id, 1], ['set', it.id, 'at', it.at], ['set', it.id, 'owner', whole(32) + 1]);
    }
    ticks.push(ops);
  }
  const kinds = [
    { name: 'room', fields: [] },
    { name: 'bullet', fields: [one('at', centi(0, 1000)), one('owner', 'uint')] },
  ];
  return { name, schema: { kinds }, ticks };
}

/** A board of 64 squares, a chat of 20 lines, 8 seats: one tick in ten something happens. */
function board() {
  const squares = Array.from({ length: 64 }, (_, place) => (place < 16 || place >= 48 ? 1 + (place % 12) : 0));
  const seats = Array.from({ length: 8 }, (_, place) => place + 1);
  const ticks = [
    [
      ...squares.map((square) => ['push', 0, 'board', square]),
      ['set', 0, 'turn', 1],
      ['set', 0, 'title', 'A friendly game'],
      ...seats.flatMap((id) => [['new', id, 1], ['set', id, 'name', `player ${id}`], ['set', id, 'ready', false]]),
    ],
  ];
  let turn = 1;
  let lines = 0;
  const ready = new Map(seats.map((id) => [id, false]));
  for (let tick = 0; tick < 6000; tick++) {
    const ops = [];
    const what = draw(1);
    if (what < 0.05) {
      const pieces = squares.flatMap((square, place) => (square ? [place] : []));
      const from = pieces[whole(pieces.length)];
      const to = (from + 1 + whole(63)) % 64;
      // A captured piece comes back where the other left, so that the board never empties.
      [squares[from], squares[to]] = [squares[to], squares[from]];
      ops.push(['cell', 0, 'board', from, squares[from]], ['cell', 0, 'board', to, squares[to]]);
      ops.push(['set', 0, 'turn', ++turn]);
    } else if (what < 0.08) {
      if (++lines > 20) {
        ops.push(['shift', 0, 'chat']);
      }
      ops.push(['push', 0, 'chat', 'well played, and good luck with the next'.slice(0, 4 + whole(36))]);
    } else if (what < 0.099) {
      const id = 1 + whole(8);
      ready.set(id, !ready.get(id));
      ops.push(['set', id, 'ready', ready.get(id)]);
    } else if (what < 0.1) {
      ops.push(['set', 0, 'title', `Game ${tick}`]);
    }
    ticks.push(ops);
  }
  const kinds = [
    { name: 'room', fields: [one('turn', 'uint'), one('title', 'text'), list('board', 'uint'), list('chat', 'text')] },
    { name: 'seat', fields: [one('name', 'text'), one('ready', 'bool')] },
  ];
  return { name: 'board game', schema: { kinds }, ticks };
}

export const scenarios = [players(), bullets(500, '500 bullets'), bullets(2000, '2,000 bullets'), board()];
