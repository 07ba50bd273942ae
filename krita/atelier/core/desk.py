"""All jobs: uploads, submits, follows, fetches, cancels, and keeps them for the next start."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf
from typing import Any, Callable, Dict, Iterator, List, Optional
from urllib.parse import urlsplit

from . import requests, untrusted, words
from .backoff import Backoff
from .calls import Calls, is_passing
from .effects import Approach, Deliver, KeepBlob, KeepJobs, Reply
from .following import Following
from .jobs import MOST_JOBS, Job, State
from .tongue import mark, say

POLL, POLL_LATER, POLL_BESIDE_SOCKET, POLL_LIVE = 0.4, 1.5, 15.0, 3.0
# A picture that is warm is there within a second or two: whoever polls looks often at first, then ever less.
POLL_AT_FIRST, FIRST = 0.15, 3.0
"""Seconds between two looks at a task: without a socket, the same while it waits in line, with one, and with one at a live
picture, for which the next stroke waits."""
NEAR, APPROACH = 0.3, 5.0
"""From this share on, a connection to where the pictures come from is kept up, looked at again after so many seconds: of a warm
picture there may be no later word before its end."""
MOST_TRIES = 5
"""To send or fetch pictures by addresses that lead nowhere."""
GONE = mark("The pictures of this request are gone. Paint it anew.")
MOST_EARLY = 64
"""Snapshots that are kept of tasks which are not known."""
MOST_BLOBS = 256 * 1024 * 1024
"""Bytes of one request's pictures that we keep."""


@dataclass
class _Work:
    """What does not outlive Krita."""

    backoff: Backoff
    due: float = 0.0
    busy: bool = False
    blob: Optional[bytes] = None
    place: Optional[str] = None
    tries: int = 0
    sent: float = -inf


class Desk:
    """The painter's jobs, in order."""

    def __init__(self, effects: List[Any], calls: Calls, chance: Callable[[], float], stored: Any) -> None:
        self._effects, self._calls, self._chance = effects, calls, chance
        self.jobs: Dict[str, Job] = {}
        self._work: Dict[str, _Work] = {}
        self.read_blob: Callable[[str], Optional[bytes]] = lambda name: None
        """Reads what `KeepBlob` has stored."""
        self.socket_is_open = False
        self._early: Dict[str, Dict[str, Any]] = {}
        self.groups = Following(self, calls, chance)
        self._bucket: Optional[str] = None
        """Where pictures came from before."""
        self._approached = -inf
        self.credits: Optional[int] = None
        """Left of this month's budget."""
        kept = stored.get("jobs") if isinstance(stored, dict) else None
        for document in (kept if isinstance(kept, list) else [])[-MOST_JOBS:]:
            job = Job.recall(document)
            if job is not None:
                self.jobs[job.id] = job

    def unfinished(self) -> List[str]:
        """Tasks to ask the server about."""
        return [job.task for job in self.jobs.values() if job.is_waiting and job.task]

    def submit(self, job: Job, blob: bytes) -> None:
        """Takes a new job."""
        self.jobs[job.id] = job
        self._take(job, blob)

    def again(self, job_id: str, new_id: str) -> Optional[Job]:
        """Sends a job that failed or was canceled once more, as a new one in its place."""
        old = self.jobs.get(job_id)
        if old is None or old.group or old.state not in (State.FAILED, State.CANCELED):
            return None
        blob = self._blob(old)
        if blob is None:
            old.error = say(GONE)
            return None
        job = Job(
            new_id, old.prompt, old.seed, old.place, old.workflow, old.offsets, live=old.live, variants=old.variants
        )
        job.record = old.record
        self.forget(job_id)
        self.submit(job, blob)
        return job

    def cancel(self, now: float, job_id: str) -> None:
        """Whatever stage it is in."""
        job = self.jobs.get(job_id)
        if job is None or job.is_over:
            return
        job.unwanted = True
        if job.is_waiting:
            job.state = State.CANCELING
            self._tend(job).due = now + POLL_LATER
            self._calls.api("POST", f"cancel/any/{job.task}", lambda at, reply: self._canceled(at, job, reply))
        elif not (job.state is State.SUBMITTING and self._tend(job).busy):
            self._end(job, State.CANCELED)
        self.save()

    def forget(self, job_id: str) -> None:
        """Takes a job that is over off the list."""
        job = self.jobs.get(job_id)
        if job is not None and job.is_over:
            del self.jobs[job_id]
            self._work.pop(job_id, None)
            self._effects.append(KeepBlob(job_id, None))
            self.save()

    def told(self, now: float, view: Dict[str, Any]) -> None:
        """A task's snapshot came over the socket, perhaps before the reply that says whose task that is."""
        task = view.get("task_id")
        if not isinstance(task, str):
            return
        for job in list(self.jobs.values()):
            if job.task == task and job.is_waiting:
                job.told(now, view)
                self._settle(now, job)
                result = view.get("result")
                # While a call is on its way, what it brings has the address too.
                if job.state is State.FETCHING and isinstance(result, dict) and not self._tend(job).busy:
                    self._fetch(job, result)
                return
        self._early[task] = view
        if len(self._early) > MOST_EARLY:
            del self._early[next(iter(self._early))]

    def replace(self, job: Job, others: List[Job]) -> None:
        """Follows these in its place."""
        del self.jobs[job.id]
        self._work.pop(job.id, None)
        self._effects.append(KeepBlob(job.id, None))
        for it in others:
            self.jobs[it.id] = it
        self.save()

    def lost(self, job: Job, error: str) -> None:
        """It will not come."""
        if not job.is_over:
            self._end(job, State.FAILED, error)

    def unreadable(self, job: Job) -> None:
        """What came for a job is no picture."""
        self.jobs[job.id] = job
        self._end(job, State.FAILED, say("What came from the server is no picture. Paint it anew."))

    def resume(self, now: float) -> None:
        """Goes on at once with all that waits."""
        self.groups.resume()
        for job in self.jobs.values():
            self._tend(job).due = now

    def interrupt(self) -> None:
        """No call that is on its way will be answered."""
        for work in self._work.values():
            work.busy = False
        self.groups.interrupt()

    def tick(self, now: float) -> None:
        """Takes each job a step further that is due."""
        self.groups.tick(now, self.socket_is_open)
        for job in list(self._due(now)):
            work = self._tend(job)
            work.busy = True
            if job.state is State.UPLOADING:
                self._calls.api("POST", "upload/image", lambda at, reply, job=job: self._placed(at, job, reply))
            elif job.state is State.SUBMITTING:
                self._submit(now, job)
            else:
                self._calls.api("GET", f"tasks/{job.task}", lambda at, reply, job=job: self._looked(at, job, reply))

    def save(self) -> None:
        """Keeps what must outlive Krita: live pictures and those that are done need not."""
        kept = [job.keep() for job in self.jobs.values() if not job.live and job.state is not State.DONE]
        self._effects.append(KeepJobs({"jobs": kept[-MOST_JOBS:]}))

    def _due(self, now: float) -> Iterator[Job]:
        for job in self.jobs.values():
            work = self._tend(job)
            together = job.group and job.is_waiting and job.state is not State.CANCELING
            if not job.is_over and not together and not work.busy and work.due <= now:
                yield job

    def _tend(self, job: Job) -> _Work:
        return self._work.setdefault(job.id, _Work(Backoff(self._chance)))

    def _take(self, job: Job, blob: bytes) -> None:
        work = self._tend(job)
        work.blob, job.size = blob, len(blob)
        job.state = State.UPLOADING if len(blob) > requests.INLINE else State.SUBMITTING
        if blob and not job.live and len(blob) <= MOST_BLOBS:
            self._effects.append(KeepBlob(job.id, blob))
        self.save()

    def _blob(self, job: Job) -> Optional[bytes]:
        work = self._tend(job)
        if work.blob is None:
            work.blob = b"" if job.size == 0 else self.read_blob(job.id)
        return work.blob if work.blob is not None and len(work.blob) == job.size else None

    def _placed(self, now: float, job: Job, reply: Reply) -> None:
        place = reply.json() or {}
        blob = self._blob(job)
        if job.is_over or not self._went_well(now, job, reply):
            return
        if blob is None:
            return self._end(job, State.FAILED, say(GONE))
        url, name = untrusted.address(place.get("url"), "https", "http"), place.get("object")
        if url is None or not isinstance(name, str):
            return self._garbage(now, job, reply)
        work = self._tend(job)
        work.busy, work.place = True, name
        self._calls.blob("PUT", url, lambda at, put: self._uploaded(at, job, put), blob)

    def _uploaded(self, now: float, job: Job, reply: Reply) -> None:
        if job.is_over:
            return
        work = self._tend(job)
        if not reply.ok:  # a fresh address may do better
            work.tries += not is_passing(reply)
            if work.tries >= MOST_TRIES:
                return self._end(job, State.FAILED, say("The canvas could not be stored on the server. Send it again."))
            self._later(now, job, reply)
            job.trouble = job.trouble if is_passing(reply) else None
        elif self._went_well(now, job, reply):
            work.tries, job.state = 0, State.SUBMITTING

    def _submit(self, now: float, job: Job) -> None:
        blob, work = self._blob(job), self._tend(job)
        if blob is None:
            return self._end(job, State.FAILED, say(GONE))
        if len(blob) > requests.INLINE and work.place is None:
            # Krita was closed in between, and only the server knows whether it has this request: its pictures anew.
            job.state, work.busy = State.UPLOADING, False
            return
        body = requests.with_pictures(job.workflow, blob, job.offsets, work.place, job.variants, job.record, job.live)
        headers = (("Idempotency-Key", job.id),)
        if self.socket_is_open:  # which says more, and sooner, than a call that is kept open for the picture
            headers += (("Prefer", "respond-async"),)
        self._calls.api("POST", "generate", lambda at, reply: self._submitted(at, job, reply), body, headers)

    def _submitted(self, now: float, job: Job, reply: Reply) -> None:
        said = reply.json() or {}
        self._spent(said)
        if job.unwanted and not reply.ok and not is_passing(reply):
            return self._end(job, State.CANCELED)
        if not self._went_well(now, job, reply):
            return
        if job.variants:
            if not self.groups.begin(now, job, said):
                self._garbage(now, job, reply)
            return
        if not isinstance(said.get("id"), str):
            return self._garbage(now, job, reply)
        job.task, job.state = said["id"], State.QUEUED
        if job.unwanted:
            return self.cancel(now, job.id)
        job.expect(now, said)
        if said.get("status") == "COMPLETED":
            job.state = State.FETCHING
            images = (said.get("output") or {}).get("images") if isinstance(said.get("output"), dict) else None
            if isinstance(images, dict):
                self._fetch(job, images)
        work = self._tend(job)
        work.sent = now
        work.due = now + self._rhythm(now, job)
        early = self._early.pop(job.task, None)
        if early is not None:
            self.told(now, early)
        self.save()

    def _looked(self, now: float, job: Job, reply: Reply) -> None:
        if job.is_over:
            return
        if reply.status == 404 and "error" in (reply.json() or {}):
            return self._end(job, State.FAILED, say("The server does not know this picture any more. Send it again."))
        if not reply.ok and not reply.is_refused:  # the picture may be on its way, however this call ends
            return self._later(now, job, reply)
        if not self._went_well(now, job, reply):
            return
        view = reply.json()
        if view is None or view.get("task_id") != job.task:
            return self._garbage(now, job, reply)
        job.told(now, view)
        self._tend(job).due = now + self._rhythm(now, job)
        if job.state is State.CANCELING and view.get("state") in ("queued", "running"):
            return self.cancel(now, job.id)
        self._settle(now, job)
        result = view.get("result")
        if job.state is State.FETCHING and isinstance(result, dict):
            self._fetch(job, result)

    def _rhythm(self, now: float, job: Job) -> float:
        if job.state is State.CANCELING:
            return POLL_LATER
        if self.socket_is_open:
            return POLL_LIVE if job.live else POLL_BESIDE_SOCKET
        if now - self._tend(job).sent < FIRST:
            return POLL_AT_FIRST
        return POLL if job.state is not State.QUEUED or job.live else POLL_LATER

    def _settle(self, now: float, job: Job) -> None:
        """After a snapshot."""
        near = job.state is State.RUNNING and job.progress >= NEAR
        if near and self._bucket is not None and now - self._approached >= APPROACH:
            self._approached = now
            self._effects.append(Approach(self._bucket))
        if job.state is State.FETCHING:
            self._tend(job).due = now
        elif job.is_over:
            self._end(job, job.state, job.error)

    def _fetch(self, job: Job, images: Dict[str, Any]) -> None:
        url, offsets = untrusted.address(images.get("url"), "https", "http"), images.get("offsets")
        if url is not None:
            parts = urlsplit(url)
            self._bucket, self._tend(job).busy = f"{parts.scheme}://{parts.netloc}/", True
            self._calls.blob("GET", url, lambda at, reply: self._fetched(at, job, offsets, reply))

    def _fetched(self, now: float, job: Job, offsets: Any, reply: Reply) -> None:
        work = self._tend(job)
        work.busy = False
        work.tries += not is_passing(reply)
        if job.is_over:
            return
        pictures = requests.split(reply.body, offsets) if reply.ok else None
        if pictures is not None:
            self._end(job, State.DONE)
            self._effects.append(Deliver(job, pictures))
        elif work.tries >= MOST_TRIES:
            self._end(job, State.FAILED, say("The picture is not on the server any more. Send the request again."))
        else:
            work.due = now + work.backoff.failed(reply.retry_after)

    def _canceled(self, now: float, job: Job, reply: Reply) -> None:
        if job.is_over:
            return
        said = reply.json() or {}
        if reply.ok and said.get("status") != "IN_PROGRESS":
            self._end(job, State.CANCELED)
        else:  # the next look tells whether it is over meanwhile, or asks again
            self._later(now, job, reply)

    def _went_well(self, now: float, job: Job, reply: Reply) -> bool:
        work = self._tend(job)
        work.busy = False
        if reply.ok:
            work.backoff.worked()
            job.trouble = None
            return True
        if reply.is_refused:
            work.due = inf  # until there is a token
        elif is_passing(reply):
            self._later(now, job, reply)
        else:
            self._end(job, State.FAILED, words.of_reply(reply, self._calls.endpoint))
        return False

    def _garbage(self, now: float, job: Job, reply: Reply) -> None:
        self._later(now, job, reply)
        job.trouble = say(words.NOT_ATELIER, host=untrusted.host(self._calls.endpoint))

    def _later(self, now: float, job: Job, reply: Reply) -> None:
        work = self._tend(job)
        work.busy = False
        work.due = now + work.backoff.failed(reply.retry_after)
        if not reply.ok:
            job.trouble = words.of_reply(reply, self._calls.endpoint)

    def _end(self, job: Job, state: State, error: Optional[str] = None) -> None:
        job.state, job.error = state, error
        self._tend(job).busy = False
        if state is State.DONE:
            self._effects.append(KeepBlob(job.id, None))
        if job.live and state is not State.FAILED:
            self.jobs.pop(job.id, None)
            self._work.pop(job.id, None)
        self.save()

    def _spent(self, said: Dict[str, Any]) -> None:
        user = said.get("user", said)
        left = untrusted.whole(user.get("credits")) if isinstance(user, dict) else None
        self.credits = self.credits if left is None else left
