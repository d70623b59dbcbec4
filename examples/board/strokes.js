// Strokes: drawn at once on one's own screen, sent while they grow, shown as the room has them.
//
// A stroke grows by setting its list of points; the others get what was added. A long one is several
// entities, because who draws sends the whole list each time.

import { kept } from './history.js';
import { makeSvg } from './page.js';
import { INKS, PEN_WIDTH } from './schema.js';

/** @typedef {import('./sheet.js').Point} Point */
/** @typedef {import('./history.js').History} History */
/** @typedef {import('/client/index.js').Entity} Entity */

const POINTS_MAX = 160;
const SEND_INTERVAL_MS = 1000 / 30;
/** Points that are closer than this on the screen are one. */
const NEAR_PX = 2.2;
const ERASER_PX = 12;

/**
 * What is drawn in one go.
 *
 * @typedef {{ colour: number, segments: Segment[], isMeant: boolean | null }} Stroke null while it grows
 */

/**
 * A part of it: one entity.
 *
 * @typedef {object} Segment
 * @property {Stroke} stroke
 * @property {Point[]} points
 * @property {number} sent how many of them the room has been sent
 * @property {number | null} id
 * @property {number} tick that shows what was sent
 * @property {boolean} isBusy an edit is on its way
 * @property {boolean} isWhole nothing more will come
 * @property {boolean} isLost the room refused it
 * @property {SVGElement} path
 */

export class Strokes {
  #svg;
  #history;
  /** @type {Map<number, SVGElement>} */
  #paths = new Map();
  /** Of strokes that are not as the room has them yet. @type {Set<Segment>} */
  #segments = new Set();
  /** @type {Stroke | null} */
  #drawing = null;
  /** @type {{ erased: Set<number>, kept: import('./history.js').Kept[] } | null} */
  #erasing = null;

  /**
   * @param {HTMLElement} svg
   * @param {History} history
   */
  constructor(svg, history) {
    this.#svg = svg;
    this.#history = history;
  }

  // --- As the room has them ---

  /** @param {Entity} stroke */
  show(stroke) {
    let path = this.#paths.get(stroke.id);
    if (path === undefined) {
      path = makeSvg('path');
      path.dataset.id = String(stroke.id);
      this.#paths.set(stroke.id, path);
      this.#svg.append(path);
    }
    path.setAttribute('stroke', INKS[stroke.colour] ?? INKS[0]);
    path.setAttribute('stroke-width', String(stroke.width));
    path.setAttribute('d', curve(stroke.points));
  }

  /** @param {Entity} stroke */
  hide({ id }) {
    this.#paths.get(id)?.remove();
    this.#paths.delete(id);
  }

  /** A tick was shown: what the room has by now need not be drawn twice. */
  settle() {
    const { tick } = this.#history.state;
    for (const segment of this.#segments) {
      const { stroke, points, sent, isWhole, isBusy, isLost } = segment;
      if (isLost || (isWhole && !isBusy && sent === points.length && tick >= segment.tick)) {
        segment.path.remove();
        this.#segments.delete(segment);
        this.#finish(stroke);
      } else {
        void this.#send(segment);
      }
    }
  }

  /** The state came anew: what it does not have was lost with an older one. */
  reset() {
    for (const segment of this.#segments) {
      segment.isLost ||= segment.id !== null && this.#history.state.get(segment.id) === undefined;
    }
  }

  // --- Drawing ---

  /**
   * @param {Point} at
   * @param {number} colour
   */
  begin(at, colour) {
    this.#drawing = { colour, segments: [], isMeant: null };
    this.#grow([at]);
  }

  /**
   * @param {Point} at
   * @param {number} scale
   */
  extend(at, scale) {
    const segment = this.#drawing?.segments.at(-1);
    const last = segment?.points.at(-1);
    if (segment === undefined || last === undefined || distance(last, at) * scale < NEAR_PX) {
      return;
    }
    segment.points.push(at);
    segment.path.setAttribute('d', curve(segment.points));
    if (segment.points.length >= POINTS_MAX) {
      segment.isWhole = true;
      this.#grow([at]);
    }
    void this.#send(segment);
  }

  /** @param {boolean} isMeant a finger that turns out to be one of two drew nothing */
  end(isMeant = true) {
    const drawing = this.#drawing;
    this.#drawing = null;
    if (drawing === null) {
      return;
    }
    drawing.isMeant = isMeant;
    for (const segment of drawing.segments) {
      segment.isWhole = true;
    }
    this.settle();
  }

  /** @param {Point[]} points */
  #grow(points) {
    const drawing = this.#drawing;
    if (drawing === null) {
      return;
    }
    const path = makeSvg('path');
    path.classList.add('draft');
    path.setAttribute('stroke', INKS[drawing.colour]);
    path.setAttribute('stroke-width', String(PEN_WIDTH));
    path.setAttribute('d', curve(points));
    this.#svg.append(path);
    const segment = { stroke: drawing, points, sent: 0, id: null, tick: 0, isBusy: false, isWhole: false, isLost: false, path };
    drawing.segments.push(segment);
    this.#segments.add(segment);
    void this.#send(segment);
  }

  /**
   * One edit at a time: what is drawn meanwhile goes with the next.
   *
   * @param {Segment} segment
   */
  async #send(segment) {
    const { state } = this.#history;
    if (segment.isBusy || segment.isLost || segment.sent === segment.points.length) {
      return;
    }
    if (segment.id !== null && state.get(segment.id) === undefined) {
      return; // Its creation has not been shown yet.
    }
    segment.isBusy = true;
    const count = segment.points.length;
    const points = segment.points.slice();
    const change =
      segment.id === null
        ? state.create('stroke', { points, colour: segment.stroke.colour, width: PEN_WIDTH })
        : state.set(segment.id, { points });
    const [done] = await Promise.all([this.#history.edit([change]), pause(SEND_INTERVAL_MS)]);
    segment.isBusy = false;
    if (done?.isUnknown) {
      this.#find(segment, points);
    } else if (done === null) {
      segment.isLost = true;
    } else {
      segment.id ??= done.ids[0] ?? null;
      segment.sent = count;
      segment.tick = done.tick;
    }
    this.settle();
  }

  /**
   * The answer was lost with a connection. Points are sent again; a new stroke is there, or is not.
   *
   * @param {Segment} segment
   * @param {Point[]} points
   */
  #find(segment, points) {
    const known = new Set([...this.#segments].map(({ id }) => id));
    const [x, y] = points[0];
    const found = [...this.#history.state.entities('stroke')].find(
      ({ id, points: [first] }) => !known.has(id) && first && distance(first, [x, y]) < 0.5,
    );
    segment.id ??= found?.id ?? null;
  }

  /**
   * A stroke can be undone once the room knows all of it.
   *
   * @param {Stroke} stroke
   */
  #finish({ segments, isMeant }) {
    if (isMeant === null || segments.some((segment) => this.#segments.has(segment))) {
      return;
    }
    const created = segments.flatMap(({ id }) => (id === null ? [] : [id]));
    if (isMeant && created.length > 0) {
      this.#history.did({ created });
    } else {
      const there = created.filter((id) => this.#history.state.get(id));
      void this.#history.edit(there.map((id) => this.#history.state.remove(id)));
    }
  }

  // --- Erasing ---

  beginErasing() {
    this.#erasing = { erased: new Set(), kept: [] };
  }

  /**
   * @param {Point} at
   * @param {number} scale
   * @param {(stroke: Entity) => boolean} may
   * @returns {Entity | null} somebody else's that was in the way
   */
  erase(at, scale, may) {
    const erasing = this.#erasing;
    let inTheWay = null;
    if (erasing === null) {
      return inTheWay;
    }
    const { state } = this.#history;
    for (const stroke of state.entities('stroke')) {
      if (erasing.erased.has(stroke.id) || !isNear(stroke.points, at, ERASER_PX / scale)) {
        continue;
      }
      if (!may(stroke)) {
        inTheWay = stroke;
        continue;
      }
      erasing.erased.add(stroke.id);
      const was = kept(stroke);
      this.#paths.get(stroke.id)?.classList.add('erased');
      void this.#history.edit([state.remove(stroke)]).then((done) => {
        if (done === null) {
          this.#paths.get(stroke.id)?.classList.remove('erased');
        } else {
          erasing.kept.push(was);
          if (erasing.kept.length === 1) {
            this.#history.did({ removed: erasing.kept });
          }
        }
      });
    }
    return inTheWay;
  }

  endErasing() {
    this.#erasing = null;
  }
}

/**
 * A smooth line through points: curves from middle to middle.
 *
 * @param {Point[]} points
 */
export function curve(points) {
  if (points.length === 0) {
    return '';
  }
  const [first, ...rest] = points.map(([x, y]) => [Math.round(x * 4) / 4, Math.round(y * 4) / 4]);
  if (rest.length === 0) {
    return `M${first[0]} ${first[1]}h.01`; // A dot: round caps make it one.
  }
  const pieces = rest.slice(0, -1).map(([x, y], index) => {
    const [nextX, nextY] = rest[index + 1];
    return `Q${x} ${y} ${(x + nextX) / 2} ${(y + nextY) / 2}`;
  });
  const last = rest[rest.length - 1];
  return `M${first[0]} ${first[1]}${pieces.join('')}L${last[0]} ${last[1]}`;
}

/**
 * @param {Point[]} points
 * @param {Point} at
 * @param {number} reach
 */
function isNear(points, at, reach) {
  return points.some((to, index) => fromLine(at, points[Math.max(0, index - 1)], to) <= reach);
}

/**
 * @param {Point} at
 * @param {Point} from
 * @param {Point} to
 */
function fromLine(at, from, to) {
  const [dx, dy] = [to[0] - from[0], to[1] - from[1]];
  const length = dx * dx + dy * dy;
  const along = length === 0 ? 0 : ((at[0] - from[0]) * dx + (at[1] - from[1]) * dy) / length;
  const part = Math.min(1, Math.max(0, along));
  return distance(at, [from[0] + dx * part, from[1] + dy * part]);
}

/**
 * @param {Point} a
 * @param {Point} b
 */
function distance(a, b) {
  return Math.hypot(a[0] - b[0], a[1] - b[1]);
}

/** @param {number} ms */
function pause(ms) {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
