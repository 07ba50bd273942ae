"""What outlives Krita: the token, unfinished jobs, and the pictures of their requests."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any, Dict, List, Optional

from .qt import QtCore

_SERVICE = "atelier-krita"


def _keyring() -> Any:
    """The platform's keyring, where Krita's Python can reach one."""
    try:
        import keyring
        from keyring.backends.fail import Keyring as Nothing

        return None if isinstance(keyring.get_keyring(), Nothing) else keyring
    except Exception:  # whatever is wrong with somebody's keyring, there is still the file
        return None


def _jobs(path: Path) -> List[Any]:
    try:
        jobs = json.loads(path.read_text(encoding="utf-8"))["jobs"]
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return []
    return jobs if isinstance(jobs, list) else []


class Store:
    """A folder. Each Krita that runs at the same time has a slot of its own in it."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        for slot in range(1, 100):
            self._lock = QtCore.QLockFile(str(folder / f"slot-{slot}.lock"))
            self._lock.setStaleLockTime(0)
            if self._lock.tryLock(0):
                break
        self._slot = folder / f"slot-{slot}"
        self._slot.mkdir(exist_ok=True)
        self._inherit()

    def token(self, address: str) -> Optional[str]:
        """The token for this address."""
        try:
            keyring = _keyring()
            found = keyring.get_password(_SERVICE, address) if keyring else None
            return found or self._tokens().get(address)
        except Exception:
            return None

    def keep_token(self, address: str, token: Optional[str]) -> None:
        """Stores it in the keyring, or else in a file that only this person can read; none forgets it."""
        tokens = {k: v for k, v in self._tokens().items() if k != address}
        try:
            keyring = _keyring()
            if keyring and token:
                keyring.set_password(_SERVICE, address, token)
                token = None
            elif keyring:
                keyring.delete_password(_SERVICE, address)
        except Exception:
            pass  # nothing was in the keyring, or it is locked
        if token:
            tokens[address] = token
        self._write(self._folder / "tokens.json", json.dumps(tokens).encode())

    def jobs(self) -> Any:
        """What `keep_jobs` has stored."""
        return {"jobs": _jobs(self._slot / "jobs.json")}

    def keep_jobs(self, document: Dict[str, Any]) -> None:
        """Stores the jobs."""
        self._write(self._slot / "jobs.json", json.dumps(document).encode())

    def _inherit(self) -> None:
        """Takes over what Kritas have left that ran beside another one and do so no more."""
        for other in sorted(self._folder.glob("slot-*/")):
            lock = QtCore.QLockFile(str(other) + ".lock")
            lock.setStaleLockTime(0)
            if other == self._slot or not lock.tryLock(0):
                continue
            for blob in other.glob("*.blob"):
                os.replace(blob, self._slot / blob.name)
            left = _jobs(other / "jobs.json")
            if left:
                self.keep_jobs({"jobs": left + _jobs(self._slot / "jobs.json")})
                self._write(other / "jobs.json", b"{}")
            lock.unlock()

    def read(self, name: str) -> Any:
        """What `keep` has stored under this name; none if that is damaged or not there."""
        try:
            return json.loads((self._folder / name).read_text(encoding="utf-8"))
        except (OSError, ValueError, RecursionError):
            return None

    def keep(self, name: str, document: Any) -> None:
        """Stores what all Kritas of this person share."""
        self._write(self._folder / name, json.dumps(document).encode())

    def blob(self, name: str) -> Optional[bytes]:
        """The pictures of a request."""
        try:
            return (self._slot / f"{name}.blob").read_bytes()
        except OSError:
            return None

    def keep_blob(self, name: str, data: Optional[bytes]) -> None:
        """Stores or deletes them."""
        path = self._slot / f"{name}.blob"
        if data is not None:
            self._write(path, data)
        elif path.exists():
            path.unlink()

    def _tokens(self) -> Dict[str, str]:
        found = self.read("tokens.json")
        return {k: v for k, v in found.items() if isinstance(v, str)} if isinstance(found, dict) else {}

    @staticmethod
    def _write(path: Path, data: bytes) -> None:
        fresh = path.with_suffix(".new")
        with open(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
            file.write(data)
        os.replace(fresh, path)
