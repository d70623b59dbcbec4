"""Starts the real server for a test and stops it again.

The binary is the path in MADANG_BIN (or MADANG_TEST_BINARY), else target/debug/madang.
"""

import os
import pathlib
import queue
import re
import signal
import subprocess
import threading

REPOSITORY = pathlib.Path(__file__).resolve().parents[2]
DEADLINE = 20


class Server:
    """A server on free ports of the loopback, with `demo`, `play` and `raw` as its addresses."""

    def __init__(self, *settings):
        binary = os.environ.get("MADANG_BIN") or os.environ.get("MADANG_TEST_BINARY")
        command = [binary or REPOSITORY / "target" / "debug" / "madang", "serve"]
        command += ["--listen", "127.0.0.1:0", "--watch-listen", "127.0.0.1:0"]
        for setting in ("server.shards=2", "log.level=warn", "rooms.open=", *settings):
            command += ["--set", setting]
        # The server takes MADANG_* for its configuration and refuses what it does not know.
        environment = {name: value for name, value in os.environ.items() if not name.startswith("MADANG_")}
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)
        lines = queue.Queue()
        threading.Thread(target=self._lines, args=(lines,), daemon=True).start()
        self.addresses = {}
        try:
            while not {"demo", "play", "raw"} <= self.addresses.keys():
                line = lines.get(timeout=DEADLINE)
                if line is None:
                    raise RuntimeError(f"the server ended with {self.process.wait(DEADLINE)}")
                if match := re.match(r"\s*(demo|play|raw)\s+(\S+)", line):
                    self.addresses[match[1]] = match[2]
        except BaseException:
            self.kill()
            raise
        self.demo, self.play = self.addresses["demo"], self.addresses["play"]

    def _lines(self, lines):
        with self.process.stdout as output:
            for line in output:
                lines.put(line)
        lines.put(None)

    def raw(self, room):
        return self.addresses["raw"].replace("{room}", room)

    def terminate(self):
        self.process.send_signal(signal.SIGTERM)

    def wait(self):
        """The exit code, which must come within the deadline."""
        return self.process.wait(DEADLINE)

    def stop(self):
        """Drains the server; raises when that fails."""
        if self.process.poll() is None:
            self.terminate()
        try:
            code = self.wait()
        except subprocess.TimeoutExpired:
            self.kill()
            raise
        if code != 0:
            raise RuntimeError(f"the server ended with {code}")

    def kill(self):
        self.process.kill()
        self.process.wait(DEADLINE)
