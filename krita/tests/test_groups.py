"""Groups of variants: sent as one, followed by one call, delivered each by itself."""

import json
import unittest

from world import API, World, reply

from core.groups import Variants, standings
from core.jobs import State

LARGE = b"x" * 100_000
VARIED = {"seeds": 3, "prompts": ["a cat", "a dog"]}


class Groups(unittest.TestCase):
    def members(self, world):
        return [it for it in world.session.desk.jobs.values() if it.group]

    def over(self, world):
        return lambda: self.members(world) and all(it.is_over for it in self.members(world))

    def test_what_is_varied_as_the_server_reads_it(self):
        self.assertEqual(Variants().document(), {})
        self.assertEqual(Variants(prompts=("a cat",)).document(), {})
        self.assertEqual(Variants(5).document(), {"seeds": 5})
        both = Variants(3, ("a cat", "a dog"))
        self.assertEqual((both.document(), both.count), (VARIED, 6))

    def test_each_variant_comes_whatever_is_lost(self):
        for seed in range(30):
            world = World(seed, loss=0.3 if seed else 0.0)
            world.socket_works = seed % 3 != 1
            world.job(LARGE if seed % 2 else b"", variants=VARIED)
            world.until(lambda: self.over(world)(), most=8000)
            self.assertEqual(len(world.server.groups), 1)
            self.assertEqual(sorted(world.delivered), sorted(it.id for it in self.members(world)), seed)
            self.assertEqual(len(world.delivered), 6)
            self.assertEqual(standings(world.session.desk.jobs.values()), [])

    def test_a_group_is_followed_by_one_call(self):
        world = World().ready()
        world.socket_works = world.socket_is_up = False
        world.session.socket_closed(world.now)
        world.job(variants={"seeds": 90})
        world.until(lambda: len(self.members(world)) == 90, work=False)
        before = len(world.calls)
        for _ in range(4 * 60):
            world.step()
        self.assertLess(len([it for it in world.calls[before:] if "/groups/" in it.url]), 25)
        self.assertFalse([it for it in world.calls[before:] if "/tasks/" in it.url])
        [stands] = standings(world.session.desk.jobs.values())
        self.assertEqual(stands.words(), "90 of 90 variants to come")

    def test_krita_is_closed_amid_it(self):
        world = World().ready()
        world.job(variants=VARIED)
        world.until(lambda: len(world.delivered) == 2)
        world.start()
        world.until(lambda: len(world.delivered) == 6)

    def test_all_of_it_is_canceled(self):
        world = World().ready()
        job = world.job(variants=VARIED)
        world.until(lambda: len(world.delivered) == 1)
        group = self.members(world)[0].group
        world.session.desk.groups.cancel(world.now, group)
        world.session.desk.groups.cancel(world.now, group)  # a double click
        world.until(self.over(world), work=False)
        self.assertEqual({it.state for it in self.members(world)} - {State.DONE}, {State.CANCELED})
        self.assertEqual(len([it for it in world.calls if it.url == f"{API}/groups/{group}/cancel"]), 1)
        self.assertNotIn(job.id, world.session.desk.jobs)

    def test_it_is_canceled_before_the_server_has_said_which_it_is(self):
        world = World().ready()
        job = world.job(variants=VARIED)
        world.session.desk.cancel(world.now, job.id)
        world.until(lambda: not world.session.desk.unfinished() and not world.waiting, work=False)
        self.assertFalse(world.delivered)
        self.assertFalse([it for it in world.server.tasks.values() if it["state"] != "canceled"])

    def test_what_failed_is_said_and_goes(self):
        world = World().ready()
        world.job(variants={"seeds": 2})
        world.until(lambda: len(self.members(world)) == 2, work=False)
        first = next(iter(world.server.tasks.values()))
        first["error"] = {"message": "It ran out of memory."}
        world.server.move(first, "failed")
        world.until(self.over(world))
        [stands] = standings(world.session.desk.jobs.values())
        self.assertEqual(stands.words(), "1 of 2 variants failed: It ran out of memory.")
        world.session.desk.groups.forget(stands.group)
        self.assertEqual(standings(world.session.desk.jobs.values()), [])

    def test_a_group_that_the_server_has_forgotten(self):
        world = World().ready()
        world.job(variants={"seeds": 2})
        world.until(lambda: len(self.members(world)) == 2, work=False)
        world.server.groups.clear()
        world.until(self.over(world), work=False)
        self.assertIn("does not know these variants any more", self.members(world)[0].error)

    def test_garbage(self):
        for said in ({}, {"group": 7, "variants": []}, {"group": "g", "variants": [{"id": 7}]}, {"group": "g", "variants": {}}):
            world = World().ready()
            world.stubs["/generate"] = reply(said)
            job = world.job(variants={"seeds": 2})
            for _ in range(20):
                world.step()
            self.assertIn("not as Atelier does", job.words(world.now), said)
            world.stubs.clear()
            world.until(lambda: len(world.delivered) == 2)

    def test_the_price_is_asked_of_the_whole_request(self):
        world = World().ready()
        world.session.price({"kind": "generate"}, VARIED, lambda _price: None)
        world.perform()
        body = json.loads(world.calls[-1].body)
        self.assertEqual(body, {"input": {"workflow": {"kind": "generate"}, "variants": VARIED}})


if __name__ == "__main__":
    unittest.main()
