"""A client of the Madang wire, written from protocol/SPEC.md (sections 9 to 12 and 17) and nothing else.

It exists to keep that page honest: where it and the server disagree, one of the page, the server and
this client is wrong. It runs on the PyPI package `websockets`; `madang_wire` is its codec. It does
not reconnect by itself, so that a test decides when: `resume` does.
"""

import asyncio

from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from madang_state import Schema, State
from madang_wire import FROM_CLIENT, FROM_SERVER, Malformed, Unknown
from madang_wire import decode, decode_json, encode, encode_json, join_batch, split_batch

MESSAGE_BYTES_MAX = 16777216
BINARY, JSON = "madang.v1", "madang.v1.json"
EXT_SCHEMA, EXT_ON_LEAVE = 1, 2
TERMINAL = {1000, 1002, 1007, 1009, 4001, 4003, 4004, 4005, 4006, 4009, 4012, 4014, 4015}


class Refused(Exception):
    """An `error` from the server."""

    def __init__(self, error):
        super().__init__(f"{error['code']}: {error['message']}")
        self.code, self.ref = error["code"], error["ref"]


class Unanswered(Exception):
    """What was sent may or may not have been applied."""


class Room:
    """What one session knows about one room, from its `joined` on."""

    def __init__(self, client):
        self.client = client
        self.epoch, self.position, self.replay = None, 0, 0
        self.pending = {}  # cseq: (message, future)
        self.logged, self.ephemeral, self.counts, self.members, self.types = [], [], [], {}, []
        self.left = self.state = None
        self.acknowledged, self.resyncs = 0, 0

    def joined(self, info):
        """Takes a `joined`: of the first join, or after a resume."""
        if info["epoch"] != self.epoch:
            for _, future in self.pending.values():
                _fail(future, Unanswered("the room is another than before"))
            self.pending.clear()
            self.position = 0
        if not info["recovered"]:
            self.logged.clear()
        self.info, self.channel, self.me, self.epoch = info, info["channel"], info["member"], info["epoch"]
        self.types, self.replay = list(info["types"]), info["replay"]
        schema = dict(info["ext"]).get(EXT_SCHEMA)
        self.state = State(Schema(schema)) if schema is not None else None
        self.acknowledged = info["applied_cseq"]
        roster = info["roster"]
        known = roster[1] if roster[0] == "full" else []
        self.members = {member["id"]: dict(member, attributes=dict(member["attributes"])) for member in known}
        cseqs = self.client.cseqs
        cseqs[info["name"]] = max(cseqs.get(info["name"], 0), info["applied_cseq"])
        for cseq, (message, _) in sorted(self.pending.items()):
            if cseq > info["applied_cseq"]:
                self.client.post(message)
        self._replayed()

    def _replayed(self):
        """When the replay is complete, what is still pending of what was applied has no other answer."""
        if self.replay:
            return
        self.position = max(self.position, self.info["seq"])
        for cseq, (message, future) in sorted(self.pending.items()):
            if cseq > self.info["applied_cseq"]:
                continue
            del self.pending[cseq]
            if message[0] == "request":
                self._send(dict(message[1], cseq=self.next_cseq()), "request", future)
            else:
                _fail(future, Unanswered("dealt with, but the answer was lost"))

    def take(self, name, body):
        """Handles a message about this room."""
        if "type" in body:
            body["type"] = self._type(body["type"])
        if name in ("snapshot", "delta", "part_gone"):
            self._state(name, body)
        elif name == "input_ack":
            self._covered(body)
        elif "seq" in body and name != "ack":
            replayed = self.replay > 0
            if body["seq"] <= self.position and not (replayed and not self.info["recovered"]):
                return
            self.position = body["seq"]
            self.logged.append((name, body))
            if replayed:
                self.replay -= 1
            if name == "presence":
                self._presence(body["event"])
            elif name == "message" and body["from"] == self.me:
                self._answer(body["cseq"], body)
            if replayed:
                self._replayed()
        elif name in ("ack", "reply", "edited"):
            self._answer(body["cseq"], body)
        elif name == "ephemeral":
            self.ephemeral.append(body)
        elif name == "presence_count":
            self.counts.append(body["count"])
        elif name == "types":
            self.types[body["first"] :] = body["names"]
        elif name == "gap":
            self.position = max(self.position, body["to_seq"])
            self.logged.append((name, body))
        elif name == "left":
            self.left = body["reason"]
        elif name == "moved":
            self.epoch, self.position = body["epoch"], 0
            if self.state:
                self.state = State(self.state.schema)

    def _state(self, name, body):
        if self.state and (wrong := self.state.take(name, body)):
            self.resyncs += 1
            self.client.post(("resync", dict(wrong, channel=self.channel)))

    def _covered(self, body):
        """An `input_ack`: publications up to its cseq that were not refused were applied."""
        self.acknowledged = max(self.acknowledged, body["cseq"])
        for cseq, (message, _) in list(self.pending.items()):
            if cseq <= body["cseq"] and message[0] == "publish":
                self._answer(cseq, body)

    def _type(self, reference):
        if isinstance(reference, str):
            return reference
        if reference >= len(self.types):
            raise Malformed(f"type {reference} was not told")
        return self.types[reference]

    def _presence(self, event):
        kind, body = event
        if kind == "collapsed":
            self.members = {}
        elif kind == "join":
            self.members[body["id"]] = dict(body, attributes=dict(body["attributes"]))
        elif kind == "leave":
            self.members.pop(body["id"], None)
        elif kind in ("away", "back"):
            if body in self.members:
                self.members[body]["away"] = kind == "away"
        elif kind == "attributes":
            if body["id"] in self.members:
                attributes = self.members[body["id"]]["attributes"]
                attributes.update(body["changes"])
                for name in [name for name, value in body["changes"] if value is None]:
                    attributes.pop(name, None)
            if body["id"] == self.me:
                self._answer(body["cseq"], body)

    def _answer(self, cseq, body):
        if cseq in self.pending:
            _, future = self.pending.pop(cseq)
            if not future.done():
                future.set_result(body)

    def refuse(self, cseq, error):
        if cseq in self.pending:
            _fail(self.pending.pop(cseq)[1], error)

    def next_cseq(self):
        name = self.info["name"]
        self.client.cseqs[name] = self.client.cseqs.get(name, 0) + 1
        return self.client.cseqs[name]

    def _send(self, body, name, future):
        self.pending[body["cseq"]] = ((name, body), future)
        self.client.post((name, body))
        return future

    def _new(self, name, **body):
        body.update(channel=self.channel, cseq=self.next_cseq())
        return self._send(body, name, asyncio.get_running_loop().create_future())

    def publish(self, type_, payload, class_="reliable"):
        """A future of the answer for class reliable, which never comes for the others: None."""
        body = {"type": type_, "payload": payload, "class": class_}
        if class_ == "reliable":
            return self._new("publish", **body)
        self.client.post(("publish", dict(body, channel=self.channel, cseq=self.next_cseq())))
        return None

    def direct(self, to, type_, payload):
        return self._new("direct", to=to, type=type_, payload=payload)

    def request(self, type_, payload=b""):
        return self._new("request", type=type_, payload=payload)

    def set_attributes(self, **attributes):
        return self._new("set_attributes", attributes=list(attributes.items()))

    def edit(self, *edits):
        return self._new("edit", edits=list(edits))

    def leave(self):
        self.client.post(("leave", {"channel": self.channel}))

    def published(self):
        """The payloads of the messages to everyone that are known, in order."""
        return [body["payload"] for name, body in self.logged if name == "message"]


def _fail(future, error):
    if not future.done():
        future.set_exception(error)
        future.exception()  # Nobody needs to look.


class Client:
    """A session: one connection at a time, cut and taken up again at will."""

    def __init__(self, url, subprotocol=BINARY):
        self.url, self.subprotocol = url, subprotocol
        self.rooms, self.cseqs, self.waiting = {}, {}, {}
        self.welcome = self.draining = self.close_code = None
        self.errors, self.skipped, self._numbers = [], 0, 0
        self._news = asyncio.Event()

    async def open(self, resume=None):
        self.close_code, self.draining = None, None
        self.ws = await connect(
            self.url, subprotocols=[self.subprotocol], max_size=MESSAGE_BYTES_MAX, proxy=None
        )
        self._outbox = asyncio.Queue()
        previous = self.welcome
        self.tasks = [asyncio.create_task(self._read(self.ws)), asyncio.create_task(self._write(self.ws))]
        self.post(("hello", {"version_min": 1, "version_max": 1, "client": "interop/1", "resume": resume}))
        await self.until(lambda: self.welcome is not previous or self.close_code, "welcome")
        if self.welcome is previous:
            raise ConnectionError(f"closed with {self.close_code} instead of a welcome")
        return self

    async def resume(self):
        """Takes the session up again; afterwards `welcome["resumed"]` says whether that worked."""
        named = [room for room in self.rooms.values() if room.left is None]
        infos = {room.channel: room.info for room in named}
        key = self.welcome["resume_key"]
        rooms = [{"channel": room.channel, "epoch": room.epoch, "seq": room.position} for room in named]
        await self.open({"key": key, "rooms": rooms})
        if self.welcome["resumed"]:
            answered = lambda: all(r.left or r.info is not infos[r.channel] and not r.replay for r in named)
            await self.until(answered, "joined or left of every room")

    async def join(self, target, mode="either", since=None, history=0, ext=(), **options):
        """Joins a room by its name, or by ("match", …); raises Refused."""
        target = ("name", target) if isinstance(target, str) else target
        body = {"target": target, "mode": mode, "since": since, "history": history, "options": options}
        body["ext"] = list(ext)
        room = await self.ask("join", body)
        await self.until(lambda: not room.replay, "replay")
        return room

    async def ping(self):
        """(rtt, offset of the server's clock) in milliseconds."""
        clock = asyncio.get_running_loop().time
        start = clock() * 1000
        pong = await self.ask("ping", {}, number="id")
        end = clock() * 1000
        return end - start, pong["server_time_us"] / 1000 - (start + end) / 2

    async def stats(self):
        return await self.ask("get_stats", {})

    def ask(self, name, body, number="ref"):
        self._numbers += 1
        future = asyncio.get_running_loop().create_future()
        self.waiting[(name, self._numbers)] = future
        self.post((name, dict(body, **{number: self._numbers})))
        return asyncio.wait_for(future, 10)

    def post(self, message):
        self._outbox.put_nowait(message)

    def cut(self):
        """Loses the connection as a network does: no close frame, nothing more is read."""
        for task in self.tasks:
            task.cancel()
        self.ws.transport.abort()

    async def close(self):
        """Ends the session."""
        await self.ws.close(1000)
        await asyncio.gather(*self.tasks, return_exceptions=True)

    async def until(self, ready, what, seconds=10):
        """Waits until `ready()` is true, looked at after everything that comes."""

        async def look():
            while not (found := ready()):
                self._news.clear()
                await self._news.wait()
            return found

        try:
            return await asyncio.wait_for(look(), seconds)
        except asyncio.TimeoutError:
            raise AssertionError(f"waited in vain for: {what}") from None

    async def _write(self, ws):
        """Sends what is ready at the same time as one batch."""
        while True:
            ready = [await self._outbox.get()]
            while not self._outbox.empty():
                ready.append(self._outbox.get_nowait())
            try:
                if self.subprotocol == BINARY:
                    await ws.send(join_batch(encode(FROM_CLIENT, message) for message in ready))
                else:
                    for message in ready:
                        await ws.send(encode_json(FROM_CLIENT, message))
            except ConnectionClosed:
                return

    async def _read(self, ws):
        try:
            async for frame in ws:
                self._frame(frame)
                self._news.set()
        except ConnectionClosed:
            pass
        except Malformed:
            await ws.close(1002)
            raise
        self.close_code, self.close_reason = ws.close_code or 1006, ws.close_reason
        self.tasks[1].cancel()
        self._news.set()

    def _frame(self, frame):
        if isinstance(frame, str) != (self.subprotocol == JSON):
            raise Malformed("text for binary or binary for text")
        for data in [frame] if self.subprotocol == JSON else split_batch(frame):
            try:
                name, body = (decode_json if self.subprotocol == JSON else decode)(FROM_SERVER, data)
            except Unknown:
                self.skipped += 1
                continue
            self._take(name, body)

    def _take(self, name, body):
        if name == "welcome":
            self.welcome = body
            if not body["resumed"]:
                self._forget()
        elif name == "joined":
            if body["ref"] is None:
                self.rooms[body["channel"]].joined(body)
            else:
                room = self.rooms[body["channel"]] = Room(self)
                room.joined(body)
                self._answer("join", body["ref"], room)
        elif name == "pong":
            self._answer("ping", body["id"], body)
        elif name == "stats":
            self._answer("get_stats", body["ref"], body)
        elif name == "error":
            self._refuse(Refused(body))
        elif name == "draining":
            self.draining = body["retry_after_ms"]
        elif name != "redirect" and body["channel"] in self.rooms:
            self.rooms[body["channel"]].take(name, body)

    def _forget(self):
        """A new session: what the old one had sent without an answer is unknown."""
        for room in self.rooms.values():
            for _, future in room.pending.values():
                _fail(future, Unanswered("the session ended"))
        self.rooms, self.cseqs = {}, {}

    def _answer(self, name, number, result):
        future = self.waiting.pop((name, number), None)
        if future and not future.done():
            future.set_result(result)

    def _refuse(self, error):
        self.errors.append(error)
        kind, about = error.ref if isinstance(error.ref, tuple) else (error.ref, None)
        if kind == "join" and ("join", about) in self.waiting:
            _fail(self.waiting.pop(("join", about)), error)
        elif kind == "cseq" and about["channel"] in self.rooms:
            self.rooms[about["channel"]].refuse(about["cseq"], error)
