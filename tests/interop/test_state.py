"""A room's state against every golden vector, and what a client does with the messages that carry it."""

import json
import pathlib
import unittest

from madang_client import EXT_SCHEMA, Refused, Room
from madang_state import Copy, Schema, State
from madang_wire import FROM_CLIENT, Malformed, decode, encode

TESTDATA = pathlib.Path(__file__).resolve().parents[2] / "protocol" / "testdata" / "state.json"
ROWS = json.loads(TESTDATA.read_text(encoding="utf-8"))
SCHEMA = Schema(json.dumps(ROWS[0]["schema"]))


def plain(value):
    """A value in the form of the vectors, in which 0.0 and -0.0, 1 and True are not the same."""
    if isinstance(value, bytes):
        return {"hex": value.hex()}
    if isinstance(value, (list, tuple)):
        return [plain(element) for element in value]
    return value


def entities(copy):
    shown = (
        [entity, kind, plain(SCHEMA.shown(kind, values))]
        for entity, (kind, values) in sorted(copy.entities.items())
    )
    return json.dumps(list(shown))


class Vectors(unittest.TestCase):
    def test_snapshots_and_deltas(self):
        copy, seen = None, set()
        for row in ROWS:
            form = next((form for form in ("snapshot", "delta") if form in row), None)
            if form is None:
                continue
            with self.subTest(row["name"]):
                data = bytes.fromhex(row[form])
                if form == "snapshot":
                    copy = Copy(SCHEMA, data)
                else:
                    copy.apply(data, 0)
                self.assertEqual(copy.hash, row["hash"])
                self.assertEqual(entities(copy), json.dumps(row["entities"]))
                seen.add(form)
        self.assertEqual(seen, {"snapshot", "delta"})

    def test_bad_bytes_are_refused_and_change_nothing(self):
        whole = bytes.fromhex(next(row["snapshot"] for row in ROWS if "snapshot" in row))
        bad = [row for row in ROWS if "why" in row]
        self.assertTrue(bad)
        for row in bad:
            with self.subTest(row["name"]):
                copy = Copy(SCHEMA, whole)
                before = entities(copy), copy.hash
                with self.assertRaises(Malformed):
                    if "bad_snapshot" in row:
                        Copy(SCHEMA, bytes.fromhex(row["bad_snapshot"]))
                    else:
                        copy.apply(bytes.fromhex(row["bad_delta"]), 1)
                self.assertEqual((entities(copy), copy.hash), before)


PLAYER = [
    {"name": "score", "type": {"one": "uint"}},
    {"name": "plan", "type": {"one": "text"}, "visibility": "team"},
    {"name": "hand", "type": {"list": "uint"}, "visibility": "owner"},
]
KINDS = [{"name": "room", "fields": []}, {"name": "player", "fields": PLAYER}]
SCHEMA_OF_PLAY = json.dumps({"kinds": KINDS}).encode()
PLAY = Schema(SCHEMA_OF_PLAY)
EMPTY = bytes.fromhex("000000")  # Entity 0 of kind 0, without fields.


class Carried(unittest.TestCase):
    """What a member does with the messages of section 17.5."""

    def setUp(self):
        self.state = State(PLAY)

    def snapshot(self, part, hexed, tick, **changes):
        data = bytes.fromhex(hexed)
        body = {"part": part, "tick": tick, "hash": Copy(PLAY, data).hash, "state": data}
        return self.state.take("snapshot", body | changes)

    def delta(self, part, hexed, base_tick, tick, hash_of):
        """A delta that leads to the part of the snapshot `hash_of`."""
        right = Copy(PLAY, bytes.fromhex(hash_of)).hash
        body = {"part": part, "base_tick": base_tick, "tick": tick, "hash": right}
        return self.state.take("delta", body | {"changes": bytes.fromhex(hexed)})

    def begin(self):
        self.assertIsNone(self.snapshot("members", "000000 07010105", 10))

    def test_a_picture_is_the_sum_of_its_parts(self):
        self.begin()
        self.assertIsNone(self.snapshot(("team", 2), "070102026869", 10))
        self.assertIsNone(self.snapshot("owner", "07010402 0304", 10))
        player = {"score": 5, "plan": "hi", "hand": [3, 4]}
        self.assertEqual(self.state.picture(), {0: ("room", {}), 7: ("player", player)})
        self.assertIsNone(self.state.take("part_gone", {"part": "owner"}))
        self.assertIsNone(self.state.take("part_gone", {"part": ("cell", 4)}))
        self.assertEqual(self.state.picture()[7][1], player | {"hand": []})

    def test_a_snapshot_of_members_begins_anew_and_one_of_a_team_replaces_any_other(self):
        self.begin()
        self.snapshot(("team", 2), "070102026869", 10)
        self.snapshot(("cell", 1), "09010106", 10)
        self.snapshot(("cell", 2), "0a010107", 10)
        self.assertIsNone(self.snapshot(("team", 3), "070102026f6b", 11))
        self.assertEqual(set(self.state.copies), {"members", ("team", 3), ("cell", 1), ("cell", 2)})
        self.assertEqual(self.state.picture()[7][1]["plan"], "ok")
        self.assertEqual(self.state.picture()[9][1]["score"], 6)
        self.begin()
        self.assertEqual(set(self.state.copies), {"members"})

    def test_a_delta_applies_between_its_ticks(self):
        self.begin()
        self.assertIsNone(self.delta("members", "070202", 8, 12, "000000 07010106"))
        self.assertEqual(self.state.picture()[7][1]["score"], 6)
        self.assertIsNone(self.delta("members", "070202", 8, 12, "000000 07010107"))
        self.assertEqual(self.state.picture()[7][1]["score"], 6, "it was of that tick already")
        self.assertIsNone(self.delta("members", "0700", 12, 13, "000000"))
        self.assertEqual(self.state.picture(), {0: ("room", {})})

    def test_each_fault_is_told_once_until_the_state_begins_anew(self):
        before = Copy(PLAY, bytes.fromhex("000000 07010105")).hash
        after = Copy(PLAY, bytes.fromhex("000000 07010106")).hash
        good = "000000 07010106"
        faults = {
            "a tick is missing": (("members", "070202", 11, 12, good), ("members", 10, before)),
            "unknown part": (("owner", "070202", 9, 12, good), ("owner", 0, 0)),
            "malformed": (("members", "080202", 9, 12, good), ("members", 10, before)),
            "another hash": (("members", "070202", 9, 12, "000000"), ("members", 12, after)),
        }
        for name, (delta, (part, tick, hashed)) in faults.items():
            with self.subTest(name):
                self.begin()
                asked = self.delta(*delta)
                self.assertEqual(asked, {"part": part, "tick": tick, "hash": hashed})
                self.assertIsNone(self.delta(*delta), "asked already")
                self.assertIsNone(self.snapshot(("team", 2), "070102026869", 13))
                self.assertNotIn(("team", 2), self.state.copies)
        self.begin()
        self.assertIsNone(self.delta("members", "070202", 9, 12, good))

    def test_a_snapshot_that_is_wrong_itself_is_asked_for(self):
        asked = self.snapshot("members", "000000", 10, hash=1)
        self.assertEqual(asked, {"part": "members", "tick": 10, "hash": Copy(PLAY, EMPTY).hash})
        asked = self.state.take("snapshot", {"part": "members", "tick": 9, "hash": 1, "state": b"\x80"})
        self.assertEqual(asked, {"part": "members", "tick": 0, "hash": 0})
        self.begin()


class Posted:
    """A session that keeps what a room posts."""

    def __init__(self):
        self.cseqs, self.posted = {}, []

    def post(self, message):
        self.posted.append(encode(FROM_CLIENT, message))


class InARoom(unittest.IsolatedAsyncioTestCase):
    """What a room of the client does with state, input and edits."""

    def setUp(self):
        self.session = Posted()
        self.room = Room(self.session)
        self.joined()

    def joined(self, **changes):
        info = {
            "ref": None,
            "channel": 3,
            "name": "play",
            "epoch": bytes(8),
            "seq": 40,
            "recovered": True,
            "replay": 0,
            "member": 5,
            "applied_cseq": 0,
            "roster": "none",
            "types": [],
            "ext": [(EXT_SCHEMA, SCHEMA_OF_PLAY)],
        }
        self.room.joined(info | changes)

    def take(self, name, **body):
        self.room.take(name, dict(body, channel=3))

    def begin(self):
        whole = Copy(PLAY, EMPTY)
        self.take("snapshot", part="members", tick=10, seq=44, hash=whole.hash, state=EMPTY)

    def test_state_asks_for_itself_once_and_moves_no_position(self):
        self.begin()
        self.assertEqual(self.room.state.picture(), {0: ("room", {})})
        for _ in range(2):
            self.take("delta", part="owner", base_tick=9, tick=11, seq=45, hash=0, changes=b"")
        self.assertEqual((self.room.position, self.room.logged), (40, []))
        resync = ("resync", {"channel": 3, "part": "owner", "tick": 0, "hash": 0})
        self.assertEqual([decode(FROM_CLIENT, data) for data in self.session.posted], [resync])
        self.begin()
        self.joined(seq=50)
        self.assertEqual(self.room.state.picture(), {}, "a joined begins anew")

    async def test_input_is_covered_and_the_rest_has_its_own_answer(self):
        move, other = self.room.publish("move", b"1"), self.room.publish("move", b"2")
        asked, last = self.room.request("score"), self.room.publish("move", b"3")
        self.room.refuse(2, Refused({"code": 111, "message": "", "ref": "session"}))
        self.take("input_ack", tick=12, cseq=3)
        self.assertEqual((move.result()["tick"], self.room.acknowledged), (12, 3))
        self.assertEqual(other.exception().code, 111)
        self.assertFalse(asked.done() or last.done())
        self.joined(applied_cseq=3)
        self.assertEqual(self.room.acknowledged, 3)
        names = [decode(FROM_CLIENT, data) for data in self.session.posted[4:]]
        self.assertEqual([(name, body["cseq"]) for name, body in names], [("publish", 4), ("request", 5)])

    async def test_edits_are_answered(self):
        create = ("create", {"temp": 1, "kind": 1, "fields": [(0, ("one", ("uint", 5)))]})
        edited = self.room.edit(create, ("remove", {"entity": ("temp", 1)}))
        again = self.room.edit()
        self.assertEqual(decode(FROM_CLIENT, self.session.posted[0])[1]["edits"][0], create)
        self.take("edited", cseq=1, tick=12, created=[(1, 7)], refused=[(1, "not_owner")])
        self.take("ack", cseq=2, seq=None, durability="sequenced")
        self.assertEqual(edited.result()["created"], [(1, 7)])
        self.assertIsNone(again.result()["seq"])


if __name__ == "__main__":
    unittest.main()
