"""A relay on socketify, the binding of uWebSockets (C++) for Python.

Its best settings: rooms are the library's own topics, so that fan-out and batching are uWebSockets'; its loop is run
directly and waits in the kernel. `App.run` spins between that loop and asyncio's, which nothing here needs.
"""

import argparse

from socketify import App, OpCode
from socketify.native import lib

PLAIN = 0
BACKPRESSURE_BYTES_MAX = 16 << 20


def upgrade(response, request, context):
    room = request.get_parameter(0)
    # What a connection keeps: whether it hears itself, and its topic in both forms that are needed.
    seat = (request.get_query("echo") == "1", room.encode())
    response.upgrade(
        request.get_header("sec-websocket-key"),
        request.get_header("sec-websocket-protocol"),
        request.get_header("sec-websocket-extensions"),
        context,
        seat,
    )


def opened(socket):
    socket.subscribe(socket.get_user_data()[1])


def message(socket, payload, opcode):
    echo, room = socket.get_user_data()
    if opcode is OpCode.TEXT:
        payload = payload.encode()
    # The methods of the same name give a message to everyone; the library's function leaves its sender out.
    if echo:
        lib.uws_publish(PLAIN, socket.app.app, room, len(room), payload, len(payload), int(opcode), False)
    else:
        lib.uws_ws_publish_with_options(
            PLAIN, socket.ws, room, len(room), payload, len(payload), int(opcode), False
        )


def main():
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--port", type=int, default=0, help="where to listen; 0 takes a free port")
    port = arguments.parse_args().port
    app = App()
    app.ws(
        "/raw/:room",
        {
            "compression": 0,
            "idle_timeout": 0,
            "max_backpressure": BACKPRESSURE_BYTES_MAX,
            "upgrade": upgrade,
            "open": opened,
            "message": message,
        },
    )
    app.listen({"port": port, "host": "127.0.0.1"}, lambda config: print("port", app_port(app, config), flush=True))
    app.loop.uv_loop.run()


def app_port(app, config):
    """The port that was taken, where any would do."""
    if config.port:
        return config.port
    return lib.us_socket_local_port(PLAIN, app.socket)


main()
