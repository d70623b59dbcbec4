// What is around the courtyard: night, the house, those who sit and watch, and the lanterns on their ropes.
// @ts-check

import { TILT, glow, lanternSprite, shade } from './look.js';
import { COURTYARD_RADIUS } from './movement.js';

/** The painted part of the world, in units of the view: to the sides, above and below the middle. */
export const EXTENT = { x: 30, top: 25, bottom: 22.5 };

/** Numbers that look random and are the same on every page. @param {number} seed */
export function dice(seed) {
  let state = seed >>> 0;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 0x100000000;
  };
}

/** @param {CanvasRenderingContext2D} c */
export function paintNight(c) {
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

/** The roof of the house to the north, and pines beside it. @param {CanvasRenderingContext2D} c */
export function paintHouse(c) {
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

/** Those who watch: all around, lit from the fire. @param {CanvasRenderingContext2D} c */
export function paintAudience(c) {
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

/** Red and blue lanterns on a rope to the north, standing ones to the south. @param {CanvasRenderingContext2D} c */
export function paintLights(c) {
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
    for (let step = 0; step <= 16; step += 1) {
      const [ropeX, ropeY] = rope(step / 16);
      c.lineTo(ropeX, ropeY);
    }
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
export function ellipse(c, x, y, rx, ry) {
  c.beginPath();
  c.ellipse(x, y, rx, ry, 0, 0, Math.PI * 2);
  c.fill();
}
