"""Many pictures of one request that differ in what the painter varies: a group, which the studio paints beside all else."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Dict, Iterable, List, Tuple

from .jobs import Job, State
from .tongue import say

MOST_VARIANTS = 96
"""The server takes no more in one group."""


@dataclass(frozen=True)
class Variants:
    """What is varied: each prompt is painted with each seed."""

    seeds: int = 1
    """How many, from the request's own on."""
    prompts: Tuple[str, ...] = ()
    """In place of the request's; none to vary the seed alone."""

    @property
    def count(self) -> int:
        """How many there are."""
        return self.seeds * max(1, len(self.prompts))

    def document(self) -> Dict[str, Any]:
        """As the server reads it; empty if nothing is varied."""
        seeds: Dict[str, Any] = {"seeds": self.seeds} if self.seeds > 1 else {}
        return {**seeds, **({"prompts": list(self.prompts)} if len(self.prompts) > 1 else {})}


@dataclass(frozen=True)
class Standing:
    """How a group stands, as far as it is not forgotten."""

    group: str
    all: int
    left: int
    failed: int
    share: float
    """That is rendered, 0 to 1."""
    error: str
    """Why one failed."""

    def words(self) -> str:
        """For the painter."""
        said = say("{left} of {all} variants to come", left=self.left, all=self.all) if self.left else ""
        wrong = say("{failed} of {all} variants failed: {error}", failed=self.failed, all=self.all, error=self.error)
        return " · ".join(filter(None, (said, wrong if self.failed else "")))


def standings(jobs: Iterable[Job]) -> List[Standing]:
    """The groups of which something is to come, or has failed."""
    groups: Dict[str, List[Job]] = {}
    for job in jobs:
        if job.group:
            groups.setdefault(job.group, []).append(job)
    found = []
    for group, members in groups.items():
        left = [it for it in members if not it.is_over]
        failed = [it for it in members if it.state is State.FAILED]
        over = len(members) - len(left)
        rendered = over + sum(1.0 if it.state is State.FETCHING else it.progress for it in left)
        error = failed[0].error or "" if failed else ""
        if left or failed:
            found.append(Standing(group, len(members), len(left), len(failed), rendered / len(members), error))
    return found
