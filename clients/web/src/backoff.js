/**
 * How long to wait before the next attempt to connect: full jitter under an exponential ceiling,
 * so that the clients of a server that went away do not come back in step.
 *
 * @module
 */

const CEILING_FIRST_MS = 500;
const CEILING_MAX_MS = 20_000;

/**
 * @param {number} attempt how many there were before
 * @param {() => number} [random] uniform in [0, 1)
 * @returns {number} milliseconds
 */
export const backoffMs = (attempt, random = Math.random) => random() * Math.min(CEILING_MAX_MS, CEILING_FIRST_MS * 2 ** attempt);
