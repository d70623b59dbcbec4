"""An unmodified third-party client, PyPI `websockets`, against the real server.

In rooms without an envelope (`/raw/{room}`), and in JSON through `/play` with nothing but `json`.
`test_bot.py` says how to run it.
"""

import asyncio
import http.client
import json
import unittest
import urllib.parse

from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from server import Server

DEADLINE = 10


def setUpModule():
    global server
    server = Server()


def tearDownModule():
    server.stop()


async def receive(socket):
    return await asyncio.wait_for(socket.recv(), DEADLINE)


class Talk(unittest.IsolatedAsyncioTestCase):
    async def connect(self, url, **options):
        socket = await connect(url, proxy=None, **options)
        self.addAsyncCleanup(socket.close)
        return socket


class Raw(Talk):
    async def room(self, *queries):
        """Sockets in one room. Whoever is connected hears what is sent from then on."""
        url = server.raw(f"third-party.{self._testMethodName}")
        return [await self.connect(url + query) for query in queries]

    async def test_text_and_binary_go_to_the_others(self):
        one, two, three = await self.room("", "", "")
        self.assertEqual(
            (one.subprotocol, one.response.headers.get("Sec-WebSocket-Extensions")), (None, None)
        )
        sent = ["hi", b"\0\xff", "움직임 🎪", "", b"", "x" * 60_000]
        for message in sent:
            await one.send(message)
        for socket in (two, three):
            self.assertEqual([await receive(socket) for _ in sent], sent)
        # What comes next to the sender is the answer and none of its own.
        await two.send("answer")
        self.assertEqual([await receive(one), await receive(three)], ["answer", "answer"])

    async def test_echo(self):
        one, two = await self.room("?echo=1", "")
        for message in ("hi", b"\0\xff"):
            await one.send(message)
            self.assertEqual([await receive(one), await receive(two)], [message, message])
        await two.send("from the other")
        await one.send("end")
        self.assertEqual([await receive(one), await receive(one)], ["from the other", "end"])
        self.assertEqual(await receive(two), "end")

    async def test_fragments_arrive_whole(self):
        one, two = await self.room("", "")
        await one.send(["frag", "men", "ts"])
        await one.send([b"\0", b"\1", b"\2"])
        self.assertEqual([await receive(two), await receive(two)], ["fragments", b"\0\1\2"])

    async def test_unknown_queries_are_ignored(self):
        one, two = await self.room("?x=1&echo=1", "?echo=0&y")
        await one.send("hi")
        self.assertEqual([await receive(one), await receive(two)], ["hi", "hi"])
        hint = await self.connect(server.play + "?room=no%20room&x=1", subprotocols=["madang.v1.json"])
        await hint.send('{"hello": {"version_min": 1, "version_max": 1}}')
        self.assertEqual((await answer(hint, "welcome"))["version"], 1)

    async def test_rooms_are_apart(self):
        [one] = await self.room("?echo=1")
        other = await self.connect(server.raw("third-party.another") + "?echo=1")
        await one.send("here")
        await other.send("there")
        self.assertEqual([await receive(one), await receive(other)], ["here", "there"])

    async def test_ping_and_close(self):
        [one] = await self.room("")
        await asyncio.wait_for(await one.ping(), DEADLINE)
        await one.close(1000)
        self.assertEqual(one.close_code, 1000)

    async def test_a_room_of_another_kind_is_refused(self):
        player, name = await play(self), "third-party.players"
        await player.send(json.dumps({"join": {"ref": 1, "target": {"name": name}}}))
        await answer(player, "joined")
        socket = await self.connect(server.raw(name))
        with self.assertRaises(ConnectionClosed):
            await receive(socket)
        self.assertEqual((socket.close_code, socket.close_reason.split(":")[0]), (4015, "room_refused"))


async def play(test):
    """A session in JSON."""
    socket = await test.connect(server.play, subprotocols=["madang.v1.json"])
    test.assertEqual(socket.subprotocol, "madang.v1.json")
    await socket.send('{"hello": {"version_min": 1, "version_max": 1}}')
    test.assertEqual((await answer(socket, "welcome"))["version"], 1)
    return socket


async def answer(socket, name):
    """The body of the next message of a name."""
    while True:
        message = json.loads(await receive(socket))
        if name in message:
            return message[name]


class Play(Talk):
    async def test_two_players_in_json(self):
        one, two = await play(self), await play(self)
        joined = []
        for socket in (one, two):
            await socket.send('{"join": {"ref": 7, "target": {"name": "third-party.play"}}}')
            joined.append(await answer(socket, "joined"))
            self.assertEqual((joined[-1]["ref"], joined[-1]["kind"]), (7, "relay"))
        self.assertEqual((await answer(one, "presence"))["event"]["join"]["id"], joined[1]["member"])
        publish = {"channel": joined[0]["channel"], "cseq": 1, "type": "chat", "payload": {"text": "hi"}}
        await one.send(json.dumps({"publish": publish}))
        for socket in (one, two):
            message = await answer(socket, "message")
            self.assertEqual((message["from"], message["payload"]), (joined[0]["member"], {"text": "hi"}))
        publish = {
            "channel": joined[1]["channel"],
            "cseq": 1,
            "class": {"latest": 0},
            "type": "move",
            "payload": {"json": [1, 2]},
        }
        await two.send(json.dumps({"publish": publish}))
        value = await answer(one, "ephemeral")
        self.assertEqual(
            (value["from"], value["key"], value["payload"]), (joined[1]["member"], 0, {"json": [1, 2]})
        )
        await two.close(1000)
        self.assertEqual(
            (await answer(one, "presence"))["event"]["leave"], {"id": joined[1]["member"], "reason": "gone"}
        )

    async def test_binary_is_preferred_or_taken_as_offered(self):
        for offered in (["madang.v1"], ["madang.v1.json"]):
            socket = await self.connect(server.play, subprotocols=["other", *offered])
            self.assertEqual([socket.subprotocol], offered)


class Refused(unittest.TestCase):
    """HTTP errors, by the standard library's client."""

    UPGRADE = {
        "Connection": "Upgrade",
        "Upgrade": "websocket",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
    }

    def ask(self, path, method="GET", **headers):
        connection = http.client.HTTPConnection(urllib.parse.urlparse(server.play).netloc, timeout=DEADLINE)
        self.addCleanup(connection.close)
        connection.request(
            method, path, headers={name.replace("_", "-"): value for name, value in headers.items()}
        )
        response = connection.getresponse()
        return response.status, response.read().decode()

    def test_statuses(self):
        upgrade = {name.replace("-", "_"): value for name, value in self.UPGRADE.items()}
        for status, path, method, headers in (
            (400, "/play", "GET", upgrade),
            (400, "/play", "GET", dict(upgrade, Sec_WebSocket_Protocol="other")),
            (400, "/raw/no%20room", "GET", upgrade),
            (400, "/raw/" + "x" * 129, "GET", upgrade),
            (400, "/raw/room?echo=2", "GET", upgrade),
            (413, "/nothing", "POST", dict(Content_Length="999999999")),
            (400, "/nothing", "GET", dict(Content_Length="1")),
            (404, "/nothing", "POST", {}),
            (404, "/nothing", "GET", upgrade),
            (405, "/play", "POST", {}),
            (426, "/play", "GET", {}),
            (426, "/raw/room", "GET", {}),
            (426, "/raw/room", "GET", dict(upgrade, Sec_WebSocket_Version="8")),
            (431, "/raw/room", "GET", dict(upgrade, X_Large="x" * 20_000)),
        ):
            with self.subTest(path=path, method=method, headers=headers):
                found, text = self.ask(path, method, **headers)
                self.assertEqual(found, status, text)
                self.assertTrue(text.strip())

    def test_refusal_names_both_subprotocols(self):
        text = self.ask("/play", **{name.replace("-", "_"): value for name, value in self.UPGRADE.items()})[1]
        self.assertIn("madang.v1.json", text)
        self.assertRegex(text, r"madang\.v1(?!\.json)")


if __name__ == "__main__":
    unittest.main()
