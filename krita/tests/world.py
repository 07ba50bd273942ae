"""A server and a network for the core's tests: in memory, with a clock that only the test moves, unkind by a seed."""

from __future__ import annotations

import json
import random
import sys
from pathlib import Path
from urllib.parse import unquote

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "atelier"))

from core import effects  # noqa: E402
from core.effects import Reply, Trouble  # noqa: E402
from core.jobs import Job, Place  # noqa: E402
from core.session import Phase, Session  # noqa: E402

API = "https://studio.example/v1"
BUCKET = "https://bucket.example"
TOKEN = "token-of-mara"
RESOURCES = {
    "checkpoints": {"dreamshaper_8.safetensors": {"arch": "sd15", "filename": "dreamshaper_8.safetensors"}},
    "resources": {"lora-hyper-sd15": "hyper.safetensors", "controlnet-inpaint-sd15": "inpaint.safetensors"},
    "loras": [],
}
PICTURES = (b"first picture", b"second picture")


def reply(value, status=200, **more):
    return Reply(status, "application/json", json.dumps(value).encode(), **more)


class Server:
    """What the studio's cloud does with calls, and what it says over the socket."""

    def __init__(self):
        self.tasks = {}
        self.groups = {}
        self.listed_groups = []
        self.recorded, self.applied, self.is_class = {}, [], False
        self.uploads, self.places = {}, 0
        self.out = False
        self.approved = None
        self.said = []
        self.says_addresses = True

    def answer(self, call):
        headers = dict(call.headers)
        if call.url.startswith(BUCKET):
            assert "Authorization" not in headers, "the token reached the bucket"
            return self.bucket(call)
        assert call.url.startswith(API + "/"), call.url
        path = call.url[len(API) + 1 :]
        if path == "auth/initiate":
            return reply({"url": "/sign-in?code=abc"})
        if path == "auth/confirm":
            return reply(self.approved or {"status": "not-found"})
        if self.out or headers.get("Authorization") != "Bearer " + TOKEN:
            return reply({"error": "Please sign in again: the token was revoked."}, 401)
        if path == "user":
            user = {"id": "mara", "name": "Mara", "credits": 900, "socket": "wss://studio.example/live"}
            return reply({**user, **({"recording": True} if self.is_class else {})})
        if path == "plugin/resources":
            return reply(RESOURCES)
        if path == "upload/image":
            self.places += 1
            return reply({"url": f"{BUCKET}/up/{self.places}", "object": f"up/{self.places}"})
        if path == "generate":
            return self.generate(headers["Idempotency-Key"], json.loads(call.body))
        if path.startswith("groups?"):
            return reply({"groups": self.listed_groups})
        if path.startswith("groups/"):
            name = path.split("/")[1]
            if name not in self.groups:
                return reply({"error": "There is no such group."}, 404)
            return self.group(name, path.endswith("/cancel"))
        if path.startswith("cancel/"):
            return self.cancel(path.rsplit("/", 1)[1])
        if path.startswith("history"):
            return self.history(call, path)
        if path.endswith("/applied"):
            self.applied.append((path.split("/")[1], json.loads(call.body)["picture"]))
            return reply({"recorded": True})
        if path.startswith("tasks?"):
            return self.list(dict(it.split("=") for it in path[len("tasks?") :].split("&")))
        if path.endswith("/keep"):
            return self.keep(call.method, self.tasks[path.split("/")[1]])
        task = self.tasks.get(path[len("tasks/") :])
        return reply(self.view(task)) if task else reply({"error": "There is no such task."}, 404)

    def history(self, call, path):
        """A document a page."""
        if call.method == "PUT":
            self.recorded[path.split("/")[1]] = json.loads(call.body)["recording"]
            return reply({})
        at = int(path.partition("cursor=")[2] or 0)
        page = [{"document": name, "recording": on} for name, on in list(self.recorded.items())[at : at + 1]]
        more = {"next": str(at + 1)} if at + 1 < len(self.recorded) else {}
        return reply({"class": self.is_class, "documents": page, **more})

    def keep(self, method, task):
        if task.get("is_gone"):
            return reply({"error": "The pictures are gone already."}, 410)
        task["is_kept"] = method == "POST"
        return reply(self.view(task))

    def list(self, query):
        """Newest first; the cursor is how many were listed before."""
        begin, limit = int(query.get("cursor", 0)), int(query["limit"])
        tasks = list(self.tasks.values())[::-1]
        text = unquote(query.get("text", ""))
        tasks = [it for it in tasks if text in it.get("parameters", {}).get("prompt", "")]
        # It looks at so many, and shows those that are wanted.
        wanted = [it for it in tasks[begin : begin + limit] if it.get("kind") != query.get("without", "")]
        # A list shows no settings; alone a task does.
        shown = [{k: v for k, v in self.view(it).items() if k != "parameters"} for it in wanted]
        return reply({"tasks": shown, **({"next": str(begin + limit)} if begin + limit < len(tasks) else {})})

    def generate(self, key, body):
        data = body["input"]["workflow"].get("image_data", {})
        assert not data or ("base64" in data) or data["s3_object"] in self.uploads, data
        variants = body["input"].get("variants")
        if variants:
            return self.vary(key, variants)
        name = "task-" + key
        kind = {"kind": "live"} if body["input"].get("options", {}).get("live") else {}
        self.tasks.setdefault(name, {"task_id": name, "state": "queued", "progress": 0.0, "version": 1, **kind})
        return reply({"id": name, "worker_id": "pool", "status": "IN_QUEUE", "user": {"credits": 880}})

    def vary(self, key, variants):
        names = [f"task-{key}-{it}" for it in range(variants.get("seeds", 1) * len(variants.get("prompts", [0])))]
        for name in names:
            self.tasks.setdefault(name, {"task_id": name, "state": "queued", "progress": 0.0, "version": 1})
        self.groups[f"group-{key}"] = names
        shown = [{"id": it, "label": f"seed {number}"} for number, it in enumerate(names)]
        return reply({"group": f"group-{key}", "variants": shown, "user": {"credits": 700}})

    def group(self, name, canceled):
        for it in self.groups[name] if canceled else ():
            self.cancel(it)
        shown = [{"label": it, "task": self.view(self.tasks[it])} for it in self.groups[name]]
        return reply({"id": name, "variants": shown})

    def cancel(self, name):
        task = self.tasks[name]
        if task["state"] in ("queued", "running"):
            self.move(task, "canceled")
        return reply({"status": "CANCELLED"})

    def bucket(self, call):
        name = call.url[len(BUCKET) + 1 :]
        if call.method == "PUT":
            self.uploads[name] = call.body
            return Reply(200)
        if name.startswith("gone/"):
            return Reply(404, "application/xml", b"<Error/>")
        if name.startswith("thumbs/"):
            return Reply(200, "image/webp", name.encode())
        return Reply(200, "application/octet-stream", b"".join(PICTURES))

    def move(self, task, state, progress=None):
        task.update(state=state, version=task["version"] + 1)
        if progress is not None:
            task["progress"] = progress
        self.said.append({"event": "task", **self.view(task, self.says_addresses)})

    def work(self):
        """A worker does a step of something."""
        for task in self.tasks.values():
            if task["state"] == "queued":
                return self.move(task, "running", 0.0)
            if task["state"] == "running":
                done = task["progress"] + 0.5
                return self.move(task, "succeeded" if done > 1 else "running", min(1.0, done))

    @staticmethod
    def view(task, with_address=True):
        shown = dict(task)
        if with_address and task["state"] == "succeeded":
            where = "gone" if task.get("is_gone") else "results"
            shown["result"] = {"url": f"{BUCKET}/{where}/{task['task_id']}", "offsets": [0, len(PICTURES[0])]}
            if task.get("is_kept"):
                shown["result"]["kept"] = "always"
            if "created" in task:
                shown["result"]["thumbnails"] = [f"{BUCKET}/thumbs/{task['task_id']}/{it}" for it in range(2)]
        return shown


class World:
    """A Krita beside a server; `loss` is the share of calls that fail, before or after the server has heard of them."""

    def __init__(self, seed=0, loss=0.0, token=TOKEN, stored=None, server=None):
        self.chance = random.Random(seed)
        self.loss = loss
        self.server = server or Server()
        self.now = 1000.0
        self.ids = 0
        self.delivered = {}
        self.kept = stored
        self.blobs = {}
        self.tokens = []
        self.pages = []
        self.calls, self.approached = [], []
        self.sent = []
        self.socket_works = True
        self.socket_is_up = False
        self.stubs = {}
        self.start(token)

    def start(self, token=TOKEN):
        """Krita starts, perhaps not for the first time."""
        self.socket_is_up = False
        self.waiting = []
        self.session = Session(API, self.kept, self.chance.random, self.new_id)
        self.session.desk.read_blob = self.blobs.get
        self.session.use_token(token)

    def new_id(self):
        self.ids += 1
        return f"id-{self.ids}"

    def job(self, pictures=b"", live=False, variants=None, record=""):
        job = Job(self.new_id(), "a cat", 7, Place("doc", 1, 2, 3, 4), {"kind": "generate"}, [0] if pictures else [])
        job.live, job.variants, job.record = live, variants or {}, record
        self.session.submit(self.now, job, pictures)
        return job

    def reply_to(self, call):
        for part, stub in self.stubs.items():
            if part in call.url:
                return stub
        if self.chance.random() < self.loss:
            broken = [Reply(trouble=Trouble.TIMEOUT), Reply(503, "text/html", b"<html>")]
            if not call.url.startswith(BUCKET):
                broken.append(Reply(200, "text/html", b"<html>Welcome to the hotel"))
            if self.chance.random() < 0.5:
                self.server.answer(call)  # and the answer is lost
            return self.chance.choice(broken)
        return self.server.answer(call)

    def perform(self):
        for effect in self.session.take():
            if isinstance(effect, effects.Call):
                self.calls.append(effect)
                self.waiting.append(effect)
            elif isinstance(effect, effects.Approach):
                self.approached.append((effect.url, len(self.calls)))
            elif isinstance(effect, effects.OpenSocket):
                assert effect.token == TOKEN
                self.opening = True
            elif isinstance(effect, effects.CloseSocket):
                self.socket_is_up = False
            elif isinstance(effect, effects.SendSocket):
                self.sent.append(json.loads(effect.text))
            elif isinstance(effect, effects.KeepJobs):
                self.kept = json.loads(json.dumps(effect.document))
            elif isinstance(effect, effects.KeepBlob):
                self.blobs[effect.name] = effect.data
            elif isinstance(effect, effects.KeepToken):
                self.tokens.append(effect.token)
            elif isinstance(effect, effects.KeepLoras):
                self.loras = effect.document
            elif isinstance(effect, effects.OpenBrowser):
                self.pages.append(effect.url)
            elif isinstance(effect, effects.Deliver):
                assert effect.job.id not in self.delivered, "delivered twice"
                self.delivered[effect.job.id] = effect.pictures

    opening = False

    def step(self, seconds=0.25):
        """Time passes, and what is on its way arrives."""
        self.now += seconds
        self.session.tick(self.now)
        self.perform()
        if self.opening:
            self.opening = False
            if self.socket_works:
                self.socket_is_up = True
                self.session.socket_opened(self.now)
            else:
                self.session.socket_closed(self.now)
        calls, self.waiting = self.waiting, []
        self.chance.shuffle(calls)
        for call in calls:
            self.session.answered(self.now, call.number, self.reply_to(call))
        said, self.server.said = self.server.said, []
        for event in said if self.socket_is_up else ():
            if self.chance.random() >= self.loss:
                self.session.socket_said(self.now, json.dumps(event))
        self.perform()

    def until(self, wanted, work=True, most=2000):
        for _ in range(most):
            if wanted():
                return
            if work:
                self.server.work()
            self.step()
        raise AssertionError(f"never: {self.session.words()} {list(self.session.desk.jobs.values())}")

    def ready(self):
        self.until(lambda: self.session.phase is Phase.READY and (self.session.link.is_open or not self.socket_works))
        self.until(lambda: not self.session.records.busy, work=False)
        return self
