// Draws a moment of the courtyard: the same for who plays and who watches.
// @ts-check

import { Figure } from './dancer.js';
import { drawEmote } from './emotes.js';
import { Effects } from './effects.js';
import { STANDING, longShadow, paintGround } from './ground.js';
import { TILT, colorOf, glow, lanternSprite, shade } from './look.js';
import { COURTYARD_RADIUS } from './movement.js';
import { EXTENT } from './surroundings.js';

/** Most pixels of the painted ground for a unit: beyond it is stretched. */
const GROUND_PIXELS_MAX = 44;
const DENSITY_MAX = 2;
/** Ticks that a trap takes until it can spring, for its drawing. */
const TRAP_ARMS = 20;

/** @typedef {import('./timeline.js').Moment} Moment */
/** @typedef {import('./timeline.js').Player} Player */

export class Stage {
  #canvas;
  #context;
  #options;
  /** @type {HTMLCanvasElement | null} */
  #ground = null;
  #groundPixels = 0;
  /** @type {Map<number, Figure>} */
  #figures = new Map();
  /** Lanterns that were there, to see which are taken. @type {Map<number, { x: number, y: number }>} */
  #lying = new Map();
  #width = 0;
  #height = 0;
  #density = 1;
  #scale = 20;
  #camera = { x: 0, y: 0, isSet: false };
  #drawnAt = 0;
  #ember = 0;
  effects;

  /**
   * @param {HTMLCanvasElement} canvas
   * @param {{ calm: boolean, zoom: number, scaleMin: number, top?: number, bottom?: number }} options
   *   `zoom` 1 shows the whole courtyard; `top` and `bottom` are pixels that something else covers
   */
  constructor(canvas, options) {
    this.#canvas = canvas;
    this.#context = /** @type {CanvasRenderingContext2D} */ (canvas.getContext('2d', { alpha: false }));
    this.#options = options;
    this.effects = new Effects(options.calm);
    new ResizeObserver(() => this.#resize()).observe(canvas);
    this.#resize();
  }

  get #top() {
    return this.#options.top ?? 0;
  }

  get #bottom() {
    return this.#options.bottom ?? 0;
  }

  /** Where the camera's middle is on the canvas, in pixels of the page. */
  get #middle() {
    return (this.#height + this.#top - this.#bottom) / 2;
  }

  #resize() {
    const density = Math.min(DENSITY_MAX, devicePixelRatio || 1);
    const width = Math.max(1, this.#canvas.clientWidth);
    const height = Math.max(1, this.#canvas.clientHeight);
    if (width === this.#width && height === this.#height && density === this.#density && this.#ground !== null) return;
    [this.#width, this.#height, this.#density] = [width, height, density];
    this.#canvas.width = Math.round(width * density);
    this.#canvas.height = Math.round(height * density);
    const free = Math.max(200, height - this.#top - this.#bottom);
    const whole = Math.min(width / (COURTYARD_RADIUS * 2 + 4), free / ((COURTYARD_RADIUS * 2 + 3) * TILT + 2));
    this.#scale = Math.max(whole * this.#options.zoom, this.#options.scaleMin);
    const pixels = Math.min(GROUND_PIXELS_MAX, this.#scale * density);
    if (Math.abs(pixels - this.#groundPixels) > 1) {
      this.#groundPixels = pixels;
      this.#ground = paintGround(pixels);
    }
  }

  /**
   * A place of the screen in the plane.
   * @param {number} x in pixels of the page
   * @param {number} y
   */
  toPlane(x, y) {
    const box = this.#canvas.getBoundingClientRect();
    return {
      x: (x - box.left - this.#width / 2) / this.#scale + this.#camera.x,
      y: ((y - box.top - this.#middle) / this.#scale + this.#camera.y) / TILT,
    };
  }

  /** Where a place of the plane is on the page. @param {number} x @param {number} y */
  toPage(x, y) {
    const box = this.#canvas.getBoundingClientRect();
    return {
      x: box.left + this.#width / 2 + (x - this.#camera.x) * this.#scale,
      y: box.top + this.#middle + (y * TILT - this.#camera.y) * this.#scale,
    };
  }

  /**
   * @param {Moment | null} moment
   * @param {{ now: number, follow: Player | null, own: number, aim: { x: number, y: number } | null, seesAll: boolean }} how
   *   `now` in milliseconds; `follow` is whom the view goes with; `own` the player of this page, 0 for none
   */
  draw(moment, { now, follow, own, aim, seesAll }) {
    const seconds = Math.min(0.1, Math.max(0, (now - this.#drawnAt) / 1000));
    this.#drawnAt = now;
    const clock = now / 1000;
    const c = this.#context;
    this.effects.step(seconds);
    this.#move(follow, seconds);
    const unit = this.#scale * this.#density;
    const shake = this.effects.shake ** 2 * 0.3;
    const shakeX = shake * Math.sin(now * 0.09);
    const shakeY = shake * Math.cos(now * 0.11);
    c.setTransform(1, 0, 0, 1, 0, 0);
    c.fillStyle = '#110c10';
    c.fillRect(0, 0, this.#canvas.width, this.#canvas.height);
    c.setTransform(unit, 0, 0, unit, this.#canvas.width / 2 - (this.#camera.x + shakeX) * unit, this.#middle * this.#density - (this.#camera.y + shakeY) * unit);
    if (this.#ground !== null) {
      const tall = EXTENT.top + EXTENT.bottom;
      // On a wide screen the night goes on to the sides.
      c.drawImage(this.#ground, 0, 0, 1, this.#ground.height, -EXTENT.x * 3, -EXTENT.top, EXTENT.x * 6, tall);
      c.drawImage(this.#ground, -EXTENT.x, -EXTENT.top, EXTENT.x * 2, tall);
    }
    this.#drawFireLight(c, clock);
    if (moment === null) {
      this.#drawFire(c, clock);
      return;
    }
    const mine = moment.players.find(({ id }) => id === own) ?? null;
    for (const trap of moment.traps) this.#drawTrap(c, trap, moment, seesAll, clock);
    if (mine !== null) this.#drawOwn(c, mine, aim, clock);
    this.#drawBodies(c, moment, seconds, clock);
    this.effects.drawHigh(c);
    this.#drawNames(c, moment, own);
    this.#figures.forEach((_, id) => moment.players.some((it) => it.id === id) || this.#figures.delete(id));
  }

  /** @param {Player | null} follow @param {number} seconds */
  #move(follow, seconds) {
    const camera = this.#camera;
    const halfX = this.#width / 2 / this.#scale;
    const halfY = Math.max(100, (this.#height - this.#top - this.#bottom) / 2) / this.#scale;
    const roomX = Math.max(0, COURTYARD_RADIUS + 3.4 - halfX);
    const roomY = Math.max(0, (COURTYARD_RADIUS + 1.2) * TILT + 2.2 - halfY);
    const wantedX = Math.max(-roomX, Math.min(roomX, follow?.x ?? 0));
    const wantedY = Math.max(-roomY - 0.6, Math.min(roomY, (follow?.y ?? 0) * TILT)) - 0.4;
    const part = camera.isSet ? 1 - Math.exp(-seconds * 6) : 1;
    camera.x += (wantedX - camera.x) * part;
    camera.y += (wantedY - camera.y) * part;
    camera.isSet ||= follow !== null;
  }

  /** @param {CanvasRenderingContext2D} c @param {number} clock */
  #drawFireLight(c, clock) {
    const flicker = 0.5 + 0.06 * Math.sin(clock * 9) + 0.05 * Math.sin(clock * 23.7) + 0.04 * Math.sin(clock * 5.1);
    c.globalCompositeOperation = 'lighter';
    c.globalAlpha = flicker;
    const far = 15;
    c.drawImage(glow('255, 132, 48'), -far, -far * TILT, far * 2, far * 2 * TILT);
    c.globalAlpha = 1;
    c.globalCompositeOperation = 'source-over';
    this.#ember += 1;
    if (this.#ember % 5 === 0) this.effects.ember(1);
  }

  /** @param {CanvasRenderingContext2D} c @param {number} clock */
  #drawFire(c, clock) {
    c.lineCap = 'round';
    for (const [angle, long] of [[0.3, 1.5], [1.4, 1.35], [2.5, 1.5], [-0.6, 1.4]]) {
      c.strokeStyle = '#2a140c';
      c.lineWidth = 0.36;
      c.beginPath();
      c.moveTo(Math.cos(angle) * long, Math.sin(angle) * long * TILT);
      c.lineTo(-Math.cos(angle) * long * 0.5, -Math.sin(angle) * long * 0.5 * TILT - 0.5);
      c.stroke();
      c.strokeStyle = 'rgba(255, 120, 50, .75)';
      c.lineWidth = 0.1;
      c.stroke();
    }
    c.globalCompositeOperation = 'lighter';
    for (const [color, wide, high, fast, lift] of /** @type {[string, number, number, number, number][]} */ ([['rgba(200, 60, 16, .55)', 1.5, 3.6, 4, 0], ['rgba(255, 120, 30, .6)', 1.1, 2.9, 5.7, 0.4], ['rgba(255, 196, 84, .7)', 0.7, 2, 7.3, 0.9], ['rgba(255, 246, 206, .8)', 0.36, 1.1, 9.1, 1.4]])) {
      c.fillStyle = color;
      for (const side of [-1, 0, 1]) {
        const x = side * wide * 0.5 + Math.sin(clock * fast + lift + side * 2) * 0.12;
        const top = -high * (side === 0 ? 1 : 0.68) * (0.9 + 0.12 * Math.sin(clock * fast * 1.3 + side * 3 + lift));
        const bend = Math.sin(clock * fast * 0.8 + side + lift) * 0.3;
        const half = wide * (side === 0 ? 0.72 : 0.5);
        c.beginPath();
        c.moveTo(x - half, 0.1);
        c.bezierCurveTo(x - half * 1.25, top * 0.4, x - half * 0.1 + bend * 0.4, top * 0.55, x + bend, top);
        c.bezierCurveTo(x + half * 0.5 + bend * 0.5, top * 0.6, x + half * 1.25, top * 0.35, x + half, 0.1);
        c.quadraticCurveTo(x, 0.42, x - half, 0.1);
        c.fill();
      }
    }
    const far = 4.2 + 0.2 * Math.sin(clock * 11);
    c.globalAlpha = 0.75;
    c.drawImage(glow('255, 170, 80'), -far, -far - 1.2, far * 2, far * 2);
    c.globalAlpha = 1;
    c.globalCompositeOperation = 'source-over';
  }

  /**
   * @param {CanvasRenderingContext2D} c
   * @param {Moment['traps'][number]} trap
   * @param {Moment} moment
   * @param {boolean} seesAll
   * @param {number} clock
   */
  #drawTrap(c, trap, moment, seesAll, clock) {
    const by = moment.players.find(({ id }) => id === trap.by);
    const color = colorOf(by?.color ?? 0);
    const ready = Math.min(1, Math.max(0, 1 - (trap.armed - moment.tick) / TRAP_ARMS));
    c.save();
    c.translate(trap.x, trap.y * TILT);
    c.scale(1, TILT);
    c.fillStyle = shade(color, -0.2).replace('rgb', 'rgba').replace(')', ', .2)');
    c.strokeStyle = color;
    c.globalAlpha = 0.55 + 0.4 * ready;
    c.lineWidth = 0.09;
    c.setLineDash([0.34, 0.22]);
    c.lineDashOffset = clock * 0.5;
    c.beginPath();
    c.arc(0, 0, 1.15, 0, Math.PI * 2);
    c.fill();
    c.stroke();
    c.setLineDash([]);
    // A noose of straw rope.
    c.strokeStyle = '#2a170e';
    c.lineWidth = 0.26;
    c.beginPath();
    c.arc(0, 0, 0.56, 0.4, 0.4 + Math.PI * 2 * ready);
    c.stroke();
    c.strokeStyle = '#e3bf7d';
    c.lineWidth = 0.15;
    c.stroke();
    c.beginPath();
    c.moveTo(0.5, 0.24);
    c.lineTo(1, 0.6);
    c.stroke();
    if (seesAll && ready === 1) {
      c.fillStyle = color;
      c.beginPath();
      c.arc(0, 0, 0.17 + 0.05 * Math.sin(clock * 5), 0, Math.PI * 2);
      c.fill();
    }
    c.restore();
    c.globalAlpha = 1;
  }

  /**
   * The ring of one's own dancer, and where it aims.
   * @param {CanvasRenderingContext2D} c
   * @param {Player} mine
   * @param {{ x: number, y: number } | null} aim
   * @param {number} clock
   */
  #drawOwn(c, mine, aim, clock) {
    c.save();
    c.translate(mine.x, mine.y * TILT);
    c.scale(1, TILT);
    c.strokeStyle = 'rgba(255, 244, 214, .85)';
    c.lineWidth = 0.09;
    c.beginPath();
    c.arc(0, 0, 0.98 + 0.04 * Math.sin(clock * 4), 0, Math.PI * 2);
    c.stroke();
    if (aim !== null) {
      c.rotate(Math.atan2(aim.y, aim.x));
      c.fillStyle = 'rgba(255, 244, 214, .85)';
      c.beginPath();
      c.moveTo(1.62, 0);
      c.lineTo(1.16, 0.3);
      c.lineTo(1.26, 0);
      c.lineTo(1.16, -0.3);
      c.fill();
    }
    c.restore();
    if (mine.carried > 0) {
      c.save();
      c.scale(1, TILT);
      c.strokeStyle = `rgba(255, 214, 130, ${0.35 + 0.25 * Math.sin(clock * 4)})`;
      c.lineWidth = 0.12;
      c.beginPath();
      c.arc(0, 0, 3, 0, Math.PI * 2);
      c.stroke();
      c.restore();
    }
  }

  /**
   * Everything that stands, lies or flies, from the back to the front.
   * @param {CanvasRenderingContext2D} c
   * @param {Moment} moment
   * @param {number} seconds
   * @param {number} clock
   */
  #drawBodies(c, moment, seconds, clock) {
    /** @type {{ y: number, draw: () => void }[]} */
    const bodies = [{ y: 0, draw: () => this.#drawFire(c, clock) }];
    for (const post of STANDING) bodies.push({ y: post.y, draw: () => post.draw(c) });
    const carried = new Map();
    for (const it of moment.players) {
      let figure = this.#figures.get(it.id);
      if (figure === undefined) this.#figures.set(it.id, (figure = new Figure()));
      figure.step(it, seconds);
      if (it.dashing && Math.random() < seconds * 50) this.effects.dust(it.x, it.y);
      carried.set(it.id, figure.lanterns(it.carried));
      bodies.push({ y: it.y, draw: () => figure.draw(c, it, clock) });
      bodies.push({ y: it.y - 0.3, draw: () => figure.drawLanterns(c, carried.get(it.id), clock) });
    }
    this.effects.drawLow(c);
    for (const it of moment.players) this.#figures.get(it.id)?.drawShadow(c, it);
    c.globalCompositeOperation = 'lighter';
    c.globalAlpha = 0.75;
    for (const { x, y } of moment.lanterns) {
      c.drawImage(glow('255, 160, 70'), x - 2, (y - 1.9) * TILT - 0.2, 4, 4 * TILT);
    }
    for (const it of moment.players) Figure.drawLights(c, carried.get(it.id));
    c.globalAlpha = 1;
    c.globalCompositeOperation = 'source-over';
    for (const { id, x, y } of moment.lanterns) {
      bodies.push({
        y,
        draw: () => {
          const bob = Math.sin(clock * 2.4 + id) * 0.05;
          c.fillStyle = 'rgba(16, 8, 10, .4)';
          c.beginPath();
          c.ellipse(x, y * TILT + 0.04, 0.36, 0.2, 0, 0, Math.PI * 2);
          c.fill();
          c.drawImage(lanternSprite(), x - 0.55, y * TILT - 1.02 + bob, 1.1, 1.1);
        },
      });
    }
    for (const bean of moment.beans) {
      bodies.push({ y: bean.y, draw: () => this.#drawBean(c, bean, moment, clock) });
    }
    this.#noteTaken(moment);
    bodies.sort((a, b) => a.y - b.y);
    for (const body of bodies) body.draw();
  }

  /**
   * @param {CanvasRenderingContext2D} c
   * @param {Moment['beans'][number]} bean
   * @param {Moment} moment
   * @param {number} clock
   */
  #drawBean(c, { x, y, z, by }, moment, clock) {
    const color = colorOf(moment.players.find(({ id }) => id === by)?.color ?? 2);
    longShadow(c, x, y, 0.3, 0.5);
    c.save();
    c.translate(x, y * TILT - z);
    c.rotate(clock * 14);
    c.fillStyle = shade(color, -0.3);
    c.beginPath();
    c.roundRect(-0.36, -0.36, 0.72, 0.72, 0.22);
    c.fill();
    c.fillStyle = color;
    c.beginPath();
    c.roundRect(-0.32, -0.34, 0.58, 0.58, 0.18);
    c.fill();
    c.fillStyle = '#fbf3e2';
    c.fillRect(-0.32, -0.08, 0.6, 0.13);
    c.fillRect(-0.08, -0.34, 0.13, 0.6);
    c.restore();
  }

  /** A lantern that is gone where a dancer stands was taken. @param {Moment} moment */
  #noteTaken(moment) {
    const lying = new Map(moment.lanterns.map((it) => [it.id, it]));
    for (const [id, { x, y }] of this.#lying) {
      const isTaken = !lying.has(id) && moment.players.some((it) => Math.hypot(it.x - x, it.y - y) < 2);
      if (isTaken) this.effects.taken(x, y);
    }
    this.#lying = lying;
  }

  /** @param {CanvasRenderingContext2D} c @param {Moment} moment @param {number} own */
  #drawNames(c, moment, own) {
    // In pixels of the page, so that they can be read at any scale.
    const size = Math.max(11, Math.min(15, this.#scale * 0.56));
    c.textAlign = 'center';
    c.lineJoin = 'round';
    for (const it of [...moment.players].sort((a, b) => a.y - b.y)) {
      c.save();
      c.translate(it.x, it.y * TILT - 2.12);
      c.scale(1 / this.#scale, 1 / this.#scale);
      c.font = `${it.id === own ? 700 : 600} ${size}px ui-sans-serif, system-ui, -apple-system, "Segoe UI", "Noto Sans KR", sans-serif`;
      c.lineWidth = 3.5;
      c.strokeStyle = 'rgba(18, 10, 10, .72)';
      c.strokeText(it.name, 0, 0);
      c.fillStyle = it.id === own ? '#ffdf9a' : it.member === 0 ? '#d8c3a4' : '#fff6e4';
      c.fillText(it.name, 0, 0);
      c.restore();
      if (it.emote > 0) {
        c.save();
        c.translate(it.x + 0.1, it.y * TILT - 3.75 + Math.sin(this.#drawnAt / 180) * 0.06);
        c.fillStyle = 'rgba(251, 243, 226, .95)';
        c.beginPath();
        c.arc(0, 0, 0.86, 0, Math.PI * 2);
        c.moveTo(0.3, 0.72);
        c.lineTo(0, 1.12);
        c.lineTo(-0.3, 0.72);
        c.fill();
        c.scale(0.032, 0.032);
        drawEmote(c, it.emote);
        c.restore();
      }
    }
  }
}
