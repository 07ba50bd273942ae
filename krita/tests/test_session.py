"""Connecting, jobs and the socket, on a server in memory."""

import base64
import json
import unittest

from world import API, BUCKET, PICTURES, TOKEN, Server, World, reply

from core.effects import Reply, Trouble
from core.growing import AFTER
from core.jobs import State
from core.loras import Upload
from core.session import Phase
from core.calls import endpoint_of

LARGE = b"x" * 100_000


class Connecting(unittest.TestCase):
    def test_the_address_is_taken_as_people_write_it(self):
        for written in ("studio.example", "https://studio.example/", " https://studio.example/v1/ "):
            self.assertEqual(endpoint_of(written), API)
        self.assertEqual(endpoint_of(""), "")

    def test_each_trouble_has_a_sentence_and_passes_by_itself(self):
        html = Reply(200, "text/html", b"<html>Welcome to the hotel")
        away = Reply(302, location="https://hotel.example/login?token=1")
        troubles = [Reply(trouble=it) for it in Trouble] + [html, away, Reply(404, "text/html"), reply([], 200)]
        troubles += [Reply(500, "application/json", b'{"message":"Internal'), reply({"error": "Slow down."}, 429)]
        for trouble in troubles:
            world = World()
            world.stubs["/user"] = trouble
            world.until(lambda: world.session.phase is Phase.AWAY)
            words = world.session.words()
            self.assertTrue(words.endswith(".") and "{" not in words and len(words) < 200, words)
            self.assertNotIn("token=1", words)
            world.stubs.clear()
            world.ready()
            self.assertEqual(world.session.words(), "Connected as Mara")

    def test_a_redirect_is_not_followed(self):
        world = World()
        world.stubs["/user"] = Reply(302, location="https://elsewhere.example/v1/user")
        for _ in range(50):
            world.step(1)
        self.assertTrue(all(call.url.startswith(API) for call in world.calls))

    def test_it_backs_off(self):
        world = World()
        world.stubs["/user"] = Reply(trouble=Trouble.OFFLINE)
        for _ in range(4 * 600):
            world.step()
        self.assertLess(len(world.calls), 25)

    def test_an_idle_krita_is_silent(self):
        world = World().ready()
        # Said once the socket is open: what was sent to it before made the cloud forget it.
        self.assertEqual(world.sent, [{"action": "sync", "tasks": []}])
        before = len(world.calls)
        for _ in range(4 * 1800):
            world.step()
            for said in world.sent[:]:
                if said["action"] == "ping":
                    world.session.socket_said(world.now, '{"event":"pong"}')
                    world.sent.remove(said)
        self.assertEqual(len(world.calls), before)
        self.assertFalse([it for it in world.sent if it["action"] != "sync"])

    def test_a_token_that_was_revoked_asks_to_sign_in_and_what_waits_goes_on(self):
        world = World().ready()
        job = world.job()
        world.until(lambda: job.state is State.RUNNING)
        world.server.out = True
        world.socket_is_up = False
        world.session.socket_closed(world.now)
        world.until(lambda: world.session.phase is Phase.SIGNED_OUT, work=False)
        self.assertIn("revoked", world.session.words())
        world.server.out = False
        world.session.sign_in(world.now)
        world.until(lambda: world.pages)
        self.assertEqual(world.pages, [API + "/sign-in?code=abc"])
        world.server.approved = {"status": "authorized", "token": TOKEN}
        world.until(lambda: job.id in world.delivered)
        self.assertEqual(world.tokens, [None, TOKEN])

    def test_nobody_approves(self):
        world = World(token=None)
        world.session.sign_in(world.now)
        world.until(lambda: world.session.phase is Phase.SIGNED_OUT, most=1500)
        self.assertIn("Sign in again", world.session.words())

    def test_a_token_is_for_its_own_address(self):
        world = World().ready()
        world.session.move(world.now, "https://other.example")
        before = len(world.calls)
        for _ in range(100):
            world.step()
        self.assertEqual(len(world.calls), before)
        self.assertEqual(world.tokens, [None])


class Jobs(unittest.TestCase):
    def test_from_the_click_to_the_pictures(self):
        world = World().ready()
        job = world.job(LARGE)
        world.until(lambda: job.id in world.delivered)
        self.assertEqual(world.delivered[job.id], PICTURES)
        self.assertEqual(world.session.desk.credits, 880)
        self.assertEqual(world.kept, {"jobs": []})

    def test_progress_comes_by_the_socket_alone(self):
        world = World().ready()
        job = world.job()
        world.until(lambda: job.state is State.RUNNING and job.progress == 0.5)
        self.assertEqual(job.words(world.now), "Rendering 50 %")
        self.assertEqual([it for it in world.calls if "/tasks/" in it.url], [])

    def test_no_call_stands_between_the_word_that_a_picture_is_there_and_the_picture(self):
        world = World().ready()
        job = world.job()
        world.until(lambda: job.id in world.delivered)
        self.assertEqual([it for it in world.calls if "/tasks/" in it.url], [])
        self.assertEqual(len([it for it in world.calls if "/results/" in it.url]), 1)

    def test_asks_for_an_address_that_did_not_come_or_is_bad(self):
        for addresses in (True, False):
            world = World().ready()
            world.server.says_addresses = addresses
            view = world.server.view
            if addresses:
                world.server.view = lambda task, told=False: {**view(task), **({"result": {"url": 7}} if told else {})}
            job = world.job()
            world.until(lambda: job.id in world.delivered)
            self.assertTrue([it for it in world.calls if "/tasks/" in it.url])

    def test_polls_where_the_socket_is_blocked(self):
        world = World()
        world.socket_works = False
        world.ready()
        world.until(lambda: "without live progress" in world.session.words())
        job = world.job()
        world.until(lambda: job.id in world.delivered)

    def test_cancel_at_every_stage(self):
        for after in range(40):
            world = World().ready()
            job = world.job(LARGE)
            for _ in range(after):
                world.step()
                world.server.work()
            world.session.desk.cancel(world.now, job.id)
            world.until(lambda: job.is_over)
            self.assertIn(job.state, (State.CANCELED, State.DONE))
            for _ in range(20):
                world.step()
            left = [it["state"] for it in world.server.tasks.values()]
            self.assertFalse({"queued", "running"} & set(left), (after, left))

    def test_a_cancel_that_is_lost_is_said_again(self):
        world = World().ready()
        job = world.job()
        world.until(lambda: job.state is State.RUNNING)
        world.stubs["/cancel/"] = Reply(trouble=Trouble.TIMEOUT)
        world.session.desk.cancel(world.now, job.id)
        for _ in range(20):
            world.step()
        self.assertIs(job.state, State.CANCELING)
        world.stubs.clear()
        world.until(lambda: job.state is State.CANCELED, work=False)

    def test_krita_is_closed_at_every_stage_and_nothing_is_lost(self):
        for after in range(30):
            for pictures in (b"", LARGE):
                world = World().ready()
                job = world.job(pictures)
                for _ in range(after):
                    if job.is_over:
                        break
                    world.step()
                    world.server.work()
                world.perform()
                world.start()
                if job.id not in world.delivered:
                    world.until(lambda: job.id in world.delivered)
                self.assertEqual(len(world.server.tasks), 1)

    def test_a_refused_request_is_kept_with_its_words_and_can_be_sent_again(self):
        world = World().ready()
        world.stubs["/generate"] = reply({"error": "Validation error: the prompt is too long."}, 400)
        job = world.job(LARGE)
        world.until(lambda: job.is_over)
        self.assertEqual(job.words(world.now), "Validation error: the prompt is too long.")
        world.start()
        world.ready()
        self.assertEqual([it.words(world.now) for it in world.session.desk.jobs.values()], [job.words(world.now)])
        world.stubs.clear()
        world.session.again(world.now, job.id)
        world.until(lambda: world.delivered)
        self.assertNotIn(job.id, world.session.desk.jobs)

    def test_a_result_that_is_gone_is_said_to_be_gone(self):
        world = World().ready()
        world.stubs["/results/"] = Reply(404, "application/xml", b"<Error/>")
        job = world.job()
        world.until(lambda: job.is_over)
        self.assertIs(job.state, State.FAILED)
        self.assertIn("not on the server any more", job.words(world.now))

    def test_a_damaged_result_is_no_picture(self):
        world = World().ready()
        world.stubs["/results/"] = Reply(200, "", b"few")
        job = world.job()
        world.until(lambda: job.is_over)
        self.assertEqual(world.delivered, {})

    def test_old_news_and_garbage_change_nothing(self):
        world = World().ready()
        job = world.job()
        world.until(lambda: job.state is State.RUNNING and job.progress == 0.5)
        view = {"event": "task", "task_id": job.task}
        for message in (
            "", "{", "[]", "null", "[" * 100_000, "x" * 10_000_000, '{"message":"Internal","connectionId":"a"}',
            json.dumps({**view, "version": 1, "state": "succeeded"}),
            json.dumps({**view, "version": 10**9, "state": "dancing"}),
            json.dumps({**view, "version": "9", "state": "failed"}),
            json.dumps({**view, "version": True, "state": "failed"}),
            json.dumps({"event": "task", "task_id": ["a"], "version": 99, "state": "failed"}),
            json.dumps({"event": "task", "task_id": "another", "version": 99, "state": "failed"}),
            json.dumps({"event": ["task"]}),
        ):
            world.session.socket_said(world.now, message)
            self.assertEqual((job.state, job.progress), (State.RUNNING, 0.5), message[:80])

    def test_what_is_stored_may_be_damaged(self):
        for stored in (None, [], {"jobs": 7}, {"jobs": [None, {}, {"id": 1}, {"place": {}}]}):
            self.assertEqual(World(stored=stored).ready().session.desk.jobs, {})
        world = World().ready()
        world.job()
        world.perform()
        sound = world.kept["jobs"][0]
        for name in sound:
            for value in (None, "x", -1, 1e300, [], {}):
                world = World(stored={"jobs": [{**sound, name: value, "later": 1}]}).ready()
                for job in world.session.desk.jobs.values():
                    job.words(world.now)

    def test_numbers_that_are_none_and_words_without_end(self):
        world = World().ready()
        job = world.job()
        world.until(lambda: job.task)
        for eta, position in (("NaN", 1), ("Infinity", 1), ("1e999", 1), ("-5", -1), ("1" + "0" * 400, "1e999"), ('"x"', "[]")):
            words = "waking " * 100_000
            view = f'{{"event":"task","task_id":"{job.task}","version":9,"state":"queued","note":"{words}",'
            world.session.socket_said(world.now, view + f'"eta_s":{eta},"position":{position},"progress":{eta}}}')
            self.assertLess(len(job.words(world.now)), 400)
        world.stubs["/user"] = reply({"name": "x" * 1_000_000, "credits": -3, "socket": "ws://elsewhere.example/"})
        world.start()
        world.until(lambda: world.session.phase is Phase.READY)
        self.assertLess(len(world.session.words()), 400)
        for _ in range(10):
            world.step()
        self.assertFalse(world.socket_is_up, "the token would travel in the open")

    def test_addresses_that_are_none(self):
        for address in ("http://[", "ftp://studio.example", "file:///etc/passwd", "https://a:x"):
            world = World()
            world.session.move(world.now, address)
            self.assertIn("no address", world.session.words(), address)
            world.session.sign_in(world.now)
            self.assertIs(world.session.phase, Phase.NO_ADDRESS)
        for url in ("file:///etc/passwd", "https://[", 3):
            world = World().ready()
            world.stubs["/upload/image"] = reply({"url": url, "object": "a"})
            world.job(LARGE)
            for _ in range(20):
                world.step()
            self.assertFalse([it for it in world.calls if it.method == "PUT"], url)

    def test_a_picture_on_its_way_outlives_every_bad_answer_about_it(self):
        answers = [reply({"error": "No."}, 500), reply({"message": "Not Found"}, 404), Reply(404, "text/html", b"<html>")]
        answers += [Reply(401, "text/html", b"<html>"), Reply(511, "text/html"), reply({"a": 1}), reply({"error": "?"}, 400)]
        for answer in answers:
            world = World()
            world.socket_works = False
            world.ready()
            job = world.job()
            world.until(lambda: job.task, work=False)
            world.server.work()
            world.until(lambda: job.state is State.RUNNING, work=False)
            world.stubs["/tasks/"] = answer
            for _ in range(2400):
                world.step()
            self.assertIs(job.state, State.RUNNING, answer)
            self.assertIs(world.session.phase, Phase.READY)
            self.assertIsNotNone(job.trouble)
            world.stubs.clear()
            world.until(lambda: job.id in world.delivered)

    def test_a_bucket_that_refuses_is_said_to_be_one(self):
        world = World().ready()
        world.stubs["/up/"] = Reply(400, "application/xml", b"<Error/>")
        job = world.job(LARGE)
        world.until(lambda: job.is_over)
        self.assertIn("could not be stored", job.words(world.now))
        world.stubs.clear()
        world.session.again(world.now, job.id)
        world.until(lambda: world.delivered)

    def test_what_is_no_picture_is_a_failure(self):
        world = World().ready()
        job = world.job()
        world.until(lambda: job.id in world.delivered)
        world.session.desk.unreadable(job)
        self.assertIn("no picture", world.session.desk.jobs[job.id].words(world.now))

    def test_the_time_that_is_left_gets_less(self):
        world = World().ready()
        job = world.job()
        world.until(lambda: job.task)
        view = {"event": "task", "task_id": job.task, "version": 2, "state": "queued", "note": "A GPU is waking up", "eta_s": 90}
        world.session.socket_said(world.now, json.dumps(view))
        self.assertEqual(job.words(world.now), "Waking a GPU, about 90 s")
        self.assertEqual(job.words(world.now + 50), "Waking a GPU, about 40 s")
        self.assertEqual(job.words(world.now + 100), "Waking a GPU")

    def test_500_for_ten_minutes(self):
        world = World().ready()
        world.stubs["/generate"] = Reply(500, "application/json", b'{"message":"Internal Server Error"}')
        job = world.job()
        before = len(world.calls)
        for _ in range(2400):
            world.step()
        self.assertFalse(job.is_over)
        self.assertIn("tried again", job.words(world.now))
        self.assertLess(len(world.calls) - before, 30)
        world.stubs.clear()
        world.until(lambda: job.id in world.delivered)

    def test_a_storm(self):
        """A network that loses a third of everything, Krita restarted now and then: each job ends once, as one task."""
        for seed in range(60):
            world = World(seed, loss=0.33)
            jobs = []
            while not jobs or not all(it in world.delivered for it in jobs):
                if len(jobs) < 4 and world.chance.random() < 0.1 and world.session.phase is Phase.READY:
                    jobs.append(world.job(LARGE if world.chance.random() < 0.5 else b"").id)
                if world.chance.random() < 0.01:
                    world.perform()
                    world.start()
                if world.chance.random() < 0.02 and world.socket_is_up:
                    world.socket_is_up = False
                    world.session.socket_closed(world.now)
                world.server.work()
                world.step(world.chance.choice((0.1, 1.0, 10.0)))
                self.assertLess(world.now, 100_000, (seed, world.session.desk.jobs))
                self.assertFalse([it for it in world.session.desk.jobs.values() if it.state is State.FAILED], seed)
            self.assertEqual(len(world.server.tasks), len(jobs))


    def test_who_hears_by_the_socket_does_not_wait_for_an_answer(self):
        for works in (True, False):
            world = World()
            world.socket_works = works
            world.ready().job()
            world.step()
            sent = next(dict(it.headers) for it in world.calls if it.url.endswith("/generate"))
            self.assertEqual(sent.get("Prefer"), "respond-async" if works else None)

    def test_live_goes_on_though_no_event_comes(self):
        world = World().ready()
        job, began = world.job(live=True), world.now
        while job.id not in world.delivered:
            world.server.work()
            world.server.said.clear()
            world.step()
            self.assertLess(world.now - began, 5)

    def test_where_pictures_come_from_is_approached_before_their_end(self):
        world = World().ready()
        first = world.job()
        world.until(lambda: first.id in world.delivered)
        self.assertEqual(world.approached, [], "nobody knows where that is")
        second, before = world.job(), len(world.calls)
        world.until(lambda: second.id in world.delivered)
        self.assertEqual([url for url, _ in world.approached], [BUCKET + "/"])
        urls = [it.url for it in world.calls[before:]]
        fetch = before + next(number for number, it in enumerate(urls) if it.startswith(BUCKET))
        self.assertLessEqual(world.approached[0][1], fetch)


class Loras(unittest.TestCase):
    def sends(self, world, answers):
        """A file, with these answers of `upload/lora`, one after the other."""
        upload = Upload("mine.safetensors", "/home/mara/mine.safetensors", "hash=", 9)
        for number, answer in enumerate(answers):
            world.stubs["/upload/lora"] = answer
            if number == 0:
                world.session.loras.send(world.now, upload)
            for _ in range(400):  # longer than the longest pause
                world.step()
        return upload

    def test_a_file_is_sent_once_and_known_from_then_on(self):
        world = World().ready()
        self.sends(world, [reply({"status": "upload", "url": BUCKET + "/loras/1"})])
        put = [it for it in world.calls if it.file]
        self.assertEqual([(it.method, it.url, it.file) for it in put], [("PUT", BUCKET + "/loras/1", "/home/mara/mine.safetensors")])
        self.assertEqual(dict(put[0].headers)["x-amz-checksum-sha256"], "hash=")
        self.assertNotIn("Authorization", dict(put[0].headers))
        self.assertEqual(world.session.loras.own, (("mine.safetensors", "hash="),))
        self.assertEqual(world.loras, {API: {"mine.safetensors": "hash="}})
        self.assertIsNone(world.session.loras.upload)

    def test_progress(self):
        world = World().ready()
        world.session.loras.send(world.now, Upload("mine.safetensors", "/x", "hash=", 9))
        world.stubs["/upload/lora"] = reply({"status": "upload", "url": BUCKET + "/loras/1"})
        world.step()
        world.perform()
        number = [it.number for it in world.calls if it.file][0]
        world.session.moved(number, 0.4)
        self.assertEqual(world.session.loras.upload.words(), "Uploading mine.safetensors: 40 %")

    def test_what_the_team_has_is_not_sent(self):
        world = World().ready()
        self.sends(world, [Reply(trouble=Trouble.TIMEOUT), Reply(200, "text/html", b"<html>"), reply({"status": "cached"})])
        self.assertEqual([it for it in world.calls if it.file], [])
        self.assertEqual(len(world.session.loras.own), 1)

    def test_each_refusal_has_a_sentence(self):
        for answer in (
            reply({"status": "too-large", "max": 1073741824}),
            reply({"status": "too-large", "max": "NaN"}),
            reply({"status": "limit-exceeded"}),
            reply({"error": "Validation error: the size is 0."}, 400),
        ):
            world = World().ready()
            upload = self.sends(world, [answer])
            self.assertTrue(upload.words().endswith("."), upload.words())
            self.assertEqual(world.session.loras.own, ())
        world = World().ready()
        world.stubs["/loras/1"] = Reply(400, "application/xml", b"<Error/>")
        upload = self.sends(world, [reply({"status": "upload", "url": BUCKET + "/loras/1"})] * 20)
        self.assertIn("could not be stored", upload.words())
        world.session.loras.send(world.now, Upload("mine.safetensors", "/x", "", 0))
        self.assertIn("cannot be read", world.session.loras.upload.words())
        for url in ("file:///etc/passwd", None, 3):
            world = World().ready()
            self.sends(world, [reply({"status": "upload", "url": url})])
            self.assertEqual([it for it in world.calls if it.file], [])


class Socket(unittest.TestCase):
    def test_after_a_loss_it_asks_for_what_waits(self):
        world = World().ready()
        job = world.job()
        world.until(lambda: job.state is State.RUNNING)
        world.socket_is_up = False
        world.session.socket_closed(world.now)
        world.sent.clear()
        world.until(lambda: world.session.link.is_open, work=False)
        self.assertIn({"action": "sync", "tasks": [job.task]}, world.sent)

    def test_a_laptop_that_slept_finds_out(self):
        world = World().ready()
        job = world.job()
        world.until(lambda: job.state is State.RUNNING, work=True)
        world.stubs["/tasks/"] = Reply(trouble=Trouble.TIMEOUT)
        world.until(lambda: not world.session.link.is_open, work=False, most=1000)
        world.stubs.clear()
        world.until(lambda: job.id in world.delivered)

    def test_a_laptop_that_says_so_finds_out_at_once(self):
        world = World().ready()
        job = world.job()
        world.until(lambda: job.state is State.RUNNING)
        world.socket_is_up = False
        world.server.tasks[job.task].update(state="succeeded", version=99)
        world.session.woke(world.now)
        for _ in range(4):
            world.step()
        self.assertIn(job.id, world.delivered)

    def test_presence_is_said_once_a_minute_and_not_against_the_painters_will(self):
        world = World().ready()
        for second in range(300):
            world.now += 1
            world.session.link.painted(world.now)
        world.perform()
        self.assertEqual(len([it for it in world.sent if it == {"action": "active"}]), 5)
        world.session.link.presence = False
        world.now += 100
        world.session.link.painted(world.now)
        world.perform()
        self.assertEqual(len([it for it in world.sent if it == {"action": "active"}]), 5)

    def test_two_kritas_of_one_painter_keep_to_their_own(self):
        server = Server()
        one, two = World(server=server).ready(), World(seed=1, server=server).ready()
        job = one.job()
        for _ in range(20):
            server.work()
            said = list(server.said)
            one.step()
            server.said = said
            two.step()
        self.assertIn(job.id, one.delivered)
        self.assertEqual(two.delivered, {})



class Grows(unittest.TestCase):
    """The picture as it grows."""

    JPEG = b"\xff\xd8\xff" + b"picture"

    def running(self, looks=True, **more):
        world = World(**more).ready()
        world.session.growing.looks = looks
        job = world.job()
        world.until(lambda: job.state is State.RUNNING)
        world.step(AFTER)
        return world, job

    def shown(self, world, job, number, jpeg=JPEG, run="run-1", **more):
        text = base64.b64encode(jpeg).decode() if isinstance(jpeg, bytes) else jpeg
        event = {"event": "preview", "task_id": job.task, "run_id": run, "seq": number, "jpeg": text, **more}
        world.session.socket_said(world.now, json.dumps(event))
        return world.session.growing.picture

    def looks(self, world):
        return [it for it in world.sent if it["action"] == "look"]

    def test_only_who_looks_asks_and_says_so_again(self):
        world, job = self.running(looks=False)
        self.assertEqual(self.looks(world), [])
        world.session.growing.looks = True
        for _ in range(4 * 25):
            world.step()
        self.assertEqual(self.looks(world), [{"action": "look", "task_id": job.task}] * 3)
        world.session.growing.looks = False
        for _ in range(4 * 25):
            world.step()
        self.assertEqual(len(self.looks(world)), 3)

    def test_another_connection_is_told_anew(self):
        world, job = self.running()
        world.session.socket_closed(world.now)
        world.until(lambda: world.session.link.is_open, work=False)
        world.step()
        self.assertEqual(len(self.looks(world)), 2)

    def test_it_grows_and_never_back(self):
        world, job = self.running()
        first, second = self.JPEG + b"1", self.JPEG + b"2"
        self.assertEqual(self.shown(world, job, 4, first), first)
        for seq in (4, 3, 0):
            self.assertEqual(self.shown(world, job, seq, second), first)
        self.assertEqual(self.shown(world, job, 5, second), second)
        # The render was interrupted, and another worker begins anew.
        self.assertEqual(self.shown(world, job, 1, first, run="run-2"), first)
        calls = len(world.calls)
        world.until(lambda: job.id in world.delivered)
        world.step()
        self.assertIsNone(world.session.growing.picture)
        self.assertIsNone(self.shown(world, job, 9), "late")
        self.assertGreater(len(world.calls), calls)

    def test_what_is_no_picture_of_it_is_dropped(self):
        world, job = self.running()
        for no in ("", "%%%", "é", 7, None, [], b"", b"<html>", self.JPEG + b"x" * 12 * 1024, "A" * 200_000):
            self.assertIsNone(self.shown(world, job, 1, no))
        for more in ({"task_id": "another"}, {"task_id": 7}, {"run_id": None}, {"seq": "1"}, {"seq": None}, {"seq": -1}):
            self.assertIsNone(self.shown(world, job, 1, **more), more)
        self.assertEqual(self.shown(world, job, 1), self.JPEG)

    def test_a_picture_that_is_there_at_once_is_not_watched(self):
        world = World().ready()
        world.session.growing.looks = True
        job = world.job()
        world.until(lambda: job.state is State.RUNNING)
        world.until(lambda: job.id in world.delivered)
        self.assertEqual(self.looks(world), [])

    def test_a_live_picture_is_not_watched(self):
        world = World().ready()
        world.session.growing.looks = True
        job = world.job(live=True)
        world.until(lambda: job.id in world.delivered)
        self.assertEqual(self.looks(world), [])

    def test_nothing_of_it_is_kept(self):
        world, job = self.running()
        self.shown(world, job, 1)
        world.session.desk.save()
        world.perform()
        self.assertNotIn("picture", json.dumps(world.kept))


if __name__ == "__main__":
    unittest.main()
