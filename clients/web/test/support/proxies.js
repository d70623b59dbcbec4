/**
 * Debian's nginx and HAProxy in front of a server, with the settings that they have by themselves.
 *
 * @module
 */

import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import net from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const DEADLINE_MS = 20_000;

/** @param {string} name */
export const isThere = (name) => spawnSync('sh', ['-c', `PATH=$PATH:/usr/sbin:/sbin command -v ${name}`]).status === 0;

/** A port that was free a moment ago. */
async function freePort() {
  const server = net.createServer();
  await new Promise((resolve) => server.listen(0, '127.0.0.1', () => resolve(null)));
  const { port } = /** @type {net.AddressInfo} */ (server.address());
  await new Promise((resolve) => server.close(resolve));
  return port;
}

/**
 * @param {string} directory
 * @param {number} port
 * @param {number} to
 * @param {string} more directives of the location
 */
const nginxConfig = (directory, port, to, more) => `
daemon off;
${process.getuid?.() === 0 ? 'user root;' : ''}
worker_processes 1;
pid ${directory}/nginx.pid;
error_log stderr warn;
events {}
http {
  access_log off;
  client_body_temp_path ${directory}/body;
  proxy_temp_path ${directory}/proxy;
  fastcgi_temp_path ${directory}/fastcgi;
  uwsgi_temp_path ${directory}/uwsgi;
  scgi_temp_path ${directory}/scgi;
  server {
    listen 127.0.0.1:${port};
    location / {
      proxy_pass http://127.0.0.1:${to};
      ${more}
    }
  }
}
`;

/**
 * @param {number} port
 * @param {number} to
 * @param {string} more lines of the frontend
 */
const haproxyConfig = (port, to, more) => `
defaults
  mode http
  timeout connect 5s
  timeout client 50s
  timeout server 50s
frontend play
  bind 127.0.0.1:${port}
  ${more}
  default_backend madang
backend madang
  server one 127.0.0.1:${to}
`;

/**
 * A proxy in front of a server.
 *
 * @param {'nginx' | 'haproxy'} name
 * @param {string} play the server's address, `ws://HOST:PORT/play`
 * @param {string} [more] of its configuration
 */
export async function startProxy(name, play, more = '') {
  const directory = await mkdtemp(join(tmpdir(), `madang-${name}-`));
  const port = await freePort();
  const to = Number(new URL(play).port);
  const file = join(directory, `${name}.conf`);
  await writeFile(file, name === 'nginx' ? nginxConfig(directory, port, to, more) : haproxyConfig(port, to, more));
  const flags = name === 'nginx' ? ['-p', directory, '-c', file, '-e', 'stderr'] : ['-db', '-f', file];
  const env = { ...process.env, PATH: `${process.env.PATH}:/usr/sbin:/sbin` };
  const child = spawn(name, flags, { env, stdio: ['ignore', 'ignore', 'pipe'] });
  let said = '';
  child.stderr.on('data', (data) => (said += data));
  const exit = once(child, 'exit');
  for (const deadline = Date.now() + DEADLINE_MS; ; ) {
    const socket = net.connect(port, '127.0.0.1');
    const isOpen = await new Promise((resolve) => {
      socket.once('connect', () => resolve(true));
      socket.once('error', () => resolve(false));
    });
    socket.destroy();
    if (isOpen) {
      break;
    }
    if (child.exitCode !== null || Date.now() > deadline) {
      throw new Error(`${name} does not listen: ${said}`);
    }
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  return {
    url: `ws://127.0.0.1:${port}/play`,
    async stop() {
      child.kill('SIGTERM');
      await exit;
      await rm(directory, { recursive: true });
    },
  };
}
