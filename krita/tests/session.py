#!/usr/bin/env python3
"""Records what the extension says of a painter's presence, in a real Krita: `krita/tests/session.py FILE [LOCAL COMMAND]`.

The file has a line for each thing that the painter does and for each message about it, with milliseconds since the beginning.
The simulator's presence is held against it (`sim/tests/session.csv`). Takes five minutes.
"""

import contextlib
import shlex
import shutil
import sys
import tempfile
from pathlib import Path

import in_krita


def main():
    command = shlex.split(sys.argv[2]) if len(sys.argv) > 2 else in_krita.STACK
    in_krita.KRITA_LIMIT = 900
    folder = Path(tempfile.mkdtemp(prefix="atelier-session-"))
    try:
        with contextlib.ExitStack() as up:
            api, token, _ = up.enter_context(in_krita.stack(command, folder))
            display = up.enter_context(in_krita.screen(folder))
            in_krita.install(folder)
            lines = in_krita.krita(folder, display, "session", api, token, more={"ATELIER_PATIENCE": "120"})["session"]
    except BaseException:
        print(f"logs and screenshots are in {folder}", file=sys.stderr)
        raise
    shutil.rmtree(folder)
    Path(sys.argv[1]).write_text("at_ms,what\n" + "".join(f"{at},{what}\n" for at, what in lines))


if __name__ == "__main__":
    main()
