"""A bot written from protocol/SPEC.md plays against the real server, in both forms of the wire.

To run it:

    python3 -m pip install --target "$PACKAGES" -r tests/interop/requirements.txt
    PYTHONPATH="$PACKAGES" MADANG_BIN=target/debug/madang python3 -m unittest discover -s tests/interop

(or a virtual environment instead of `--target`). Every wait has a deadline and nothing sleeps.
"""

import asyncio
import contextlib
import json
import time
import unittest

from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from madang_client import BINARY, JSON, Client, Refused, Unanswered
from madang_wire import FROM_CLIENT, FROM_SERVER, Json, decode, encode, encode_json, join_batch, split_batch
from server import Server

DEADLINE = 10


def setUpModule():
    global server
    server = Server()


def tearDownModule():
    server.stop()


async def answer(future):
    return await asyncio.wait_for(asyncio.shield(future), DEADLINE)


def events(room):
    """The presence events that a room told, as (kind, id)."""
    found = []
    for name, body in room.logged:
        if name == "presence":
            kind, event = body["event"]
            found.append((kind, event["id"] if isinstance(event, dict) else event))
    return found


class Bot(unittest.IsolatedAsyncioTestCase):
    subprotocol = BINARY

    async def asyncSetUp(self):
        self.server = server
        self.room = f"{self._testMethodName}.{self.subprotocol}"

    async def client(self, subprotocol=None):
        client = await Client(self.server.play, subprotocol or self.subprotocol).open()
        self.addAsyncCleanup(client.close)
        return client

    async def member(self, history=0, since=None, **options):
        """A new session in the room of this test."""
        return await (await self.client()).join(self.room, history=history, since=since, **options)

    async def refused(self, code, future):
        with self.assertRaises(Refused) as refusal:
            await asyncio.wait_for(future, DEADLINE)
        self.assertEqual(refusal.exception.code, code, refusal.exception)

    async def closed(self, client, code, name):
        await client.until(lambda: client.close_code, f"close with {code}")
        self.assertEqual(client.close_code, code, client.close_reason)
        self.assertTrue(client.close_reason.startswith(name), client.close_reason)

    async def fence(self, *rooms):
        """Everything that was sent before has been handled when every member has this message."""
        mark = f"fence {time.monotonic_ns()}"
        await answer(rooms[0].publish("fence", mark))
        for room in rooms:
            await room.client.until(lambda: mark in room.published(), "fence")

    async def send(self, client, message):
        """A message that the client's own bookkeeping knows nothing of."""
        client.post(message)


class Play(Bot):
    async def test_hello(self):
        client = await self.client()
        welcome = client.welcome
        self.assertEqual(client.ws.subprotocol, self.subprotocol)
        self.assertEqual((welcome["version"], welcome["features"], welcome["resumed"]), (1, [], False))
        self.assertGreater(welcome["heartbeat_ms"], 0)
        self.assertLess(abs(welcome["server_time_ms"] - time.time() * 1000), 60_000)

    async def test_join_and_presence(self):
        one = await self.member(attributes=[("name", "하나"), ("score", -3)])
        self.assertEqual((one.info["name"], one.info["kind"]), (self.room, "relay"))
        self.assertEqual((one.info["presence"], one.info["recovered"]), ("full", False))
        self.assertEqual(one.members[one.me]["attributes"], {"name": "하나", "score": -3})
        two = await self.member(attributes=[("ratio", 0.5), ("raw", b"\0\xff"), ("on", True)])
        self.assertGreater(two.me, one.me)
        self.assertEqual(list(two.members), [one.me, two.me])
        await one.client.until(lambda: two.me in one.members, "join of the second")
        self.assertEqual(one.members[two.me]["attributes"], {"ratio": 0.5, "raw": b"\0\xff", "on": True})
        two.leave()
        await two.client.until(lambda: two.left, "left")
        self.assertEqual(two.left, "left")
        await one.client.until(lambda: two.me not in one.members, "leave of the second")
        self.assertEqual(one.logged[-1][1]["event"], ("leave", {"id": two.me, "reason": "left"}))
        three = await self.member()
        await three.client.close()
        await one.client.until(lambda: ("leave", three.me) in events(one), "end of the third")
        self.assertEqual(one.logged[-1][1]["event"], ("leave", {"id": three.me, "reason": "gone"}))

    async def test_publish_reliable(self):
        one, two = await self.member(), await self.member(echo=False)
        echo = await answer(one.publish("chat", "hi"))
        self.assertEqual((echo["from"], echo["cseq"], echo["payload"]), (one.me, 1, "hi"))
        ack = await answer(two.publish("chat", b"\0\xff"))
        self.assertEqual((ack["cseq"], ack["durability"]), (1, "sequenced"))
        written = Json('{ "a":[1,2.50,null,"\\u00e9"], "a":{} }')
        await answer(one.publish("json", written))
        for room in (one, two):
            await room.client.until(lambda: written in room.published(), "the last")
        self.assertEqual(one.published(), ["hi", b"\0\xff", written])
        self.assertIsInstance(one.published()[2], Json)
        self.assertEqual(two.published(), ["hi", written])
        self.assertEqual(
            ack["seq"], next(b["seq"] for n, b in one.logged if n == "message" and b["from"] == two.me)
        )
        self.assertEqual(one.types, ["chat", "json"])

    async def test_publish_many_in_order(self):
        one, two = await self.member(), await self.member()
        sent = [f"message {number}" for number in range(150)]
        for text in sent:
            one.publish("chat", text)
        for room in (one, two):
            await room.client.until(lambda: len(room.published()) == len(sent), "all messages")
            self.assertEqual(room.published(), sent)
        self.assertEqual(one.pending, {})

    async def test_publish_latest(self):
        one, two = await self.member(), await self.member()
        for x in range(20):
            one.publish("move", f"{x}", ("latest", 7))
        one.publish("move", "other", ("latest", 8))
        newest = lambda room: {e["key"]: e["payload"] for e in room.ephemeral if e["from"] == one.me}
        await two.client.until(lambda: newest(two) == {7: "19", 8: "other"}, "the newest values")
        late = await self.member()
        await late.client.until(lambda: newest(late) == {7: "19", 8: "other"}, "the current values")
        await self.fence(one, two, late)
        self.assertEqual((one.ephemeral, len(late.ephemeral)), ([], 2))
        one.leave()
        await one.client.until(lambda: one.left, "left")
        self.assertEqual((await self.after_fence(await self.member())).ephemeral, [])

    async def after_fence(self, room):
        await self.fence(room)
        return room

    async def test_publish_volatile(self):
        one, two = await self.member(), await self.member()
        await self.fence(one, two)
        one.publish("emote", "wave", "volatile")
        await two.client.until(lambda: two.ephemeral, "the volatile message")
        self.assertEqual(
            (two.ephemeral[0]["payload"], two.ephemeral[0]["key"], two.ephemeral[0]["type"]),
            ("wave", None, "emote"),
        )
        late = await self.member(history=100)
        await self.fence(one, two, late)
        self.assertEqual((one.ephemeral, late.ephemeral), ([], []))
        self.assertEqual(two.published(), late.published())

    async def test_direct(self):
        one, two, three = await self.member(), await self.member(), await self.member()
        ack = await answer(one.direct(two.me, "whisper", "psst"))
        await self.fence(one, two, three)
        self.assertEqual(
            [(b["from"], b["seq"], b["payload"]) for n, b in two.logged if n == "direct"],
            [(one.me, ack["seq"], "psst")],
        )
        self.assertEqual([n for n, _ in one.logged + three.logged if n == "direct"], [])
        await self.refused(105, one.direct(99, "whisper", "psst"))

    async def test_requests(self):
        one, two = await self.member(attributes=[("raw", b"\0\xff"), ("n", 3)]), await self.member()
        for number in range(3):
            await answer(one.publish("chat", f"{number}"))
        await answer(one.publish("blob", b"\0\xff"))
        written = Json("[1,  2]")
        last = await answer(one.publish("json", written))

        async def ask(type_, payload=b""):
            reply = (await answer(one.request(type_, payload)))["payload"]
            self.assertIsInstance(reply, Json)
            return json.loads(reply)

        self.assertEqual(
            await ask("info"),
            {
                "kind": "relay",
                "epoch": one.epoch.hex(),
                "seq": last["seq"],
                "members": 2,
                "capacity": one.info["capacity"],
                "labels": [],
            },
        )
        page = await ask("members", Json('{"limit": 1}'))
        first = {
            "id": one.me,
            "user": None,
            "away": False,
            "attributes": [["raw", {"bytes": "AP8="}], ["n", {"int": 3}]],
        }
        self.assertEqual(page, {"members": [first], "next": one.me})
        page = await ask("members", f'{{"after": {page["next"]}}}')
        self.assertEqual(([m["id"] for m in page["members"]], page["next"]), ([two.me], None))
        page = await ask("history", Json('{"limit": 2}'))
        self.assertEqual([m["payload"] for m in page["messages"]], [{"bytes": "AP8="}, {"json": [1, 2]}])
        self.assertEqual(([m["type"] for m in page["messages"]], page["more"]), (["blob", "json"], True))
        before = page["messages"][0]["seq"]
        page = await ask("history", Json(f'{{"before": {before}, "unknown": [], "limit": 100000}}'))
        self.assertEqual([m["payload"] for m in page["messages"]], [{"text": f"{n}"} for n in range(3)])
        self.assertEqual(page["more"], False)
        self.assertEqual(await ask("info", ""), await ask("info", Json("{}")))
        await self.refused(106, one.request("nonsense"))
        page = await ask("history", Json('{"limit": 0, "before": null}'))
        self.assertEqual([m["seq"] for m in page["messages"]], [last["seq"]])
        wrong = ["{", '{"limit": 1.5}', '{"limit": "2"}', '{"limit": -1}', "[]", "3", "null"]
        for payload in [*wrong, b"{}"]:
            await self.refused(100, one.request("history", payload))

    async def test_history_of_any_payload(self):
        """Whatever was published as `json`, the answer is JSON that everyone can read."""
        one, two = await (await self.client(BINARY)).join(self.room), await self.member()
        deep = lambda depth: Json("[" * depth + "]" * depth)
        sent = [deep(60), deep(61), deep(1000), Json('"\\ud83c"'), Json("1e999"), Json("{no json")]
        for payload in sent:
            await answer(one.publish("json", payload))
        await self.fence(one, two)
        reply = (await answer(two.request("history")))["payload"]
        self.assertIsInstance(reply, Json)
        found = [message["payload"] for message in json.loads(reply)["messages"]][: len(sent)]
        self.assertEqual([next(iter(payload)) for payload in found], ["json", *["text"] * 5])
        self.assertEqual([p["text"] for p in found if "text" in p], [str(payload) for payload in sent[1:]])

    async def test_attributes(self):
        one, two = await self.member(attributes=[("a", 1), ("b", "x")]), await self.member()
        changed = await answer(one.set_attributes(a=None, c=-0.5))
        self.assertEqual((changed["id"], changed["cseq"]), (one.me, 1))
        await self.fence(one, two)
        for room in (one, two):
            self.assertEqual(room.members[one.me]["attributes"], {"b": "x", "c": -0.5})
        self.assertEqual((await self.member()).members[one.me]["attributes"], {"b": "x", "c": -0.5})
        await self.refused(
            100, one.set_attributes(big="x" * one.client.welcome["limits"]["attributes_bytes_max"])
        )
        await self.refused(100, one.set_attributes(**{f"a{number}": 1 for number in range(33)}))
        await self.refused(100, one.set_attributes(**{"": 1}))
        await self.refused(100, one.set_attributes(**{"x" * 65: 1}))

    async def test_attributes_that_change_nothing_or_twice(self):
        one = await self.member(attributes=[("a", 1), ("a", 2), ("none", None)])
        self.assertEqual(one.members[one.me]["attributes"], {"a": 2})
        for changes in ([], [("missing", None)], [("a", 3), ("a", 4)]):
            future = asyncio.get_running_loop().create_future()
            body = {"channel": one.channel, "cseq": one.next_cseq(), "attributes": changes}
            event = await answer(one._send(body, "set_attributes", future))
            self.assertEqual(event["changes"], changes)
        self.assertEqual((await self.member()).members[one.me]["attributes"], {"a": 4})

    async def test_presence_count_and_none(self):
        one = await self.member(create={"presence": "count", "capacity": 2, "labels": [("map", "dust")]})
        self.assertEqual((one.info["roster"], one.info["capacity"]), (("count", 1), 2))
        self.assertEqual(one.info["labels"], [("map", "dust")])
        two = await self.member()
        await one.client.until(lambda: one.counts and one.counts[-1] == 2, "the count of two")
        self.assertEqual(events(one) + events(two), [])
        ack = await answer(one.set_attributes(a=1))
        self.assertEqual(ack["cseq"], 1)
        await self.refused(200, self.member())
        self.room += ".none"
        three = await self.member(create={"presence": "none"})
        self.assertEqual((three.info["presence"], three.info["roster"]), ("none", "none"))

    async def test_match(self):
        labels = [("map", "dust"), ("id", self.room)]
        client, other = await self.client(), await self.client()
        await self.refused(107, client.join(("match", {"kind": "relay", "filter": labels}), mode="join"))
        room = await client.join(("match", {"kind": "relay", "filter": labels}))
        self.assertEqual(sorted(room.info["labels"]), sorted(labels))
        found = await other.join(("match", {"kind": "relay", "filter": labels[1:]}), mode="join")
        self.assertEqual(found.info["name"], room.info["name"])
        another = await other.join(("match", {"kind": "relay", "filter": labels}), mode="create")
        self.assertNotEqual(another.info["name"], room.info["name"])
        # A match never leads into a room that one is in, and labels are not unique by name.
        target = ("match", {"kind": "relay", "filter": [("map", "dust"), ("id", self.room)]})
        create = {"labels": [("map", "sand"), ("id", self.room)]}
        third = await other.join(target, create=create)
        self.assertEqual(third.info["labels"], [("map", "sand"), ("id", self.room), ("map", "dust")])
        await self.refused(100, client.join(("match", {"kind": "dance", "filter": []})))
        await self.refused(103, client.join(("match", {"kind": "raw", "filter": []})))

    async def test_refused(self):
        room = await self.member()
        client = room.client
        await self.refused(101, client.join(f"{self.room}.other", mode="join"))
        await self.refused(102, (await self.client()).join(self.room, mode="create"))
        await self.refused(108, client.join(self.room))
        await self.refused(108, client.join(self.room, mode="create"))
        await self.refused(100, client.join("no room"))
        await self.refused(100, client.join("x" * 129))
        await self.refused(109, room.publish(200, "hi"))
        await self.refused(100, room.publish("", "hi"))
        await self.refused(100, room.publish("x" * 65, "hi"))
        for number in range(client.welcome["limits"]["rooms_max"] - 1):
            await client.join(f"{self.room}.{number}")
        await self.refused(201, client.join(f"{self.room}.more"))
        before = len(client.errors)
        await self.send(
            client, ("publish", {"channel": room.channel, "cseq": 0, "type": "t", "payload": "hi"})
        )
        await client.until(lambda: len(client.errors) > before, "error about cseq 0")
        self.assertEqual(
            (client.errors[-1].code, client.errors[-1].ref),
            (110, ("cseq", {"channel": room.channel, "cseq": 0})),
        )
        await self.fence(room)

    async def test_leave(self):
        one, two = await self.member(), await self.member()
        await answer(one.publish("chat", "before"))
        one.leave()
        await one.client.until(lambda: one.left, "left")
        await self.refused(104, one.publish("chat", "after"))
        before = len(one.client.errors)
        one.leave()
        await one.client.until(lambda: len(one.client.errors) > before, "error about a second leave")
        self.assertEqual((one.client.errors[-1].code, one.client.errors[-1].ref), (104, "session"))
        again = await one.client.join(self.room, history=10)
        self.assertGreater(again.me, one.me)
        self.assertEqual(again.published(), ["before"])
        self.assertEqual(again.info["applied_cseq"], 0, "the mark ended with the membership")
        # The counter of this session and room goes on: 1 was used, and 2 on the way out.
        self.assertEqual((await answer(again.publish("chat", "again")))["cseq"], 3)
        await two.client.until(lambda: two.published() == ["before", "again"], "both messages")

    async def test_ping_and_clock(self):
        client = await self.client()
        samples = [await client.ping() for _ in range(5)]
        rtt, offset = min(samples)
        here = time.time() * 1000 - asyncio.get_running_loop().time() * 1000
        self.assertGreaterEqual(rtt, 0)
        # Both clocks are those of this machine; the rest is room for a wall clock that is being set.
        self.assertLess(abs(offset - here), rtt / 2 + 1000)

    async def test_stats(self):
        one, two = await self.member(), await self.member()
        await self.fence(one, two)
        one.publish("move", "x", ("latest", 0))
        await two.client.until(lambda: two.ephemeral, "the value")
        one.publish("emote", "wave", "volatile")
        await two.client.until(lambda: len(two.ephemeral) == 2, "the volatile message")
        stats = await two.client.stats()
        self.assertEqual(
            (stats["latest"], stats["volatile"]), ({"sent": 1, "dropped": 0, "conflated": 0},) * 2
        )
        self.assertEqual((stats["reliable"]["dropped"], stats["resumes"]), (0, 0))
        self.assertGreaterEqual(stats["reliable"]["sent"], len(two.logged))
        two.client.cut()
        await two.client.resume()
        self.assertEqual((await two.client.stats())["resumes"], 1)

    async def test_history_and_since(self):
        one = await self.member()
        for number in range(10):
            await answer(one.publish("chat", f"{number}"))
        late = await self.member(history=4)
        self.assertEqual((late.info["replay"], late.info["recovered"]), (4, False))
        self.assertEqual(late.published(), ["6", "7", "8", "9"])
        since = next(b["seq"] for n, b in one.logged if n == "message" and b["payload"] == "7")
        again = await self.member(since={"epoch": one.epoch, "seq": since}, history=4)
        self.assertTrue(again.info["recovered"])
        self.assertEqual(again.published(), ["8", "9"])
        other = await self.member(since={"epoch": bytes(8), "seq": since}, history=1)
        self.assertFalse(other.info["recovered"])
        self.assertEqual(other.published(), ["9"])
        beyond = await self.member(since={"epoch": one.epoch, "seq": 10_000}, history=1)
        self.assertFalse(beyond.info["recovered"])


class Resume(Bot):
    async def away(self, room, watcher):
        # The watcher may not have heard of it yet.
        await watcher.client.until(lambda: room.me in watcher.members, "join")
        room.client.cut()
        await watcher.client.until(lambda: watcher.members[room.me]["away"], "away")

    async def test_resume_misses_nothing(self):
        one, two = await self.member(), await self.member()
        await answer(one.publish("chat", "before"))
        await self.fence(one, two)
        await self.away(two, one)
        for number in range(20):
            await answer(one.publish("chat", f"{number}"))
        await answer(one.publish("new type", "new type"))
        await answer(one.direct(two.me, "whisper", "psst"))
        await answer(one.set_attributes(a=1))
        one.publish("move", "here", ("latest", 1))
        me, key = two.me, two.client.welcome["resume_key"]
        await two.client.resume()
        self.assertTrue(two.client.welcome["resumed"])
        self.assertNotEqual(two.client.welcome["resume_key"], key)
        self.assertEqual((two.info["ref"], two.info["recovered"], two.me), (None, True, me))
        await self.fence(one, two)
        own = lambda room: [b for n, b in room.logged if n == "message"]
        self.assertEqual(own(two), own(one))
        self.assertEqual([b["payload"] for n, b in two.logged if n == "direct"], ["psst"])
        self.assertEqual(two.members, one.members)
        self.assertEqual(two.members[one.me]["attributes"], {"a": 1})
        seqs = [body["seq"] for _, body in two.logged]
        self.assertEqual(seqs, sorted(set(seqs)))
        await two.client.until(lambda: two.ephemeral, "the current value")
        self.assertEqual(two.ephemeral[-1]["payload"], "here")
        self.assertEqual(events(one)[-2:], [("attributes", one.me), ("back", two.me)])

    async def test_unacked_and_applied(self):
        for echo in (True, False):
            with self.subTest(echo=echo):
                one, two = await self.member(), await self.member(echo=echo)
                await self.fence(one, two)
                two.client.tasks[0].cancel()  # Reads nothing more, so no answer comes through.
                future = two.publish("chat", f"once {echo}")
                await one.client.until(lambda: f"once {echo}" in one.published(), "the publication")
                self.assertFalse(future.done())
                await self.away(two, one)
                await two.client.resume()
                self.assertTrue(two.info["recovered"])
                self.assertEqual(two.info["applied_cseq"], max(two.client.cseqs.values()))
                if echo:
                    self.assertEqual((await answer(future))["payload"], f"once {echo}")
                else:
                    with self.assertRaises(Unanswered):
                        await answer(future)
                await self.fence(one, two)
                self.assertEqual(one.published().count(f"once {echo}"), 1)

    async def test_unacked_and_lost(self):
        one, two = await self.member(), await self.member()
        await self.fence(one, two)
        two.client.tasks[1].cancel()  # Writes nothing more.
        futures = [two.publish("chat", f"{number}") for number in range(3)] + [
            two.direct(one.me, "whisper", "psst")
        ]
        await self.away(two, one)
        self.assertFalse(any(future.done() for future in futures))
        await two.client.resume()
        for future in futures:
            await answer(future)
        await self.fence(one, two)
        self.assertEqual(one.published()[1:-1], ["0", "1", "2"])
        self.assertEqual([b["payload"] for n, b in one.logged if n == "direct"], ["psst"])

    async def test_repeat(self):
        one, two = await self.member(), await self.member()
        first = await answer(two.publish("chat", "once"))
        repeat = two._send(
            {"channel": two.channel, "cseq": first["cseq"], "type": "chat", "payload": "once"},
            "publish",
            asyncio.get_running_loop().create_future(),
        )
        ack = await answer(repeat)
        self.assertEqual((ack["cseq"], ack["seq"]), (first["cseq"], None))
        again = {"channel": two.channel, "cseq": first["cseq"], "type": "t", "payload": ""}
        await self.send(two.client, ("publish", dict(again, **{"class": "volatile"})))
        repeat = two._send(dict(again, type="info"), "request", asyncio.get_running_loop().create_future())
        self.assertEqual((await answer(repeat))["seq"], None, "an ack and no reply")
        await self.fence(one, two)
        self.assertEqual(one.ephemeral, [])
        self.assertEqual(one.published().count("once"), 1)

    async def test_lost_welcome(self):
        """The old key holds until something came on the connection of the new one."""
        one, two = await self.member(), await self.member()
        await self.away(two, one)
        key = two.client.welcome
        for _ in range(3):
            two.client.welcome = key
            await two.client.resume()
            self.assertTrue(two.client.welcome["resumed"])
            two.client.cut()
        two.client.welcome = key
        await two.client.resume()
        await self.fence(two, one)
        two.client.cut()
        two.client.welcome = key
        await two.client.resume()
        self.assertFalse(two.client.welcome["resumed"])

    async def test_room_not_named_is_left(self):
        one, two = await self.member(), await self.member()
        await self.away(two, one)
        await two.client.open({"key": two.client.welcome["resume_key"], "rooms": []})
        self.assertTrue(two.client.welcome["resumed"])
        await one.client.until(lambda: two.me not in one.members, "leave")
        self.assertEqual(one.logged[-1][1]["event"], ("leave", {"id": two.me, "reason": "left"}))

    async def test_rooms_of_a_resume_named_twice_or_without_being_there(self):
        one, two = await self.member(), await self.member()
        await self.away(two, one)
        named = {"channel": two.channel, "epoch": two.epoch, "seq": two.position}
        other = dict(named, channel=two.channel + 1000)
        lost, joined, client = [], [], two.client
        take = client._take

        def watch(name, body):
            (lost if name == "left" else joined if name == "joined" else []).append(body)
            take(name, body)

        client._take = watch
        key = client.welcome["resume_key"]
        await client.open({"key": key, "rooms": [named, dict(named, seq=0), other]})
        await client.until(lambda: joined and lost and not two.replay, "joined and left")
        await self.fence(one, two)
        self.assertEqual(lost, [{"channel": other["channel"], "reason": "lost"}])
        self.assertEqual([(body["channel"], body["recovered"]) for body in joined], [(two.channel, True)])
        # The replay holds what the others saw of it.
        self.assertEqual(events(two)[-2:], [("away", two.me), ("back", two.me)])

    async def test_replaced(self):
        one, two = await self.member(), await self.member()
        first = two.client
        second = Client(self.server.play, self.subprotocol)
        self.addAsyncCleanup(second.close)
        rooms = [{"channel": two.channel, "epoch": two.epoch, "seq": two.position}]
        second.rooms, two.client = first.rooms, second
        await second.open({"key": first.welcome["resume_key"], "rooms": rooms})
        self.assertTrue(second.welcome["resumed"])
        await self.closed(first, 4009, "replaced")
        await self.fence(one, two)
        self.assertEqual(events(one)[-1], ("join", two.me))

    async def test_unknown_key(self):
        one, two = await self.member(), await self.member()
        await answer(one.publish("chat", "hi"))
        await self.away(two, one)
        position = {"epoch": two.epoch, "seq": two.info["seq"]}
        two.client.welcome["resume_key"] = bytes(24)
        lost = two.publish("chat", "lost")
        await two.client.resume()
        self.assertFalse(two.client.welcome["resumed"])
        with self.assertRaises(Unanswered):
            await answer(lost)
        again = await two.client.join(self.room, since=position)
        self.assertEqual((again.info["recovered"], again.published()), (True, ["hi"]))
        self.assertNotEqual(again.me, two.me)

    async def test_other_subprotocol(self):
        one, two = await self.member(), await self.member()
        await self.away(two, one)
        client, right = two.client, self.subprotocol
        client.subprotocol = JSON if right == BINARY else BINARY
        with self.assertRaises(ConnectionError):
            await client.resume()
        self.assertEqual(client.close_code, 4004)
        client.subprotocol = right
        await client.resume()
        self.assertTrue(client.welcome["resumed"])
        await self.fence(one, two)

    async def test_recovers_not_what_the_log_lost(self):
        self.server = await asyncio.to_thread(
            Server,
            "play.outbound_messages_max=16",
            "rooms.history_messages_max=16",
            "rooms.join_history_messages_max=4",
        )
        self.addCleanup(self.server.stop)
        one, two = await self.member(), await self.member()
        await answer(one.publish("chat", "seen"))
        await self.fence(one, two)
        await self.away(two, one)
        for number in range(20):
            await answer(one.publish("chat", f"{number}"))
        await two.client.resume()
        self.assertFalse(two.info["recovered"])
        self.assertEqual(two.published(), ["16", "17", "18", "19"])
        # The roster knows that it is back; the other hears of it before the fence.
        roster = two.members
        await self.fence(one, two)
        self.assertEqual(roster, one.members)
        self.assertEqual(two.position, one.position)


class Closing(Bot):
    async def raw(self, frame):
        client = await self.client()
        await client.ws.send(frame)
        return client

    def one(self, name, **body):
        """A frame with one message, in the form of this test."""
        if self.subprotocol == JSON:
            return encode_json(FROM_CLIENT, (name, body))
        return join_batch([encode(FROM_CLIENT, (name, body))])

    async def test_bad_messages(self):
        frames = [self.one("hello", version_min=1, version_max=1)]
        if self.subprotocol == JSON:
            frames += [
                b"\x02\x02\x03",
                "",
                "[]",
                '{"dance":{}}',
                '{"leave":{}}',
                '{"ping":{"id":1}}{"ping":{"id":2}}',
            ]
            publish = '{"publish":{"channel":1,"cseq":1,"type":"t","payload":{"json":%s}}}'
            frames += [publish % ("[" * 65 + "]" * 65), publish % '"\\udfaa"']
        else:
            frames += ["text", b"\x00", b"\x02\x02", b"\xff", b"\x01\x09", b"\x03\x02\x03\x00"]
        for frame in frames:
            with self.subTest(frame):
                await self.closed(await self.raw(frame), 4004, "bad_message")

    async def test_before_hello(self):
        for name, body in (("ping", {"id": 1}), ("get_stats", {"ref": 1})):
            client = Client(self.server.play, self.subprotocol)
            client.post = lambda _, client=client, name=name, body=body: client._outbox.put_nowait(
                (name, body)
            )
            with self.assertRaises(ConnectionError):
                await client.open()
            await self.closed(client, 4004, "bad_message")

    async def test_nothing_before_hello(self):
        """A message of no bytes is ignored in binary and malformed in JSON, before hello and after."""
        socket = await connect(self.server.play, subprotocols=[self.subprotocol], proxy=None)
        self.addAsyncCleanup(socket.close)
        hello = self.one("hello", version_min=1, version_max=1)
        for frame in (hello[:0], hello, hello[:0], self.one("ping", id=7)):
            await socket.send(frame)
        names = []
        with contextlib.suppress(ConnectionClosed):
            while len(names) < 2:
                frame = await asyncio.wait_for(socket.recv(), DEADLINE)
                # Both may be in one batch.
                names += [decode(FROM_SERVER, data)[0] for data in split_batch(frame)]
        if self.subprotocol == JSON:
            self.assertEqual((names, socket.close_code), ([], 4004))
        else:
            self.assertEqual(names, ["welcome", "pong"])

    async def test_broken_framing(self):
        for frame, name in ((b"\x82\x00", "protocol_error"), (b"\x81\x81\0\0\0\0\xff", "invalid_payload")):
            client = await self.client()
            client.ws.transport.write(frame)
            await self.closed(client, 1002 if name == "protocol_error" else 1007, f"{name}: a ")

    async def test_version(self):
        client = Client(self.server.play, self.subprotocol)
        client.post = lambda _: client._outbox.put_nowait(
            ("hello", {"version_min": 2, "version_max": 3, "resume": None})
        )
        with self.assertRaises(ConnectionError):
            await client.open()
        await self.closed(client, 4005, "unsupported_version")

    async def test_hello_too_big(self):
        client = Client(self.server.play, self.subprotocol)
        client.post = lambda _: client._outbox.put_nowait(
            ("hello", {"version_min": 1, "version_max": 1, "client": "x" * 20_000})
        )
        with self.assertRaises(ConnectionError):
            await client.open()
        await self.closed(client, 4006, "hello_too_big")

    async def test_message_too_big(self):
        room = await self.member()
        most = room.client.welcome["limits"]["message_bytes_max"]
        room.publish("chat", "x" * most)
        await self.closed(room.client, 1009, "message_too_big")

    async def test_hello_timeout(self):
        self.server = await asyncio.to_thread(Server, "play.hello_ms=50")
        self.addCleanup(self.server.stop)
        client = Client(self.server.play, self.subprotocol)
        client.post = lambda _: None
        with self.assertRaises(ConnectionError):
            await client.open()
        await self.closed(client, 4003, "hello_timeout")

    async def test_draining(self):
        self.server = await asyncio.to_thread(Server)
        self.addCleanup(self.server.stop)
        rooms = [await self.member() for _ in range(4)]
        await self.fence(*rooms)
        self.server.terminate()
        for room in rooms:
            await room.client.until(lambda: room.client.draining is not None, "draining")
        await self.refused(203, rooms[0].client.join(f"{self.room}.other"))
        await self.fence(*rooms)  # All else goes on.
        for room in rooms:
            await self.closed(room.client, 4011, "draining")
        self.assertEqual(await asyncio.to_thread(self.server.wait), 0)


class PlayJson(Play):
    subprotocol = JSON


class ResumeJson(Resume):
    subprotocol = JSON


class ClosingJson(Closing):
    subprotocol = JSON


class BothForms(Bot):
    async def test_a_room_of_both(self):
        one = await (await self.client(BINARY)).join(self.room)
        two = await (await self.client(JSON)).join(self.room)
        for payload in ("text", b"\0\xff", Json('{ "a":[1,2.50,null], "a":{} }')):
            await answer(one.publish("chat", payload))
            await answer(two.publish("chat", payload))
        await answer(one.publish("chat", Json("{no json")))
        others = [Json("[" * 64 + "]" * 64), Json("[" * 65 + "]" * 65), Json('{"\\ud83c":1}'), Json("-1e999")]
        for payload in others:
            await answer(one.publish("chat", payload))
        await self.fence(two, one)
        self.assertEqual(one.published()[7:11], others)
        self.assertEqual(two.published()[7:11], others)
        formats = [type(payload) for payload in two.published()[7:11]]
        self.assertEqual(formats, [Json, str, str, str])
        self.assertEqual(one.published()[:6], two.published()[:6])
        kinds = lambda room: [type(payload) for payload in room.published()[:7]]
        self.assertEqual(kinds(one), [str, str, bytes, bytes, Json, Json, Json])
        self.assertEqual(kinds(two), [str, str, bytes, bytes, Json, Json, str])
        self.assertEqual(two.published()[6], "{no json")


if __name__ == "__main__":
    unittest.main()
