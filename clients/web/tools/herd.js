// Draws docs/herd.svg: a thousand clients of a server that dies and is back after five seconds. The test
// `herd` makes the same run and compares the picture.
//
// node tools/herd.js

import { writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { densest, simulate } from '../test/support/herd.js';

/** The run that is drawn. */
export const RUN = { clients: 1_000, seed: 6, outageMs: 5_000 };

const SLOT_MS = 100;
const SHOWN_MS = 20_000;
const [WIDTH, HEIGHT, LEFT, BOTTOM] = [860, 300, 46, 38];

/**
 * @param {{ tries: number[], back: number[] }} run
 * @returns {string} SVG
 */
export function draw({ tries, back }) {
  const slots = SHOWN_MS / SLOT_MS;
  const counts = (/** @type {number[]} */ times) => {
    const bars = new Array(slots).fill(0);
    times.filter((ms) => ms < SHOWN_MS).forEach((ms) => (bars[Math.floor(ms / SLOT_MS)] += 1));
    return bars;
  };
  const [tried, came] = [counts(tries), counts(back)];
  const most = Math.max(...tried);
  const top = Math.ceil(most / 50) * 50;
  const x = (/** @type {number} */ ms) => LEFT + (ms / SHOWN_MS) * (WIDTH - LEFT - 12);
  const y = (/** @type {number} */ count) => HEIGHT - BOTTOM - (count / top) * (HEIGHT - BOTTOM - 34);
  const bars = (/** @type {number[]} */ list, /** @type {string} */ colour) =>
    list
      .map((count, slot) => count && `<path fill="${colour}" d="M${x(slot * SLOT_MS).toFixed(1)} ${y(0).toFixed(1)}V${y(count).toFixed(1)}H${(x((slot + 1) * SLOT_MS) - 0.6).toFixed(1)}V${y(0).toFixed(1)}Z"/>`)
      .filter(Boolean)
      .join('\n');
  const lines = Array.from({ length: top / 50 + 1 }, (_, step) => step * 50)
    .map((count) => `<path stroke="#d9d9e3" d="M${LEFT} ${y(count).toFixed(1)}H${WIDTH - 12}"/><text x="${LEFT - 6}" y="${(y(count) + 4).toFixed(1)}" text-anchor="end">${count}</text>`)
    .join('\n');
  const seconds = Array.from({ length: SHOWN_MS / 2000 + 1 }, (_, step) => step * 2)
    .map((second) => `<text x="${x(second * 1000).toFixed(1)}" y="${HEIGHT - BOTTOM + 16}" text-anchor="middle">${second}</text>`)
    .join('');
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${HEIGHT}" font-family="sans-serif" font-size="11" fill="#444">
<rect width="${WIDTH}" height="${HEIGHT}" fill="#fff"/>
<rect x="${x(0).toFixed(1)}" y="30" width="${(x(RUN.outageMs) - x(0)).toFixed(1)}" height="${HEIGHT - BOTTOM - 30}" fill="#f6e7e4"/>
<text x="${LEFT}" y="20" font-size="13">${RUN.clients} clients lose their server for ${RUN.outageMs / 1000} s (seed ${RUN.seed}); per ${SLOT_MS} ms: <tspan fill="#c2574b">attempts</tspan>, <tspan fill="#2f7d5b">back</tspan>; never more than ${densest(back, SLOT_MS)} back at once</text>
${lines}
${bars(tried, '#dd9a90')}
${bars(came, '#2f7d5b')}
${seconds}<text x="${WIDTH - 12}" y="${HEIGHT - 6}" text-anchor="end">seconds since the server died</text>
</svg>
`;
}

/** Where the picture is. */
export const PICTURE = fileURLToPath(new URL('../../../docs/herd.svg', import.meta.url));

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  writeFileSync(PICTURE, draw(await simulate(RUN)));
}
