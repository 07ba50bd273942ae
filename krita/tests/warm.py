#!/usr/bin/env python3
"""How long a warm picture takes from the click to the layer, in a real Krita: `krita/tests/warm.py [LOCAL COMMAND [SETTINGS]]`.

The extension, by its socket and by polling, takes turns on one stack with a client that does what the benchmark (`cargo run
-p local --bin bench`) does: sends the same request, asks every 15 ms, and has no canvas. Prints a table of medians. It says something on a machine that does nothing else.
"""

import contextlib
import http.client
import json
import shlex
import shutil
import statistics
import sys
import tempfile
import time
import urllib.parse
import uuid
from pathlib import Path

import in_krita

PICTURES = 20
LOOK = 0.015  # seconds, the benchmark's
SETTINGS = "rate_interval=0s,hold=0s"  # the benchmark's
ALLOWED = {"socket": 60, "polling": 150}  # milliseconds beyond the benchmark's figure


class Plain:
    """A client that does what the benchmark does."""

    def __init__(self, api, token):
        self._at = urllib.parse.urlsplit(api)
        self._http = http.client.HTTPConnection(self._at.netloc)
        self._token = token

    def _call(self, method, path, body=None, **headers):
        headers |= {"Authorization": "Bearer " + self._token, "Content-Type": "application/json"}
        self._http.request(method, f"{self._at.path}/{path}", body and json.dumps(body), headers)
        reply = self._http.getresponse()
        text = reply.read()
        assert reply.status == 200, text
        return json.loads(text)

    def picture(self, workflow, seed):
        """Milliseconds from the submit until the pictures can be read."""
        workflow = {**workflow, "sampling": {**workflow["sampling"], "seed": seed}}
        began = time.monotonic()
        body = {"input": {"workflow": workflow}}
        task = self._call("POST", "generate", body, **{"Idempotency-Key": str(uuid.uuid4())})["id"]
        while True:
            status = self._call("POST", f"status/{task}", {})["status"]
            if status == "COMPLETED":
                return (time.monotonic() - began) * 1000
            assert status in ("IN_QUEUE", "IN_PROGRESS"), status
            time.sleep(LOOK)


def measure(folder, display, api, token, way, more):
    """Milliseconds of the extension's pictures, and of the benchmark's between them."""
    plain, others = Plain(api, token), []

    def other(out):
        """The benchmark's turn."""
        turn = out / "turn"
        if turn.exists():
            workflow = json.loads(turn.read_text())
            others.append(plain.picture(workflow, workflow["sampling"]["seed"] + 500))
            turn.unlink()

    more = {"ATELIER_PICTURES": str(PICTURES + 1), "ATELIER_SEED": str(1 + list(ALLOWED).index(way)), **more}
    took = in_krita.krita(folder, display, "warm", api, token, meanwhile=other, more=more)["took"]
    (folder / "warm").rename(folder / way)
    assert len(took) == len(others) == PICTURES + 1, (took, others)
    return took[1:], others[1:]  # the first may have woken a machine


def main():
    command = shlex.split(sys.argv[1]) if len(sys.argv) > 1 else in_krita.STACK
    settings = sys.argv[2] if len(sys.argv) > 2 else SETTINGS
    folder = Path(tempfile.mkdtemp(prefix="atelier-warm-"))
    try:
        with contextlib.ExitStack() as up:
            api, token, _ = up.enter_context(in_krita.stack(command, folder, "20ms", settings))
            display = up.enter_context(in_krita.screen(folder))
            in_krita.install(folder)
            socket = measure(folder, display, api, token, "socket", {})
            polling = measure(folder, display, api, token, "polling", {"ATELIER_POLLS": "1"})
    except BaseException:
        print(f"logs and screenshots are in {folder}", file=sys.stderr)
        raise
    shutil.rmtree(folder)
    print("| a warm picture, median ms | the layer | the benchmark between | beyond it | allowed |\n|---|---|---|---|---|")
    late = []
    for way, (took, others) in (("socket", socket), ("polling", polling)):
        layer, base = statistics.median(took), statistics.median(others)
        print(f"| {way} ({len(took)}) | {layer:.0f} | {base:.0f} | {layer - base:.0f} | {ALLOWED[way]} |")
        late += [way] if layer - base > ALLOWED[way] else []
    if late:
        sys.exit("Too late by " + " and ".join(late) + ".")


if __name__ == "__main__":
    main()
