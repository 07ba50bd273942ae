#!/usr/bin/env python3
"""Where the time of a warm picture goes in the extension, in a real Krita: `krita/tests/parts.py [PACKAGE] [quick]`.

Beside it is a server that answers at once and renders for 150 ms, so that what is left is the extension's, Qt's and Krita's. PACKAGE is
another checkout's `krita` folder, to compare with. With `quick` the server acknowledges what it has read without delay. Prints medians
in milliseconds.
"""

import contextlib
import http.server
import json
import shutil
import socket
import statistics
import struct
import sys
import tempfile
import threading
import time
import zlib
from pathlib import Path

import in_krita
from session import Listener

PICTURES, RENDERS, SIDE = 20, 0.15, 512
PARTS = "click call called posted told fetched sent came decoded shown layer".split()
heard = []


def note(what):
    heard.append((what, time.monotonic()))


def picture():
    """A PNG with as much in it as a painting has."""
    row = lambda y: bytes(((x * 3 + y * 2) // 9 + (x * 7919 ^ y * 104729) % 8) & 255 for x in range(3 * SIDE))  # noqa: E731
    parts = (
        (b"IHDR", struct.pack(">IIBBBBB", SIDE, SIDE, 8, 2, 0, 0, 0)),
        (b"IDAT", zlib.compress(b"".join(b"\0" + row(y) for y in range(SIDE)))),
        (b"IEND", b""),
    )
    chunks = [struct.pack(">I", len(it)) + name + it + struct.pack(">I", zlib.crc32(name + it)) for name, it in parts]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


class Renders(Listener):
    """A server with a machine that is warm."""

    disable_nagle_algorithm = True
    quick = False
    blob = b""
    line = None

    def do_GET(self):
        if not self.path.startswith("/results/"):
            return super().do_GET()
        note("fetched")
        self.send_response(200)
        self.send_header("Content-Type", "application/octet-stream")
        self.send_header("Content-Length", str(len(self.blob)))
        self.end_headers()
        self.wfile.write(self.blob)
        note("sent")

    def live(self):
        Renders.line = self
        super().live()

    def do_POST(self):
        if self.quick:
            self.connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if not self.path.endswith("/generate"):
            return self.say(4)
        note("posted")
        task = f"task-{len(heard)}"
        self.say({"id": task, "worker_id": "pool", "status": "IN_QUEUE", "user": {"credits": 880}})
        threading.Timer(RENDERS, self.tell, (task,)).start()

    def tell(self, task):
        url = f"http://127.0.0.1:{self.server.server_port}/results/{task}"
        event = {"event": "task", "task_id": task, "state": "succeeded", "progress": 1.0, "version": 3}
        text = json.dumps({**event, "result": {"url": url, "offsets": [0]}}).encode()
        note("told")
        self.line.wfile.write(b"\x81\x7e" + struct.pack(">H", len(text)) + text)


def main():
    if sys.argv[1:] and sys.argv[1] != "quick":
        in_krita.build.HERE = Path(sys.argv[1]).resolve()
    Renders.quick, Renders.blob = "quick" in sys.argv, picture()
    folder = Path(tempfile.mkdtemp(prefix="atelier-parts-"))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Renders)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    address = f"http://127.0.0.1:{server.server_port}/v1"
    try:
        with contextlib.ExitStack() as up:
            display = up.enter_context(in_krita.screen(folder))
            in_krita.install(folder)
            more = {"ATELIER_PICTURES": str(PICTURES + 1)}
            heard.extend(map(tuple, in_krita.krita(folder, display, "parts", address, "token", more=more)["heard"]))
    except BaseException:
        print(f"logs and screenshots are in {folder}", file=sys.stderr)
        raise
    shutil.rmtree(folder)
    pictures = []
    for what, at in sorted(heard, key=lambda it: it[1]):
        if what == "click":
            pictures.append({})
        if pictures:
            pictures[-1].setdefault(what, at)
    whole = [it for it in pictures[1:] if set(it) == set(PARTS)]  # the first waits for what is made once
    assert len(whole) > PICTURES // 2, pictures
    print("| part | ms |\n|---|--:|")
    for before, after in zip(PARTS, PARTS[1:]):
        print(f"| {before} – {after} | {statistics.median((it[after] - it[before]) * 1000 for it in whole):.1f} |")
    beyond = statistics.median((it["layer"] - it["click"] - (it["told"] - it["posted"])) * 1000 for it in whole)
    print(f"| all beyond the rendering | {beyond:.1f} |")


if __name__ == "__main__":
    main()
