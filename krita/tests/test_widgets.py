"""What needs a Qt and no Krita, by PyQt5 and PyQt6: the docker, in which nothing is cut off at 280 pixels in any level,
language, font or light, and the edges to network and disk.

PyQt5 is the system's, as Krita's is. PyQt6 comes from PyPI into `.atelier/`; where it cannot be had that part is skipped.
"""

import json
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

HERE = Path(__file__).resolve().parent
PYQT6 = ["PyQt6==6.11.0", "PyQt6-Qt6==6.11.2", "PyQt6-sip==13.13.0"]
PLAIN, CHINESE, LARGE, DARK = ["en", "1"], ["zh_CN", "1"], ["en", "1.5"], ["zh_CN", "1.5", "dark"]


def has(python, module):
    return subprocess.run([python, "-c", f"import {module}.QtWidgets"], capture_output=True).returncode == 0


def pyqt6():
    """A Python that has it; raises `SkipTest` with the reason."""
    folder = HERE.parent.parent / ".atelier/krita-pyqt6"
    python = folder / "bin/python"
    if not python.exists() or not has(python, "PyQt6"):
        for command in ([sys.executable, "-m", "venv", folder], [python, "-m", "pip", "install", "-q", *PYQT6]):
            made = subprocess.run(command, capture_output=True, text=True)
            if made.returncode != 0:
                raise unittest.SkipTest(f"PyQt6 could not be installed: {made.stderr.strip()[-200:]}")
        if not has(python, "PyQt6"):
            raise unittest.SkipTest("PyQt6 does not start here: a library of the system is missing")
    return python


def edges(python):
    return subprocess.run([python, HERE / "edges.py"], capture_output=True, text=True, timeout=300)


class Widgets(unittest.TestCase):
    def look(self, python, options):
        with tempfile.TemporaryDirectory() as folder:
            opened = subprocess.run(
                [python, HERE / "opened.py", folder, *options], capture_output=True, text=True, timeout=300
            )
            self.assertEqual(opened.returncode, 0, opened.stderr)
            self.assertEqual(json.loads(opened.stdout.splitlines()[-1]), [], options)
            self.assertNotIn("Traceback", opened.stderr)
            self.assertGreaterEqual(len(list(Path(folder).glob("*.png"))), 10)

    def test_with_pyqt5(self):
        if not has("/usr/bin/python3", "PyQt5"):
            self.skipTest("the system has no python3-pyqt5")
        for options in (PLAIN, CHINESE, LARGE, DARK):
            self.look("/usr/bin/python3", options)
        played = edges("/usr/bin/python3")
        self.assertEqual(played.returncode, 0, played.stderr)

    def test_with_pyqt6(self):
        python = pyqt6()
        for options in (PLAIN, DARK):
            self.look(python, options)
        played = edges(python)
        self.assertEqual(played.returncode, 0, played.stderr)


if __name__ == "__main__":
    unittest.main()
