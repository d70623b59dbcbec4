// The whiteboard in real Chromium: two people draw and write on one sheet, one loses the connection
// and nothing of the sheet is lost.
//
// MADANG_BIN: the server to test. MADANG_CHROMIUM: the browser. MADANG_SCREENSHOT: where to put a
// picture of the courtyard; the board's goes beside it.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { DEADLINE_MS, eventually, startBrowser, visitor } from './browser.js';
import { startServer } from './server.js';

const SCREENSHOT = process.env.MADANG_SCREENSHOT?.replace(/[^/]*$/, 'board.png');

let server;
let browser;
/** Whatever a page complains about. */
const complaints = [];

before(async () => {
  server = await startServer();
  browser = await startBrowser();
});
after(async () => {
  await browser?.close();
  await server?.stop();
});

/** Somebody with a browser of their own. */
async function visit({ room, ...who }) {
  const page = await visitor(browser, who, complaints);
  await page.goto(new URL(`/board/?room=${room}`, server.demo).href);
  await page.locator('#pill[data-state="open"]').waitFor();
  await page.locator('#stage[data-ready]').waitFor();
  return page;
}

/** What the room has: its strokes, without drafts, and its notes, in no order but that of their ids. */
const sheetOf = (page) =>
  page.evaluate(() => ({
    strokes: [...document.querySelectorAll('#strokes path[data-id]')]
      .map((it) => [it.dataset.id, it.getAttribute('stroke'), it.getAttribute('d')].join(' '))
      .sort(),
    drafts: document.querySelectorAll('#strokes path.draft').length,
    notes: [...document.querySelectorAll('.note')]
      .map((it) => [it.dataset.id, it.style.left, it.style.top, it.style.getPropertyValue('--paper'), it.querySelector('textarea').value].join(' '))
      .sort(),
  }));

/** Waits until both pages have the same sheet, with nothing on its way. */
const alike = (one, other, count) =>
  eventually(
    async () => [await sheetOf(one), await sheetOf(other)],
    ([a, b]) => JSON.stringify(a) === JSON.stringify(b) && a.drafts === 0 && a.strokes.length === count.strokes && a.notes.length === count.notes,
    `both see ${JSON.stringify(count)}`,
  );

const tool = (page, name) => page.locator(`#bar [data-tool="${name}"]`).click();

async function draw(page, points, steps = 6) {
  await tool(page, 'pen');
  await page.mouse.move(...points[0]);
  await page.mouse.down();
  for (const point of points.slice(1)) {
    await page.mouse.move(...point, { steps });
  }
  await page.mouse.up();
}

async function putNote(page, at, words) {
  await tool(page, 'note');
  await page.mouse.click(...at);
  await page.locator('.note.chosen textarea').waitFor();
  await page.keyboard.type(words);
  await page.keyboard.press('Escape');
}

/** A note by what stands on it; what a text area holds is no attribute. */
async function findNote(page, words) {
  const id = await eventually(
    () => page.evaluate((words) => [...document.querySelectorAll('.note')].find((it) => it.querySelector('textarea').value === words)?.dataset.id ?? null, words),
    (id) => id !== null,
    `there is a note that says ${words}`,
  );
  return page.locator(`.note[data-id="${id}"]`);
}

const middleOf = async (locator) => {
  const box = await locator.boundingBox();
  return [box.x + box.width / 2, box.y + box.height / 2];
};

test('two people share a sheet and lose nothing of it', { timeout: 240_000 }, async (t) => {
  const crane = await visit({ room: 'meeting', name: 'Paper Crane', colour: '#ff9a5c' });
  const fox = await visit({ room: 'meeting', name: 'River Fox', colour: '#6fd6ad' });

  await t.test('a stroke grows on the other page while it is drawn', async () => {
    await tool(crane, 'pen');
    await crane.mouse.move(300, 300);
    await crane.mouse.down();
    await crane.mouse.move(420, 260, { steps: 10 });
    const drawn = () => fox.evaluate(() => document.querySelector('#strokes path[data-id]')?.getAttribute('d').length ?? 0);
    const half = await eventually(drawn, (length) => length > 20, 'the fox sees the beginning');
    await crane.mouse.move(520, 340, { steps: 20 });
    await eventually(drawn, (length) => length > half, 'and sees it grow');
    await crane.mouse.up();
    await alike(crane, fox, { strokes: 1, notes: 0 });
  });

  await t.test('both draw at once', async () => {
    await Promise.all([
      draw(crane, [[300, 420], [400, 460], [500, 400]]),
      draw(fox, [[600, 420], [700, 460], [800, 400]]),
    ]);
    await alike(crane, fox, { strokes: 3, notes: 0 });
  });

  await t.test('a long stroke is more than one entity, and undo takes all of it back', async () => {
    const around = Array.from({ length: 60 }, (_, index) => [640 + 150 * Math.cos(index / 5), 380 + (index * 2) + 60 * Math.sin(index / 5)]);
    await draw(fox, around, 5);
    const [sheet] = await eventually(
      async () => [await sheetOf(crane), await sheetOf(fox)],
      ([a, b]) => b.drafts === 0 && JSON.stringify(a) === JSON.stringify(b) && a.strokes.length > 4,
      'it takes several entities',
    );
    assert.ok(sheet.strokes.length > 4);
    await fox.keyboard.press('Control+z');
    await alike(crane, fox, { strokes: 3, notes: 0 });
  });

  await t.test('a note is written, and only its owner moves it', async () => {
    await putNote(crane, [900, 250], 'plant the pine');
    await alike(crane, fox, { strokes: 3, notes: 1 });
    const mine = await findNote(crane, 'plant the pine');
    assert.equal(await mine.locator('.owner').textContent(), 'mine');
    const theirs = await findNote(fox, 'plant the pine');
    assert.equal(await theirs.locator('.owner').textContent(), 'Paper Crane');
    const before = await sheetOf(fox);
    await tool(fox, 'hand');
    const [x, y] = await middleOf(theirs);
    await fox.mouse.move(x, y);
    await fox.mouse.down();
    await fox.mouse.move(x - 80, y + 40, { steps: 4 });
    await fox.mouse.up();
    await fox.locator('#toast.shown', { hasText: "Paper Crane's" }).waitFor();
    assert.deepEqual(await sheetOf(fox), before);

    await mine.waitFor();
    const [mx, my] = await middleOf(mine);
    await crane.mouse.move(mx, my);
    await crane.mouse.down();
    await crane.mouse.move(mx - 120, my + 90, { steps: 10 });
    await crane.mouse.up();
    await eventually(async () => (await sheetOf(fox)).notes[0], (note) => note !== before.notes[0], 'the fox sees it move');
    await alike(crane, fox, { strokes: 3, notes: 1 });
    await crane.keyboard.press('Control+z');
    await eventually(async () => (await sheetOf(fox)).notes[0], (note) => note === before.notes[0], 'undo puts it back');
  });

  await t.test('a note that is given to anyone is edited by anyone', async () => {
    const mine = await findNote(crane, 'plant the pine');
    await mine.locator('.lock').click();
    const theirs = await findNote(fox, 'plant the pine');
    await eventually(() => theirs.locator('.owner').textContent(), (owner) => owner === 'anyone', 'it is anyone\'s');
    await tool(fox, 'hand');
    await theirs.click();
    await fox.keyboard.type(' today');
    await fox.keyboard.press('Escape');
    await findNote(crane, 'plant the pine today');
    await alike(crane, fox, { strokes: 3, notes: 1 });
  });

  await t.test('the eraser takes one\'s own strokes and leaves the others\'', async () => {
    await tool(fox, 'eraser');
    await fox.mouse.move(400, 380);
    await fox.mouse.down();
    await fox.mouse.move(400, 520, { steps: 12 });
    await fox.mouse.up();
    await fox.locator('#toast.shown', { hasText: 'line is Paper Crane' }).waitFor();
    await fox.mouse.move(700, 380);
    await fox.mouse.down();
    await fox.mouse.move(700, 520, { steps: 12 });
    await fox.mouse.up();
    await alike(crane, fox, { strokes: 2, notes: 1 });
    await fox.keyboard.press('Control+z');
    await alike(crane, fox, { strokes: 3, notes: 1 });
  });

  await t.test('anybody may change the title', async () => {
    await crane.fill('#title', 'The garden');
    await crane.press('#title', 'Enter');
    await eventually(() => fox.inputValue('#title'), (title) => title === 'The garden', 'the fox reads it');
  });

  await t.test('a pointer moves on the other page', async () => {
    await crane.mouse.move(200, 300);
    await crane.mouse.move(400, 500, { steps: 8 });
    const at = () => fox.evaluate(() => {
      const box = [...document.querySelectorAll('.cursor:not(.gone)')].find((it) => it.textContent === 'Paper Crane')?.getBoundingClientRect();
      return box ? [box.left, box.top] : null;
    });
    await eventually(at, (at) => at !== null && Math.hypot(at[0] - 400, at[1] - 500) < 4, 'the crane points at 400, 500');
  });

  await t.test('what is drawn and missed during a dropped connection is there afterwards', async () => {
    await fox.click('#drop');
    await fox.locator('#pill[data-state="reconnecting"]').waitFor();
    await crane.locator('#members li.away', { hasText: 'River Fox' }).waitFor();
    await draw(crane, [[300, 560], [420, 600], [520, 560]]);
    await draw(fox, [[600, 560], [720, 600], [820, 560]]);
    await putNote(crane, [300, 690], 'while you were away');
    assert.equal((await sheetOf(fox)).drafts > 0, true, 'the fox sees its own stroke at once');
    await fox.locator('#pill[data-state="open"]').waitFor();
    await alike(crane, fox, { strokes: 5, notes: 2 });
  });

  await t.test('a reload finds everything, and what is one\'s own', async () => {
    await crane.reload();
    await crane.locator('#stage[data-ready]').waitFor();
    await alike(crane, fox, { strokes: 5, notes: 2 });
    const mine = await findNote(crane, 'while you were away');
    assert.equal(await mine.locator('.owner').textContent(), 'mine');
    await tool(crane, 'hand');
    await mine.click();
    await mine.locator('.delete').click();
    await alike(crane, fox, { strokes: 5, notes: 1 });
    await crane.evaluate(() => document.activeElement?.blur());
    await crane.keyboard.press('Control+z');
    await alike(crane, fox, { strokes: 5, notes: 2 });
  });

  assert.deepEqual(complaints, []);
});

test('on a phone a finger draws, two move the sheet, and everything fits', { timeout: 90_000 }, async () => {
  const size = { width: 360, height: 740 };
  const phone = await visit({ room: 'phone', name: 'Lotus Turtle', colour: '#f09abb', viewport: size, touch: true });
  const crane = await visit({ room: 'phone', name: 'Paper Crane', colour: '#ff9a5c' });
  const touch = await phone.context().newCDPSession(phone);
  const finger = (type, ...points) => touch.send('Input.dispatchTouchEvent', { type, touchPoints: points.map(([x, y], id) => ({ x, y, id })) });

  await finger('touchStart', [80, 300]);
  for (let step = 1; step <= 12; step += 1) {
    await finger('touchMove', [80 + step * 14, 300 + Math.sin(step / 2) * 40]);
  }
  await finger('touchEnd');
  await alike(phone, crane, { strokes: 1, notes: 0 });

  const place = () => phone.evaluate(() => document.getElementById('world').style.transform);
  const before = await place();
  await finger('touchStart', [140, 320]);
  await finger('touchStart', [140, 320], [220, 320]);
  await finger('touchMove', [100, 340], [260, 340]);
  await finger('touchEnd');
  assert.notEqual(await place(), before, 'two fingers zoom');
  await alike(phone, crane, { strokes: 1, notes: 0 });

  await phone.locator('#bar [data-tool="note"]').tap();
  await phone.touchscreen.tap(180, 420);
  await phone.locator('.note.chosen textarea').waitFor();
  await phone.keyboard.type('from a phone');
  await phone.keyboard.press('Escape');
  await findNote(crane, 'from a phone');
  await alike(phone, crane, { strokes: 1, notes: 1 });

  const width = await phone.evaluate(() => [document.documentElement.scrollWidth, document.documentElement.clientWidth]);
  assert.equal(width[0], width[1], 'nothing scrolls sideways');
  for (const id of ['pill', 'title', 'bar', 'drop', 'share', 'members', 'undo']) {
    const box = await phone.locator(`#${id}`).boundingBox();
    assert.ok(box.x >= 0 && box.x + box.width <= size.width && box.y >= 0 && box.y + box.height <= size.height, `${id} is on the screen: ${JSON.stringify(box)}`);
  }
  if (SCREENSHOT) {
    await phone.screenshot({ path: SCREENSHOT.replace(/\.png$/, '-phone.png') });
  }
  assert.deepEqual(complaints, []);
});

test('a room whose first member brought another schema is no board, and is said to be none', { timeout: 90_000 }, async () => {
  const fox = await visit({ room: 'fine', name: 'River Fox', colour: '#6fd6ad' });
  await fox.evaluate(async () => {
    const { Client } = await import('/client/index.js');
    const { state } = await import('/client/state.js');
    const { SCHEMA } = await import('/board/schema.js');
    const { play_port: port } = await (await fetch('/demo.json')).json();
    // The names of a board's kinds, and nothing in them that a board could show.
    const kinds = SCHEMA.kinds.map(({ name }) => ({ name, fields: [{ name: '__proto__', type: { one: 'text' } }] }));
    const room = await new Client(`ws://${location.hostname}:${port}/play`, { state }).joinOrCreate('board.odd', { schema: { kinds } });
    await room.state.edit([room.state.create('note'), room.state.create('stroke')]);
  });
  const page = await (await browser.newContext()).newPage();
  const errors = [];
  page.on('pageerror', (error) => errors.push(String(error)));
  await page.goto(new URL('/board/?room=odd', server.demo).href);
  await page.locator('#toast.shown', { hasText: 'This room is no board.' }).waitFor({ timeout: DEADLINE_MS });
  assert.deepEqual(errors, []);
});

test('a picture of the board', { skip: !SCREENSHOT && 'MADANG_SCREENSHOT names no file', timeout: 90_000 }, async () => {
  const people = [
    ['Paper Crane', '#ff9a5c', [655, 560]],
    ['River Fox', '#6fd6ad', [1010, 520]],
    ['Moon Rabbit', '#9fb8ff', [470, 330]],
    ['Ginkgo Drum', '#f4cf6b', [830, 236]],
  ];
  const pages = [];
  for (const [name, colour] of people) {
    pages.push(await visit({ room: 'board', name, colour }));
  }
  const [crane, fox, rabbit, drum] = pages;
  const ink = (page, colour) => page.locator(`#colours [aria-label="Ink ${colour}"]`).click();
  const strokes = async (page, colour, lines) => {
    await tool(page, 'pen');
    await ink(page, colour);
    for (const line of lines) {
      await draw(page, line, line.length > 9 ? 1 : 8);
    }
  };
  const arc = (x, y, rx, ry, from, to) =>
    Array.from({ length: 33 }, (_, index) => {
      const turn = from + ((to - from) * index) / 32;
      return [x + rx * Math.cos(turn), y + ry * Math.sin(turn)];
    });
  const { PI } = Math;
  await crane.fill('#title', 'The lantern festival');
  await crane.press('#title', 'Enter');
  // A house with a roof, a yard with stones, lanterns on a line.
  await strokes(crane, 1, [
    [[452, 372], [500, 366], [560, 322], [596, 304], [720, 304], [756, 322], [816, 366], [864, 372]],
    [[452, 372], [560, 388], [760, 388], [864, 372]],
    [[500, 384], [500, 470], [816, 470], [816, 384]],
    [[578, 388], [578, 470]],
    [[738, 388], [738, 470]],
  ]);
  await strokes(rabbit, 6, [arc(300, 200, 44, 44, 0.3 * PI, 1.72 * PI), arc(322, 201, 36, 40, 0.44 * PI, 1.56 * PI), [[396, 150], [396, 166]], [[388, 158], [404, 158]], [[214, 246], [214, 258]], [[208, 252], [220, 252]]]);
  await strokes(drum, 2, [
    [[420, 230], [540, 268], [660, 276], [780, 266], [900, 226]],
    arc(540, 292, 13, 18, 0, 2 * PI),
    arc(660, 300, 13, 18, 0, 2 * PI),
    arc(780, 290, 13, 18, 0, 2 * PI),
  ]);
  await strokes(fox, 3, [arc(658, 596, 150, 44, 0, 2 * PI), arc(658, 524, 26, 8, 0, 2 * PI), arc(640, 552, 30, 9, 0, 2 * PI)]);
  await strokes(fox, 4, [[[880, 566], [850, 590], [820, 596]], [[836, 582], [818, 597], [838, 608]]]);
  const notes = [
    [rabbit, [330, 420], 2, 'Lanterns up before the moon is'],
    [crane, [1000, 330], 1, 'Roof tiles: mended'],
    [drum, [1010, 190], 4, 'Who brings the drum? I do'],
    [fox, [960, 610], 3, 'Dance here, all around'],
  ];
  for (const [page, at, paper, words] of notes) {
    await tool(page, 'note');
    await page.locator(`#colours [aria-label="Paper ${paper}"]`).click();
    await putNote(page, at, words);
  }
  await (await findNote(crane, 'Roof tiles: mended')).locator('.lock').click();
  await tool(crane, 'pen');
  for (const [index, page] of pages.entries()) {
    const [x, y] = people[index][2];
    await page.mouse.move(x - 40, y - 30);
    await page.mouse.move(x, y, { steps: 6 });
  }
  for (const page of pages.slice(1)) {
    await alike(crane, page, { strokes: 20, notes: 4 });
  }
  await eventually(() => crane.locator('.cursor:not(.gone)').count(), (count) => count === 3, 'all point somewhere');
  await eventually(
    () => crane.evaluate(() => !document.getElementById('toast').classList.contains('shown') && document.getAnimations().length === 0),
    (isStill) => isStill,
    'nothing moves any more',
  );
  await crane.screenshot({ path: SCREENSHOT });
});
