#!/usr/bin/env python3
"""The edges to network and disk, by whatever Qt this Python has, against servers that misbehave."""

import base64
import hashlib
import os
import socket
import ssl
import subprocess
import sys
import tempfile
import threading
import time
import unittest
from pathlib import Path

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"):
    os.environ.pop(name, None)
HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent)]
try:
    from PyQt6 import QtNetwork, QtWidgets
except ImportError:
    from PyQt5 import QtNetwork, QtWidgets

application = QtWidgets.QApplication([])
import no_krita  # noqa: E402, F401
from atelier.core.effects import Call, Trouble  # noqa: E402
from atelier.hashing import PIECE, Hashing  # noqa: E402
from atelier.http import Http  # noqa: E402
from atelier.socket import Socket  # noqa: E402
from atelier.store import Store  # noqa: E402
from atelier.socket import ConnectionType, WSConnection, events  # noqa: E402

LONG = 20.0
"""Seconds for anything."""


def wait(wanted):
    end = time.monotonic() + LONG
    while not wanted():
        application.processEvents()
        if time.monotonic() > end:
            raise AssertionError("never")
        time.sleep(0.005)


class Server(threading.Thread):
    """Answers each connection by a function of its own, and keeps what it has heard."""

    def __init__(self, answer, context=None):
        super().__init__(daemon=True)
        self._server = socket.create_server(("127.0.0.1", 0))
        self._answer, self._context = answer, context
        self.port = self._server.getsockname()[1]
        self.heard = []
        self.start()

    def run(self):
        while True:
            try:
                client, _ = self._server.accept()
                if self._context:
                    client = self._context.wrap_socket(client, server_side=True)
                self.heard.append(client.recv(65536))
                self._answer(client)
                client.close()
            except OSError:
                continue


def says(text):
    return lambda client: client.sendall(text if isinstance(text, bytes) else text.encode())


def certificate(folder, *more):
    """For nobody in particular, by nobody that anybody trusts."""
    paths = [str(Path(folder) / name) for name in ("key.pem", "cert.pem")]
    command = "openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=elsewhere -keyout {} -out {}".format(*paths)
    subprocess.run([*command.split(), *more], check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(paths[1], paths[0])
    return context


class Calls(unittest.TestCase):
    def ask(self, url, timeout=LONG, limit=1000, **more):
        replies = []
        http = Http(lambda _number, reply: replies.append(reply), lambda number, share: self.shares.append(share))
        self.shares = []
        headers = (("Authorization", "Bearer secret"),)
        http.send(Call(1, more.get("method", "GET"), url, headers, more.get("body"), timeout, limit, more.get("file")))
        wait(lambda: replies)
        application.processEvents()
        self.assertEqual(len(replies), 1)
        return replies[0]

    def of(self, answer, **more):
        self.server = Server(answer)
        return self.ask(f"http://127.0.0.1:{self.server.port}/v1/user", **more)

    def test_an_answer(self):
        reply = self.of(says('HTTP/1.1 429 Slow\r\nContent-Type: application/json\r\nRetry-After: 7\r\nContent-Length: 2\r\n\r\n{}'))
        self.assertEqual((reply.status, reply.json(), reply.retry_after, reply.trouble), (429, {}, 7.0, None))
        self.assertIn(b"secret", self.server.heard[0])

    def test_a_redirect_is_not_followed(self):
        other = Server(says("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"))
        place = f"http://127.0.0.1:{other.port}/"
        for status in (301, 302, 303, 307, 308):
            reply = self.of(says(f"HTTP/1.1 {status} Away\r\nLocation: {place}\r\nContent-Length: 0\r\n\r\n"))
            self.assertEqual((reply.status, reply.location), (status, place))
        self.assertEqual(other.heard, [])

    def test_garbage_and_half_answers(self):
        for text in (b"\x00\xff" * 500, b"", b"HTTP/1.1 200 OK\r\nContent-Le", b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\nhalf"):
            reply = self.of(says(text))
            self.assertFalse(reply.ok, text[:30])
            self.assertIsNotNone(reply.trouble, text[:30])

    def test_more_than_is_right(self):
        def floods(client):
            client.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
            for _ in range(10_000):
                client.sendall(b"x" * 10_000)

        self.assertIs(self.of(floods).trouble, Trouble.TOO_LARGE)

    def test_silence(self):
        reply = self.of(lambda client: client.recv(1), timeout=0.3)
        self.assertIs(reply.trouble, Trouble.TIMEOUT)

    def test_nobody_there(self):
        with socket.create_server(("127.0.0.1", 0)) as server:
            port = server.getsockname()[1]
        self.assertIs(self.ask(f"http://127.0.0.1:{port}/").trouble, Trouble.REFUSED)
        self.assertIs(self.ask("http://nobody.invalid/").trouble, Trouble.OFFLINE)
        self.assertIsNotNone(self.ask("http://[").trouble)

    def test_a_bad_certificate(self):
        with tempfile.TemporaryDirectory() as folder:
            server = Server(says("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"), certificate(folder))
            self.assertIs(self.ask(f"https://127.0.0.1:{server.port}/").trouble, Trouble.TLS)
            self.assertEqual(b"".join(server.heard), b"")

    def test_a_proxy_that_refuses(self):
        server = Server(says("HTTP/1.1 407 Proxy\r\nProxy-Authenticate: Basic realm=x\r\nContent-Length: 0\r\n\r\n"))
        os.environ["http_proxy"] = f"http://127.0.0.1:{server.port}"
        self.addCleanup(os.environ.pop, "http_proxy")
        self.addCleanup(QtNetwork.QNetworkProxyFactory.setUseSystemConfiguration, True)
        self.assertIs(self.ask("http://studio.invalid/").trouble, Trouble.PROXY)

    def test_a_file_is_sent_with_its_progress(self):
        def takes(client):
            client.settimeout(0.5)
            try:
                while client.recv(65536):
                    pass
            except OSError:
                pass
            client.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")

        with tempfile.NamedTemporaryFile() as file:
            file.write(b"x" * 3_000_000)
            file.flush()
            self.assertTrue(self.of(takes, method="PUT", file=file.name).ok)
        self.assertIn(b"content-length: 3000000", self.server.heard[0].lower())
        self.assertEqual(self.shares[-1], 1.0)
        self.assertEqual(self.shares, sorted(self.shares))
        self.assertFalse(self.ask("http://127.0.0.1:9/", method="PUT", file="/nonexistent").ok)


class Posts(Calls):
    """The same by calls that go by sockets of our own, and what only those do."""

    def ask(self, url, **more):
        return super().ask(url, **{"method": "POST", "body": b"{}", **more})

    def talk(self, answer, count, tls=None):
        """So many calls one after the other over one client; gives the replies."""
        self.server, replies, scheme = Server(answer, tls), [], "https" if tls else "http"
        http = Http(lambda _number, reply: replies.append(reply), lambda *_: None)
        for number in range(count):
            http.send(Call(number, "POST", f"{scheme}://127.0.0.1:{self.server.port}/v1/a?b=%20", (), b"x" * 3000, LONG, 1000))
            wait(lambda: len(replies) > number)
        return replies

    def test_head_and_body_come_together_over_one_connection(self):
        self.come_together(None)

    def test_by_tls_too(self):
        with tempfile.TemporaryDirectory() as folder:
            context = certificate(folder, "-addext", "subjectAltName=IP:127.0.0.1")
            usual = QtNetwork.QSslConfiguration.defaultConfiguration()
            self.addCleanup(QtNetwork.QSslConfiguration.setDefaultConfiguration, usual)
            trusts = QtNetwork.QSslConfiguration(usual)
            trusts.setCaCertificates(QtNetwork.QSslCertificate.fromPath(f"{folder}/cert.pem"))
            QtNetwork.QSslConfiguration.setDefaultConfiguration(trusts)
            self.come_together(context)

    def come_together(self, tls):
        pieces = []

        def answers(client):
            pieces.append(self.server.heard[-1])
            while pieces[-1]:
                client.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ngood")
                pieces.append(client.recv(65536))

        self.assertEqual([it.body for it in self.talk(answers, 5, tls)], [b"good"] * 5)
        self.assertEqual(len(self.server.heard), 1)
        self.assertEqual([it.count(b"POST /v1/a?b=%20 HTTP/1.1") for it in pieces[:5]], [1] * 5)
        self.assertTrue(all(b"Atelier for Krita" in it for it in pieces[:5]), pieces)  # and not Qt's client
        self.assertTrue(all(it.endswith(b"\r\n\r\n" + b"x" * 3000) for it in pieces[:5]), pieces)

    def test_a_connection_that_is_gone_meanwhile_loses_no_call(self):
        kept = []

        def hangs_up(client):
            kept.append(client)
            client.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ngood")
            if len(self.server.heard) == 1:
                client.recv(65536)  # reads the next call, and says nothing to it

        self.assertEqual([it.body for it in self.talk(hangs_up, 3)], [b"good"] * 3)
        self.assertGreaterEqual(len(self.server.heard), 2)

    def test_what_has_no_body_goes_by_a_connection_that_was_opened_ahead(self):
        large = b"x" * 3_000_000

        def answers(client):
            client.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 3000000\r\n\r\n" + large)

        server, replies = Server(answers), []
        http = Http(lambda _number, reply: replies.append(reply), lambda *_: None)
        for _ in range(3):
            http.approach(f"http://127.0.0.1:{server.port}/")
        http.send(Call(1, "GET", f"http://127.0.0.1:{server.port}/a?b=%20", (), None, LONG, 4_000_000))
        wait(lambda: replies)
        self.assertEqual(replies[0].body, large)
        self.assertEqual(len(server.heard), 1)
        self.assertTrue(server.heard[0].startswith(b"GET /a?b=%20 HTTP/1.1\r\n"), server.heard)
        self.assertNotIn(b"Content-Length", server.heard[0])

    def test_nobody_there_to_be_approached(self):
        replies = []
        http = Http(lambda _number, reply: replies.append(reply), lambda *_: None)
        for address in ("http://127.0.0.1:9/", "https://127.0.0.1:9/", "no address", "ftp://127.0.0.1/", ""):
            http.approach(address)
        http.send(Call(1, "GET", "http://127.0.0.1:9/a", (), None, LONG, 1000))
        wait(lambda: replies)
        self.assertEqual([it.trouble for it in replies], [Trouble.REFUSED])

    def test_an_answer_in_pieces_without_a_length(self):
        def answers(client):
            for it in (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 404 No\r", b"\nContent-Type: a\r\n\r\nha", b"lf"):
                client.sendall(it)
                time.sleep(0.02)

        self.assertEqual([(it.status, it.kind, it.body) for it in self.talk(answers, 2)], [(404, "a", b"half")] * 2)


def shakes_hands(client, *then):
    """Opens the WebSocket as a server does, and says raw bytes after it."""
    server = WSConnection(ConnectionType.SERVER)
    server.receive_data(listening.heard[-1])
    list(server.events())
    client.sendall(server.send(events.AcceptConnection()))
    for it in then:
        client.sendall(it(server) if callable(it) else it)
    client.settimeout(LONG)
    try:
        while client.recv(65536):
            pass
    except OSError:
        pass


listening = None


class Sockets(unittest.TestCase):
    def connect(self, answer, context=None):
        global listening
        self.opened, self.said, self.closed = [], [], []
        it = Socket(lambda: self.opened.append(1), self.said.append, lambda: self.closed.append(1))
        self.addCleanup(it.close)
        listening = self.server = Server(answer, context)
        it.open(f"{'wss' if context else 'ws'}://127.0.0.1:{self.server.port}/live", "secret")
        return it

    def test_messages_come(self):
        text = lambda server: server.send(events.TextMessage(data="hello"))  # noqa: E731
        self.connect(lambda client: shakes_hands(client, text, b"\x89\x00", text))
        wait(lambda: self.said == ["hello", "hello"])
        self.assertIn(b"Bearer secret", self.server.heard[0])
        self.assertEqual((self.opened, self.closed), ([1], []))

    def test_half_a_frame_and_then_nothing(self):
        it = self.connect(lambda client: shakes_hands(client, b"\x81\x7e\x10"))
        wait(lambda: self.opened)
        time.sleep(0.1)
        application.processEvents()
        self.assertEqual((self.said, self.closed), ([], []))
        it.send("still here")

    def test_garbage_after_the_handshake(self):
        for bytes_ in (b"\xff" * 100, b"\x81\x02\xff\xff", b"\x83\x00", b"\x81\xff" + b"\xff" * 8):
            self.connect(lambda client, bytes_=bytes_: shakes_hands(client, bytes_))
            wait(lambda: self.closed)
            self.assertEqual((self.said, self.closed), ([], [1]), bytes_[:4])

    def test_a_message_of_10_mb(self):
        large = b"\x81\x7f" + (10_000_000).to_bytes(8, "big") + b"x" * 10_000_000
        self.connect(lambda client: shakes_hands(client, large))
        wait(lambda: self.closed)
        self.assertEqual(self.said, [])

    def test_it_is_not_to_be_had(self):
        for text in (
            "HTTP/1.1 403 No\r\nContent-Length: 0\r\n\r\n",
            "HTTP/1.1 302 Away\r\nLocation: http://elsewhere.example/\r\nContent-Length: 0\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n<html>Welcome to the hotel",
            b"\x00" * 100,
            "HTTP/1.1 101 Switching\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: wrong\r\n\r\n",
        ):
            self.connect(says(text))
            wait(lambda: self.closed)
            self.assertEqual((self.opened, self.said, self.closed), ([], [], [1]), text[:40])

    def test_a_bad_certificate(self):
        with tempfile.TemporaryDirectory() as folder:
            self.connect(says(""), certificate(folder))
            wait(lambda: self.closed)
            self.assertEqual(b"".join(self.server.heard), b"")


class Hashes(unittest.TestCase):
    def hash(self, path):
        done = []
        it = Hashing(path, done.append)
        wait(lambda: done)
        return it and done[0]

    def test_a_file_larger_than_a_piece(self):
        with tempfile.NamedTemporaryFile() as file:
            file.write(b"x" * (PIECE + 1))
            file.flush()
            upload = self.hash(file.name)
        self.assertEqual(upload.size, PIECE + 1)
        self.assertEqual(base64.b64decode(upload.hash), hashlib.sha256(b"x" * (PIECE + 1)).digest())

    def test_a_file_that_cannot_be_read(self):
        for path in ("/nonexistent", tempfile.gettempdir()):
            self.assertEqual(self.hash(path).hash, "")


class Stores(unittest.TestCase):
    def setUp(self):
        self.temporary = tempfile.TemporaryDirectory()
        self.addCleanup(self.temporary.cleanup)
        self.folder = Path(self.temporary.name) / "atelier"

    def test_two_kritas_keep_their_own_and_the_last_inherits(self):
        one, two = Store(self.folder), Store(self.folder)
        one.keep_jobs({"jobs": ["one"]})
        two.keep_jobs({"jobs": ["two"]})
        two.keep_blob("b", b"pictures")
        self.assertEqual((one.jobs(), two.jobs()), ({"jobs": ["one"]}, {"jobs": ["two"]}))
        one._lock.unlock()
        two._lock.unlock()
        again = Store(self.folder)
        self.assertEqual(sorted(again.jobs()["jobs"]), ["one", "two"])
        self.assertEqual(again.blob("b"), b"pictures")
        again._lock.unlock()
        self.assertEqual(sorted(Store(self.folder).jobs()["jobs"]), ["one", "two"])

    def test_damage(self):
        store = Store(self.folder)
        for text in ("", "{", "[]", '{"jobs": 3}', "[" * 100_000):
            for name in ("slot-1/jobs.json", "tokens.json", "use.json"):
                (self.folder / name).write_text(text)
            self.assertEqual(store.jobs(), {"jobs": []}, text[:10])
            self.assertIsNone(store.token("https://studio.example/v1"))
            store.read("use.json")

    def test_the_token_is_for_its_owner_alone(self):
        store = Store(self.folder)
        store.keep_token("a", "secret")
        self.assertEqual(store.token("a"), "secret")
        self.assertEqual((self.folder / "tokens.json").stat().st_mode & 0o777, 0o600)
        store.keep_token("a", None)
        self.assertNotIn("secret", (self.folder / "tokens.json").read_text())


if __name__ == "__main__":
    unittest.main()
