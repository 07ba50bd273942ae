"""Qt's HTTP client to await, without a thread or a nested event loop."""

import json
import os

from PyQt5.QtCore import QTimer, QUrl
from PyQt5.QtNetwork import QNetworkAccessManager, QNetworkRequest

_network = QNetworkAccessManager()


class _Later:
    """Awaited, it resumes when what it was connected to calls back."""

    def __init__(self, connect):
        self._connect = connect

    def __await__(self):
        yield self._connect


def start(coroutine):
    """Runs until the next thing to wait for, and goes on from Qt's event loop."""
    try:
        connect = coroutine.send(None)
    except StopIteration:
        return
    connect(lambda: start(coroutine))


async def sleep(seconds):
    await _Later(lambda resume: QTimer.singleShot(int(seconds * 1000), resume))


async def send(method, url, body=None, kind="application/json", token=None):
    """The reply to a request; what is no success is an error that names neither token nor query."""
    request = QNetworkRequest(QUrl(url))
    request.setAttribute(QNetworkRequest.FollowRedirectsAttribute, True)
    if token:
        request.setRawHeader(b"Authorization", b"Bearer " + token.encode())
    if body is not None:
        request.setHeader(QNetworkRequest.ContentTypeHeader, kind)
    if method == "GET":
        reply = _network.get(request)
    else:
        reply = {"POST": _network.post, "PUT": _network.put}[method](request, body)
    await _Later(reply.finished.connect)
    data = bytes(reply.readAll())
    status = reply.attribute(QNetworkRequest.HttpStatusCodeAttribute)
    if reply.error() or status != 200:
        raise RuntimeError(f"{method} {url.split('?')[0]}: {status} {data[:300]!r}")
    reply.deleteLater()
    return data, reply.header(QNetworkRequest.ContentTypeHeader)


async def call(path, body=None, token=None):
    """A call of the API: POST where there is a body. Gives the reply's JSON, which must say that it is JSON."""
    method = "GET" if body is None else "POST"
    data = None if body is None else json.dumps(body).encode()
    reply, kind = await send(method, f"{os.environ['INTERSTICE_URL']}/{path}", data, token=token)
    if not str(kind).startswith("application/json"):
        raise RuntimeError(f"{path}: the reply is {kind}")
    return json.loads(reply)
