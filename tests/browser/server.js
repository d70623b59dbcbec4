// Starts the server as its user would, and reads where it listens from its own words.

import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

const BINARY = process.env.MADANG_BIN ?? fileURLToPath(new URL('../../target/debug/madang', import.meta.url));
const ARGUMENTS = ['serve', '--listen', '127.0.0.1:0', '--watch-listen', '127.0.0.1:0'];

// The server takes every MADANG_ variable for a setting, and those of the tests are none.
const ENVIRONMENT = Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith('MADANG_')));

/** The demo's address, and how to end the server; `settings` as `--set` takes them. */
export async function startServer(settings = []) {
  const flags = settings.flatMap((setting) => ['--set', setting]);
  const child = spawn(BINARY, [...ARGUMENTS, ...flags], { env: ENVIRONMENT, stdio: ['ignore', 'pipe', 'inherit'] });
  const ended = new Promise((resolve) => child.once('exit', resolve));
  const demo = await new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('exit', (code) => reject(new Error(`${BINARY} ended with ${code} before it said where the demo is`)));
    createInterface({ input: child.stdout }).on('line', (line) => {
      const found = /\bdemo\s+(http:\/\/\S+)/.exec(line);
      if (found) {
        resolve(found[1]);
      }
    });
  });
  return {
    demo,
    async stop() {
      child.kill('SIGTERM');
      await ended;
    },
  };
}
