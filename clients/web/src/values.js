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
  if (payload instanceof Uint8Array) {
    // A copy: it may wait for its acknowledgement while the caller fills the array anew.
    return { bytes: payload.slice() };
  }
  if (payload instanceof ArrayBuffer) {
    return { bytes: new Uint8Array(payload.slice(0)) };
  }
  return { json: JSON.stringify(payload ?? null) };
}

/**
 * The payload as the program uses it, and its format. The binary wire does not check JSON; what
 * is not JSON after all is handed over as text, as JSON clients get it.
 *
 * @param {WirePayload} payload
 * @returns {{ format: 'bytes' | 'text' | 'json', payload: any }}
 */
export function fromPayload(payload) {
  if ('bytes' in payload) {
    return { format: 'bytes', payload: payload.bytes };
  }
  if ('text' in payload) {
    return { format: 'text', payload: payload.text };
  }
  try {
    return { format: 'json', payload: JSON.parse(payload.json) };
  } catch {
    return { format: 'text', payload: payload.json };
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
 * @param {WireAttributes} attributes
 * @returns {Attributes}
 */
export function fromAttributes(attributes) {
  return applyAttributes({}, attributes);
}

/**
 * Applies changes in place; a null removes.
 *
 * @param {Attributes} attributes
 * @param {WireAttributes} changes
 */
export function applyAttributes(attributes, changes) {
  for (const [name, value] of changes) {
    if (value === null) {
      delete attributes[name];
    } else {
      // Defined, not assigned: a name like `__proto__` is data here.
      Object.defineProperty(attributes, name, {
        value: fromValue(value),
        writable: true,
        enumerable: true,
        configurable: true,
      });
    }
  }
  return attributes;
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
  if (value === null || typeof value !== 'object') {
    return value;
  }
  if ('int' in value) {
    return value.int;
  }
  return 'float' in value ? value.float : value.bytes;
}
