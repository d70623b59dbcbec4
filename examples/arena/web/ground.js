// The courtyard that never changes, painted once for a scale; and what stands in it, which dancers can be behind.
// @ts-check

import { COURTYARD_RADIUS, POSTS } from './movement.js';
import { TILT, shade, sprite } from './look.js';
import { EXTENT, dice, ellipse, paintAudience, paintHouse, paintLights, paintNight } from './surroundings.js';

const CURB = COURTYARD_RADIUS + 0.55;

/**
 * Paints it, so many pixels a unit.
 * @param {number} pixels
 */
export function paintGround(pixels) {
  const canvas = document.createElement('canvas');
  canvas.width = Math.ceil(EXTENT.x * 2 * pixels);
  canvas.height = Math.ceil((EXTENT.top + EXTENT.bottom) * pixels);
  const c = /** @type {CanvasRenderingContext2D} */ (canvas.getContext('2d'));
  c.setTransform(pixels, 0, 0, pixels, EXTENT.x * pixels, EXTENT.top * pixels);
  paintNight(c);
  paintHouse(c);
  paintEarth(c);
  paintCurb(c);
  paintAudience(c);
  paintLights(c);
  return canvas;
}

/** Swept earth in the light of the fire. @param {CanvasRenderingContext2D} c */
function paintEarth(c) {
  const random = dice(7);
  c.save();
  c.scale(1, TILT);
  c.beginPath();
  c.arc(0, 0, CURB, 0, Math.PI * 2);
  c.clip();
  const earth = c.createRadialGradient(0, 0, 1, 0, 0, CURB);
  earth.addColorStop(0, '#d99a58');
  earth.addColorStop(0.22, '#b47844');
  earth.addColorStop(0.5, '#875636');
  earth.addColorStop(0.8, '#5b3a30');
  earth.addColorStop(1, '#3d2a2d');
  c.fillStyle = earth;
  c.fillRect(-22, -22, 44, 44);
  // Marks of the broom, in arcs around the middle.
  c.lineCap = 'round';
  for (let mark = 0; mark < 620; mark += 1) {
    const far = 3.2 + random() * 17;
    const from = random() * Math.PI * 2;
    c.strokeStyle = random() < 0.5 ? `rgba(255, 214, 150, ${0.02 + random() * 0.05})` : `rgba(40, 20, 14, ${0.03 + random() * 0.07})`;
    c.lineWidth = 0.04 + random() * 0.1;
    c.beginPath();
    c.arc(0, 0, far, from, from + 0.1 + random() * 0.5);
    c.stroke();
  }
  for (let grain = 0; grain < 1500; grain += 1) {
    const far = Math.sqrt(random()) * CURB;
    const angle = random() * Math.PI * 2;
    c.fillStyle = random() < 0.45 ? 'rgba(255, 222, 168, .13)' : 'rgba(34, 18, 14, .22)';
    c.beginPath();
    c.arc(Math.cos(angle) * far, Math.sin(angle) * far, 0.03 + random() * 0.07, 0, Math.PI * 2);
    c.fill();
  }
  // A dancing ground: chalk rings, and three tails that turn about the fire.
  c.strokeStyle = 'rgba(255, 232, 190, .17)';
  c.lineWidth = 0.12;
  for (const far of [6.2, 12.5]) {
    c.beginPath();
    c.arc(0, 0, far, 0, Math.PI * 2);
    c.stroke();
  }
  for (const [turn, color] of [[0, 'rgba(200, 60, 44, .22)'], [1, 'rgba(236, 178, 66, .2)'], [2, 'rgba(54, 104, 160, .24)']]) {
    c.save();
    c.rotate((/** @type {number} */ (turn) * Math.PI * 2) / 3);
    c.fillStyle = /** @type {string} */ (color);
    c.beginPath();
    c.moveTo(2.9, 0);
    c.bezierCurveTo(5.8, -1.4, 6.4, 3.6, 2.4, 5.3);
    c.bezierCurveTo(0.9, 5.9, -1.3, 5.6, -2.6, 5.05);
    c.bezierCurveTo(0.8, 5.1, 3.4, 3.2, 2.9, 0);
    c.fill();
    c.restore();
  }
  // The place of the fire.
  const ash = c.createRadialGradient(0, 0, 0, 0, 0, 2.6);
  ash.addColorStop(0, '#2a1611');
  ash.addColorStop(0.6, 'rgba(70, 34, 20, .9)');
  ash.addColorStop(1, 'rgba(120, 66, 34, .25)');
  c.fillStyle = ash;
  c.beginPath();
  c.arc(0, 0, 2.6, 0, Math.PI * 2);
  c.fill();
  c.restore();
  for (let stone = 0; stone < 22; stone += 1) {
    const angle = (stone / 22) * Math.PI * 2 + 0.07 * Math.sin(stone * 5);
    paintStone(c, Math.cos(angle) * 2.6, Math.sin(angle) * 2.6 * TILT, 0.32 + 0.06 * Math.sin(stone * 3), '#8d7868');
  }
}

/** A ring of field stones around the courtyard. @param {CanvasRenderingContext2D} c */
function paintCurb(c) {
  const random = dice(23);
  const stones = [];
  for (let stone = 0; stone < 104; stone += 1) {
    const angle = (stone / 104) * Math.PI * 2;
    stones.push([Math.cos(angle) * CURB, Math.sin(angle) * CURB * TILT, 0.5 + random() * 0.22]);
  }
  stones.sort((a, b) => a[1] - b[1]);
  for (const [x, y, size] of stones) {
    paintStone(c, x, y, size, random() < 0.5 ? '#6d5b50' : '#5d4d47');
  }
}

/**
 * @param {CanvasRenderingContext2D} c
 * @param {number} x
 * @param {number} y
 * @param {number} size
 * @param {string} color
 */
function paintStone(c, x, y, size, color) {
  c.fillStyle = 'rgba(14, 8, 8, .55)';
  ellipse(c, x + x * 0.012, y + size * 0.34, size * 1.08, size * 0.62);
  c.fillStyle = shade(color, -0.35);
  ellipse(c, x, y, size, size * 0.66);
  c.fillStyle = color;
  ellipse(c, x - Math.sign(x) * size * 0.08, y - size * 0.14, size * 0.84, size * 0.48);
  c.fillStyle = 'rgba(255, 206, 140, .2)';
  ellipse(c, x - Math.sign(x) * size * 0.24, y - size * 0.2, size * 0.42, size * 0.24);
}

/** What stands in the courtyard, for drawing between the dancers: feet, and how to draw it. */
export const STANDING = POSTS.map(([x, y, radius], index) => ({
  x,
  y,
  /** @param {CanvasRenderingContext2D} c */
  draw(c) {
    const footY = y * TILT;
    longShadow(c, x, y, radius, radius > 1 ? 2.2 : 3.4);
    const picture = radius > 1 ? jars() : guardian(index % 2);
    const height = radius > 1 ? 2.2 : 2.6;
    c.drawImage(picture, x - height, footY - height * 1.66, height * 2, height * 2);
  },
}));

/**
 * The shadow that the fire throws.
 * @param {CanvasRenderingContext2D} c
 * @param {number} x in the plane
 * @param {number} y
 * @param {number} wide
 * @param {number} long
 */
export function longShadow(c, x, y, wide, long) {
  const far = Math.hypot(x, y);
  c.save();
  c.translate(x, y * TILT);
  c.scale(1, TILT);
  c.rotate(Math.atan2(y, x));
  const dark = c.createLinearGradient(0, 0, long, 0);
  dark.addColorStop(0, `rgba(16, 8, 10, ${0.5})`);
  dark.addColorStop(1, 'rgba(16, 8, 10, 0)');
  c.fillStyle = dark;
  c.beginPath();
  c.ellipse(long * 0.42, 0, long * 0.58, wide * (far > 1 ? 0.86 : 1), 0, 0, Math.PI * 2);
  c.fill();
  c.restore();
}

/**
 * A carved guardian of the village.
 * @param {number} kind
 */
const guardian = (kind) =>
  sprite(`guardian ${kind}`, 256, (c) => {
    const wood = c.createLinearGradient(-0.3, 0, 0.3, 0);
    wood.addColorStop(0, '#4a2c1c');
    wood.addColorStop(0.45, '#9a6238');
    wood.addColorStop(1, '#3c2216');
    c.fillStyle = wood;
    c.beginPath();
    c.moveTo(-0.26, 0.66);
    c.lineTo(-0.24, -0.7);
    c.quadraticCurveTo(0, -0.86, 0.24, -0.7);
    c.lineTo(0.26, 0.66);
    c.quadraticCurveTo(0, 0.78, -0.26, 0.66);
    c.fill();
    c.fillStyle = '#17110f';
    c.beginPath();
    if (kind === 0) {
      c.ellipse(0, -0.68, 0.36, 0.1, 0, 0, Math.PI * 2);
      c.rect(-0.2, -0.92, 0.4, 0.24);
    } else {
      c.ellipse(0, -0.74, 0.27, 0.14, 0, 0, Math.PI * 2);
    }
    c.fill();
    for (const x of [-0.12, 0.12]) {
      c.fillStyle = '#f6e3c4';
      c.beginPath();
      c.arc(x, -0.42, 0.09, 0, Math.PI * 2);
      c.fill();
      c.fillStyle = '#160c08';
      c.beginPath();
      c.arc(x * 0.9, -0.4, 0.045, 0, Math.PI * 2);
      c.fill();
    }
    c.strokeStyle = '#2a160d';
    c.lineWidth = 0.045;
    c.lineCap = 'round';
    c.stroke(new Path2D('M-.22-.56L-.05-.5M.22-.56L.05-.5M0-.42Q-.1-.2-.07-.2H.07Q.1-.2 0-.42'));
    c.fillStyle = '#a8281c';
    c.fill(new Path2D('M-.16-.1Q0-.02.16-.1Q.12.06 0 .06Q-.12.06-.16-.1Z'));
    c.fillStyle = '#f6e3c4';
    c.fill(new Path2D('M-.1-.07Q0-.02.1-.07L.07-.02H-.07Z'));
    c.fillStyle = 'rgba(246, 227, 196, .8)';
    c.fillRect(-0.09, 0.16, 0.18, 0.42);
    c.strokeStyle = '#2a160d';
    c.lineWidth = 0.03;
    c.stroke(new Path2D('M-.05.22H.05M0 .22V.3M-.05.34H.05M-.04.34V.42H.04V.34M-.05.48H.05M0 .44V.54'));
    c.strokeStyle = '#d9b27a';
    c.lineWidth = 0.05;
    c.stroke(new Path2D('M-.27.1Q0 .18.27.1'));
    c.strokeStyle = 'rgba(255, 190, 110, .55)';
    c.lineWidth = 0.03;
    c.stroke(new Path2D(kind === 0 ? 'M.235-.66L.25.6' : 'M-.235-.66L-.25.6'));
  });

/** Jars of the terrace. */
const jars = () =>
  sprite('jars', 256, (c) => {
    for (const [x, y, size] of [[-0.3, 0.26, 0.42], [0.3, 0.3, 0.4], [0.02, 0.54, 0.5]]) {
      const clay = c.createLinearGradient(x - size, 0, x + size, 0);
      clay.addColorStop(0, '#2b1611');
      clay.addColorStop(0.4, '#8a523a');
      clay.addColorStop(1, '#2b1611');
      c.fillStyle = clay;
      c.beginPath();
      c.moveTo(x - size * 0.42, y - size * 0.95);
      c.bezierCurveTo(x - size, y - size * 0.5, x - size * 0.8, y + size * 0.1, x - size * 0.4, y + size * 0.16);
      c.lineTo(x + size * 0.4, y + size * 0.16);
      c.bezierCurveTo(x + size * 0.8, y + size * 0.1, x + size, y - size * 0.5, x + size * 0.42, y - size * 0.95);
      c.fill();
      c.fillStyle = '#4c2a1d';
      c.beginPath();
      c.ellipse(x, y - size * 0.98, size * 0.56, size * 0.18, 0, 0, Math.PI * 2);
      c.fill();
      c.fillStyle = '#74462f';
      c.beginPath();
      c.ellipse(x, y - size * 1.04, size * 0.46, size * 0.13, 0, 0, Math.PI * 2);
      c.fill();
      c.beginPath();
      c.arc(x, y - size * 1.14, size * 0.1, 0, Math.PI * 2);
      c.fill();
      c.strokeStyle = 'rgba(255, 200, 130, .3)';
      c.lineWidth = 0.02;
      c.beginPath();
      c.moveTo(x - size * 0.46, y - size * 0.62);
      c.quadraticCurveTo(x - size * 0.62, y - size * 0.3, x - size * 0.44, y);
      c.stroke();
    }
  });
