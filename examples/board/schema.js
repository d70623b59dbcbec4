// What a board is made of. The page that opens the room brings it; the server needs nothing else.

/** The sheet, in its own units: about as many as a large screen has pixels. */
export const SHEET = { width: 2400, height: 1600 };

/** A quarter of a unit: a point costs four bytes. */
const STEP = 0.25;
const POINT = { vec2: { quantised: { min: 0, step: STEP, steps: SHEET.width / STEP } } };

/**
 * `owner` is the room's: it holds the id of the member that an entity belongs to, 0 for nobody.
 *
 * @type {import('/client/state.js').Schema}
 */
export const SCHEMA = {
  kinds: [
    { name: 'room', fields: [{ name: 'title', type: { one: 'text' } }] },
    {
      name: 'stroke',
      fields: [
        { name: 'points', type: { list: POINT } },
        { name: 'colour', type: { one: 'uint' } },
        { name: 'width', type: { one: 'uint' } },
        { name: 'owner', type: { one: 'uint' } },
      ],
    },
    {
      name: 'note',
      fields: [
        { name: 'at', type: { one: POINT } },
        { name: 'text', type: { one: 'text' } },
        { name: 'colour', type: { one: 'uint' } },
        { name: 'owner', type: { one: 'uint' } },
      ],
    },
  ],
};

/**
 * Whether a room's schema is that of a board: whoever was there first may have brought another.
 *
 * @param {import('/client/state.js').Schema} schema
 */
export function isBoard(schema) {
  const shape = (/** @type {import('/client/state.js').Schema} */ { kinds }) =>
    JSON.stringify(kinds.map(({ name, fields }) => [name, fields.map((field) => [field.name, field.type])]));
  return shape(schema) === shape(SCHEMA);
}

export const INKS = ['#2b2119', '#d4512c', '#1d8a69', '#3355a4', '#943a72', '#c98a17'];
export const PAPERS = ['#ffe08a', '#ffc09a', '#bfe9cd', '#bcd8f8', '#f4c7dd', '#fffaf0'];
export const NOTE = { width: 280, height: 220, textMax: 400 };
export const PEN_WIDTH = 6;
