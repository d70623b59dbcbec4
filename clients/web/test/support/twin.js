/**
 * Between this client's messages and the JSON twin of the golden vectors: byte strings become
 * base64, a JSON payload becomes its value.
 *
 * @module
 */

/**
 * @param {any} value
 * @returns {any}
 */
export function toTwin(value) {
  if (value instanceof Uint8Array) {
    return Buffer.from(value).toString('base64');
  }
  if (Array.isArray(value)) {
    return value.map(toTwin);
  }
  if (value === null || typeof value !== 'object') {
    return value;
  }
  const twin = /** @type {Record<string, any>} */ ({});
  for (const [name, inner] of Object.entries(value)) {
    twin[name] = name === 'payload' ? payload(inner) : toTwin(inner);
  }
  return twin;
}

/** @param {string} digits */
export function fromHex(digits) {
  return new Uint8Array(Buffer.from(digits, 'hex'));
}

/** @param {Uint8Array} bytes */
export function toHex(bytes) {
  return Buffer.from(bytes).toString('hex');
}

/** @param {any} it */
function payload(it) {
  if (!('json' in it)) {
    return toTwin(it);
  }
  try {
    return { json: JSON.parse(it.json) };
  } catch {
    return { text: it.json };
  }
}
