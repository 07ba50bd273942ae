#!/usr/bin/env python3
"""Builds the zip that Krita's *Tools > Scripts > Import Python Plugin* takes: `krita/build.py [FILE]`."""

import sys
import zipfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
OUT = HERE.parent / "atelier-krita.zip"
WANTED = ("*.py", "*.html", "carried/*.whl", "core/*.py", "translations/*.ts")
EPOCH = (2020, 1, 1, 0, 0, 0)  # so that the same files make the same zip


def files():
    """What is in the zip, by the names there."""
    package = HERE / "atelier"
    found = sorted(path for pattern in WANTED for path in package.glob(pattern))
    return {"atelier.desktop": HERE / "atelier.desktop", **{str(it.relative_to(HERE)): it for it in found}}


def build(out):
    contents = files()
    folders = sorted({str(Path(name).parent) + "/" for name in contents if "/" in name})
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in folders:  # Krita's importer looks for the folder itself
            archive.writestr(zipfile.ZipInfo(name, EPOCH), b"")
        for name, path in contents.items():
            entry = zipfile.ZipInfo(name, EPOCH)
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.external_attr = 0o644 << 16
            archive.writestr(entry, path.read_bytes())


if __name__ == "__main__":
    out = Path(sys.argv[1]) if len(sys.argv) > 1 else OUT
    build(out)
    print(out)
