"""The making of a document is recorded where its painter says so, and nothing is believed that the server has not said."""

import json
import unittest

from world import Server, World, reply

from core.effects import Reply, Trouble


class Records(unittest.TestCase):
    def asked(self, server=None):
        world = World(server=server or Server()).ready()
        world.session.records.look()
        world.until(lambda: not world.session.records.busy, work=False)
        return world, world.session.records

    def say(self, world, on):
        world.session.records.say("doc-1", "cat.kra", on)
        world.until(lambda: not world.session.records.busy, work=False)

    def test_nothing_is_recorded_unless_somebody_says_so(self):
        world, records = self.asked()
        self.assertFalse(records.is_on("doc-1") or records.is_on(""))
        self.say(world, True)
        self.assertTrue(records.is_on("doc-1"))
        self.assertFalse(records.is_on("doc-2") or records.is_on(""))
        self.say(world, False)
        self.assertFalse(records.is_on("doc-1"))
        self.assertEqual(world.server.recorded, {"doc-1": False})

    def test_what_was_not_heard_is_not_believed(self):
        world, records = self.asked()
        self.say(world, True)
        for stub in (Reply(trouble=Trouble.TIMEOUT), Reply(503, "text/html"), reply({"error": "No."}, 403)):
            world.stubs["/history/doc-1"] = stub
            self.say(world, False)
            self.assertTrue(records.is_on("doc-1"), stub)  # it may be on still
            self.assertTrue(records.problem.endswith("."), records.problem)
        world.stubs.clear()
        self.say(world, False)
        self.assertEqual((records.is_on("doc-1"), records.problem), (False, None))

    def test_what_was_said_before_is_found_on_every_page(self):
        server = Server()
        server.recorded = {"doc-1": True, "doc-2": False, "doc-3": True}
        _, records = self.asked(server)
        self.assertTrue(records.known)
        self.assertEqual([records.is_on(f"doc-{it}") for it in range(1, 5)], [True, False, True, False])

    def test_a_class_records_whoever_does_not_refuse(self):
        server = Server()
        server.is_class = True
        world = World(server=server).ready()
        self.assertTrue(world.session.records.is_on(""))  # before anything else is known
        world, records = self.asked(server)
        self.say(world, False)
        self.assertEqual((records.is_on("doc-1"), records.is_on("doc-2")), (False, True))
        server.recorded["unnamed"] = False
        _, records = self.asked(server)
        self.assertFalse(records.is_on("") or records.is_on("doc-2"))

    def test_a_request_names_its_document_and_each_picture_that_is_applied_is_told(self):
        world, records = self.asked()
        job = world.job()
        world.until(lambda: job.id in world.delivered)
        bodies = [json.loads(it.body) for it in world.calls if it.url.endswith("/generate")]
        self.assertNotIn("options", bodies[-1]["input"])
        job = world.job(record="doc-1", variants={"seeds": 2})
        world.until(lambda: len(world.delivered) == 3)
        bodies = [json.loads(it.body) for it in world.calls if it.url.endswith("/generate")]
        self.assertEqual(bodies[-1]["input"]["options"], {"document": "doc-1"})
        self.assertEqual({it.record for it in world.session.desk.jobs.values() if it.group}, {"doc-1"})
        records.applied("task-7", 1)
        world.until(lambda: world.server.applied, work=False)
        self.assertEqual(world.server.applied, [("task-7", 1)])

    def test_garbage_and_whoever_signs_out(self):
        world = World().ready()
        for page in ([], {"documents": 7}, {"documents": [7, {}, {"document": 7, "recording": True}], "next": {}}):
            world.stubs["/history"] = reply(page)
            world.session.records.look()
            world.until(lambda: not world.session.records.busy, work=False)
            self.assertFalse(world.session.records.is_on("doc-1"))
        world.stubs["/history"] = reply({"documents": [{"document": "doc-1", "recording": True}], "next": "again"})
        world.session.records.known = False
        world.session.records.look()  # pages without an end
        world.until(lambda: not world.session.records.busy, work=False)
        self.assertTrue(world.session.records.is_on("doc-1"))
        world.session.sign_out()
        self.assertFalse(world.session.records.is_on("doc-1") or world.session.records.known)


if __name__ == "__main__":
    unittest.main()
