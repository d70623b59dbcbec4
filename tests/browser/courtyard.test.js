// The demo page in real Chromium: two people meet, one loses the connection and misses nothing.
//
// MADANG_BIN: the server to test. MADANG_CHROMIUM: the browser. MADANG_SCREENSHOT: where to put a
// picture of the demo, if anywhere.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { eventually, startBrowser, visitor } from './browser.js';
import { startServer } from './server.js';

const SCREENSHOT = process.env.MADANG_SCREENSHOT;

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
  await page.goto(`${server.demo}?room=${room}`);
  await page.locator('#pill[data-state="open"]').waitFor();
  await page.locator('#members li.me').waitFor();
  return page;
}

const say = async (page, text) => {
  await page.fill('#say', text);
  await page.press('#say', 'Enter');
};
const line = (page, text) => page.locator('#log .text', { hasText: new RegExp(`^${text}$`) });
const texts = (page) => page.locator('#log .text').allTextContents();
const member = (page, name) => page.locator('#members li', { hasText: name });

/** Where somebody's light is on the page, in pixels. */
const cursorAt = (page, name) =>
  page.evaluate((name) => {
    const found = [...document.querySelectorAll('.cursor:not(.mine):not(.gone)')].find((it) => it.textContent === name);
    const box = found?.getBoundingClientRect();
    return box ? { x: box.left, y: box.top } : null;
  }, name);

test('two people see each other, talk, and lose nothing with a connection', { timeout: 180_000 }, async (t) => {
  const crane = await visit({ room: 'meeting', name: 'Paper Crane', colour: '#ff9a5c' });
  const fox = await visit({ room: 'meeting', name: 'River Fox', colour: '#6fd6ad' });

  await t.test('both are listed', async () => {
    await member(crane, 'River Fox').waitFor();
    await member(fox, 'Paper Crane').waitFor();
    assert.equal(await crane.locator('#count').textContent(), '2');
  });

  await t.test('a light moves on the other page', async () => {
    await crane.mouse.move(200, 300);
    await crane.mouse.move(400, 500, { steps: 12 });
    const near = (at) => at !== null && Math.abs(at.x - 400) < 3 && Math.abs(at.y - 500) < 3;
    await eventually(() => cursorAt(fox, 'Paper Crane'), near, 'the light of the crane is at 400, 500');
    await crane.mouse.move(600, 420, { steps: 4 });
    const there = (at) => at !== null && Math.abs(at.x - 600) < 3 && Math.abs(at.y - 420) < 3;
    await eventually(() => cursorAt(fox, 'Paper Crane'), there, 'and then at 600, 420');
    assert.equal(await cursorAt(crane, 'Paper Crane'), null, 'nobody sees a second light of their own');
  });

  await t.test('both talk, and a message is pending until it is acknowledged', async () => {
    await say(crane, 'hello fox');
    await line(fox, 'hello fox').waitFor();
    await say(fox, 'hello crane');
    await line(crane, 'hello crane').waitFor();
    await crane.locator('#log li.mine:not(.pending)').waitFor();
    assert.deepEqual(await texts(crane), ['hello fox', 'hello crane']);
    assert.deepEqual(await texts(fox), ['hello fox', 'hello crane']);
  });

  await t.test('a reaction rises on the other page, by key and by button', async () => {
    const bursts = () => fox.locator('.burst').count();
    await crane.locator('#stage').focus();
    await crane.keyboard.press('4');
    await eventually(bursts, (count) => count > 0, 'blossoms rise');
    await eventually(bursts, (count) => count === 0, 'and are gone');
    await crane.getByRole('button', { name: 'drum' }).click();
    await eventually(bursts, (count) => count > 0, 'drums rise');
  });

  await t.test('a new name reaches the others', async () => {
    await fox.fill('#my-name', 'Moon Fox');
    await fox.press('#my-name', 'Enter');
    await member(crane, 'Moon Fox').waitFor();
  });

  await t.test('a dropped connection is resumed, and each missed message comes once', async () => {
    await fox.click('#drop');
    await fox.locator('#pill[data-state="reconnecting"]').waitFor();
    await crane.locator('#members li.away', { hasText: 'Moon Fox' }).waitFor();
    const missed = Array.from({ length: 12 }, (_, index) => `missed ${index}`);
    for (const text of missed) {
      await say(crane, text);
    }
    await say(fox, 'said into the dark');
    assert.equal(await fox.locator('#log li.mine.pending').count(), 1);
    await fox.locator('#pill[data-state="open"]').waitFor();
    await line(fox, 'missed 11').waitFor();
    await line(crane, 'said into the dark').waitFor();
    await eventually(() => fox.locator('#log li.pending').count(), (count) => count === 0, 'nothing is pending');
    const heard = await texts(fox);
    assert.deepEqual(heard.filter((text) => text.startsWith('missed')), missed);
    assert.equal(heard.length, new Set(heard).size, 'nothing came twice');
    assert.deepEqual(await fox.locator('#log li.missed .text').allTextContents(), missed);
    assert.equal(await fox.locator('#log .note.back').count(), 1);
    await crane.locator('#members li:not(.away)', { hasText: 'Moon Fox' }).waitFor();
  });

  await t.test('an unplugged network is noticed and made good', async () => {
    await fox.context().setOffline(true);
    await fox.click('#drop');
    await say(crane, 'while unplugged');
    await fox.locator('#pill[data-state="reconnecting"]').waitFor();
    await fox.context().setOffline(false);
    await line(fox, 'while unplugged').waitFor();
    assert.equal((await texts(fox)).filter((text) => text === 'while unplugged').length, 1);
    // The browser itself complains about the network that was taken away, and may.
    complaints.splice(0, complaints.length, ...complaints.filter((text) => !text.includes('ERR_INTERNET_DISCONNECTED')));
  });

  await t.test('a reload is the same member, with the chat as it was', async () => {
    const id = await member(crane, 'Moon Fox').getAttribute('data-member');
    await fox.reload();
    await line(fox, 'while unplugged').waitFor();
    await crane.locator('#members li:not(.away)', { hasText: 'Moon Fox' }).waitFor();
    assert.equal(await member(crane, 'Moon Fox').getAttribute('data-member'), id);
    const heard = await texts(fox);
    assert.equal(heard.length, new Set(heard).size, 'nothing came twice');
    await say(fox, 'back again');
    await line(crane, 'back again').waitFor();
  });

  await t.test('who closes the page is away to the others', async () => {
    await fox.close();
    await crane.locator('#members li.away', { hasText: 'Moon Fox' }).waitFor();
  });

  assert.deepEqual(complaints, []);
});

test('on a phone everything fits and a finger carries the light', { timeout: 60_000 }, async () => {
  const phone = await visit({
    room: 'phone', name: 'Lotus Turtle', colour: '#f09abb', viewport: { width: 360, height: 740 }, touch: true,
  });
  const crane = await visit({ room: 'phone', name: 'Paper Crane', colour: '#ff9a5c' });
  await member(phone, 'Paper Crane').waitFor();
  await phone.touchscreen.tap(180, 200);
  await eventually(() => cursorAt(crane, 'Lotus Turtle'), (at) => at !== null, 'the light of the turtle is seen');
  const width = await phone.evaluate(() => [document.documentElement.scrollWidth, document.documentElement.clientWidth]);
  assert.equal(width[0], width[1], 'nothing scrolls sideways');
  for (const id of ['pill', 'reactions', 'form', 'drop']) {
    const box = await phone.locator(`#${id}`).boundingBox();
    assert.ok(box.x >= 0 && box.x + box.width <= 360 && box.y >= 0 && box.y + box.height <= 740, `${id} is on the screen`);
  }
  await say(phone, 'from a phone');
  await line(crane, 'from a phone').waitFor();
  if (SCREENSHOT) {
    await phone.screenshot({ path: SCREENSHOT.replace(/\.png$/, '-phone.png') });
  }
  assert.deepEqual(complaints, []);
});

test('a picture of the demo', { skip: !SCREENSHOT && 'MADANG_SCREENSHOT names no file', timeout: 60_000 }, async () => {
  const people = [
    ['Paper Crane', '#ff9a5c', [470, 560]],
    ['River Fox', '#6fd6ad', [250, 640]],
    ['Moon Rabbit', '#9fb8ff', [700, 690]],
    ['Ginkgo Drum', '#f4cf6b', [610, 500]],
  ];
  const pages = [];
  for (const [name, colour] of people) {
    pages.push(await visit({ room: 'courtyard', name, colour }));
  }
  const [crane, fox, rabbit, drum] = pages;
  const talk = [
    [fox, 'The lanterns are lit. Where is everybody?'],
    [rabbit, 'Just came over the wall'],
    [drum, 'Setting up by the stepping stones'],
    [crane, 'Somebody unplugged my router half way here'],
    [fox, 'And? Did you miss anything?'],
    [crane, 'Not a word of it.'],
    [drum, 'Then we begin'],
  ];
  for (const [page, text] of talk) {
    await say(page, text);
    await line(crane, text.replace(/[?.]/g, '\\$&')).waitFor();
  }
  for (const [index, page] of pages.entries()) {
    const [x, y] = people[index][2];
    await page.mouse.move(x - 40, y - 30);
    await page.mouse.move(x, y, { steps: 6 });
  }
  for (const [name] of people.slice(1)) {
    await eventually(() => cursorAt(crane, name), (at) => at !== null, `${name} is seen`);
  }
  await crane.evaluate(() => document.activeElement?.blur());
  await rabbit.locator('#stage').focus();
  await rabbit.keyboard.press('4');
  await drum.locator('#stage').focus();
  await drum.keyboard.press('3');
  await eventually(() => crane.locator('.burst').count(), (count) => count >= 18, 'both reactions rise');
  await eventually(
    () => crane.evaluate(() => Math.min(...document.getAnimations().filter((it) => it.effect.target.matches('.burst')).map((it) => it.currentTime))),
    (ms) => ms > 650,
    'the reactions are in the air',
  );
  await crane.screenshot({ path: SCREENSHOT });
});
