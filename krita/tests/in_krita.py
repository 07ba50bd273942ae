#!/usr/bin/env python3
"""The extension in a real Krita, against the whole stack on this machine: `krita/tests/in_krita.py [LOCAL COMMAND]`.

Builds the zip, lets Krita's own importer install it, starts the stack and an Xvfb, plays the scenes of `probe/`, and
looks at what the docker said and what lies on the canvas. With KRITA_TREE it is the Krita of that Debian tree, which needs root.
"""

import contextlib
import json
import os
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.parse
import urllib.request
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))
import build  # noqa: E402

TREE = os.environ.get("KRITA_TREE", "")
# Its processes, screen and files are this system's, for as long as the command runs.
MOUNTS = " && ".join(f'mount --rbind {it} "$0{it}"' for it in ("/proc", "/sys", "/dev", "/tmp"))
INSIDE = ["unshare", "--mount", "sh", "-c", MOUNTS + ' && exec /usr/sbin/chroot "$0" "$@"', TREE] if TREE else []
STACK = ["cargo", "run", "--quiet", "-p", "local", "--"]
KRITA_LIMIT = 400  # seconds
MOST_TRIES = 3
LAST_LINES = 30
"""Of what Krita said before it crashed, where the state of all of Python's threads is."""
IMPORTER = "/usr/share/krita/pykrita/plugin_importer"
INSTALL = "import sys; sys.path.insert(0, sys.argv[1]); import plugin_importer as it; \
it.PluginImporter(sys.argv[2], sys.argv[3], lambda plugin: True).import_all()"
# Instead of a browser: leaves the address for the test to open.
BROWSER = '#!/bin/sh\nprintf %s "$1" >"$HOME/opening" && mv "$HOME/opening" "$HOME/opened"\n'
VERSIONS = set()
SETTINGS = "[python]\nenable_atelier=true\nenable_atelier_drive=true\n"


@contextlib.contextmanager
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


@contextlib.contextmanager
def stack(command, folder, step="150ms", settings=""):
    """The stack; gives API, token and an invitation."""
    said = []
    options = ["--out", str(folder / "first.png"), "--step-delay", step, "--settings", settings, "--port", "14590"]
    log = open(folder / "stack.log", "wb")
    with running(command + options, stdout=subprocess.PIPE, stderr=log, text=True, cwd=HERE.parent.parent) as process:
        for line in process.stdout:
            said.append(line)
            if "stays up" in line:
                break
        found = re.search(r"Bearer ([^']+)' '(.+)/v1/user'", "".join(said))
        assert found, f"the stack did not start; see {log.name}\n" + "".join(said)
        invited = re.search(r"it is good once\):\n\s*(\S+)", "".join(said))
        yield found[2] + "/v1", found[1], invited[1]


@contextlib.contextmanager
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
    subprocess.run([*INSIDE, "/usr/bin/python3", "-c", INSTALL, IMPORTER, str(archive), str(data)], check=True)
    shutil.copytree(HERE / "probe", data / "pykrita", dirs_exist_ok=True)
    (home / "bin").mkdir()
    browser = home / "bin/xdg-open"
    browser.write_text(BROWSER)
    browser.chmod(0o755)
    (home / "config").mkdir()
    (home / "config/kritarc").write_text(SETTINGS)


class Gate(threading.Thread):
    """Lets connections through to the stack, until it is shut for a while."""

    def __init__(self, port):
        super().__init__(daemon=True)
        self._to = ("127.0.0.1", port)
        self._open = []
        self._listen()
        self.start()

    def _listen(self, port=0):
        self._server = socket.create_server(("127.0.0.1", port), reuse_port=True)
        self.port = self._server.getsockname()[1]

    def run(self):
        while True:
            try:
                client, _ = self._server.accept()
                server = socket.create_connection(self._to)
            except OSError:
                time.sleep(0.05)
                continue
            self._open += [client, server]
            for one, other in ((client, server), (server, client)):
                threading.Thread(target=self._copy, args=(one, other), daemon=True).start()

    @staticmethod
    def _copy(one, other):
        with contextlib.suppress(OSError):
            while data := one.recv(65536):
                other.sendall(data)
        for end in (one, other):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def shut(self, seconds):
        """Hangs up on everybody and refuses who comes."""
        self._server.shutdown(socket.SHUT_RDWR)
        self._server.close()
        for end in self._open:
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
        time.sleep(seconds)
        self._listen(self.port)


def workers():
    """Processes of the stack's workers."""
    parents, names = {}, {}
    for it in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):  # it has ended
            name, rest = it.read_text().split(" (", 1)[1].rsplit(") ", 1)
            pid = int(it.parent.name)
            parents[pid], names[pid] = int(rest.split()[1]), name

    def is_ours(pid):
        return pid == os.getpid() or (pid in parents and is_ours(parents[pid]))

    return [pid for pid, name in names.items() if name == "worker" and is_ours(pid)]


def kill_worker(out):
    """Kills them once, where the scene asks for that."""
    if (out / "kill").exists() and not (out / "killed").exists():
        found = workers()
        for pid in found:
            os.kill(pid, signal.SIGKILL)
        if found:
            (out / "killed").touch()


def look_at_interrupted(report):
    """The picture was rendered anew, and the docker said why."""
    later = report["heard"][report["before"] :]
    said = next(number for number, it in enumerate(later) if it == "The render was interrupted; the picture starts again.")
    shares = [int(it.split()[1]) for it in later[said:] if re.fullmatch(r"Rendering \d+ %", it)]
    assert shares and shares == sorted(shares), report
    assert not any("fail" in it.lower() or "try" in it.lower() for it in later), report
    assert len(report["layers"]) == 2, report


def approve(url, invitation):
    """Lets the device in, as a person with an invitation does."""
    assert "Atelier for Krita" in urllib.request.urlopen(url).read().decode()
    form = urllib.parse.urlencode({"code": url.split("code=")[1], "invitation": invitation}).encode()
    urllib.request.urlopen(url.split("?")[0], form)


def krita(home, display, scene, address, token="", meanwhile=lambda out: None, more=None):
    """Plays a scene; gives what the probe wrote. `meanwhile` is asked now and then.

    Where Krita itself crashes, outside of any Python, it is played again, `MOST_TRIES` times in all.
    """
    out = home / scene
    for number in range(1, MOST_TRIES + 1):
        code = play_once(home, display, scene, address, token, meanwhile, more)
        if code == 0:
            break
        said = (out / "krita.log").read_text(errors="replace")
        when = "after the scene" if (out / "report.json").exists() else "amid the scene"
        print(f"{scene}: Krita ended with {code} {when}, try {number} of {MOST_TRIES}; it said last:", flush=True)
        print("".join(f"    {it}\n" for it in said.splitlines()[-LAST_LINES:]), end="", flush=True)
        if code != -signal.SIGSEGV or "<no Python frame>" not in said or number == MOST_TRIES:
            raise AssertionError(f"{scene}: Krita ended with {code}")
        out.rename(home / f"{scene}-crashed-{number}")
    report = json.loads((out / "report.json").read_text())
    assert "error" not in report, f"{scene}: {report['error']}"
    VERSIONS.add(report["krita"])
    return report


def play_once(home, display, scene, address, token, meanwhile, more):
    """Plays a scene; gives how Krita ended."""
    out = home / scene
    out.mkdir()
    paths = {"XDG_CONFIG_HOME": "config", "XDG_DATA_HOME": "data", "XDG_CACHE_HOME": "cache", "XDG_RUNTIME_DIR": ""}
    environment = {
        "PATH": f"{home}/bin:/usr/bin:/bin",
        "HOME": str(home),
        "LANG": "C.UTF-8",
        "LIBGL_ALWAYS_SOFTWARE": "1",
        "PYTHONFAULTHANDLER": "1",
        "DBUS_SESSION_BUS_ADDRESS": "unix:path=/nonexistent",
        "DISPLAY": display,
        "KRITA_AI_ENDPOINT": address,
        "KRITA_AI_TOKEN": token,
        "ATELIER_DRIVE": str(out),
        "ATELIER_SCENE": scene,
        **{name: str(home / folder) for name, folder in paths.items()},
        **(more or {}),
    }
    end = time.monotonic() + KRITA_LIMIT
    with open(out / "krita.log", "wb") as log:
        with running([*INSIDE, "krita", "--nosplash"], env=environment, stdout=log, stderr=log) as process:
            while process.poll() is None:
                assert time.monotonic() < end, f"{scene}: Krita does not end"
                meanwhile(out)
                time.sleep(0.1)
    return process.returncode


def contains(outer, inner):
    return all(o <= i for o, i in zip(outer[:2], inner[:2])) and all(
        o + os >= i + is_ for o, os, i, is_ in zip(outer[:2], outer[2:], inner[:2], inner[2:])
    )


def look_at_everything(report):
    """What a painter would see."""
    jobs, whole = report["jobs"], [0, 0, 512, 512]
    heard = [word for job in jobs.values() for word in job["heard"]]
    assert any(re.fullmatch(r"Rendering [1-9]\d* %", it) for it in heard), heard
    by_name = {it["name"]: it["bounds"] for it in jobs["fill"]["layers"]}
    assert by_name["a red square (seed 7)"] == by_name["a blue square (seed 8)"] == whole, by_name
    # Over the selection, and not beyond the 52 pixels that its soft rim needs.
    green = by_name["a green square (seed 9)"]
    assert contains(green, [100, 120, 200, 160]) and contains([48, 68, 304, 264], green), by_name
    assert report["grows"] > 50, report
    assert report["layers while it grows"] == 4 and not report["off the canvas"], report
    assert report["after cancel"] == 0, report
    assert report["past"].startswith("a green square\n"), report
    assert report["kept"] == "Keep no longer", report
    assert len(set(report["varied"])) == 4 and all("seed" in it for it in report["varied"]), report
    assert report["brought"] == "a green square (seed 9)", report
    # A newer one of this prompt was painted along with the canvas, and is not in the list.
    assert report["again"] == ["Fill", "a green square", "9", "dreamshaper_8"], report
    for name in ("CMYKAU16", "RGBAF32", "GRAYAU8"):
        assert jobs[name]["layers"][-1]["bounds"] == whole and jobs[name]["colours"] > 10, jobs[name]
        assert name.startswith(jobs[name]["model"]), jobs[name]


def look_at_guided(report):
    """What was asked for, and what lies on the canvas."""
    whole, jobs, asked = [0, 0, 512, 512], report["jobs"], report["workflow"]
    assert report["detected"] == ["Scribble", False], report
    assert jobs["guided"]["layers"][-1]["bounds"] == whole, jobs
    assert asked["conditioning"]["control"] == [{"mode": "scribble", "image": 0, "strength": 1.0}], asked
    regions = [(it["mask"], it["positive"]) for it in asked["conditioning"]["regions"]]
    assert regions == [(1, "a red square"), (2, "a blue sky, a red square")] and len(report["offsets"]) == 3, asked
    assert asked["models"]["loras"][0]["name"].startswith("Hyper-SD15") and asked["sampling"]["cfg_scale"] == 5.0, asked
    assert "JSON" in report["bad json"] and "not in this picture any more" in report["layer gone"], report
    names = [it["name"] for it in jobs["guided"]["layers"]]
    assert report["layers below"] == names and not report["no preview"], report  # it is no part of the document
    assert len(report["misplaced"]) == 6 and max(report["misplaced"].values()) < 0.02, report["misplaced"]
    assert report["own"] == ["mine.safetensors"] and report["empty selection"] == "Select what to fill first.", report
    assert report["resized"][0] < 40 and report["resized"][1] < 50, report  # where it can be seen
    assert jobs["locked"]["layers"][-1]["bounds"] == whole, jobs["locked"]
    for strength in (0, 30):
        layer = jobs[f"upscale {strength}"]["layers"][-1]["bounds"]
        assert layer == [0, 0, *report[f"size {strength}"]], report
    assert report["size 0"] == [768, 768] and report["size 30"] == [1152, 1152], report
    assert "closed" in report["closed"], report


def look_at_recorded(report, address, token):
    """What the studio has of how each document was made."""

    def ask(path):
        asked = urllib.request.Request(f"{address}/{path}", headers={"Authorization": "Bearer " + token})
        return json.loads(urllib.request.urlopen(asked).read())

    name, jobs = report["document"], report["jobs"]
    assert not report["at first"] and name and report["document again"] == name and not report["other document"], report
    documents = ask("history")["documents"]
    assert [(it["document"], it["recording"]) for it in documents] == [(name, False)], documents
    for _ in range(100):  # what is recorded comes by a stream
        steps = ask(f"history/{name}?limit=10")["history"]
        if sum(len(it.get("applied", ())) for it in steps) >= 2:
            break
        time.sleep(0.2)
    assert "recorded square" in json.dumps(steps) and "second square" in json.dumps(steps), steps
    assert "else" not in json.dumps(steps) and "nobody" not in json.dumps(steps), steps
    assert [len(it.get("applied", ())) for it in steps] == [1, 1], steps
    control, pictures, _ = report["reference"]
    assert control == [{"mode": "reference", "image": 0, "strength": 1.0}] and pictures == 1, report
    (red, green, blue), white = report["see-through"]
    assert red > 240 and 110 < green < 145 and 110 < blue < 145 and min(white) > 250, report
    whole = [0, 0, 512, 512]
    assert jobs["reference"]["layers"][-1]["bounds"] == jobs["see-through"]["layers"][-1]["bounds"] == whole, jobs


def play(folder, display, address, token, invitation):
    """All scenes."""
    look_at_everything(krita(folder, display, "everything", address, token))
    look_at_guided(krita(folder, display, "guided", address, token))
    look_at_recorded(krita(folder, display, "recorded", address, token), address, token)
    report = krita(folder, display, "enlarged", address, token)
    for moment, in_front, *sizes in report["enlarged"]:
        assert in_front and sizes == [[768, 640], [0, 0, 768, 640]], (moment, in_front, sizes)
    assert "closed" in report["closed"][0] and report["closed"][1:] == [512, 512, 2], report  # another stays as large as it is
    opened = []

    def person(out):
        page = folder / "opened"
        if page.exists() and not opened:
            opened.append(page.read_text())
            approve(opened[0], invitation)

    report = krita(folder, display, "signs_in", address, meanwhile=person)
    assert report["before"].startswith("Sign in") and report["after"] == "Connected as painter", report
    assert report["can sign out"], report
    kept = folder / "data/krita/atelier/tokens.json"
    assert kept.stat().st_mode & 0o777 == 0o600, oct(kept.stat().st_mode)

    krita(folder, display, "closes_amid", address)  # with the token that was kept
    parts = urllib.parse.urlsplit(address)
    gate = Gate(parts.port)

    def breaker(out):
        if (out / "break").exists() and not (out / "broken").exists():
            threading.Thread(target=gate.shut, args=(4,), daemon=True).start()
            (out / "broken").touch()

    through = parts._replace(netloc=f"127.0.0.1:{gate.port}").geturl()
    report = krita(folder, display, "comes_back", through, token, meanwhile=breaker)
    assert report["offered"].startswith("a long picture (seed"), report
    assert len(report["layers"]) == 2, report
    more = {"ATELIER_PATIENCE": "90"}  # the lease of a worker that is silent, and a render
    look_at_interrupted(krita(folder, display, "loses_worker", address, token, meanwhile=kill_worker, more=more))


def main():
    command = shlex.split(sys.argv[1]) if len(sys.argv) > 1 else STACK
    folder = Path(tempfile.mkdtemp(prefix="atelier-krita-"))
    try:
        with contextlib.ExitStack() as up:
            started = up.enter_context(stack(command, folder))
            display = up.enter_context(screen(folder))
            install(folder)
            play(folder, display, *started)
    except BaseException:
        print(f"logs and screenshots are in {folder}", file=sys.stderr)
        raise
    shutil.rmtree(folder)
    print(f"Krita {VERSIONS.pop()}: all scenes went well.")


if __name__ == "__main__":
    main()
