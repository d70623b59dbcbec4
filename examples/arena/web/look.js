// What things look like: colours, the slant of the view, and pictures that are painted once and reused.
// @ts-check

/** The courtyard is seen from above and from the south: what lies on the ground is so much shorter. */
export const TILT = 0.8;

/** The dancers' coats, by the number of their colour. */
export const COLORS = [
  '#e4572e', '#2fa39a', '#f2b134', '#5b7fd9', '#d9598c', '#7fb651',
  '#9a6bd1', '#f08a4b', '#4fb3d9', '#c94f4f', '#b9a14c', '#e8e0cf',
];

/** @param {number} number */
export const colorOf = (number) => COLORS[number % COLORS.length] ?? COLORS[0];

/** @type {Map<string, HTMLCanvasElement>} */
const sprites = new Map();

/**
 * A picture that is painted once. It spans -1 to 1 both ways.
 * @param {string} key
 * @param {number} size in pixels
 * @param {(context: CanvasRenderingContext2D) => void} paint
 */
export function sprite(key, size, paint) {
  let found = sprites.get(key);
  if (found === undefined) {
    found = document.createElement('canvas');
    found.width = found.height = size;
    const context = /** @type {CanvasRenderingContext2D} */ (found.getContext('2d'));
    context.setTransform(size / 2, 0, 0, size / 2, size / 2, size / 2);
    paint(context);
    sprites.set(key, found);
  }
  return found;
}

/**
 * A light, to be added to what is there.
 * @param {string} color as `r, g, b`
 */
export function glow(color) {
  return sprite(`glow ${color}`, 128, (context) => {
    const light = context.createRadialGradient(0, 0, 0, 0, 0, 1);
    for (const [stop, strength] of [[0, 0.85], [0.12, 0.5], [0.3, 0.22], [0.6, 0.06], [1, 0]]) {
      light.addColorStop(stop, `rgba(${color}, ${strength})`);
    }
    context.fillStyle = light;
    context.fillRect(-1, -1, 2, 2);
  });
}

/** A paper lantern: 1 is half of its height. */
export const lanternSprite = () =>
  sprite('lantern', 96, (context) => {
    const paper = context.createLinearGradient(-0.6, 0, 0.6, 0);
    paper.addColorStop(0, '#e07a2f');
    paper.addColorStop(0.5, '#fff0bf');
    paper.addColorStop(1, '#e07a2f');
    context.fillStyle = paper;
    context.beginPath();
    context.moveTo(-0.34, -0.5);
    context.bezierCurveTo(-0.72, -0.25, -0.72, 0.3, -0.34, 0.55);
    context.lineTo(0.34, 0.55);
    context.bezierCurveTo(0.72, 0.3, 0.72, -0.25, 0.34, -0.5);
    context.fill();
    context.strokeStyle = 'rgba(160, 70, 20, .5)';
    context.lineWidth = 0.05;
    for (const x of [-0.3, 0, 0.3]) {
      context.beginPath();
      context.moveTo(x * 0.7, -0.5);
      context.quadraticCurveTo(x * 1.5, 0, x * 0.7, 0.55);
      context.stroke();
    }
    context.strokeStyle = '#5b2413';
    context.lineWidth = 0.14;
    context.lineCap = 'round';
    for (const y of [-0.52, 0.56]) {
      context.beginPath();
      context.moveTo(-0.34, y);
      context.lineTo(0.34, y);
      context.stroke();
    }
    context.strokeStyle = '#c8452f';
    context.lineWidth = 0.1;
    context.beginPath();
    context.moveTo(0, 0.62);
    context.lineTo(0, 0.95);
    context.moveTo(0, -0.58);
    context.lineTo(0, -0.92);
    context.stroke();
  });

/**
 * A mask, of six kinds, each after one of the old dances.
 * @param {number} kind
 */
export const maskSprite = (kind) => sprite(`mask ${kind}`, 128, (context) => MASKS[kind](context));

/** How many there are. */
export const MASK_KINDS = 6;

/** @type {((context: CanvasRenderingContext2D) => void)[]} */
const MASKS = [
  // The nobleman: brown wood, eyes that laugh, a wide mouth.
  (c) => {
    face(c, '#c87a45', '#8a4522', 0.98);
    line(c, '#3a1a0c', 0.09, 'M-.62-.3Q-.38-.52-.14-.3M.62-.3Q.38-.52.14-.3');
    line(c, '#5d2c14', 0.06, 'M-.66-.52Q-.36-.74-.1-.52M.66-.52Q.36-.74.1-.52M-.2-.72Q0-.64.2-.72');
    shape(c, '#a35a2e', 'M-.1-.3L-.2.14Q0 .28.2.14L.1-.3Z');
    shape(c, '#4a140c', 'M-.48.34Q0 .52.48.34Q.34.8 0 .82Q-.34.8-.48.34Z');
    shape(c, '#f6e3c4', 'M-.36.42Q0 .54.36.42L.3.52Q0 .62-.3.52Z');
    dot(c, '#d2643f', -0.58, 0.1, 0.13);
    dot(c, '#d2643f', 0.58, 0.1, 0.13);
  },
  // The bride: pale, three red dots, a small mouth.
  (c) => {
    face(c, '#f7e4c8', '#c9a582', 0.98);
    shape(c, '#1d1413', 'M-.86-.2Q-.8-1 0-1Q.8-1 .86-.2Q.6-.7 0-.74Q-.6-.7-.86-.2Z');
    line(c, '#2a1610', 0.08, 'M-.56-.14Q-.38-.02-.18-.14M.56-.14Q.38-.02.18-.14');
    line(c, '#5a3a2a', 0.05, 'M-.58-.38Q-.38-.5-.16-.4M.58-.38Q.38-.5.16-.4');
    line(c, '#b9906c', 0.06, 'M.02-.2Q.1.14-.06.2');
    shape(c, '#c8322b', 'M-.2.46Q-.08.38 0 .44Q.08.38.2.46Q0 .64-.2.46Z');
    for (const [x, y] of [[-0.52, 0.2], [0.52, 0.2], [0, -0.52]]) dot(c, '#d8423a', x, y, 0.12);
  },
  // The servant: crooked mouth, round eyes, bared teeth.
  (c) => {
    face(c, '#a3482c', '#5e2014', 0.95);
    for (const x of [-0.34, 0.34]) {
      dot(c, '#f6e3c4', x, -0.16, 0.2);
      dot(c, '#1d0c08', x + 0.03, -0.14, 0.1);
    }
    line(c, '#2c0f08', 0.11, 'M-.62-.5L-.16-.38M.62-.44L.16-.42');
    shape(c, '#7c3220', 'M-.08-.1L-.24.2H.22L.08-.1Z');
    shape(c, '#2c0a06', 'M-.5.36L.5.5Q.3.8-.1.76Q-.44.68-.5.36Z');
    shape(c, '#f6e3c4', 'M-.42.4L.42.52L.36.6L-.38.5Z');
  },
  // The groom of the horses: red, with golden bumps.
  (c) => {
    face(c, '#d63c2a', '#7f1712', 1);
    for (const [x, y, r] of [[0, -0.62, 0.17], [-0.42, -0.6, 0.12], [0.42, -0.6, 0.12], [-0.62, 0.18, 0.13], [0.62, 0.18, 0.13], [0, 0.84, 0.1]]) {
      dot(c, '#7f1712', x, y + 0.03, r + 0.03);
      dot(c, '#f4c45a', x, y, r);
    }
    for (const x of [-0.34, 0.34]) {
      dot(c, '#fff6e0', x, -0.18, 0.2);
      dot(c, '#160a08', x, -0.15, 0.1);
    }
    shape(c, '#a8241a', 'M-.1-.12Q-.3.24 0 .26Q.3.24.1-.12Z');
    shape(c, '#fff6e0', 'M-.42.44Q0 .36.42.44Q.3.68 0 .68Q-.3.68-.42.44Z');
    line(c, '#3a0a08', 0.05, 'M-.42.44Q0 .36.42.44Q.3.68 0 .68Q-.3.68-.42.44ZM-.2.41V.64M0 .39V.68M.2.41V.64');
  },
  // The lion: gold, all mane.
  (c) => {
    for (let turn = 0; turn < 14; turn += 1) {
      const angle = (turn / 14) * Math.PI * 2;
      dot(c, turn % 2 ? '#f7efe0' : '#d9cdb8', Math.cos(angle) * 0.74, Math.sin(angle) * 0.74, 0.25);
    }
    dot(c, '#e9a52f', 0, 0.02, 0.7);
    dot(c, '#f3bd4b', 0, -0.08, 0.58);
    for (const x of [-0.3, 0.3]) {
      dot(c, '#fff6e0', x, -0.16, 0.2);
      dot(c, '#1d0c08', x, -0.12, 0.11);
    }
    line(c, '#8e3b16', 0.09, 'M-.54-.44Q-.3-.58-.1-.4M.54-.44Q.3-.58.1-.4');
    shape(c, '#c9432f', 'M-.18.08Q0-.02.18.08Q.12.24 0 .26Q-.12.24-.18.08Z');
    line(c, '#6a2412', 0.08, 'M-.4.36Q-.18.52 0 .3Q.18.52.4.36');
    dot(c, '#c9432f', 0, 0.52, 0.1);
  },
  // The old monk: dark, with white spots.
  (c) => {
    face(c, '#3d3540', '#1a151d', 0.98);
    for (const [x, y] of [[-0.5, 0.2], [-0.34, 0.36], [0.5, 0.2], [0.34, 0.36], [-0.2, -0.66], [0.2, -0.66], [0, -0.76], [-0.62, -0.02], [0.62, -0.02]]) {
      dot(c, '#e9dfd0', x, y, 0.065);
    }
    line(c, '#e9dfd0', 0.1, 'M-.6-.34Q-.36-.52-.12-.36M.6-.34Q.36-.52.12-.36');
    for (const x of [-0.34, 0.34]) {
      shape(c, '#f4c45a', `M${x - 0.2}-.14Q${x}-.3 ${x + 0.2}-.14Q${x} .02 ${x - 0.2}-.14Z`);
      dot(c, '#0c090d', x, -0.14, 0.075);
    }
    shape(c, '#2a232c', 'M-.08-.2L-.18.16Q0 .26.18.16L.08-.2Z');
    shape(c, '#c8322b', 'M-.32.52Q0 .4.32.52Q0 .74-.32.52Z');
  },
];

/**
 * @param {CanvasRenderingContext2D} c
 * @param {string} light
 * @param {string} dark
 * @param {number} long
 */
function face(c, light, dark, long) {
  const fill = c.createRadialGradient(-0.2, -0.3, 0.1, 0, 0, 1.1);
  fill.addColorStop(0, light);
  fill.addColorStop(0.65, light);
  fill.addColorStop(1, dark);
  c.fillStyle = fill;
  c.beginPath();
  c.moveTo(0, -0.98);
  c.bezierCurveTo(0.75, -0.98, 0.95, -0.3, 0.78, 0.25);
  c.bezierCurveTo(0.64, 0.75, 0.32, long, 0, long);
  c.bezierCurveTo(-0.32, long, -0.64, 0.75, -0.78, 0.25);
  c.bezierCurveTo(-0.95, -0.3, -0.75, -0.98, 0, -0.98);
  c.fill();
}

/**
 * @param {CanvasRenderingContext2D} c
 * @param {string} color
 * @param {string} path
 */
function shape(c, color, path) {
  c.fillStyle = color;
  c.fill(new Path2D(path));
}

/**
 * @param {CanvasRenderingContext2D} c
 * @param {string} color
 * @param {number} width
 * @param {string} path
 */
function line(c, color, width, path) {
  c.strokeStyle = color;
  c.lineWidth = width;
  c.lineCap = c.lineJoin = 'round';
  c.stroke(new Path2D(path));
}

/**
 * @param {CanvasRenderingContext2D} c
 * @param {string} color
 * @param {number} x
 * @param {number} y
 * @param {number} radius
 */
function dot(c, color, x, y, radius) {
  c.fillStyle = color;
  c.beginPath();
  c.arc(x, y, radius, 0, Math.PI * 2);
  c.fill();
}

/**
 * A colour nearer to black (below 0) or to white (above).
 * @param {string} hex
 * @param {number} by -1 to 1
 */
export function shade(hex, by) {
  const target = by < 0 ? 0 : 255;
  const part = Math.abs(by);
  const channel = (/** @type {number} */ at) => {
    const value = parseInt(hex.slice(at, at + 2), 16);
    return Math.round(value + (target - value) * part);
  };
  return `rgb(${channel(1)}, ${channel(3)}, ${channel(5)})`;
}
