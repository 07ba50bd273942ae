"""HTTP from Krita's event loop, which it never blocks: by Qt's client, and small calls by sockets of our own where they can be."""

from __future__ import annotations

from typing import Callable, Optional, Set

from .core.effects import Call, Reply, Trouble
from .direct import Direct
from .qt import QtCore, QtNetwork

_Error = QtNetwork.QNetworkReply.NetworkError
_Request = QtNetwork.QNetworkRequest
_TROUBLES = {
    _Error.ConnectionRefusedError: Trouble.REFUSED,
    _Error.HostNotFoundError: Trouble.OFFLINE,
    _Error.TemporaryNetworkFailureError: Trouble.OFFLINE,
    _Error.NetworkSessionFailedError: Trouble.OFFLINE,
    _Error.TimeoutError: Trouble.TIMEOUT,
    _Error.SslHandshakeFailedError: Trouble.TLS,
    _Error.ProxyConnectionRefusedError: Trouble.PROXY,
    _Error.ProxyConnectionClosedError: Trouble.PROXY,
    _Error.ProxyNotFoundError: Trouble.PROXY,
    _Error.ProxyTimeoutError: Trouble.PROXY,
    _Error.ProxyAuthenticationRequiredError: Trouble.PROXY,
}
_CUT_OFF = (_Error.RemoteHostClosedError, _Error.ProxyAuthenticationRequiredError)
"""There is a status, and yet no answer."""


class _Pending(QtCore.QObject):
    """A call on its way."""

    def __init__(
        self,
        call: Call,
        reply: "QtNetwork.QNetworkReply",
        done: Callable[["_Pending", Reply], None],
        share: Callable[[float], None],
    ) -> None:
        super().__init__()
        self._share = share
        self.call, self._reply, self._done = call, reply, done
        self._trouble: Optional[Trouble] = None
        self._timer = QtCore.QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.timeout.connect(self._silent)
        self._moved()
        reply.readyRead.connect(self._came)
        reply.uploadProgress.connect(self._sent)
        reply.finished.connect(self._finished)

    def _moved(self) -> None:
        self._timer.start(int(self.call.timeout * 1000))  # a slow line is no silent one

    def _sent(self, sent: int, all_: int) -> None:
        self._moved()
        if self.call.file is not None and all_ > 0:
            self._share(sent / all_)

    def _came(self) -> None:
        self._moved()
        if self._reply.bytesAvailable() > self.call.limit:
            self._give_up(Trouble.TOO_LARGE)

    def _silent(self) -> None:
        self._give_up(Trouble.TIMEOUT)

    def _give_up(self, trouble: Trouble) -> None:
        if not self._reply.isFinished():
            self._trouble = trouble
            self._reply.abort()

    def _finished(self) -> None:
        self._timer.stop()
        self._done(self, Reply(trouble=self._trouble) if self._trouble else _read(self._reply))
        self._reply.deleteLater()
        self.deleteLater()


class Http:
    """Sends calls, and tells what became of each, once."""

    def __init__(self, answered: Callable[[int, Reply], None], moved: Callable[[int, float], None]) -> None:
        QtNetwork.QNetworkProxyFactory.setUseSystemConfiguration(True)
        self._network = QtNetwork.QNetworkAccessManager()
        self._answered, self._moved = answered, moved
        self._pending: Set[_Pending] = set()
        self._direct = Direct(lambda call, reply: self._answered(call.number, reply), self._by_manager)

    def send(self, call: Call) -> None:
        """Sends one."""
        if not self._direct.send(call):
            self._by_manager(call)

    def approach(self, url: str) -> None:
        """Connects ahead of a call."""
        self._direct.approach(QtCore.QUrl(url))

    def _by_manager(self, call: Call) -> None:
        request = _Request(QtCore.QUrl(call.url))
        request.setAttribute(_Request.Attribute.RedirectPolicyAttribute, _Request.RedirectPolicy.ManualRedirectPolicy)
        for name, value in call.headers:
            request.setRawHeader(name.encode(), value.encode())
        body = QtCore.QByteArray(call.body or b"")
        if call.file is not None:
            body = QtCore.QFile(call.file)
            if not body.open(QtCore.QIODevice.OpenModeFlag.ReadOnly):
                # Later, as if somebody far away had said so.
                QtCore.QTimer.singleShot(0, lambda: self._answered(call.number, Reply(400)))
                return
        reply = self._network.sendCustomRequest(request, call.method.encode(), body)
        if call.file is not None:
            body.setParent(reply)
        self._pending.add(_Pending(call, reply, self._done, lambda share: self._moved(call.number, share)))

    def _done(self, pending: _Pending, reply: Reply) -> None:
        self._pending.discard(pending)
        self._answered(pending.call.number, reply)


def _read(reply: "QtNetwork.QNetworkReply") -> Reply:
    status = reply.attribute(_Request.Attribute.HttpStatusCodeAttribute)
    if status is None or reply.error() in _CUT_OFF:
        return Reply(trouble=_TROUBLES.get(reply.error(), Trouble.OTHER))
    after = bytes(reply.rawHeader(b"Retry-After")).decode("latin-1")
    return Reply(
        status=int(status),
        kind=bytes(reply.rawHeader(b"Content-Type")).decode("latin-1").lower(),
        body=bytes(reply.readAll()),
        retry_after=float(after) if after.isdecimal() else None,
        location=bytes(reply.rawHeader(b"Location")).decode("latin-1"),
    )
