#!/usr/bin/env python3
"""The extension in a real Krita, against the whole stack on this machine: `krita/tests/in_krita.py [LOCAL COMMAND]`.

Builds the zip, lets Krita's own importer install it, starts the stack and an Xvfb, plays a scene of `probe/`, and looks at
what the docker said and what lies on the canvas.
"""

import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
from contextlib import ExitStack, contextmanager
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))
import build  # noqa: E402

STACK = ["cargo", "run", "--quiet", "-p", "local", "--"]
STACK_LIMIT, KRITA_LIMIT = 300, 110  # seconds
IMPORTER = "/usr/share/krita/pykrita/plugin_importer"
INSTALL = "import sys; sys.path.insert(0, sys.argv[1]); import plugin_importer as it; \
it.PluginImporter(sys.argv[2], sys.argv[3], lambda plugin: True).import_all()"
SETTINGS = "[python]\nenable_atelier=true\nenable_atelier_drive=true\n"


@contextmanager
def running(command, **more):
    """A program of ours, which is ended with us."""
    process = subprocess.Popen(command, start_new_session=True, **more)
    try:
        yield process
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGTERM)
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)


@contextmanager
def stack(command, folder):
    """The stack; gives API and token."""
    said = []
    options = ["--out", str(folder / "first.png"), "--step-delay", "80ms", "--port", "14590"]
    log = open(folder / "stack.log", "wb")
    with running(command + options, stdout=subprocess.PIPE, stderr=log, text=True, cwd=HERE.parent.parent) as process:
        for line in process.stdout:
            said.append(line)
            if "stays up" in line:
                break
        found = re.search(r"Bearer ([^']+)' '(.+)/v1/user'", "".join(said))
        assert found, f"the stack did not start; see {log.name}\n" + "".join(said)
        yield found[2], found[1]


@contextmanager
def screen(folder):
    """An X server; gives its display."""
    command = "Xvfb -displayfd 1 -nolisten tcp -noreset -screen 0 1280x900x24".split()
    with open(folder / "xvfb.log", "wb") as log, running(command, stdout=subprocess.PIPE, stderr=log, text=True) as it:
        yield ":" + it.stdout.readline().strip()


def install(home):
    """As *Import Python Plugin* does, and the probe beside it."""
    archive = home / "atelier-krita.zip"
    build.build(archive)
    data = home / "data/krita"
    (data / "pykrita").mkdir(parents=True)
    subprocess.run(["/usr/bin/python3", "-c", INSTALL, IMPORTER, str(archive), str(data)], check=True)
    shutil.copytree(HERE / "probe", data / "pykrita", dirs_exist_ok=True)
    (home / "config").mkdir()
    (home / "config/kritarc").write_text(SETTINGS)


def krita(home, display, address, token, scene):
    """Plays a scene; gives what the probe wrote."""
    out = home / scene
    out.mkdir()
    paths = {"XDG_CONFIG_HOME": "config", "XDG_DATA_HOME": "data", "XDG_CACHE_HOME": "cache", "XDG_RUNTIME_DIR": ""}
    environment = {
        "PATH": "/usr/bin:/bin",
        "HOME": str(home),
        "LANG": "C.UTF-8",
        "PYTHONFAULTHANDLER": "1",
        "LIBGL_ALWAYS_SOFTWARE": "1",
        "DBUS_SESSION_BUS_ADDRESS": "unix:path=/nonexistent",
        "DISPLAY": display,
        "KRITA_AI_ENDPOINT": address,
        "KRITA_AI_TOKEN": token,
        "ATELIER_DRIVE": str(out),
        "ATELIER_SCENE": scene,
        **{name: str(home / folder) for name, folder in paths.items()},
    }
    with open(out / "krita.log", "wb") as log:
        with running(["krita", "--nosplash"], env=environment, stdout=log, stderr=log) as process:
            ended = process.wait(KRITA_LIMIT)
    assert ended == 0, f"Krita ended with {ended}"
    report = json.loads((out / "report.json").read_text())
    assert "error" not in report, report["error"]
    return report


def check(report):
    """What a painter would see."""
    jobs = report["jobs"]
    for name in ("generate", "refine", "fill"):
        heard = jobs[name]["heard"]
        assert any(re.fullmatch(r"Rendering [1-9]\d* %", it) for it in heard), (name, heard)
    by_name = {it["name"]: it["bounds"] for it in jobs["fill"]["layers"]}
    assert by_name["a red square (seed 7)"] == [0, 0, 512, 512], by_name
    assert by_name["a blue square (seed 8)"] == [0, 0, 512, 512], by_name
    # Around the selection of 200 x 160 at 100, 120, as far as its soft rim is not wholly clear.
    x, y, width, height = by_name["a green square (seed 9)"]
    assert 48 <= x <= 100 and 68 <= y <= 120 and 300 <= x + width <= 352 and 280 <= y + height <= 332, by_name


def main():
    command = shlex.split(sys.argv[1]) if len(sys.argv) > 1 else STACK
    folder = Path(tempfile.mkdtemp(prefix="atelier-krita-"))
    os.chmod(folder, 0o700)
    try:
        with ExitStack() as up:
            address, token = up.enter_context(stack(command, folder))
            display = up.enter_context(screen(folder))
            install(folder)
            check(krita(folder, display, address, token, "everything"))
    except BaseException:
        print(f"logs and screenshots are in {folder}", file=sys.stderr)
        raise
    if not os.environ.get("KEEP"):
        shutil.rmtree(folder)
    print("Krita: all scenes went well.")


if __name__ == "__main__":
    main()
