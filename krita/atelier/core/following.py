"""Groups of variants: followed by one call for all of a group, whose members are jobs as any other."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf
from typing import TYPE_CHECKING, Any, Callable, Dict, List

from .backoff import Backoff
from .calls import Calls
from .effects import Reply
from .groups import MOST_VARIANTS
from .jobs import Job, State
from .tongue import say

if TYPE_CHECKING:
    from .desk import Desk

POLL, POLL_BESIDE_SOCKET = 3.0, 15.0
"""Seconds between two looks at a group, without a socket and with one."""


@dataclass
class _Look:
    backoff: Backoff
    due: float = 0.0
    busy: bool = False


class Following:
    """The groups of which something is to come."""

    def __init__(self, desk: "Desk", calls: Calls, chance: Callable[[], float]) -> None:
        self._desk, self._calls, self._chance = desk, calls, chance
        self._looks: Dict[str, _Look] = {}

    def begin(self, now: float, job: Job, said: Dict[str, Any]) -> bool:
        """The server has taken a request with variants, and says which tasks they are; false if it does not."""
        group, variants = said.get("group"), said.get("variants")
        sound = isinstance(group, str) and group and isinstance(variants, list) and 0 < len(variants) <= MOST_VARIANTS
        if not sound or not all(isinstance(it, dict) and isinstance(it.get("id"), str) for it in variants):
            return False
        jobs = [
            Job(
                f"{job.id}-{number}",
                job.prompt,
                job.seed,
                job.place,
                {},
                state=State.QUEUED,
                task=it["id"],
                group=group,
                record=job.record,
                label=it["label"] if isinstance(it.get("label"), str) else "",
            )
            for number, it in enumerate(variants)
        ]
        self._desk.replace(job, jobs)
        self._look(group).due = now + POLL
        if job.unwanted:
            self.cancel(now, group)
        return True

    def cancel(self, now: float, group: str) -> None:
        """Ends all of a group that is not over."""
        look = self._look(group)
        if look.busy:
            return
        look.busy = True
        for job in self._members(group):
            if job.is_waiting:
                job.unwanted = True  # what is there already is not wanted either
        self._calls.api("POST", f"groups/{group}/cancel", lambda at, reply: self._said(at, group, reply, at_once=True))

    def forget(self, group: str) -> None:
        """Takes what is over of a group off the list."""
        for job in self._members(group):
            self._desk.forget(job.id)

    def tick(self, now: float, socket_is_open: bool) -> None:
        """Looks at each group when it is time to."""
        groups = {it.group for it in self._desk.jobs.values() if it.group and it.is_waiting}
        for gone in [it for it in self._looks if it not in groups and not self._looks[it].busy]:
            del self._looks[gone]
        for group in sorted(groups):
            look = self._look(group)
            if not look.busy and look.due <= now:
                look.busy, look.due = True, now + (POLL_BESIDE_SOCKET if socket_is_open else POLL)
                self._calls.api("GET", f"groups/{group}", lambda at, reply, group=group: self._came(at, group, reply))

    def interrupt(self) -> None:
        """No call that is on its way will be answered."""
        for look in self._looks.values():
            look.busy = False

    def resume(self) -> None:
        """Looks at once."""
        for look in self._looks.values():
            look.due = 0.0

    def _look(self, group: str) -> _Look:
        return self._looks.setdefault(group, _Look(Backoff(self._chance)))

    def _members(self, group: str) -> List[Job]:
        return [it for it in self._desk.jobs.values() if it.group == group]

    def _came(self, now: float, group: str, reply: Reply) -> None:
        if reply.status == 404 and "error" in (reply.json() or {}):
            for job in self._members(group):
                self._desk.lost(job, say("The server does not know these variants any more. Send them again."))
        self._said(now, group, reply, at_once=False)
        variants = (reply.json() or {}).get("variants") if reply.ok else None
        for it in variants if isinstance(variants, list) else ():
            task = it.get("task") if isinstance(it, dict) else None
            if isinstance(task, dict):
                self._desk.told(now, task)

    def _said(self, now: float, group: str, reply: Reply, at_once: bool) -> None:
        look = self._look(group)
        look.busy = False
        if reply.is_refused:
            look.due = inf  # until there is a token
        elif not reply.ok:
            look.due = now + look.backoff.failed(reply.retry_after)
        else:
            look.backoff.worked()
            look.due = now if at_once else look.due
