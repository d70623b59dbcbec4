// The courtyard that never changes: earth, curb, audience, roofs and lights, painted once for a scale.
// @ts-check

import { COURTYARD_RADIUS, POSTS } from './movement.js';
import { TILT, glow, lanternSprite, shade, sprite } from './look.js';

/** The painted part of the world, in units of the view: to the sides, above and below the middle. */
export const EXTENT = { x: 30, top: 25, bottom: 22.5 };

const CURB = COURTYARD_RADIUS + 0.55;

/** Numbers that look random and are the same on every page. */
function dice(seed) {
  let state = seed >>> 0;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 0x100000000;
  };
}

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

/** @param {CanvasRenderingContext2D} c */
function paintNight(c) {
  const sky = c.createLinearGradient(0, -EXTENT.top, 0, EXTENT.bottom);
  sky.addColorStop(0, '#0d1024');
  sky.addColorStop(0.35, '#1b1527');
  sky.addColorStop(1, '#140d10');
  c.fillStyle = sky;
  c.fillRect(-EXTENT.x, -EXTENT.top, EXTENT.x * 2, EXTENT.top + EXTENT.bottom);
  const spread = c.createRadialGradient(0, 0, COURTYARD_RADIUS * 0.8, 0, 0, 29);
  spread.addColorStop(0, 'rgba(150, 84, 44, .62)');
  spread.addColorStop(0.45, 'rgba(84, 45, 34, .36)');
  spread.addColorStop(1, 'rgba(30, 16, 20, 0)');
  c.save();
  c.scale(1, TILT);
  c.fillStyle = spread;
  c.fillRect(-32, -32, 64, 64);
  c.restore();
}

/** The roof of the house to the north, and pines beside it. */
function paintHouse(c) {
  const top = -24.6;
  const eaves = -19.2;
  const roof = new Path2D(`M-19.5 ${eaves}Q-15.5 ${eaves - 0.4}-12.5 ${top + 0.4}Q0 ${top + 1.3} 12.5 ${top + 0.4}Q15.5 ${eaves - 0.4} 19.5 ${eaves}Q14 ${eaves + 0.9} 10 ${eaves + 0.75}Q0 ${eaves + 0.25}-10 ${eaves + 0.75}Q-14 ${eaves + 0.9}-19.5 ${eaves}Z`);
  // Paper doors, lit from inside, under the eaves.
  c.fillStyle = '#2a1811';
  c.fillRect(-14.5, eaves + 0.2, 29, 2.3);
  for (let x = -13.2; x < 13; x += 3.3) {
    const paper = c.createLinearGradient(0, eaves, 0, eaves + 2.6);
    paper.addColorStop(0, '#ffcf7d');
    paper.addColorStop(1, '#c9782f');
    c.fillStyle = paper;
    c.fillRect(x, eaves + 0.5, 2.4, 1.9);
    c.strokeStyle = 'rgba(74, 38, 18, .8)';
    c.lineWidth = 0.09;
    c.beginPath();
    for (let bar = 0; bar <= 6; bar += 1) {
      c.moveTo(x + bar * 0.4, eaves + 0.5);
      c.lineTo(x + bar * 0.4, eaves + 2.4);
    }
    for (let bar = 1; bar < 4; bar += 1) {
      c.moveTo(x, eaves + 0.5 + bar * 0.48);
      c.lineTo(x + 2.4, eaves + 0.5 + bar * 0.48);
    }
    c.stroke();
  }
  const tiles = c.createLinearGradient(0, top, 0, eaves);
  tiles.addColorStop(0, '#262c38');
  tiles.addColorStop(0.7, '#333b47');
  tiles.addColorStop(1, '#5a5048');
  c.fillStyle = tiles;
  c.fill(roof);
  c.save();
  c.clip(roof);
  for (let x = -20; x <= 20; x += 0.62) {
    c.strokeStyle = 'rgba(8, 10, 16, .55)';
    c.lineWidth = 0.16;
    c.beginPath();
    c.moveTo(x * 0.66, top);
    c.lineTo(x, eaves + 1);
    c.stroke();
    c.strokeStyle = 'rgba(150, 165, 190, .16)';
    c.lineWidth = 0.07;
    c.beginPath();
    c.moveTo((x + 0.26) * 0.66, top);
    c.lineTo(x + 0.26, eaves + 1);
    c.stroke();
  }
  c.restore();
  c.lineCap = 'round';
  c.strokeStyle = '#12151d';
  c.lineWidth = 0.55;
  c.stroke(new Path2D(`M-12.5 ${top + 0.4}Q0 ${top + 1.3} 12.5 ${top + 0.4}`));
  c.strokeStyle = 'rgba(240, 170, 96, .75)';
  c.lineWidth = 0.14;
  c.stroke(new Path2D(`M-19.3 ${eaves + 0.02}Q-14 ${eaves + 0.95}-10 ${eaves + 0.8}Q0 ${eaves + 0.3} 10 ${eaves + 0.8}Q14 ${eaves + 0.95} 19.3 ${eaves + 0.02}`));
  for (const side of [-1, 1]) {
    c.fillStyle = '#141a1c';
    for (const [x, y, rx, ry] of [[24.3, -17, 4.6, 1.7], [25.6, -19.4, 3.8, 1.5], [22.8, -14.9, 3.6, 1.2], [26.2, -13.6, 3.1, 1.2]]) {
      c.beginPath();
      c.ellipse(side * x, y, rx, ry, side * 0.15, 0, Math.PI * 2);
      c.fill();
    }
    c.fillStyle = 'rgba(52, 74, 58, .5)';
    for (const [x, y, rx, ry] of [[23.6, -17.4, 3.2, 0.9], [25.6, -19.8, 2.8, 0.8], [22.2, -15.2, 2.4, 0.6]]) {
      c.beginPath();
      c.ellipse(side * x, y, rx, ry, side * 0.15, 0, Math.PI * 2);
      c.fill();
    }
  }
}

/** Swept earth in the light of the fire. */
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

/** A ring of field stones around the courtyard. */
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

/** Those who watch: all around, lit from the fire. */
function paintAudience(c) {
  const random = dice(101);
  const seats = [];
  for (const [row, far] of [22.2, 23.7, 25.3].entries()) {
    const count = Math.round((Math.PI * 2 * far) / 1.5);
    for (let seat = 0; seat < count; seat += 1) {
      const angle = ((seat + (row % 2) / 2 + (random() - 0.5) * 0.4) / count) * Math.PI * 2;
      const y = Math.sin(angle) * far * TILT;
      if (random() < 0.14 + row * 0.12 || (y < -16.6 && row > 0)) continue;
      seats.push({ x: Math.cos(angle) * far, y, row, size: 0.86 + random() * 0.24, hue: random(), hat: random() });
    }
  }
  seats.sort((a, b) => a.y - b.y);
  const coats = ['#6b4038', '#4d4a5c', '#6d5a42', '#43525a', '#74484a', '#565068'];
  for (const { x, y, row, size, hue, hat } of seats) {
    const dark = -0.24 - row * 0.17;
    const coat = coats[Math.floor(hue * coats.length)];
    const inX = -x / 24;
    const inY = -y / 20;
    c.fillStyle = 'rgba(8, 5, 7, .5)';
    ellipse(c, x, y + 0.14, 0.72 * size, 0.34 * size);
    c.fillStyle = shade(coat, dark - 0.15);
    body(c, x, y, size);
    c.save();
    c.clip();
    c.fillStyle = shade(coat, dark + 0.14);
    ellipse(c, x + inX * 0.34, y - 0.5 * size + inY * 0.2, 0.56 * size, 0.7 * size);
    c.restore();
    const faces = y < 6; // The others are seen from behind.
    c.fillStyle = faces ? shade('#d59a6c', dark) : '#1b1414';
    ellipse(c, x, y - 1.08 * size, 0.3 * size, 0.33 * size);
    if (faces) {
      c.fillStyle = '#191214';
      c.beginPath();
      c.ellipse(x, y - 1.16 * size, 0.31 * size, 0.27 * size, 0, Math.PI, Math.PI * 2);
      c.fill();
    }
    if (hat < 0.2) {
      c.fillStyle = '#100c10';
      ellipse(c, x, y - 1.22 * size, 0.62 * size, 0.16 * size);
      ellipse(c, x, y - 1.4 * size, 0.24 * size, 0.24 * size);
    }
    c.strokeStyle = `rgba(255, 176, 96, ${0.42 - row * 0.12})`;
    c.lineWidth = 0.07;
    const towards = Math.atan2(inY, inX);
    c.beginPath();
    c.ellipse(x, y - 1.08 * size, 0.31 * size, 0.34 * size, 0, towards - 0.9, towards + 0.9);
    c.stroke();
  }
}

/**
 * @param {CanvasRenderingContext2D} c
 * @param {number} x
 * @param {number} y
 * @param {number} size
 */
function body(c, x, y, size) {
  c.beginPath();
  c.moveTo(x - 0.68 * size, y + 0.16);
  c.bezierCurveTo(x - 0.66 * size, y - 0.62 * size, x - 0.34 * size, y - 0.86 * size, x, y - 0.88 * size);
  c.bezierCurveTo(x + 0.34 * size, y - 0.86 * size, x + 0.66 * size, y - 0.62 * size, x + 0.68 * size, y + 0.16);
  c.closePath();
  c.fill();
}

/** Red and blue lanterns on a rope to the north, standing ones to the south. */
function paintLights(c) {
  const poles = 9;
  const at = (/** @type {number} */ pole) => {
    const angle = Math.PI * (1.02 + (0.96 * pole) / (poles - 1));
    return [Math.cos(angle) * 21.1, Math.sin(angle) * 21.1 * TILT];
  };
  for (let pole = 0; pole < poles; pole += 1) {
    const [x, y] = at(pole);
    c.strokeStyle = '#20130f';
    c.lineWidth = 0.2;
    c.lineCap = 'round';
    c.beginPath();
    c.moveTo(x, y);
    c.lineTo(x, y - 3.6);
    c.stroke();
    c.strokeStyle = 'rgba(255, 176, 96, .35)';
    c.lineWidth = 0.05;
    c.beginPath();
    c.moveTo(x - Math.sign(x) * 0.07, y);
    c.lineTo(x - Math.sign(x) * 0.07, y - 3.5);
    c.stroke();
    if (pole === 0) continue;
    const [lastX, lastY] = at(pole - 1);
    const rope = (/** @type {number} */ part) => [
      lastX + (x - lastX) * part,
      lastY + (y - lastY) * part - 3.5 + 4 * part * (1 - part) * 0.95,
    ];
    c.strokeStyle = '#1a100c';
    c.lineWidth = 0.07;
    c.beginPath();
    for (let step = 0; step <= 16; step += 1) c.lineTo(...rope(step / 16));
    c.stroke();
    for (const [place, part] of [0.22, 0.5, 0.78].entries()) {
      const [hangX, hangY] = rope(part);
      hang(c, hangX, hangY, (pole + place) % 2 === 0);
    }
  }
  for (let stand = 0; stand < 9; stand += 1) {
    const angle = Math.PI * (0.08 + (0.84 * stand) / 8);
    const x = Math.cos(angle) * 21.25;
    const y = Math.sin(angle) * 21.25 * TILT;
    c.globalCompositeOperation = 'lighter';
    c.globalAlpha = 0.6;
    c.drawImage(glow('255, 150, 66'), x - 2.6, y - 2.7, 5.2, 4.6);
    c.globalAlpha = 1;
    c.globalCompositeOperation = 'source-over';
    c.drawImage(lanternSprite(), x - 0.55, y - 1.2, 1.1, 1.3);
  }
}

/**
 * A silk lantern, red above and blue below.
 * @param {CanvasRenderingContext2D} c
 * @param {number} x
 * @param {number} y
 * @param {boolean} warm
 */
function hang(c, x, y, warm) {
  c.globalCompositeOperation = 'lighter';
  c.globalAlpha = 0.62;
  c.drawImage(glow(warm ? '255, 120, 60' : '255, 170, 90'), x - 2, y - 1.2, 4, 4);
  c.globalAlpha = 1;
  c.globalCompositeOperation = 'source-over';
  const silk = c.createLinearGradient(x - 0.36, 0, x + 0.36, 0);
  silk.addColorStop(0, warm ? '#a52a20' : '#b06a20');
  silk.addColorStop(0.5, warm ? '#ff9466' : '#ffe0a0');
  silk.addColorStop(1, warm ? '#a52a20' : '#b06a20');
  c.fillStyle = silk;
  c.beginPath();
  c.ellipse(x, y + 0.62, 0.38, 0.46, 0, 0, Math.PI * 2);
  c.fill();
  c.fillStyle = warm ? '#2f5d9a' : '#b23a2e';
  c.fillRect(x - 0.24, y + 0.92, 0.48, 0.16);
  c.strokeStyle = '#f2c46b';
  c.lineWidth = 0.06;
  c.beginPath();
  c.moveTo(x, y);
  c.lineTo(x, y + 0.18);
  c.moveTo(x, y + 1.08);
  c.lineTo(x, y + 1.5);
  c.stroke();
}

/**
 * @param {CanvasRenderingContext2D} c
 * @param {number} x
 * @param {number} y
 * @param {number} rx
 * @param {number} ry
 */
function ellipse(c, x, y, rx, ry) {
  c.beginPath();
  c.ellipse(x, y, rx, ry, 0, 0, Math.PI * 2);
  c.fill();
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
