#!/usr/bin/env python3
"""Records what the extension says of a painter's presence, in a real Krita: `krita/tests/session.py FILE`.

The file has a line for each thing that the painter does and for each message about it, with milliseconds since the beginning.
The simulator's presence is held against it (`sim/tests/session.csv`). Beside it is only a server that listens. Takes six minutes.
"""

import base64
import contextlib
import hashlib
import http.server
import json
import shutil
import sys
import tempfile
import threading
from pathlib import Path

import in_krita

PONG = b'{"event":"pong"}'
CHECKPOINT = {"arch": "sd15", "filename": "dreamshaper_8.safetensors"}
RESOURCES = {"checkpoints": {"dreamshaper_8.safetensors": CHECKPOINT}, "resources": {}, "loras": []}


class Listener(http.server.BaseHTTPRequestHandler):
    """As much of the studio as somebody needs who only paints by hand."""

    protocol_version = "HTTP/1.1"

    def do_GET(self):
        if self.path == "/live":
            return self.live()
        if self.path.startswith("/v1/history"):
            return self.say({"class": False, "documents": []})
        socket = f"ws://127.0.0.1:{self.server.server_port}/live"
        self.say({"name": "painter", "credits": 900, "socket": socket} if self.path == "/v1/user" else RESOURCES)

    def do_POST(self):
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.say(4)

    def say(self, value):
        text = json.dumps(value).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def live(self):
        """A WebSocket that answers whatever is said by a pong."""
        key = self.headers["Sec-WebSocket-Key"] + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
        accept = base64.b64encode(hashlib.sha1(key.encode()).digest()).decode()
        self.wfile.write(
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Accept: " + accept.encode() + b"\r\n\r\n"
        )
        self.close_connection = True
        while self.connection.recv(65536):
            self.wfile.write(bytes([0x81, len(PONG)]) + PONG)

    def log_message(self, *_):
        pass


def main():
    in_krita.KRITA_LIMIT = 900
    folder = Path(tempfile.mkdtemp(prefix="atelier-session-"))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Listener)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    address = f"http://127.0.0.1:{server.server_port}/v1"
    try:
        with contextlib.ExitStack() as up:
            display = up.enter_context(in_krita.screen(folder))
            in_krita.install(folder)
            more = {"ATELIER_PATIENCE": "300"}
            lines = in_krita.krita(folder, display, "session", address, "token", more=more)["session"]
    except BaseException:
        print(f"logs and screenshots are in {folder}", file=sys.stderr)
        raise
    shutil.rmtree(folder)
    Path(sys.argv[1]).write_text("at_ms,what\n" + "".join(f"{at},{what}\n" for at, what in lines))


if __name__ == "__main__":
    main()
