// What flies up and is gone again: sparks, dust, rings and numbers. Bounded, and of no consequence.
// @ts-check

import { TILT, glow } from './look.js';

const PARTICLES_MAX = 360;

/**
 * @typedef {object} Particle
 * @property {number} x in the plane
 * @property {number} y
 * @property {number} z above the ground
 * @property {number} vx
 * @property {number} vy
 * @property {number} vz
 * @property {number} age seconds
 * @property {number} life seconds
 * @property {number} size
 * @property {string} color
 * @property {'spark' | 'dust' | 'ring' | 'text'} kind
 * @property {string} [text]
 */

export class Effects {
  /** @type {Particle[]} */
  #all = [];
  /** How much the view shakes, 0 to 1. */
  shake = 0;
  #calm;

  /** @param {boolean} calm whether motion is unwelcome */
  constructor(calm) {
    this.#calm = calm;
  }

  /** @param {number} seconds that have passed */
  step(seconds) {
    this.shake = Math.max(0, this.shake - seconds * 2.6);
    for (const it of this.#all) {
      it.age += seconds;
      it.x += it.vx * seconds;
      it.y += it.vy * seconds;
      it.z = Math.max(0, it.z + it.vz * seconds);
      if (it.kind === 'spark') it.vz -= 7 * seconds;
      it.vx *= 1 - 1.6 * seconds;
      it.vy *= 1 - 1.6 * seconds;
    }
    this.#all = this.#all.filter((it) => it.age < it.life);
  }

  /** The fire's own sparks. @param {number} strength */
  ember(strength) {
    if (this.#calm) return;
    const angle = Math.random() * Math.PI * 2;
    const far = Math.random() * 0.9;
    this.#add({ x: Math.cos(angle) * far, y: Math.sin(angle) * far, z: 1 + Math.random(), vx: (Math.random() - 0.5) * 1.4, vy: (Math.random() - 0.5) * 1.4, vz: 4 + Math.random() * 4 * strength, life: 0.9 + Math.random() * 0.9, size: 0.16 + Math.random() * 0.14, color: '255, 170, 70', kind: 'spark' });
  }

  /** Somebody was hit. @param {number} x @param {number} y @param {string} how @param {boolean} near */
  hit(x, y, how, near) {
    const color = how === 'trap' ? '255, 110, 70' : how === 'bean' ? '255, 226, 160' : '255, 240, 214';
    this.#burst(x, y, color, 14, 4.5);
    this.#add({ x, y, z: 0.1, vx: 0, vy: 0, vz: 0, life: 0.5, size: how === 'trap' ? 2.6 : 1.8, color, kind: 'ring' });
    if (near && !this.#calm) this.shake = Math.min(1, this.shake + (how === 'trap' ? 1 : 0.6));
  }

  /** Lanterns went into the fire. @param {number} lanterns @param {number} points @param {string} color */
  delivered(lanterns, points, color) {
    for (let spark = 0; spark < lanterns * 7; spark += 1) this.ember(2.2);
    this.#add({ x: 0, y: 0, z: 0.1, vx: 0, vy: 0, vz: 0, life: 0.9, size: 5.5, color: '255, 190, 96', kind: 'ring' });
    this.text(0, 0, `+${points}`, color, 1 + lanterns * 0.06);
  }

  /** @param {number} x @param {number} y @param {string} text @param {string} color @param {number} [size] */
  text(x, y, text, color, size = 1) {
    this.#add({ x, y, z: 2.6, vx: 0, vy: 0, vz: 1.5, life: 1.5, size, color, kind: 'text', text });
  }

  /** A foot on the ground. @param {number} x @param {number} y */
  dust(x, y) {
    if (this.#calm) return;
    this.#add({ x, y, z: 0.1, vx: (Math.random() - 0.5) * 1.6, vy: (Math.random() - 0.5) * 1.6, vz: 0.5, life: 0.55, size: 0.3 + Math.random() * 0.25, color: '214, 168, 120', kind: 'dust' });
  }

  /** A lantern was taken up. @param {number} x @param {number} y */
  taken(x, y) {
    this.#burst(x, y, '255, 204, 110', 6, 2.4);
  }

  /** What lies on the ground. @param {CanvasRenderingContext2D} c */
  drawLow(c) {
    for (const it of this.#all) {
      if (it.kind !== 'ring' && it.kind !== 'dust') continue;
      const part = it.age / it.life;
      if (it.kind === 'ring') {
        c.strokeStyle = `rgba(${it.color}, ${0.75 * (1 - part)})`;
        c.lineWidth = 0.22 * (1 - part) + 0.03;
        c.beginPath();
        const far = it.size * (0.25 + 0.75 * Math.sqrt(part));
        c.ellipse(it.x, it.y * TILT, far, far * TILT, 0, 0, Math.PI * 2);
        c.stroke();
      } else {
        c.fillStyle = `rgba(${it.color}, ${0.26 * (1 - part)})`;
        c.beginPath();
        c.arc(it.x, it.y * TILT - it.z, it.size * (0.6 + part), 0, Math.PI * 2);
        c.fill();
      }
    }
  }

  /** What flies. @param {CanvasRenderingContext2D} c */
  drawHigh(c) {
    c.globalCompositeOperation = 'lighter';
    for (const it of this.#all) {
      if (it.kind !== 'spark') continue;
      c.globalAlpha = 1 - it.age / it.life;
      c.drawImage(glow(it.color), it.x - it.size * 1.6, it.y * TILT - it.z - it.size * 1.6, it.size * 3.2, it.size * 3.2);
    }
    c.globalAlpha = 1;
    c.globalCompositeOperation = 'source-over';
    for (const it of this.#all) {
      if (it.kind !== 'text') continue;
      const part = it.age / it.life;
      c.save();
      c.translate(it.x, it.y * TILT - it.z);
      c.scale(it.size * 0.05, it.size * 0.05);
      c.globalAlpha = Math.min(1, (1 - part) * 2.4);
      c.font = '700 22px ui-sans-serif, system-ui, sans-serif';
      c.textAlign = 'center';
      c.lineJoin = 'round';
      c.lineWidth = 6;
      c.strokeStyle = 'rgba(20, 10, 8, .8)';
      c.strokeText(it.text ?? '', 0, 0);
      c.fillStyle = it.color;
      c.fillText(it.text ?? '', 0, 0);
      c.restore();
    }
  }

  /** @param {number} x @param {number} y @param {string} color @param {number} count @param {number} speed */
  #burst(x, y, color, count, speed) {
    for (let spark = 0; spark < (this.#calm ? 2 : count); spark += 1) {
      const angle = Math.random() * Math.PI * 2;
      const fast = speed * (0.4 + Math.random() * 0.6);
      this.#add({ x, y, z: 0.9, vx: Math.cos(angle) * fast, vy: Math.sin(angle) * fast, vz: 1 + Math.random() * 2.4, life: 0.4 + Math.random() * 0.4, size: 0.14 + Math.random() * 0.12, color, kind: 'spark' });
    }
  }

  /** @param {Omit<Particle, 'age'>} particle */
  #add(particle) {
    if (this.#all.length < PARTICLES_MAX) this.#all.push({ ...particle, age: 0 });
  }
}
