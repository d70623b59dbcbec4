/**
 * Between what a program uses and what the wire carries: payloads and attribute values.
 *
 * @module
 */

/** @typedef {import('./codec.js').WirePayload} WirePayload */
/** @typedef {import('./codec.js').WireValue} WireValue */
/** @typedef {import('./codec.js').WireAttributes} WireAttributes */

/** An attribute's value. Whole numbers travel as integers, other numbers as doubles. */
/** @typedef {null | boolean | number | string | Uint8Array} AttributeValue */
/** @typedef {Record<string, AttributeValue>} Attributes */

/**
 * A string is text, bytes are bytes, anything else is JSON.
 *
 * @param {unknown} payload
 * @returns {WirePayload}
 */
export function toPayload(payload) {
  if (typeof payload === 'string') {
    return { text: payload };
  }
  return payload instanceof Uint8Array || payload instanceof ArrayBuffer
    ? // A copy: it may wait for its acknowledgement while the caller fills the array anew.
      { bytes: new Uint8Array(payload).slice() }
    : { json: JSON.stringify(payload ?? null) };
}

/**
 * The payload as the program uses it, and its format. The binary wire does not check JSON; what
 * is not JSON after all is handed over as text, as JSON clients get it.
 *
 * @param {WirePayload} payload
 * @returns {{ format: 'bytes' | 'text' | 'json', payload: any }}
 */
export function fromPayload(payload) {
  const [[format, value]] = /** @type {['bytes' | 'text' | 'json', any][]} */ (Object.entries(payload));
  try {
    return { format, payload: format === 'json' ? JSON.parse(value) : value };
  } catch {
    return { format: 'text', payload: value };
  }
}

/**
 * @param {Attributes} attributes
 * @returns {WireAttributes}
 */
export function toAttributes(attributes) {
  return Object.entries(attributes).map(([name, value]) => [name, toValue(value)]);
}

/**
 * The attributes with changes applied; a null removes. By entries, for a name like `__proto__` is data here.
 *
 * @param {Attributes} attributes
 * @param {WireAttributes} changes
 * @returns {Attributes}
 */
export function changedAttributes(attributes, changes) {
  const values = new Map(Object.entries(attributes));
  for (const [name, value] of changes) {
    values.set(name, fromValue(value));
  }
  return Object.fromEntries([...values].filter(([, value]) => value !== null));
}

/**
 * @param {AttributeValue} value
 * @returns {WireValue}
 */
function toValue(value) {
  if (typeof value === 'number') {
    return Number.isSafeInteger(value) ? { int: value } : { float: value };
  }
  return value instanceof Uint8Array ? { bytes: value.slice() } : value;
}

/**
 * @param {WireValue} value
 * @returns {AttributeValue}
 */
function fromValue(value) {
  return Object(value) === value ? Object.values(/** @type {object} */ (value))[0] : /** @type {AttributeValue} */ (value);
}
