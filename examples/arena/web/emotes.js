// The eight emotes: what they are called, and how they are drawn, on the canvas and on buttons alike.
// @ts-check

/** @typedef {[kind: 'fill' | 'line', color: string, path: string, width?: number]} Layer */

/** Number 1 is the first. A picture spans 40 by 40. @type {{ name: string, layers: Layer[] }[]} */
export const EMOTES = [
  { name: 'laugh', layers: [['fill', '#f6cf6a', disc(20, 20, 15)], ['line', '#5a3115', 'M11 16q2.5-4 5 0M24 16q2.5-4 5 0', 2.6], ['fill', '#7c2f1f', 'M11 22h18q-1.5 9-9 9t-9-9Z'], ['fill', '#ff8a78', 'M15 28.5q5-3.5 10 0-2 2.500-5 2.500t-5-2.500Z']] },
  { name: 'heart', layers: [['fill', '#ff6f78', 'M20 34C4 23 5 9 13.500 8 17 7.600 19 10 20 12.500 21 10 23 7.600 26.500 8 35 9 36 23 20 34Z'], ['line', '#ffd0cf', 'M12 12.500q-3 2-2.500 6', 2.4]] },
  { name: 'drum', layers: [['fill', '#c9432f', 'M6 14v13q14 9 28 0V14z'], ['line', '#f2c46b', 'M6 15q3.500 12 7 14M34 15q-3.500 12-7 14M14 18q6 10 12 0', 1.8], ['fill', '#fbe9c6', 'M6 14a14 6.500 0 1 0 28 0a14 6.500 0 1 0-28 0Z'], ['fill', '#2f7d9a', disc(20, 14, 3)]] },
  { name: 'blossom', layers: [['fill', '#ffb3cd', disc(20, 11, 7) + disc(28.6, 17.2, 7) + disc(25.3, 27.3, 7) + disc(14.7, 27.3, 7) + disc(11.4, 17.2, 7)], ['fill', '#fff0d0', disc(20, 20, 5)], ['fill', '#e7903f', disc(20, 20, 2.6)]] },
  { name: 'star', layers: [['fill', '#ffe08a', 'M20 3q2 13 17 17-15 4-17 17-2-13-17-17Q18 16 20 3Z'], ['fill', '#fffbe9', disc(20, 20, 3.5)]] },
  { name: 'anger', layers: [['fill', '#e2543c', disc(20, 20, 15)], ['line', '#3a0f08', 'M10 13l7 4M30 13l-7 4', 3], ['fill', '#3a0f08', disc(14.5, 20, 2) + disc(25.5, 20, 2)], ['line', '#3a0f08', 'M13 29q7-6 14 0', 2.8]] },
  { name: 'tears', layers: [['fill', '#8fb4e8', disc(20, 20, 15)], ['line', '#1d3358', 'M11 17q2.500 3 5 0M24 17q2.500 3 5 0', 2.6], ['line', '#1d3358', 'M14 29q6-5 12 0', 2.6], ['fill', '#e9f4ff', 'M12 20q-4 8 0 9t0-9ZM28 20q-4 8 0 9t0-9Z']] },
  { name: 'lantern', layers: [['fill', '#ffb65c', 'M12 13q8-5 16 0v14q-8 5-16 0z'], ['line', '#d9772f', 'M17 11v18M23 11v18', 1.4], ['line', '#7c3a1c', 'M14 11h12M14 29h12', 3], ['line', '#e05a3c', 'M20 4v5M20 31v5', 2.4]] },
];

/**
 * Draws one in a square with its middle at 0, 0 and sides of 40.
 * @param {CanvasRenderingContext2D} context
 * @param {number} number from 1
 */
export function drawEmote(context, number) {
  const emote = EMOTES[number - 1];
  if (emote === undefined) return;
  context.save();
  context.translate(-20, -20);
  context.lineCap = context.lineJoin = 'round';
  for (const [kind, color, path, width] of emote.layers) {
    if (kind === 'fill') {
      context.fillStyle = color;
      context.fill(new Path2D(path));
    } else {
      context.strokeStyle = color;
      context.lineWidth = width ?? 2;
      context.stroke(new Path2D(path));
    }
  }
  context.restore();
}

/**
 * One as a picture for a button.
 * @param {number} number from 1
 * @returns {SVGSVGElement}
 */
export function emotePicture(number) {
  const picture = document.createElementNS('http://www.w3.org/2000/svg', 'svg');
  picture.setAttribute('viewBox', '0 0 40 40');
  picture.setAttribute('aria-hidden', 'true');
  for (const [kind, color, path, width] of EMOTES[number - 1].layers) {
    const it = document.createElementNS('http://www.w3.org/2000/svg', 'path');
    it.setAttribute('d', path);
    it.setAttribute('fill', kind === 'fill' ? color : 'none');
    if (kind === 'line') {
      it.setAttribute('stroke', color);
      it.setAttribute('stroke-width', String(width));
      it.setAttribute('stroke-linecap', 'round');
    }
    picture.append(it);
  }
  return picture;
}

/**
 * @param {number} x
 * @param {number} y
 * @param {number} r
 */
function disc(x, y, r) {
  return `M${x - r} ${y}a${r} ${r} 0 1 0 ${r * 2} 0a${r} ${r} 0 1 0 ${-r * 2} 0Z`;
}
