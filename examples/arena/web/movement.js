// How a player moves: examples/arena/src/movement.rs, line by line. The same doubles in the same order,
// so that the browser predicts what the room will say; ../testdata/movement.json holds both to it.
// @ts-check

/** Steps a second. */
export const TICK_HZ = 20;
/** The seconds of a step. */
export const STEP_SECONDS = 0.05;
/** The courtyard's radius; its middle is the origin. */
export const COURTYARD_RADIUS = 20;
/** A player's radius. */
export const PLAYER_RADIUS = 0.7;
/** How far from the middle a player can be. */
export const REACH = COURTYARD_RADIUS - PLAYER_RADIUS;
/** Running, units a second. */
export const RUN_SPEED = 7.5;
/** What each lantern that is carried takes from the running speed, as a share of it. */
export const LOAD_SLOWS = 0.03;
/** Share of the difference to the wanted velocity that a step makes up for. */
export const GRIP = 0.4;
/** Dashing, units a second. */
export const DASH_SPEED = 19;
/** The steps of a dash. */
export const DASH_STEPS = 4;
/** Steps from the beginning of a dash until the next can begin. */
export const DASH_REST_STEPS = 26;
/** What is left of the velocity when a dash ends. */
export const DASH_END = 0.4;
/** What a step leaves of the velocity of one who is stunned. */
export const STUN_DRAG = 0.8;

/** What stands in the way: x, y, radius. */
export const POSTS = [
  [8, 8, 0.9],
  [-8, 8, 0.9],
  [-8, -8, 0.9],
  [8, -8, 0.9],
  [13, 0, 1.3],
  [-13, 0, 1.3],
];

/** Buttons of an input. */
export const DASH = 1;
export const THROW = 2;
export const TRAP = 4;

/**
 * What of a player moves. Times are steps that are left.
 * @typedef {{ x: number, y: number, vx: number, vy: number, dash: number, rest: number, stun: number }} Body
 */

/**
 * Moves a player who carries `load` lanterns by one step, in place.
 * @param {Body} body
 * @param {number} goX where to go, -127 to 127
 * @param {number} goY
 * @param {boolean} dash
 * @param {number} load
 */
export function step(body, goX, goY, dash, load) {
  let x = goX / 127;
  let y = goY / 127;
  const far = Math.sqrt(x * x + y * y);
  if (far > 1) {
    x /= far;
    y /= far;
  }
  if (body.rest > 0) body.rest -= 1;
  if (body.stun > 0) {
    body.stun -= 1;
    body.vx *= STUN_DRAG;
    body.vy *= STUN_DRAG;
  } else if (body.dash > 0) {
    body.dash -= 1;
    if (body.dash === 0) {
      body.vx *= DASH_END;
      body.vy *= DASH_END;
    }
  } else {
    const wish = Math.sqrt(x * x + y * y);
    if (wish > 0 && dash && body.rest === 0) {
      body.vx = (x / wish) * DASH_SPEED;
      body.vy = (y / wish) * DASH_SPEED;
      body.dash = DASH_STEPS;
      body.rest = DASH_REST_STEPS;
    } else {
      const speed = RUN_SPEED * (1 - LOAD_SLOWS * load);
      body.vx += (x * speed - body.vx) * GRIP;
      body.vy += (y * speed - body.vy) * GRIP;
    }
  }
  body.x += body.vx * STEP_SECONDS;
  body.y += body.vy * STEP_SECONDS;
  confine(body);
}

/**
 * Puts a player who stands in a post or beyond the wall to its edge, and takes the part of its velocity
 * that leads there.
 * @param {Body} body
 */
function confine(body) {
  for (const [postX, postY, radius] of POSTS) {
    const wayX = body.x - postX;
    const wayY = body.y - postY;
    const far = Math.sqrt(wayX * wayX + wayY * wayY);
    const least = radius + PLAYER_RADIUS;
    if (far < least) {
      const outX = far > 0 ? wayX / far : 1;
      const outY = far > 0 ? wayY / far : 0;
      body.x = postX + outX * least;
      body.y = postY + outY * least;
      const inwards = body.vx * outX + body.vy * outY;
      if (inwards < 0) {
        body.vx -= outX * inwards;
        body.vy -= outY * inwards;
      }
    }
  }
  const far = Math.sqrt(body.x * body.x + body.y * body.y);
  if (far > REACH) {
    const outX = body.x / far;
    const outY = body.y / far;
    body.x = outX * REACH;
    body.y = outY * REACH;
    const outwards = body.vx * outX + body.vy * outY;
    if (outwards > 0) {
      body.vx -= outX * outwards;
      body.vy -= outY * outwards;
    }
  }
}
