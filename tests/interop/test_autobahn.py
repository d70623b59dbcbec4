"""The Autobahn test suite, against `/raw/{room}?echo=1` with the limits opened to 16 MiB messages.

Its cases are run by kosoku, because their own runner is of Python 2.
"""

import asyncio
import collections
import unittest
import warnings

import kosoku

from server import Server

MESSAGE_BYTES = 16 << 20
# Who sends so much must be allowed to send it, and its room-mates to get it.
OPENED = (
    f"play.message_bytes_max={MESSAGE_BYTES}",
    f"play.batch_bytes_max={MESSAGE_BYTES}",
    f"play.outbound_bytes_max={MESSAGE_BYTES}",
    f"rooms.history_bytes_max={MESSAGE_BYTES}",
    f"play.peer_window_bytes={2 * MESSAGE_BYTES}",
    f"play.bytes_burst={1 << 30}",
    f"play.bytes_per_second={1 << 30}",
    "play.messages_burst=1000000",
    "play.messages_per_second=1000000",
)


async def results(url, cases):
    try:
        return await kosoku.run_fuzzingclient(url, cases=cases)
    except kosoku.FailureError as failure:
        return failure.results


def name(behavior):
    return str(behavior).rsplit(".", 1)[-1]


class Autobahn(unittest.TestCase):
    def setUp(self):
        self.server = Server(*OPENED)
        self.addCleanup(self.server.stop)

    def run_cases(self, *cases):
        # Some of the suite's own cases leave files open.
        with warnings.catch_warnings(action="ignore", category=ResourceWarning):
            found = asyncio.run(results(self.server.raw("echo") + "?echo=1", list(cases)))
        said = collections.defaultdict(list)
        for result in found:
            said[name(result.behavior), name(result.behavior_close)].append(result.case_id)
        return len(found), said

    def test_frames_pings_fragments_text_closes_and_large_messages(self):
        count, said = self.run_cases("1.*", "2.*", "3.*", "4.*", "5.*", "6.*", "7.*", "9.*", "10.*")
        self.assertEqual(count, 301)
        # A few cases ask nothing and only note what was done.
        fine = {("OK", "OK"), ("INFORMATIONAL", "OK"), ("OK", "INFORMATIONAL"), ("INFORMATIONAL", "INFORMATIONAL")}
        # A message and a violation behind it in one segment: the connection is failed at once, and the echo
        # that waits is not written any more, which RFC 6455 leaves to the server (section 7.1.7).
        failed_at_once = ["3.2", "3.3", "3.4", "4.1.3", "4.1.4", "4.1.5", "4.2.3", "4.2.4", "4.2.5", "5.15"]
        for case in said.pop(("NON_STRICT", "OK"), []):
            self.assertIn(case, failed_at_once)
        wrong = {how: cases for how, cases in said.items() if how not in fine}
        self.assertEqual(wrong, {})
        self.assertGreater(len(said["OK", "OK"]), 280)

    def test_compression_is_declined(self):
        count, said = self.run_cases("12.*", "13.*")
        self.assertEqual(count, 216)
        self.assertEqual(set(said), {("UNIMPLEMENTED", "OK")})


if __name__ == "__main__":
    unittest.main()
