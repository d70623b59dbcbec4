// Starts the server as its user would, and reads where it listens from its own words.

import { spawn } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

const BINARY = process.env.MADANG_BIN ?? fileURLToPath(new URL('../../target/debug/madang', import.meta.url));
const ARGUMENTS = ['serve', '--listen', '127.0.0.1:0', '--watch-listen', '127.0.0.1:0'];

// The server takes every MADANG_ variable for a setting, and those of the tests are none.
const ENVIRONMENT = Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith('MADANG_')));

/**
 * The demo's address, the players' (`ws://host:port`), and how to end the server; `settings` as `--set` takes them. A sealed one speaks TLS, with a
 * certificate of its own, of which `spki` is what Chromium is told to trust.
 */
export async function startServer(settings = [], { isSealed = false } = {}) {
  const flags = settings.flatMap((setting) => ['--set', setting]);
  const directory = isSealed ? await mkdtemp(join(tmpdir(), 'madang-sealed-')) : null;
  if (isSealed) {
    flags.push(`--tls-self-signed=${directory}`);
  }
  const child = spawn(BINARY, [...ARGUMENTS, ...flags], { env: ENVIRONMENT, stdio: ['ignore', 'pipe', 'inherit'] });
  const ended = new Promise((resolve) => child.once('exit', resolve));
  let demo = null;
  let play = null;
  const spki = await new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('exit', (code) => reject(new Error(`${BINARY} ended with ${code} before it said where the demo is`)));
    createInterface({ input: child.stdout }).on('line', (line) => {
      demo ??= /\bdemo\s+(https?:\/\/\S+)/.exec(line)?.[1] ?? null;
      play ??= /\bplay\s+(wss?:\/\/[^/\s]+)/.exec(line)?.[1] ?? null;
      const key = /--ignore-certificate-errors-spki-list=(\S+)/.exec(line)?.[1] ?? null;
      if (demo !== null && play !== null && (key !== null || !isSealed)) {
        resolve(key);
      }
    });
  });
  return {
    demo,
    play,
    spki,
    async stop() {
      child.kill('SIGTERM');
      await ended;
      if (directory !== null) {
        await rm(directory, { recursive: true });
      }
    },
  };
}
