// One dancer: coat, long sleeves that follow the movement, a mask, and the lanterns that trail behind.
// @ts-check

import { longShadow } from './ground.js';
import { MASK_KINDS, TILT, colorOf, glow, lanternSprite, maskSprite, shade } from './look.js';

const LANTERN_GAP = 0.78;
const TRAIL_MAX = 90;

/**
 * What is remembered of a dancer from picture to picture, and means nothing to the game.
 */
export class Figure {
  /** Where it was, the newest first. @type {{ x: number, y: number }[]} */
  #trail = [];
  /** The ends of its sleeves, relative to it. */
  #left = { x: -0.8, y: 0.2 };
  #right = { x: 0.8, y: 0.2 };
  #walked = 0;
  #speed = { x: 0, y: 0 };
  #last = { x: 0, y: 0 };
  #isNew = true;
  /** How much of it is there, 0 to 1. */
  shown = 0;

  /**
   * @param {import('./timeline.js').Player} it
   * @param {number} seconds since the last picture
   */
  step(it, seconds) {
    const far = Math.hypot(it.x - this.#last.x, it.y - this.#last.y);
    if (this.#isNew || far > 4) {
      this.#trail = [];
      this.#last = { x: it.x, y: it.y };
      this.#isNew = false;
    } else if (seconds > 0) {
      const part = Math.min(1, seconds * 14);
      this.#speed.x += ((it.x - this.#last.x) / seconds - this.#speed.x) * part;
      this.#speed.y += ((it.y - this.#last.y) / seconds - this.#speed.y) * part;
      this.#walked += far;
      this.#last = { x: it.x, y: it.y };
    }
    const newest = this.#trail[0];
    if (newest === undefined || Math.hypot(it.x - newest.x, it.y - newest.y) > 0.12) {
      this.#trail.unshift({ x: it.x, y: it.y });
      this.#trail.length = Math.min(this.#trail.length, TRAIL_MAX);
    }
    this.shown = Math.min(1, this.shown + seconds * 4);
    const swing = Math.sin(this.#walked * 2.1) * Math.min(1, this.speed / 4);
    for (const [sleeve, side] of /** @type {[{ x: number, y: number }, number][]} */ ([[this.#left, -1], [this.#right, 1]])) {
      const wantedX = side * (0.92 + 0.12 * swing * side) - this.#speed.x * 0.085;
      const wantedY = 0.12 + swing * side * 0.42 - this.#speed.y * 0.07;
      const part = 1 - Math.exp(-seconds * 9);
      sleeve.x += (wantedX - sleeve.x) * part;
      sleeve.y += (wantedY - sleeve.y) * part;
    }
  }

  get speed() {
    return Math.hypot(this.#speed.x, this.#speed.y);
  }

  /** The places of the lanterns that it carries. @param {number} count */
  lanterns(count) {
    const places = [];
    let rest = LANTERN_GAP * 1.25;
    let at = this.#last;
    for (const point of this.#trail) {
      let way = Math.hypot(point.x - at.x, point.y - at.y);
      while (way >= rest && places.length < count) {
        at = { x: at.x + ((point.x - at.x) * rest) / way, y: at.y + ((point.y - at.y) * rest) / way };
        places.push(at);
        way -= rest;
        rest = LANTERN_GAP;
      }
      rest -= way;
      at = point;
      if (places.length >= count) break;
    }
    // Without a trail they gather behind, away from the fire.
    for (let missing = places.length; missing < count; missing += 1) {
      const angle = (missing / Math.max(1, count)) * Math.PI * 2 + 0.6;
      places.push({ x: this.#last.x + Math.cos(angle) * 0.95, y: this.#last.y + Math.sin(angle) * 0.95 });
    }
    return places;
  }

  /**
   * The light of its lanterns on the ground.
   * @param {CanvasRenderingContext2D} c
   * @param {{ x: number, y: number }[]} lanterns
   */
  static drawLights(c, lanterns) {
    const light = glow('255, 165, 74');
    for (const { x, y } of lanterns) c.drawImage(light, x - 1.6, (y - 1.4) * TILT - 0.2, 3.2, 3.2 * TILT);
  }

  /**
   * The lanterns behind it, on their string.
   * @param {CanvasRenderingContext2D} c
   * @param {{ x: number, y: number }[]} lanterns
   * @param {number} seconds of a clock
   */
  drawLanterns(c, lanterns, seconds) {
    if (lanterns.length === 0) return;
    c.strokeStyle = 'rgba(40, 20, 14, .7)';
    c.lineWidth = 0.05;
    c.beginPath();
    c.moveTo(this.#last.x, this.#last.y * TILT - 0.75);
    for (const { x, y } of lanterns) c.lineTo(x, y * TILT - 0.86);
    c.stroke();
    const picture = lanternSprite();
    for (const [place, { x, y }] of lanterns.entries()) {
      const bob = Math.sin(seconds * 4 + place * 0.9) * 0.05;
      c.drawImage(picture, x - 0.4, y * TILT - 0.98 + bob, 0.8, 0.8);
    }
  }

  /** @param {CanvasRenderingContext2D} c @param {import('./timeline.js').Player} it */
  drawShadow(c, it) {
    longShadow(c, it.x, it.y, 0.62, 0.9 + Math.min(2.4, Math.hypot(it.x, it.y) * 0.13));
    c.fillStyle = 'rgba(16, 8, 10, .38)';
    c.beginPath();
    c.ellipse(it.x, it.y * TILT + 0.06, 0.68, 0.4, 0, 0, Math.PI * 2);
    c.fill();
  }

  /**
   * @param {CanvasRenderingContext2D} c
   * @param {import('./timeline.js').Player} it
   * @param {number} seconds of a clock
   */
  draw(c, it, seconds) {
    const color = colorOf(it.color);
    const { dashing, stunned, guarded } = it;
    const angle = (it.look / 32) * Math.PI * 2;
    const faceX = Math.cos(angle);
    const faceY = Math.sin(angle);
    const away = faceY < -0.45;
    const beat = Math.abs(Math.sin(this.#walked * 1.55)) * Math.min(1, this.speed / 3) * 0.16;
    const sway = Math.sin(seconds * 2.2 + it.id) * 0.02;
    const lean = Math.max(-0.3, Math.min(0.3, this.#speed.x * 0.018));
    c.save();
    c.translate(it.x, it.y * TILT);
    // Who cannot be hit flickers.
    c.globalAlpha = this.shown * (guarded && !stunned ? 0.66 + 0.3 * Math.sin(seconds * 16) : 1);
    if (stunned) c.rotate(Math.sin(seconds * 13) * 0.08);
    c.transform(1, 0, -lean, 1, 0, 0);
    c.translate(0, -beat);
    const sleeves = () => this.#drawSleeves(c, dashing);
    if (away) this.#drawMask(c, it, faceX, faceY, true);
    if (!away) sleeves();
    // The coat: a bell, lit from the fire.
    const lit = Math.sign(-it.x) * Math.min(1, Math.abs(it.x) / 6);
    const cloth = c.createLinearGradient(-0.7, 0, 0.7, 0);
    cloth.addColorStop(0, shade(color, lit < 0 ? 0.22 : -0.42));
    cloth.addColorStop(0.5, color);
    cloth.addColorStop(1, shade(color, lit > 0 ? 0.22 : -0.42));
    c.fillStyle = cloth;
    c.beginPath();
    c.moveTo(-0.3, -1.02);
    c.bezierCurveTo(-0.42, -0.7, -0.58, -0.3, -0.7 - sway, -0.02);
    c.quadraticCurveTo(-0.34, 0.2, 0, 0.17);
    c.quadraticCurveTo(0.34, 0.2, 0.7 - sway, -0.02);
    c.bezierCurveTo(0.58, -0.3, 0.42, -0.7, 0.3, -1.02);
    c.quadraticCurveTo(0, -1.14, -0.3, -1.02);
    c.fill();
    c.strokeStyle = shade(color, -0.5);
    c.lineWidth = 0.045;
    c.beginPath();
    c.moveTo(faceX * 0.12, -0.98);
    c.quadraticCurveTo(faceX * 0.22, -0.4, faceX * 0.3 + sway, 0.12);
    c.moveTo(-0.34, -0.3);
    c.quadraticCurveTo(-0.4, -0.1, -0.42, 0.1);
    c.moveTo(0.34, -0.3);
    c.quadraticCurveTo(0.4, -0.1, 0.42, 0.1);
    c.stroke();
    // The collar, the belt and its knot.
    c.strokeStyle = '#fbf3e2';
    c.lineWidth = 0.1;
    if (!away) {
      c.beginPath();
      c.moveTo(-0.24, -1.02);
      c.lineTo(faceX * 0.14, -0.76);
      c.lineTo(0.24, -1.02);
      c.stroke();
    }
    c.strokeStyle = it.color === 0 || it.color === 9 ? '#f4c45a' : '#c8322b';
    c.lineWidth = 0.12;
    c.beginPath();
    c.moveTo(-0.44, -0.6);
    c.quadraticCurveTo(0, -0.5, 0.44, -0.6);
    c.moveTo(faceX * 0.2, -0.55);
    c.lineTo(faceX * 0.2 - 0.06 + sway * 2, -0.2);
    c.stroke();
    if (away) sleeves();
    else this.#drawMask(c, it, faceX, faceY, false);
    if (away) this.#drawHead(c, faceX);
    if (stunned) this.#drawDizzy(c, seconds);
    c.restore();
  }

  /** @param {CanvasRenderingContext2D} c @param {boolean} dashing */
  #drawSleeves(c, dashing) {
    for (const [end, side] of /** @type {[{ x: number, y: number }, number][]} */ ([[this.#left, -1], [this.#right, 1]])) {
      const endX = end.x * (dashing ? 1.25 : 1);
      const endY = end.y - 0.62;
      c.strokeStyle = 'rgba(60, 36, 30, .35)';
      c.lineWidth = 0.34;
      c.lineCap = 'round';
      c.beginPath();
      c.moveTo(side * 0.28, -0.84);
      c.quadraticCurveTo(side * 0.78, -0.98, endX, endY + 0.06);
      c.stroke();
      c.strokeStyle = '#f7efdf';
      c.lineWidth = 0.27;
      c.beginPath();
      c.moveTo(side * 0.28, -0.88);
      c.quadraticCurveTo(side * 0.78, -1.04, endX, endY);
      c.stroke();
      // The cuff hangs.
      c.lineWidth = 0.17;
      c.beginPath();
      c.moveTo(endX, endY);
      c.quadraticCurveTo(endX + side * 0.12, endY + 0.14, endX + side * 0.02, endY + 0.34);
      c.stroke();
      c.strokeStyle = '#3b6aa8';
      c.lineWidth = 0.07;
      c.beginPath();
      c.moveTo(side * 0.5, -1.02);
      c.lineTo(side * 0.54, -0.8);
      c.stroke();
    }
  }

  /**
   * @param {CanvasRenderingContext2D} c
   * @param {import('./timeline.js').Player} it
   * @param {number} faceX
   * @param {number} faceY
   * @param {boolean} away
   */
  #drawMask(c, it, faceX, faceY, away) {
    if (away) return; // It looks the other way: only the back of its head is seen.
    c.fillStyle = '#1a1212';
    c.beginPath();
    c.ellipse(-faceX * 0.08, -1.46, 0.5, 0.53, 0, 0, Math.PI * 2);
    c.fill();
    const wide = 1 - 0.3 * Math.abs(faceX);
    c.save();
    c.translate(faceX * 0.17, -1.42 + Math.max(0, faceY) * 0.05);
    c.scale(wide, 1);
    c.drawImage(maskSprite(it.color % MASK_KINDS), -0.56, -0.58, 1.12, 1.16);
    c.restore();
  }

  /** @param {CanvasRenderingContext2D} c @param {number} faceX */
  #drawHead(c, faceX) {
    c.fillStyle = '#1d1414';
    c.beginPath();
    c.ellipse(faceX * 0.08, -1.44, 0.5, 0.54, 0, 0, Math.PI * 2);
    c.fill();
    c.strokeStyle = '#c8322b';
    c.lineWidth = 0.09;
    c.beginPath();
    c.moveTo(-0.46 + faceX * 0.1, -1.5);
    c.quadraticCurveTo(faceX * 0.1, -1.36, 0.46 + faceX * 0.1, -1.5);
    c.moveTo(0, -1.42);
    c.lineTo(-0.1, -1.08);
    c.moveTo(0.02, -1.42);
    c.lineTo(0.14, -1.12);
    c.stroke();
  }

  /** @param {CanvasRenderingContext2D} c @param {number} seconds */
  #drawDizzy(c, seconds) {
    for (let star = 0; star < 3; star += 1) {
      const angle = seconds * 6 + (star / 3) * Math.PI * 2;
      c.fillStyle = '#ffe08a';
      c.beginPath();
      c.arc(Math.cos(angle) * 0.55, -2.05 + Math.sin(angle) * 0.17, 0.1, 0, Math.PI * 2);
      c.fill();
    }
  }
}
