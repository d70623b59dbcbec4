// What the tests of pages have in common: the browser, what pages complain about, waiting.

import assert from 'node:assert/strict';
import { chromium } from 'playwright-core';

/** How long anything may take. */
export const DEADLINE_MS = 20_000;

/** Debian's Chromium, or that of MADANG_CHROMIUM, with more arguments. */
export function startBrowser(more = []) {
  return chromium.launch({
    executablePath: process.env.MADANG_CHROMIUM ?? '/usr/bin/chromium',
    args: ['--no-sandbox', '--disable-gpu', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync', ...more],
  });
}

/** Has a page's complaints put into a list, with the name of whose page it is. */
export function listen(page, name, complaints) {
  page.on('console', (message) => {
    if (['error', 'warning'].includes(message.type())) {
      complaints.push(`${name}: ${message.text()}`);
    }
  });
  page.on('pageerror', (error) => complaints.push(`${name}: ${error}`));
}

/** A page of somebody with a browser of their own and a name, whose complaints are listened to. */
export async function visitor(browser, { name, colour, viewport = { width: 1280, height: 800 }, touch = false }, complaints) {
  const context = await browser.newContext({ viewport, hasTouch: touch, deviceScaleFactor: 1 });
  context.setDefaultTimeout(DEADLINE_MS);
  await context.addInitScript(([name, colour]) => {
    if (localStorage.getItem('courtyard:name') === null) {
      localStorage.setItem('courtyard:name', name);
      localStorage.setItem('courtyard:colour', colour);
    }
  }, [name, colour]);
  const page = await context.newPage();
  listen(page, name, complaints);
  return page;
}

/** Waits until a reading is what it should be. */
export async function eventually(read, wanted, what, deadlineMs = DEADLINE_MS) {
  const deadline = Date.now() + deadlineMs;
  for (;;) {
    const value = await read();
    if (wanted(value)) {
      return value;
    }
    assert.ok(Date.now() < deadline, `${what}; the last reading was ${JSON.stringify(value)}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}
