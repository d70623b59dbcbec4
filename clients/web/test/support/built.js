/**
 * `node --import` of this has tests use what is published, dist/, instead of the sources.
 *
 * @module
 */

import { register } from 'node:module';

register('./builthooks.js', import.meta.url);
