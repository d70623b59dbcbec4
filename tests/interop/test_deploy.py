"""What is in deploy/: the servers that people put in front, with the files that they are told to use, and
the service's unit.

Only addresses, names of files and what needs a privilege are replaced.
"""

import base64
import os
import pathlib
import re
import shutil
import socket
import ssl
import subprocess
import tempfile
import time
import unittest

from server import DEADLINE, REPOSITORY, Server

DEPLOY = REPOSITORY / "deploy"
ORIGIN = "https://play.example.org"
# An address of this machine that only a banned client has.
BANNED = "127.0.0.66"


def free_port():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return taken.getsockname()[1]


def replaced(text, replacements):
    """The text with replacements, each of which has to be for something."""
    for old, new in replacements.items():
        if old not in text:
            raise AssertionError(f"{old!r} is not in the file")
        text = text.replace(old, new)
    return text


class Answer:
    def __init__(self, stream):
        self.stream = stream
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            byte = stream.recv(1)
            if not byte:
                break
            head += byte
        lines = head.decode().split("\r\n")
        self.status = int(lines[0].split(" ")[1]) if lines[0] else 0
        pairs = (line.split(": ", 1) for line in lines[1:] if ": " in line)
        self.fields = {name.lower(): value for name, value in pairs}


class InFront:
    """The tests; a class for each server in front says how it is started."""

    binary = None
    settings = ()

    def setUp(self):
        self.assertIsNotNone(shutil.which(self.binary, path=f"{os.environ['PATH']}:/usr/sbin"),
                             f"{self.binary} is missing: make test-needs installs it")
        self.directory = tempfile.TemporaryDirectory()
        self.addCleanup(self.directory.cleanup)
        self.path = pathlib.Path(self.directory.name)
        subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
             "-days", "2", "-subj", "/CN=play.example.org", "-addext", "subjectAltName=DNS:play.example.org",
             "-keyout", self.path / "key.pem", "-out", self.path / "certificate.pem"],
            check=True, capture_output=True)
        (self.path / "both.pem").write_text(
            (self.path / "certificate.pem").read_text() + (self.path / "key.pem").read_text())
        self.server = Server(
            "access.proxies=127.0.0.1/32", "auth.anonymous=everywhere",
            f"access.origins={ORIGIN}", "access.trusted=",
            f"access.bans={BANNED}/32", "watch.heartbeat_ms=1000", *self.settings)
        self.addCleanup(self.server.stop)
        play = re.search(r"//([^/]+)/", self.server.play)[1]
        side = re.search(r"//([^/]+)/", self.server.demo)[1]
        self.port = free_port()
        self.front = self.start({"127.0.0.1:7700": play, "127.0.0.1:7701": side})
        self.addCleanup(self.end)
        deadline = time.monotonic() + DEADLINE
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port)).close()
                return
            except ConnectionRefusedError:
                if self.front.poll() is not None or time.monotonic() > deadline:
                    raise AssertionError(f"{self.binary} does not run: {self.log()}") from None
                time.sleep(0.02)

    def run_front(self, *command):
        self.output = (self.path / "log").open("wb")
        self.addCleanup(self.output.close)
        return subprocess.Popen(command, stdout=self.output, stderr=subprocess.STDOUT, cwd=self.path,
                                env={"PATH": f"{os.environ['PATH']}:/usr/sbin", "HOME": str(self.path)})

    def log(self):
        return (self.path / "log").read_text()

    def end(self):
        self.front.terminate()
        self.front.wait(DEADLINE)

    def connect(self, source="127.0.0.1"):
        context = ssl.create_default_context(cafile=self.path / "certificate.pem")
        plain = socket.create_connection(("127.0.0.1", self.port), timeout=DEADLINE, source_address=(source, 0))
        stream = context.wrap_socket(plain, server_hostname="play.example.org")
        self.addCleanup(stream.close)
        return stream

    def ask(self, path, *fields, source="127.0.0.1", method="GET"):
        stream = self.connect(source)
        lines = [f"{method} {path} HTTP/1.1", "Host: play.example.org", *fields, "", ""]
        stream.sendall("\r\n".join(lines).encode())
        return Answer(stream)

    def upgrade(self, path, *fields, **more):
        key = base64.b64encode(os.urandom(16)).decode()
        return self.ask(path, "Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13",
                        f"Sec-WebSocket-Key: {key}", *fields, **more)

    def test_messages_pass_both_ways_and_compression_is_declined(self):
        answer = self.upgrade("/raw/a?echo=1", f"Origin: {ORIGIN}",
                              "Sec-WebSocket-Extensions: permessage-deflate")
        self.assertEqual(answer.status, 101)
        self.assertNotIn("sec-websocket-extensions", answer.fields)
        for text in (b"hello", b"again"):
            answer.stream.sendall(bytes([0x81, 0x80 | len(text), 0, 0, 0, 0]) + text)
            self.assertEqual(answer.stream.recv(100), bytes([0x81, len(text)]) + text)

    def test_the_protocol_is_agreed_on(self):
        answer = self.upgrade("/play", "Sec-WebSocket-Protocol: madang.v1")
        self.assertEqual((answer.status, answer.fields["sec-websocket-protocol"]), (101, "madang.v1"))

    def test_events_come_as_they_happen(self):
        # The heartbeat of a stream that nothing else happens in.
        answer = self.ask("/rooms/events")
        self.assertEqual(answer.status, 200)
        self.assertTrue(answer.fields["content-type"].startswith("text/event-stream"))
        come = b""
        while b"\n:\n" not in come.replace(b"\r", b"") and not come.startswith(b":\n"):
            piece = answer.stream.recv(4096)
            self.assertTrue(piece, come)
            come += piece

    def test_pages_are_served_and_metrics_are_not(self):
        self.assertEqual(self.ask("/").status, 200)
        self.assertEqual(self.ask("/metrics").status, 404)

    def test_pages_of_others_are_refused(self):
        self.assertEqual(self.upgrade("/play", "Sec-WebSocket-Protocol: madang.v1",
                                      "Origin: https://elsewhere.example.org").status, 403)

    def test_the_address_is_the_clients_and_nothing_that_it_makes_up(self):
        fields = [f"X-Forwarded-For: {BANNED}", f"Forwarded: for={BANNED}"]
        self.assertEqual(self.upgrade("/raw/a", *fields).status, 101)
        for fields in ([], ["X-Forwarded-For: 192.0.2.1"], ["Forwarded: for=192.0.2.1"]):
            for ask in (self.upgrade, self.ask):
                answer = ask("/raw/a" if ask == self.upgrade else "/", *fields, source=BANNED)
                self.assertEqual(answer.status, 403, fields)

    def test_a_request_cannot_be_hidden_in_another(self):
        smuggled = "GET /metrics HTTP/1.1\r\nHost: h\r\n\r\n"
        for fields in (["Transfer-Encoding: chunked", "Content-Length: 4"],
                       ["Content-Length: 4", "Content-Length: 0"],
                       ["Transfer-Encoding: xchunked"]):
            stream = self.connect()
            lines = ["POST /rooms/a/publish HTTP/1.1", "Host: play.example.org", *fields, "", ""]
            stream.sendall(("\r\n".join(lines) + "0\r\n\r\n" + smuggled).encode())
            come = b""
            try:
                while piece := stream.recv(4096):
                    come += piece
                    # Kept alive by who is in front: more would have come with it.
                    stream.settimeout(0.5)
            except (TimeoutError, ConnectionResetError):
                pass
            self.assertNotIn(b"madang_connections", come)


class Nginx(InFront, unittest.TestCase):
    binary = "nginx"
    settings = ("access.forwarded=x-forwarded-for",)

    def start(self, addresses):
        text = replaced((DEPLOY / "nginx.conf").read_text(), {
            **addresses, "listen 443": f"listen 127.0.0.1:{self.port}", "/etc/ssl/madang": str(self.path)})
        own = "".join(f"{name}_temp_path {self.path}/{name};\n"
                      for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
        whole = (f"daemon off;\npid {self.path}/pid;\nerror_log stderr;\nworker_processes 1;\n"
                 f"events {{}}\nhttp {{\naccess_log off;\n{own}{text}}}\n")
        (self.path / "nginx.conf").write_text(whole)
        return self.run_front("nginx", "-p", str(self.path), "-c", str(self.path / "nginx.conf"), "-e", "stderr")


class HaProxy(InFront, unittest.TestCase):
    binary = "haproxy"
    settings = ("access.proxy_protocol=true",)

    def start(self, addresses):
        text = replaced((DEPLOY / "haproxy.cfg").read_text(), {
            **addresses, "bind :443": f"bind 127.0.0.1:{self.port}", "/etc/ssl/madang": str(self.path),
            "maxconn 20000": "maxconn 100"})
        (self.path / "haproxy.cfg").write_text(text)
        return self.run_front("haproxy", "-db", "-f", str(self.path / "haproxy.cfg"))


class Caddy(InFront, unittest.TestCase):
    binary = "caddy"
    settings = ("access.forwarded=x-forwarded-for",)

    def start(self, addresses):
        text = replaced((DEPLOY / "Caddyfile").read_text(), {
            **addresses, "org:443": f"org:{self.port}", "/etc/ssl/madang": str(self.path),
            # Neither its port for administration nor the one that redirects is for a test.
            "{\n\tservers": "{\n\tadmin off\n\tauto_https disable_redirects\n\tservers"})
        (self.path / "Caddyfile").write_text(text)
        return self.run_front("caddy", "run", "--adapter", "caddyfile", "--config", str(self.path / "Caddyfile"))


class Unit(unittest.TestCase):
    def setUp(self):
        if shutil.which("systemd-analyze") is None:
            self.fail("systemd-analyze is missing: make test-needs installs it")
        self.directory = tempfile.TemporaryDirectory()
        self.addCleanup(self.directory.cleanup)
        text = replaced((DEPLOY / "madang.service").read_text(), {"/usr/local/bin/madang serve": "/bin/true serve"})
        self.path = pathlib.Path(self.directory.name) / "madang.service"
        self.path.write_text(text)

    def analyze(self, *arguments):
        return subprocess.run(["systemd-analyze", *arguments, str(self.path)], capture_output=True, text=True)

    def test_it_is_valid(self):
        found = self.analyze("verify")
        self.assertEqual((found.returncode, found.stderr), (0, ""))

    def test_it_is_confined(self):
        found = self.analyze("security", "--offline=true", "--threshold=20", "--no-pager")
        self.assertEqual(found.returncode, 0, found.stdout)


if __name__ == "__main__":
    unittest.main()
