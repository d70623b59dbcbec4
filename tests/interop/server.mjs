// Starts the real server for a test and stops it again. The binary is the path in MADANG_BIN (or
// MADANG_TEST_BINARY), else target/debug/madang.

import { spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";

const DEADLINE_MS = 20_000;

/**
 * @param {string[]} more settings, such as `auth.anonymous=off`
 * @returns {Promise<{play: string, raw: (room: string) => string, stop: () => Promise<number>}>} The
 *   addresses of a server on free ports of the loopback; `stop` drains it and gives its exit code.
 */
export async function startServer(more = []) {
  const binary =
    process.env.MADANG_BIN ??
    process.env.MADANG_TEST_BINARY ??
    fileURLToPath(new URL("../../target/debug/madang", import.meta.url));
  // The server takes MADANG_* for its configuration and refuses what it does not know.
  const env = Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith("MADANG_")));
  const settings = ["server.shards=2", "log.level=warn", "rooms.open=", ...more].flatMap((setting) => ["--set", setting]);
  const listen = ["--listen", "127.0.0.1:0", "--watch-listen", "127.0.0.1:0"];
  const child = spawn(binary, ["serve", ...listen, ...settings], { env, stdio: ["ignore", "pipe", "inherit"] });
  const exit = once(child, "exit");
  const overdue = setTimeout(() => child.kill("SIGKILL"), DEADLINE_MS);
  const addresses = new Map();
  for await (const line of createInterface({ input: child.stdout })) {
    const [, name, url] = /^\s*(play|raw)\s+(\S+)/.exec(line) ?? [];
    if (name) addresses.set(name, url);
    if (addresses.size === 2) break;
  }
  clearTimeout(overdue);
  if (addresses.size < 2) throw new Error(`the server ended early: ${await exit}`);
  child.stdout.resume();
  return {
    play: addresses.get("play"),
    raw: (room) => addresses.get("raw").replace("{room}", room),
    async stop() {
      child.kill("SIGTERM");
      const late = setTimeout(() => child.kill("SIGKILL"), DEADLINE_MS);
      const [code] = await exit;
      clearTimeout(late);
      return code;
    },
  };
}
