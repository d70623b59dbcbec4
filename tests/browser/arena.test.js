// The arena in real Chromium: who plays, on a desk and on a phone, and who watches, now, later and from the past.
//
// MADANG_BIN: the server to test. MADANG_CHROMIUM: the browser. MADANG_SCREENSHOT: a path; pictures are put
// beside it, with `-arena`, `-watch` and more in their names.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { DEADLINE_MS, eventually, listen, startBrowser } from './browser.js';
import { startServer } from './server.js';

const TICK_HZ = 20;
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

/** A page of somebody with a browser of their own. */
async function open(path, { name = 'somebody', color = 0, viewport = { width: 1280, height: 800 }, touch = false, density = 1 } = {}) {
  const context = await browser.newContext({ viewport, hasTouch: touch, isMobile: touch, deviceScaleFactor: density });
  context.setDefaultTimeout(DEADLINE_MS);
  await context.addInitScript(([name, color]) => {
    localStorage.setItem('arena:name', name);
    localStorage.setItem('arena:color', String(color));
  }, [name, color]);
  const page = await context.newPage();
  listen(page, name, complaints);
  await page.goto(new URL(path, server.demo).href);
  return page;
}

/** Somebody who has stepped in. A quiet room unless it says otherwise: no bots, a long round. */
async function play(room, who, labels = 'bots=0&seconds=600') {
  const page = await open(`/arena/?room=${room}&${labels}`, who);
  await page.locator('#enter').click();
  await page.waitForFunction(() => window.arena?.own > 0 && window.arena.shown !== null);
  return page;
}

async function watch(room, how = '') {
  const page = await open(`/arena/watch/?room=${room}${how}`, { name: `watcher${how}` });
  return page;
}

const entities = (page) => page.evaluate(() => window.arena.entities);
const tickOf = (page) => page.evaluate(() => window.arena.tick);
const own = (page) => page.evaluate(() => window.arena.own);
const prediction = (page) => page.evaluate(() => window.arena.prediction);
/** A player as a page has it. */
const player = async (page, name) => (await entities(page)).find((it) => it.kind === 'player' && it.name === name) ?? null;
/** Whether in any tick since one an entity was as wanted: what lasts for some ticks only is not missed. */
const since = (page, tick, wanted) =>
  page.evaluate(([tick, wanted]) => {
    for (let at = Math.max(tick, window.arena.first); at <= window.arena.tick; at += 1) {
      for (const [id, it] of Object.entries(window.arena.at(at))) {
        if (Object.entries(wanted).every(([field, value]) => (field === 'id' ? Number(id) : it[field]) === value)) return true;
      }
    }
    return false;
  }, [tick, wanted]);
const sees = (page, tick, wanted, what) => eventually(() => since(page, tick, wanted), Boolean, what);
const trapsOf = async (page, by) => (await entities(page)).filter((it) => it.kind === 'trap' && it.by === by && it.laid);
const ticksPass = async (page, count) => {
  const from = await tickOf(page);
  await eventually(() => tickOf(page), (tick) => tick >= from + count, `${count} ticks pass`);
};

test('two play, and see each other move', { timeout: 180_000 }, async (t) => {
  const fox = await play('arena-two', { name: 'River Fox', color: 1 });
  const crane = await play('arena-two', { name: 'Paper Crane', color: 4 });
  const id = await own(fox);

  await t.test('both are in the state and on the scoreboard of both', async () => {
    for (const page of [fox, crane]) {
      for (const name of ['River Fox', 'Paper Crane']) {
        await eventually(() => player(page, name), (it) => it !== null, `${name} is there`);
        await page.locator('#ranks li', { hasText: name }).waitFor();
      }
    }
    assert.equal((await player(crane, 'River Fox')).color, 1);
    assert.equal(await fox.locator('#ranks li.own .name').textContent(), 'River Fox');
  });

  await t.test('a dancer moves on the other page, and where its own page says', async () => {
    const before = await player(crane, 'River Fox');
    // Towards the fire, along the wider way.
    const key = before.at[0] > 0 ? 'KeyA' : 'KeyD';
    await fox.keyboard.down(key);
    await eventually(() => player(crane, 'River Fox'), (it) => Math.abs(it.at[0] - before.at[0]) > 3, 'the fox has run on the page of the crane');
    await fox.keyboard.up(key);
    const still = await eventually(async () => [await player(crane, 'River Fox'), await fox.evaluate(() => window.arena.shown)],
      ([there, here]) => Math.hypot(there.at[0] - here.x, there.at[1] - here.y) < 0.05, 'both pages agree where it stands');
    assert.ok(still);
  });

  await t.test('what is predicted is what comes', async () => {
    // Back and forth, beside the fire's posts and with nobody near.
    for (const key of ['ArrowUp', 'ArrowDown', 'ArrowLeft', 'ArrowRight', 'ArrowUp', 'ArrowDown']) {
      await fox.keyboard.down(key);
      await ticksPass(fox, 8);
      await fox.keyboard.up(key);
    }
    const { corrections, errorMean, errorMax, waiting } = await prediction(fox);
    t.diagnostic(`of ${corrections} corrections the mean was ${errorMean.toFixed(4)}, the largest ${errorMax.toFixed(3)}`);
    assert.ok(corrections > 40, `${corrections} corrections`);
    // A step of a position is 0.02: less cannot be told.
    assert.ok(errorMean < 0.05, `the mean error is ${errorMean}`);
    assert.ok(waiting < 20, `${waiting} inputs wait`);
  });

  await t.test('a dash is fast, and rests', async () => {
    const from = await tickOf(crane);
    await fox.keyboard.press('ShiftLeft');
    await sees(crane, from, { id, pose: 1 }, 'the crane sees the dash');
    await fox.locator('#dash.resting').waitFor();
  });

  await t.test('a click dashes towards the mouse, and a right click throws', async () => {
    await fox.locator('#dash:not(.resting)').waitFor();
    await fox.mouse.move(640, 300);
    const from = await tickOf(crane);
    // Where the page was held up, the server may say that it still rests: then it is clicked again, as one would.
    await eventually(async () => {
      if (await fox.locator('#dash:not(.resting)').count() > 0) {
        await fox.mouse.click(640, 300);
      }
      return since(crane, from, { id, pose: 1 });
    }, Boolean, 'the crane sees the dash');
    await fox.mouse.click(640, 300, { button: 'right' });
    await sees(crane, from, { kind: 'bean', by: id }, 'a bean bag flies');
  });

  await t.test('an emote is seen', async () => {
    await crane.keyboard.press('2');
    await eventually(() => player(fox, 'Paper Crane'), (it) => it.emote === 2, 'a heart');
    // Another one counts after half a second.
    await ticksPass(fox, 12);
    await crane.getByRole('button', { name: 'blossom' }).click();
    await eventually(() => player(fox, 'Paper Crane'), (it) => it.emote === 4, 'a blossom');
  });

  await t.test('a trap is its owner\'s and the audience\'s, and no rival\'s', async () => {
    const audience = await watch('arena-two');
    await eventually(() => player(audience, 'River Fox'), (it) => it !== null, 'the audience sees the fox');
    // Not in front of the fire.
    await fox.locator('#trap:not(.resting)').waitFor();
    await eventually(async () => {
      const it = await player(fox, 'River Fox');
      await fox.keyboard.down(it.at[0] > 0 ? 'KeyD' : 'KeyA');
      return it;
    }, (it) => Math.hypot(...it.at) > 5, 'it is away from the fire');
    for (const key of ['KeyA', 'KeyD']) await fox.keyboard.up(key);
    await fox.keyboard.press('KeyE');
    await eventually(() => trapsOf(fox, id), (traps) => traps.length === 1, 'the fox sees its trap');
    const [trap] = await eventually(() => trapsOf(audience, id), (traps) => traps.length === 1, 'the audience sees it');
    const laid = await tickOf(audience);
    await eventually(() => tickOf(crane), (tick) => tick > laid + 5, 'the crane has seen those ticks');
    const seen = await entities(crane);
    assert.ok(!seen.some((it) => it.id === trap.id), 'the crane has never heard of that entity');
    assert.ok(seen.some((it) => it.kind === 'trap' && !it.laid), 'but has one of its own');
    await audience.locator('#traps', { hasText: 'One trap lies here.' }).waitFor();
    await audience.locator('#secret', { hasText: 'Rivals see none but their own' }).waitFor();
    await audience.close();
  });

  await t.test('a dropped connection comes back to the same dancer', async () => {
    await fox.evaluate(() => window.arena.drop(3000));
    await fox.locator('#pill[data-state="reconnecting"]').waitFor();
    await fox.locator('#away', { hasText: /Back in \d s/ }).waitFor();
    await fox.locator('#pill[data-state="open"]').waitFor();
    await fox.locator('#away').waitFor({ state: 'hidden' });
    assert.equal(await own(fox), id, 'it is the same');
    const lanterns = (page, tick) => page.evaluate((tick) => Object.entries(window.arena.at(tick)).filter(([, it]) => it.kind === 'lantern'), tick);
    const back = (await tickOf(fox)) + 3;
    await eventually(async () => Math.min(await tickOf(fox), await tickOf(crane)), (tick) => tick >= back, 'both see a later tick');
    assert.ok((await lanterns(crane, back)).length > 0);
    assert.deepEqual(await lanterns(fox, back), await lanterns(crane, back), 'and so is all that lies there');
    const before = await player(crane, 'River Fox');
    const key = before.at[0] > 0 ? 'KeyA' : 'KeyD';
    await fox.keyboard.down(key);
    await eventually(() => player(crane, 'River Fox'), (it) => Math.abs(it.at[0] - before.at[0]) > 2, 'and moves again');
    await fox.keyboard.up(key);
  });

  await t.test('a page that slept goes on from where the room is', async () => {
    const session = await fox.context().newCDPSession(fox);
    await session.send('Page.setWebLifecycleState', { state: 'frozen' });
    await ticksPass(crane, 40);
    await session.send('Page.setWebLifecycleState', { state: 'active' });
    const there = await tickOf(crane);
    await eventually(() => tickOf(fox), (tick) => tick >= there, 'it knows the newest tick');
    assert.equal(await own(fox), id);
    const before = await player(crane, 'River Fox');
    await fox.keyboard.down('KeyW');
    await fox.keyboard.down('KeyD');
    await eventually(() => player(crane, 'River Fox'), (it) => Math.hypot(it.at[0] - before.at[0], it.at[1] - before.at[1]) > 1, 'and moves');
    await fox.keyboard.up('KeyW');
    await fox.keyboard.up('KeyD');
  });

  await t.test('a reload is the same dancer', async () => {
    await fox.reload();
    await fox.waitForFunction((id) => window.arena?.own === id, id);
  });

  await t.test('who leaves is gone, and is asked for a mask again', async () => {
    await fox.locator('#leave').click();
    await fox.locator('#door').waitFor();
    await eventually(() => player(crane, 'River Fox'), (it) => it === null, 'the fox is gone');
    await fox.locator('#door-note', { hasText: 'You left the courtyard.' }).waitFor();
  });
  assert.deepEqual(complaints, []);
});

test('three watch: live, later, and from the past', { timeout: 180_000 }, async (t) => {
  const fox = await play('arena-watched', { name: 'River Fox', color: 1 }, 'bots=6&seconds=600');
  await fox.keyboard.down('KeyD');
  const live = await watch('arena-watched');
  const later = await watch('arena-watched', '&delay=2s');
  await eventually(() => tickOf(fox), (tick) => tick > 5 * TICK_HZ, 'there is a past');
  const past = await watch('arena-watched', '&from=-4s');

  await t.test('each is where it asked to be', async () => {
    await eventually(() => later.evaluate(() => window.arena.events), (events) => events > 10, 'the delayed one has begun');
    await eventually(() => past.evaluate(() => window.arena.events), (events) => events > 10, 'the one from the past has begun');
    const now = await tickOf(fox);
    await eventually(() => tickOf(live), (tick) => tick >= now, 'live shows what the player has seen');
    assert.ok((await tickOf(later)) < (await tickOf(live)), 'later is later');
    assert.ok((await tickOf(past)) < (await tickOf(live)), 'the past is past');
    // A room whose ticks are late is older than their number says, never younger.
    const ages = (page) => page.evaluate(() => window.arena.ages);
    const slack = 150;
    assert.ok((await ages(later)).least >= 2000 - slack, 'nothing was shown before it was 2 s old');
    assert.ok((await ages(past)).first >= 4000 - slack, 'the past began 4 s ago or earlier');
    await live.locator('#ago', { hasText: 'live' }).waitFor();
    await later.locator('#ago', { hasText: '−2.' }).waitFor();
    await past.locator('#pill', { hasText: 'from the past' }).waitFor();
  });

  await t.test('the past goes on by itself', async () => {
    const from = await tickOf(past);
    await eventually(() => tickOf(past), (tick) => tick > from + TICK_HZ, 'it plays');
  });

  await t.test('all three are told the same of the same tick, and the player its part of it', async () => {
    const tick = await eventually(async () => Math.floor(await later.evaluate(() => window.arena.last)) - 5,
      (tick) => tick > 0, 'a tick that all have');
    const [a, b, c] = await Promise.all([live, later, past].map((page) => page.evaluate((tick) => window.arena.at(tick), tick)));
    assert.ok(Object.values(a).filter((it) => it.kind === 'player').length === 6, 'six play, bots among them');
    assert.deepEqual(b, a);
    assert.deepEqual(c, a);
    const seen = await fox.evaluate((tick) => window.arena.at(tick), tick);
    const id = await own(fox);
    for (const [entity, it] of Object.entries(seen)) {
      if (it.kind === 'player') {
        const told = { ...a[entity], id: Number(entity) };
        // Of others the fox is not told how they move; of itself it is told all.
        if (Number(entity) !== id) {
          for (const field of ['velocity', 'input', 'dash_ends', 'dash_ready', 'stun_ends', 'throw_ready', 'trap_ready']) {
            told[field] = it[field];
          }
          assert.equal(it.input, 0);
        }
        assert.deepEqual(it, told, `player ${entity} at tick ${tick}`);
      }
    }
  });

  await t.test('the slider leads into the past, and the button back', async () => {
    const before = await tickOf(live);
    await live.locator('#when').evaluate((slider) => {
      slider.value = '-3';
      slider.dispatchEvent(new Event('input'));
      slider.dispatchEvent(new Event('change'));
    });
    await live.locator('#past[aria-pressed="true"]').waitFor();
    const there = await eventually(() => tickOf(live), (tick) => tick > 0, 'something is shown');
    assert.ok(there < before, `${there} is before ${before}`);
    await live.locator('#pause').click();
    const held = await tickOf(live);
    await ticksPass(fox, 10);
    assert.equal(await tickOf(live), held, 'it stands still');
    await live.locator('#live').click();
    await eventually(async () => (await tickOf(fox)) - (await tickOf(live)), (behind) => behind < TICK_HZ, 'live again');
    // Farther back than this page was: the server is asked.
    await live.locator('#when').evaluate((slider) => {
      slider.value = '-60';
      slider.dispatchEvent(new Event('change'));
    });
    await live.waitForURL(/from=-60s/);
    assert.equal(await live.locator('#past').getAttribute('aria-pressed'), 'true');
    await eventually(() => tickOf(live), (tick) => tick > 0 && tick < held, 'the beginning is shown');
  });

  await t.test('the scoreboard follows whom one clicks', async () => {
    await later.locator('#ranks li', { hasText: 'River Fox' }).click();
    await later.locator('#ranks li.own', { hasText: 'River Fox' }).waitFor();
  });
  assert.deepEqual(complaints, []);
});

test('the lobby is live', { timeout: 120_000 }, async () => {
  const page = await watch('arena-1');
  for (const name of ['arena-1', 'arena-2', 'arena-3']) {
    await page.locator(`#matches [data-room="${name}"]`).waitFor();
  }
  await page.locator('#matches [data-room="arena-1"].here small', { hasText: 'round 1' }).waitFor();
  const guest = await play('arena-fresh', { name: 'Moon Rabbit' });
  const row = page.locator('#matches [data-room="arena-fresh"]');
  await row.locator('small', { hasText: '1 in' }).waitFor();
  assert.equal(await row.getByRole('link', { name: 'Play' }).getAttribute('href'), '/arena/?room=arena-fresh');
  await row.getByRole('link', { name: 'Watch' }).click();
  await eventually(() => player(page, 'Moon Rabbit').catch(() => null), (it) => it !== null, 'the new match is watched');
  await guest.locator('#leave').click();
  await page.locator('#matches [data-room="arena-fresh"] small', { hasText: 'bots' }).waitFor();
  // From one demo to the next.
  await page.locator('#places-nav a', { hasText: 'Arena' }).click();
  await page.locator('#door').waitFor();
  await page.locator('#places-nav a', { hasText: 'Courtyard' }).click();
  await page.locator('#stage .scene').waitFor();
  assert.deepEqual(complaints, []);
});

test('a phone plays with a thumb and three buttons', { timeout: 120_000 }, async () => {
  const phone = await play('arena-phone', { name: 'Pine Heron', color: 3, viewport: { width: 360, height: 740 }, touch: true, density: 2 });
  const other = await play('arena-phone', { name: 'Paper Crane', color: 4 });
  assert.equal(await phone.evaluate(() => document.documentElement.scrollWidth), 360, 'nothing is wider than the screen');
  for (const id of ['dash', 'throw', 'trap', 'leave', 'emotes-open', 'pill', 'places-nav']) {
    const box = await phone.locator(`#${id}`).boundingBox();
    assert.ok(box.x >= 0 && box.x + box.width <= 360 && box.y >= 0 && box.y + box.height <= 740, `${id} is on the screen`);
  }
  const session = await phone.context().newCDPSession(phone);
  const touch = (type, ...points) => session.send('Input.dispatchTouchEvent', { type, touchPoints: points.map(([x, y], id) => ({ x, y, id })) });
  const before = await player(other, 'Pine Heron');
  const way = before.at[0] > 0 ? -60 : 60;
  await touch('touchStart', [90, 600]);
  await touch('touchMove', [90 + way, 600]);
  await phone.locator('#stick.held').waitFor();
  await eventually(() => player(other, 'Pine Heron'), (it) => Math.abs(it.at[0] - before.at[0]) > 2, 'the thumb moves the dancer');
  const button = await phone.locator('#dash').boundingBox();
  const from = await tickOf(other);
  const id = await own(phone);
  // A second finger, while the thumb stays down.
  await touch('touchStart', [90 + way, 600], [button.x + 30, button.y + 30]);
  await sees(other, from, { id, pose: 1 }, 'it dashes');
  await touch('touchEnd');
  await phone.locator('#stick:not(.held)').waitFor({ state: 'attached' });
  await phone.locator('#throw').tap();
  await sees(other, from, { kind: 'bean', by: id }, 'it throws');
  await phone.locator('#emotes-open').tap();
  await phone.getByRole('button', { name: 'drum' }).tap();
  await eventually(() => player(other, 'Pine Heron'), (it) => it.emote === 3, 'it drums');
  assert.deepEqual(complaints, []);
});

test('pictures of the arena', { skip: !SCREENSHOT && 'MADANG_SCREENSHOT names no file', timeout: 240_000 }, async () => {
  const path = (name) => SCREENSHOT.replace(/\.png$/, `-${name}.png`);
  const door = await open('/arena/?room=arena-2', { name: 'Moon Rabbit', color: 4 });
  await door.locator('#ranks li').first().waitFor();
  await door.screenshot({ path: path('door') });
  await door.close();
  const fox = await play('arena-2', { name: 'River Fox', color: 1 });
  await gather(fox, 'River Fox', 3);
  await fox.keyboard.press('2');
  await fox.mouse.move(700, 250);
  await eventually(() => player(fox, 'River Fox'), (it) => it.emote === 2, 'a heart');
  await fox.screenshot({ path: path('arena') });
  const audience = await watch('arena-2', '&from=-20s');
  await eventually(() => entities(audience), (all) => all.filter((it) => it.kind === 'trap' && it.laid).length >= 3 && all.find((it) => it.kind === 'arena').phase === 0, 'traps lie');
  await audience.locator('#matches [data-round]').first().waitFor();
  await audience.screenshot({ path: path('watch') });
  const pocket = await open('/arena/watch/?room=arena-2', { viewport: { width: 390, height: 800 }, touch: true, density: 2 });
  await pocket.locator('#matches [data-round]').first().waitFor();
  await pocket.screenshot({ path: path('watch-phone') });
  const phone = await play('arena-3', { name: 'Pine Heron', color: 3, viewport: { width: 390, height: 800 }, touch: true, density: 2 });
  await phone.locator('#feed li').last().waitFor();
  await phone.screenshot({ path: path('arena-phone') });
});

/** Runs for lanterns until it carries some; others are in its way. */
async function gather(page, name, wanted) {
  const held = new Set();
  const hold = async (keys) => {
    for (const key of [...held]) {
      if (!keys.includes(key)) {
        await page.keyboard.up(key);
        held.delete(key);
      }
    }
    for (const key of keys) {
      if (!held.has(key)) {
        await page.keyboard.down(key);
        held.add(key);
      }
    }
  };
  await eventually(async () => {
    const all = await entities(page);
    const me = all.find((it) => it.kind === 'player' && it.name === name);
    const far = ({ at }) => Math.hypot(at[0] - me.at[0], at[1] - me.at[1]);
    const [next] = all.filter((it) => it.kind === 'lantern').sort((a, b) => far(a) - far(b));
    if (next !== undefined) {
      const [x, y] = [next.at[0] - me.at[0], next.at[1] - me.at[1]];
      await hold([...(x > 0.4 ? ['KeyD'] : x < -0.4 ? ['KeyA'] : []), ...(y > 0.4 ? ['KeyS'] : y < -0.4 ? ['KeyW'] : [])]);
    }
    return me.carried;
  }, (carried) => carried >= wanted, `${name} gathers ${wanted} lanterns`, 3 * DEADLINE_MS);
  await hold([]);
}
