/**
 * What a client loads when it is first needed is here already for who imports this, so that tests see things
 * happen in their turn.
 *
 * @module
 */

import '../../src/asking.js';
import '../../src/joins.js';
import '../../src/rules.js';
import '../../src/seldom.js';
