#!/usr/bin/env python3
"""Writes what fuzzing begins with into a directory, one directory for each target: the golden vectors,
the table of RFC 6455 and small examples of everything else.

    fuzz/seeds.py DIRECTORY

`tools/fuzz.sh` makes them for every run; `corpus/` has what was found beyond them.
"""

import base64
import hashlib
import json
import pathlib
import struct
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
VECTORS = ROOT / "protocol" / "testdata"
BYTES_MAX = 4096


def vectors(name):
    return json.loads((VECTORS / f"{name}.json").read_text())


def native():
    for name in ["client", "server", "accept", "reject", "batch"]:
        for vector in vectors(name):
            if "hex" not in vector:
                continue
            message = bytes.fromhex(vector["hex"])
            yield message
            if name != "batch" and len(message) < 250:
                yield bytes([len(message)]) + message


def twin():
    for name in ["client", "server", "accept", "reject"]:
        for vector in vectors(name):
            written = vector.get("json")
            if isinstance(written, str):
                yield written.encode()
            elif written is not None:
                yield json.dumps(written, separators=(",", ":"), ensure_ascii=False).encode()


def frame(first, payload, mask=b"\1\2\3\4", length=None):
    size = len(payload) if length is None else length
    if size < 126:
        head = bytes([first, 0x80 | size])
    elif size < 65536:
        head = bytes([first, 0xFE]) + struct.pack(">H", size)
    else:
        head = bytes([first, 0xFF]) + struct.pack(">Q", size)
    return head + mask + bytes(byte ^ mask[at % 4] for at, byte in enumerate(payload))


def websocket():
    text, binary, ping, pong, close = 0x81, 0x82, 0x89, 0x8A, 0x88
    frames = [
        frame(text, "κόσμε".encode()),
        frame(binary, bytes(range(200))),
        frame(text, b"\xff"),
        frame(0x01, b"ab") + frame(0x00, b"") + frame(ping, b"p") + frame(0x80, b"c"),
        frame(ping, b"x" * 125) + frame(pong, b"") + frame(close, struct.pack(">H", 1000) + b"bye"),
        frame(close, b""),
        frame(close, b"\3"),
        frame(close, struct.pack(">H", 1005)),
        frame(binary, b"", length=70_000),
        frame(binary, b"", length=1 << 62),
        frame(0xC1, b"a"),
        frame(0x83, b"a"),
        bytes([text, 1, 97]),
        bytes([binary, 0xFE, 0, 5, 0, 0, 0, 0]) + b"12345",
    ]
    for at, one in enumerate(frames):
        yield bytes([4 + at % 12, 1 + at]) + one
    yield bytes([9, 3]) + b"".join(frames[:5])


def http():
    get = "GET /raw/a%20b?echo=1&x=%C3%A9 HTTP/1.1\r\nHost: h:1\r\n"
    upgrade = (
        "Upgrade: websocket\r\nConnection: keep-alive, Upgrade\r\nSec-WebSocket-Version: 13\r\n"
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: madang.v1, b\r\n"
    )
    for fields in [
        "",
        upgrade,
        upgrade + "Sec-WebSocket-Extensions: permessage-deflate\r\nOrigin: https://a.test\r\n",
        "X-Forwarded-For: 192.0.2.1, [2001:db8::1]:80, 127.0.0.1\r\n",
        'Forwarded: for="[2001:db8::1]:80";by=127.0.0.1, for=127.0.0.1\r\n',
        "Transfer-Encoding: chunked\r\n",
        "Content-Length: 0\r\n",
        "X: a\r\n b\r\n",
        "Host: i\r\n",
        "Connection: close\r\nExpect: 100-continue\r\n",
    ]:
        yield (get + fields + "\r\n").encode()
    yield b"POST /rooms/a/publish HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\n{}"
    yield b"OPTIONS * HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"
    yield b"GET http://h/p#f HTTP/1.1\r\nHost: h\r\n\r\n"
    yield b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
    yield b"GET /a\nHost: h\n\n"


def proxy():
    for line in [
        "PROXY TCP4 192.0.2.1 192.0.2.2 56324 443\r\n",
        "PROXY TCP6 2001:db8::1 ::1 56324 443\r\n",
        "PROXY UNKNOWN\r\n",
        "PROXY UNKNOWN ffff::1 ffff::2 1 2\r\n",
        "PROXY TCP4 192.0.2.999 1 2 3\r\n",
    ]:
        yield line.encode() + b"GET / HTTP/1.1\r\n"
    signature = b"\r\n\r\n\0\r\nQUIT\n"
    for command, family, rest in [
        (0x21, 0x11, bytes([192, 0, 2, 1, 10, 0, 0, 1, 1, 2, 3, 4])),
        (0x21, 0x21, bytes(36)),
        (0x20, 0, b""),
        (0x21, 0x11, bytes(60)),
        (0x21, 0x31, bytes(216)),
        (0x31, 0x11, bytes(12)),
    ]:
        yield signature + bytes([command, family]) + struct.pack(">H", len(rest)) + rest + b"\x16\x03\x01"


def config():
    sample = (ROOT / "madang.sample.toml").read_text()
    section = ""
    for line in sample.splitlines():
        if line.startswith("["):
            section = line
        text = line.removeprefix("# ").removeprefix("#")
        if "=" in text and text[0].isalpha():
            yield f"{section}\n{text}\n".encode()
    yield b"[play]\nlisten = 7\nlissen = \"x\"\n"
    yield b"[rooms]\nkinds = [{ prefix = \"a/\", kind = \"shared\" }]\n"
    yield b"[[[\n= = =\n"


def spectator():
    epoch = "0102030405060708"
    for seen, query in [
        (f"{epoch}-9", ""),
        ("", f"last_event_id={epoch}-9&from=3&delay=30s"),
        ("x", "from=-30s&delay=1500ms"),
        (f"{epoch}-18446744073709551615", "delay=2m&kind=a&label.x=y&limit=5&after=b"),
        ("", "from=%2d3&delay=+1s&%zz"),
    ]:
        yield f"{seen}\n{query}\n".encode() + b'{"a":\r\n1}\rid: x\n\n'


def publish():
    for query, media, body in [
        ("", "application/json", '{"event":"token","data":{"a":[1,2]},"id":"7"}'),
        ("", "application/json; charset=utf-8", '[{"event":"a","data":"text"},{"event":"b","data":1.5e3}]'),
        ("event=token&create=false", "text/plain", "words"),
        ("", "application/json", '{"event":"a","data":"\\ud800"}'),
        ("create=maybe", "text/html", ""),
        ("", "application/json", '{"event":"a","data":' + "[" * 70 + "]" * 70 + "}"),
    ]:
        yield f"{query}\n{media}\n{body}".encode()


def recording():
    """What is not among these, begun recordings of matches, is in the corpus only: a match has to be played for it."""
    begun = {
        "format": 1, "kind": "shared", "tick_hz": 20, "room": "a", "epoch": "0102030405060708", "at_ms": 1,
        "labels": [], "capacity": 10, "extensions": [],
        "limits": {"state_entities_max": 100, "state_bytes_max": 65536, "logic_operations_max": 1000},
        "seed": "00" * 32,
    }
    yield b"{}\n"
    yield json.dumps({"begun": begun}).encode() + b'\n{"call":"tick"}\n'


def token():
    """Signed by nobody, and headers and claims that the target signs."""
    def part(value):
        return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=")

    usual = {"sub": "ada", "exp": 4_000_000_000}
    grants = [{"rooms": "lobby", "may": ["join"]}, {"rooms": ["game-*", "hall"], "may": ["create", "publish"]}]
    own = {"app": "chess", "attributes": {"name": "Ada", "rank": 7, "vip": True}, "grants": grants}
    for algorithm in ["none", "HS256", "RS256", "ES256", "EdDSA"]:
        yield part({"alg": algorithm}) + b"." + part(usual) + b"." + (b"" if algorithm == "none" else b"AAAA")
    for header in [{}, {"kid": "a"}, {"crit": ["exp"]}, {"typ": "JWT"}, {"jwk": {"kty": "oct", "k": "AAAA"}}]:
        for claims in [usual, {**usual, "nbf": 1, "iss": "a", "aud": ["b"]}, {**usual, "madang": own}, {"sub": ""}]:
            yield json.dumps({"alg": "HS256", **header}).encode() + b"\0" + json.dumps(claims).encode()


TARGETS = {
    "config": config,
    "http": http,
    "json": twin,
    "native": native,
    "proxy": proxy,
    "publish": publish,
    "recording": recording,
    "spectator": spectator,
    "token": token,
    "websocket": websocket,
}


def main():
    out = pathlib.Path(sys.argv[1])
    for name, seeds in TARGETS.items():
        directory = out / name
        directory.mkdir(parents=True, exist_ok=True)
        for seed in seeds():
            if len(seed) <= BYTES_MAX or name == "recording":
                (directory / hashlib.sha1(seed).hexdigest()).write_bytes(seed)


if __name__ == "__main__":
    main()
