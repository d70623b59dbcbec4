"""The Python codec against every golden vector: both forms, both directions."""

import pathlib
import unittest

from madang_wire import FROM_CLIENT, FROM_SERVER, Malformed, Unknown
from madang_wire import decode, decode_json, encode, encode_json, join_batch, parse_json, split_batch

TESTDATA = pathlib.Path(__file__).resolve().parents[2] / "protocol" / "testdata"
DIRECTIONS = {"client": FROM_CLIENT, "server": FROM_SERVER}


def cases(name):
    """The cases of a file, each with its fields by name, and the text of the field `json`."""
    found = []
    for case in parse_json((TESTDATA / name).read_text(encoding="utf-8")):
        fields = {key: value for key, value, _ in case}
        fields["json_text"] = next((text for key, _, text in case if key == "json"), None)
        found.append(fields)
    assert found, f"{name} is empty"
    return found


class Vectors(unittest.TestCase):
    def both_forms(self, messages):
        for case in cases("client.json" if messages is FROM_CLIENT else "server.json"):
            with self.subTest(case["name"]):
                message = decode_json(messages, case["json_text"])
                self.assertEqual(encode(messages, message).hex(), case["hex"])
                decoded = decode(messages, bytes.fromhex(case["hex"]))
                self.assertEqual(decoded, message)
                # Equal is not the same: 0.0 equals -0.0 and True equals 1, their bytes differ.
                self.assertEqual(encode(messages, decoded).hex(), case["hex"])
                again = decode_json(messages, encode_json(messages, decoded))
                self.assertEqual(encode(messages, again).hex(), case["hex"])

    def test_client(self):
        self.both_forms(FROM_CLIENT)

    def test_server(self):
        self.both_forms(FROM_SERVER)

    def test_batch(self):
        for case in cases("batch.json"):
            with self.subTest(case["name"]):
                batch, messages, broken = bytes.fromhex(case["hex"]), [], False
                try:
                    for data in split_batch(batch):
                        messages.append(data.hex())
                except Malformed:
                    broken = True
                self.assertEqual(messages, case["messages"])
                self.assertEqual(broken, case["broken"])
                if not broken:
                    joined = join_batch(map(bytes.fromhex, messages))
                    self.assertEqual([data.hex() for data in split_batch(joined)], messages)

    def test_accept(self):
        for case in cases("accept.json"):
            with self.subTest(case["name"]):
                messages = DIRECTIONS[case["direction"]]
                if "hex" in case:
                    message = decode(messages, bytes.fromhex(case["hex"]))
                else:
                    message = decode_json(messages, case["text"])
                self.assertEqual(encode(messages, message).hex(), case["canonical"])
                self.assertEqual(message, decode_json(messages, case["json_text"]))

    def test_reject(self):
        for case in cases("reject.json"):
            with self.subTest(case["name"]), self.assertRaises(Malformed) as refusal:
                messages = DIRECTIONS[case["direction"]]
                if "hex" in case:
                    decode(messages, bytes.fromhex(case["hex"]))
                else:
                    decode_json(messages, case["text"])
            if "a client skips" in case["why"]:
                self.assertIsInstance(refusal.exception, Unknown, case["name"])


if __name__ == "__main__":
    unittest.main()
