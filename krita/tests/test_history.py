"""What was painted before: the list, and back from an entry to a wish."""

import random
import unittest

from world import API, BUCKET, PICTURES, RESOURCES, Server, World, reply

from core.again import again
from core.effects import Reply, Trouble
from core.history import MOST_AT_ONCE, MOST_EMPTY, PAGE
from core.levels import Level
from core.offer import Offer
from core.requests import Kind, Lora, Sampling, Wish, build, enlarge
from core.session import Phase
from core.sizes import Rect, around
from core.styles import STYLES

OFFER = Offer.parse({**RESOURCES, "loras": ["ink.safetensors"]})
DREAMSHAPER = OFFER.checkpoints[0]


def server_with(count):
    server = Server()
    for number in range(count):
        name = f"task-{number}"
        asked = {"kind": "generate", "prompt": f"picture {number}", "seed": number, "count": 2, "steps": 20}
        server.tasks[name] = {
            "task_id": name,
            "state": "succeeded" if number % 5 else "failed",
            "progress": 1.0,
            "version": 3,
            "kind": "generate",
            "created": 1_700_000_000_000 + number,
            "parameters": asked,
        }
    return server


def parameters(workflow):
    """What the server says that this request asks for."""
    sampling, prompts = workflow.get("sampling", {}), workflow.get("conditioning", {})
    total = sampling.get("total_steps")
    return {
        "kind": workflow["kind"],
        "prompt": prompts.get("positive", ""),
        "negative_prompt": prompts.get("negative", ""),
        "style_prompt": prompts.get("style", ""),
        "checkpoint": workflow.get("models", {}).get("checkpoint", ""),
        "loras": [{"name": it["name"], "strength": it["strength"]} for it in workflow.get("models", {}).get("loras", [])],
        "sampler": sampling.get("sampler", ""),
        "scheduler": sampling.get("scheduler", ""),
        "steps": total,
        "guidance": sampling.get("cfg_scale"),
        "strength": (total - sampling.get("start_step", 0)) / total if total else None,
        "seed": sampling.get("seed"),
        "count": workflow.get("batch_count", 1),
    }


class TheList(unittest.TestCase):
    def look(self, world):
        world.session.history.look()
        world.until(lambda: not world.session.history.busy and not world.waiting, work=False)

    def test_nothing_is_asked_before_somebody_looks(self):
        world = World(server=server_with(3)).ready()
        self.assertFalse([it for it in world.calls if "tasks" in it.url])

    def test_contact_sheets_are_found_again(self):
        world = World(server=server_with(1)).ready()
        history, offered = world.session.history, []

        def ask(groups):
            world.server.listed_groups = groups
            history.sheets(offered.append)
            world.until(lambda: not history.busy, work=False)
            return offered.pop()

        group = {"id": "g", "created": 1_700_000_000_000, "variants": 12, "label": "seed 1"}
        self.assertEqual(ask([group]), [])
        self.assertIn("No contact sheet", history.words())
        there = {**group, "sheet": f"{BUCKET}/sheets/g.webp"}
        garbage = [7, {}, {**there, "sheet": "javascript:alert(1)"}, {**there, "created": "soon"}, {**there, "variants": -1}]
        [sheet] = ask([*garbage, there, group])
        self.assertEqual((sheet.url, sheet.words()), (there["sheet"], "12 variants: seed 1"))
        self.assertIsNone(history.problem)
        for broken in ({"groups": 7}, {"groups": None}, {}):
            world.stubs["/groups"] = reply(broken)
            history.sheets(offered.append)
            world.until(lambda: not history.busy, work=False)
            self.assertIn("not as Atelier does", history.words())
        self.assertEqual(offered, [])

    def test_pages_come_one_after_the_other_and_nothing_twice(self):
        world = World(server=server_with(2 * PAGE + 5)).ready()
        history = world.session.history
        self.look(world)
        self.assertEqual([it.task for it in history.entries[:2]], [f"task-{2 * PAGE + 4}", f"task-{2 * PAGE + 3}"])
        world.server.tasks.update(server_with(2 * PAGE + 6).tasks)  # one more, so that the pages overlap
        while history.goes_on:
            history.more()
            history.more()  # a double click
            world.until(lambda: not history.busy, work=False)
        names = [it.task for it in history.entries]
        self.assertEqual(names, [f"task-{it}" for it in range(2 * PAGE + 4, -1, -1)])
        self.look(world)  # the newest come before what is known, which stays
        self.assertEqual([it.task for it in history.entries], [f"task-{it}" for it in range(2 * PAGE + 5, -1, -1)])
        self.assertFalse(history.goes_on)

    def test_strokes_of_live_painting_are_not_in_the_way(self):
        world = World(server=server_with(2)).ready()
        history = world.session.history
        job = world.job(live=True)
        world.until(lambda: job.is_over)
        self.look(world)
        self.assertEqual([it.task for it in history.entries], ["task-1", "task-0"])
        stroke = world.server.tasks[f"task-{job.id}"]
        for number in range(3 * PAGE):
            world.server.tasks[f"stroke-{number}"] = {**stroke, "task_id": f"stroke-{number}"}
        self.look(world)
        self.assertEqual([it.task for it in history.entries], ["task-1", "task-0"])
        self.assertFalse(history.goes_on)
        for number in range(3 * PAGE, (MOST_EMPTY + 1) * PAGE):
            world.server.tasks[f"stroke-{number}"] = {**stroke, "task_id": f"stroke-{number}"}
        calls = len(world.calls)
        self.look(world)
        # So many calls and no more by themselves; the painter may ask for more.
        self.assertEqual((len(world.calls) - calls, history.entries, history.words()), (MOST_EMPTY, [], ""))
        history.more()
        world.until(lambda: not history.busy, work=False)
        self.assertEqual([it.task for it in history.entries], ["task-1", "task-0"])

    def test_a_list_that_has_moved_on_too_far_begins_anew(self):
        world = World(server=server_with(2)).ready()
        self.look(world)
        world.server.tasks.update(server_with(PAGE + 10).tasks)
        self.look(world)
        self.assertEqual(len(world.session.history.entries), PAGE)
        self.assertTrue(world.session.history.goes_on)

    def test_prompts_are_searched_page_by_page(self):
        world = World(server=server_with(2 * PAGE)).ready()
        history = world.session.history
        self.look(world)
        for text, wanted in (("picture 7", ["task-7"]), ("a & b=", []), ("picture 3", None), ("", None)):
            history.search(f" {text} ")
            world.until(lambda: not history.busy, work=False)
            while history.goes_on:
                history.more()
                world.until(lambda: not history.busy, work=False)
            found = [it.task for it in history.entries]
            every = [f"task-{it}" for it in range(2 * PAGE - 1, -1, -1) if text in f"picture {it}"]
            self.assertEqual(found, every if wanted is None else wanted, text)
            self.assertEqual(history.words(), "" if found else "No prompt has these words.")
        calls = len(world.calls)
        history.search("")
        self.assertEqual(len(world.calls), calls)

    def test_small_pictures_come_a_few_at_a_time_and_without_the_token(self):
        world = World(server=server_with(PAGE)).ready()
        most = 0
        world.session.history.look()
        for _ in range(40):
            world.step()
            most = max(most, len([it for it in world.waiting if "thumbs" in it.url]))
        self.assertEqual(most, MOST_AT_ONCE)
        self.assertEqual(len(world.session.history.thumbnails), PAGE - PAGE // 5)

    def test_what_it_cannot_do_is_said_and_passes(self):
        world = World(server=server_with(2)).ready()
        history = world.session.history
        page = {"task_id": "task-1", "state": "succeeded", "created": 1, "result": {"offsets": "x", "thumbnails": [7]}}
        for stub in (Reply(trouble=Trouble.TIMEOUT), Reply(200, "text/html", b"<html>"), reply({"tasks": 7})):
            world.stubs["/tasks?"] = stub
            self.look(world)
            self.assertTrue(history.words().endswith("."), history.words())
        world.stubs["/tasks?"] = reply({"tasks": [7, {}, {**page, "created": -1}, {**page, "state": []}, page], "next": {}})
        self.look(world)
        self.assertEqual([(it.task, it.pictures, it.thumbnail) for it in history.entries], [("task-1", 0, "")])
        self.assertFalse(history.goes_on)
        world.stubs.clear()
        self.look(world)
        self.assertEqual((len(history.entries), history.words()), (2, ""))

    def test_whoever_signs_out_takes_the_list_along(self):
        world = World(server=server_with(4)).ready()
        history = world.session.history
        self.look(world)
        history.look()
        world.session.sign_out()
        world.perform()
        for _ in range(8):
            world.step()
        self.assertEqual((history.entries, history.thumbnails, history.busy), ([], {}, False))

    def test_a_token_that_is_refused_asks_to_sign_in(self):
        world = World(server=server_with(4)).ready()
        world.server.out = True
        self.look(world)
        self.assertIs(world.session.phase, Phase.SIGNED_OUT)
        self.assertEqual(world.session.history.entries, [])


class AnEntry(unittest.TestCase):
    def setUp(self):
        self.world = World(server=server_with(3)).ready()
        self.history = self.world.session.history
        self.history.look()
        self.world.until(lambda: self.history.entries, work=False)
        self.entry = self.history.entries[0]
        self.got = []

    def wait(self):
        self.world.until(lambda: self.got, work=False)
        return self.got.pop()

    def test_its_settings_come(self):
        self.history.parameters(self.entry, lambda it: self.got.append((it,)))
        self.assertEqual(self.wait()[0]["prompt"], "picture 2")
        del self.world.server.tasks["task-2"]["parameters"]
        self.history.parameters(self.entry, lambda it: self.got.append((it,)))
        self.assertEqual(self.wait(), (None,))
        self.assertIn("not known any more", self.history.words())

    def test_who_looks_at_it_reads_its_prompt(self):
        self.assertEqual(self.history.name(self.entry), "Generate (2 pictures)")
        self.history.choose(self.entry)
        self.world.until(lambda: not self.history.busy, work=False)
        self.assertEqual(self.history.name(self.entry), "picture 2 (2 pictures)")
        before = len(self.world.calls)
        self.history.choose(self.entry)
        self.assertEqual(len(self.world.calls), before)

    def test_its_pictures_come_by_a_fresh_address(self):
        before = len(self.world.calls)
        self.history.pictures(self.entry, lambda *it: self.got.append(it))
        asked, files = self.wait()
        self.assertEqual((asked["seed"], files), (2, PICTURES))
        fetched = [it.url for it in self.world.calls[before:] if "thumbs" not in it.url]
        self.assertEqual(fetched, [f"{API}/tasks/task-2", f"{BUCKET}/results/task-2"])

    def test_its_pictures_are_kept_and_no_longer(self):
        for on in (True, False):
            self.history.keep(self.history.entries[0], on)
            self.world.until(lambda: not self.history.busy, work=False)
            self.assertEqual([it.kept for it in self.history.entries], [on, False, False])
            self.assertEqual(self.world.server.tasks["task-2"]["is_kept"], on)
        self.world.server.tasks["task-2"]["is_gone"] = True
        self.history.keep(self.history.entries[0], True)
        self.world.until(lambda: not self.history.busy, work=False)
        self.assertEqual(self.history.words(), "The pictures are gone already.")

    def test_pictures_that_are_gone(self):
        for change in ({"is_gone": True}, {"state": "failed"}):
            self.world.server.tasks["task-2"].update(change)
            self.history.pictures(self.entry, lambda *it: self.got.append(it))
            self.assertIsNone(self.wait()[1])
            self.assertIn("not on the server any more", self.history.words())
        self.world.server.tasks.clear()
        self.history.pictures(self.entry, lambda *it: self.got.append(it))
        self.assertEqual(self.wait(), (None, None))
        self.assertFalse(self.history.busy)


class Again(unittest.TestCase):
    def test_what_was_asked_for_is_asked_for_again(self):
        chance = random.Random(7)
        area = around(Rect(100, 100, 200, 200), Rect(0, 0, 512, 512), 1.0, "sd15")
        for _ in range(300):
            expert = chance.random() < 0.5
            sampling = Sampling("euler", "beta", chance.randint(4, 60), chance.choice((None, 4.5))) if expert else Sampling()
            kind = chance.choice([it for it in Kind if it is not Kind.UPSCALE])
            wish = Wish(
                kind,
                "a fox",
                negative=chance.choice(("", "snow, ice")),
                style=chance.choice(STYLES),
                checkpoint=DREAMSHAPER,
                strength=1.0 if kind is Kind.GENERATE else chance.choice((0.3, 0.5, 1.0)),
                count=chance.randint(1, 8) if kind is not Kind.LIVE else 1,
                seed=chance.randint(0, 2**32 - 1),
                loras=chance.choice(((), (Lora("ink.safetensors", 0.5), Lora("mine.safetensors", 1.0, "hash")))),
                sampling=sampling if kind is not Kind.LIVE else Sampling(),
            )
            on = area if kind is Kind.FILL else None
            sent, _ = build(wish, OFFER, (512, 512), on, (512, 512))
            found, level, gone = again(parameters(sent), OFFER, (("mine.safetensors", "hash"),))
            once_more, _ = build(found, OFFER, (512, 512), on, (512, 512))
            self.assertEqual(once_more, sent)
            self.assertEqual(gone, [])
            self.assertIs(level, Level.EXPERT if wish.sampling != Sampling() else Level.STANDARD)

    def test_an_upscale(self):
        for strength in (0.0, 0.3):
            wish = Wish(Kind.UPSCALE, "a fox", checkpoint=DREAMSHAPER, strength=strength)
            sent, _ = enlarge(wish, OFFER, (512, 512))
            found, _, _ = again(parameters(sent), OFFER, ())
            self.assertEqual((found.kind, found.strength), (Kind.UPSCALE, strength))

    def test_what_is_not_offered_any_more_is_named(self):
        asked = {"kind": "generate", "checkpoint": "old.safetensors", "loras": [{"name": "lost.safetensors", "strength": 1}]}
        wish, _, gone = again(asked, OFFER, ())
        self.assertEqual((wish.checkpoint, wish.loras), (DREAMSHAPER, ()))
        self.assertEqual(gone, ["old.safetensors", "lost.safetensors"])

    def test_whatever_the_server_says_there_is_a_wish(self):
        chance = random.Random(3)
        values = (None, 7, -1, 1e300, "x" * 50_000, [], [7], [{}], {}, True, float("nan"), [{"name": "a", "strength": "b"}])
        names = parameters({"kind": "generate"})
        for _ in range(500):
            asked = {name: chance.choice(values) for name in names}
            wish, _, gone = again(asked, OFFER, ())
            self.assertTrue(0 <= wish.seed < 2**32 and 1 <= wish.count <= 8 and 0 <= wish.strength <= 1)
            self.assertTrue(all(isinstance(it, str) for it in gone))
        self.assertEqual(again({}, Offer(), ())[0].checkpoint.name, "")


if __name__ == "__main__":
    unittest.main()
