"""A relay on picows.

Its best settings: uvloop's loop, one frame for all receivers whose header is written in place, no automatic pings.
"""

import argparse
import asyncio
import socket

import uvloop
from picows import WSListener, WSMsgType, ws_create_server

# As for every server of the comparison.
BACKLOG = 4096
# The longest header of a frame; the library writes it in front of the payload.
HEADER_BYTES_MAX = 14

RELAYED = (WSMsgType.BINARY, WSMsgType.TEXT)
rooms = {}


class Member(WSListener):
    def __init__(self, room, echo):
        self.room = room
        self.echo = echo

    def on_ws_connected(self, transport):
        self.room[self] = transport

    def on_ws_frame(self, transport, frame):
        kind = frame.msg_type
        if kind in RELAYED:
            buffer = bytearray(HEADER_BYTES_MAX)
            buffer += frame.get_payload_as_memoryview()
            if self.echo:
                for other in self.room.values():
                    other.send_reuse_external_bytearray(kind, buffer, HEADER_BYTES_MAX)
            else:
                for other in self.room.values():
                    if other is not transport:
                        other.send_reuse_external_bytearray(kind, buffer, HEADER_BYTES_MAX)
        elif kind == WSMsgType.CLOSE:
            transport.send_close(frame.get_close_code(), frame.get_close_message())
            transport.disconnect()

    def on_ws_disconnected(self, transport):
        self.room.pop(self, None)


def member(request):
    path, _, query = request.path.decode().partition("?")
    if not path.startswith("/raw/"):
        return None
    return Member(rooms.setdefault(path, {}), query == "echo=1")


async def main():
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--port", type=int, default=0, help="where to listen; 0 takes a free port")
    arguments.add_argument("--aiofastnet", action="store_true")
    options = arguments.parse_args()
    server = await ws_create_server(
        member,
        "127.0.0.1",
        options.port,
        family=socket.AF_INET,
        backlog=BACKLOG,
        use_aiofastnet=options.aiofastnet,
        read_buffer_init_size=4096,
    )
    print("port", server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


uvloop.run(main())
