"""Calls over sockets of our own, on which head and body leave together and at once: those with a body, and any other where such a
connection lies idle, as one does that was opened ahead of a picture.

Qt's own client writes both apart and leaves Nagle's algorithm on: the body waits until the head is acknowledged, a round trip and
whatever the server puts that off by, often 40 ms. Only what goes well ends here: where a proxy is to be used, or a
connection breaks before an answer begins, Qt's client gets the call, which knows proxies and says what is wrong.
"""

from __future__ import annotations

import time
from typing import Any, Callable, List, Optional, Tuple

from .core.effects import Call, Reply, Trouble
from .protocols import h11
from .qt import QtCore, QtNetwork

MOST_BODY = 1024 * 1024
"""Bytes. What is larger takes long by any way."""
MOST_LINES = 4
"""Connections at once."""
KEPT = 30.0
"""Seconds that a connection may lie idle and is still trusted. Those of a computer which slept are not."""
_Encoded = QtCore.QUrl.ComponentFormattingOption.FullyEncoded

Place = Tuple[bool, str, int]
"""By TLS or not, host, port."""


class _Line(QtCore.QObject):
    """A connection, and the call that is on it."""

    def __init__(self, direct: "Direct", place: Place) -> None:
        super().__init__()
        self.place, self._direct = place, direct
        self.idle_since = time.time()
        self._call: Optional[Call] = None
        self._words = b""
        self._up = False
        self._protocol = h11.Connection(h11.CLIENT)
        self._forget_answer()
        self._timer = QtCore.QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.timeout.connect(lambda: self._end(Reply(trouble=Trouble.TIMEOUT)))
        secure, host, port = place
        self._socket = QtNetwork.QSslSocket(self) if secure else QtNetwork.QTcpSocket(self)
        self._socket.setProxy(QtNetwork.QNetworkProxy(QtNetwork.QNetworkProxy.ProxyType.NoProxy))
        (self._socket.encrypted if secure else self._socket.connected).connect(self._connected)
        self._socket.readyRead.connect(self._read)
        self._socket.bytesWritten.connect(lambda _count: self._moved())
        self._socket.disconnected.connect(self._gone)
        wrong = getattr(self._socket, "errorOccurred", None)  # Qt 5.15 and later
        (wrong or self._socket.error).connect(lambda _error: self._gone())
        if secure:
            self._socket.connectToHostEncrypted(host, port)
        else:
            self._socket.connectToHost(host, port)

    def send(self, call: Call, words: bytes, protocol: Any) -> None:
        """Sends a call; the line is free."""
        self._call, self._words, self._protocol = call, words, protocol
        self._forget_answer()
        self._moved()
        if self._up:
            self._write()

    def drop(self) -> None:
        """Hangs up."""
        self._timer.stop()
        self._socket.blockSignals(True)
        self._socket.abort()
        self.deleteLater()

    @property
    def is_idle(self) -> bool:
        """Whether no call is on it."""
        return self._call is None

    @property
    def is_fresh(self) -> bool:
        """Whether it can be trusted to be there still."""
        return 0 <= time.time() - self.idle_since < KEPT

    def _forget_answer(self) -> None:
        self._begun, self._head, self._body, self._size = False, None, [], 0

    def _moved(self) -> None:
        if self._call is not None:
            self._timer.start(int(self._call.timeout * 1000))  # a slow line is no silent one

    def _connected(self) -> None:
        self._up = True
        self._socket.setSocketOption(QtNetwork.QAbstractSocket.SocketOption.LowDelayOption, 1)
        self._write()

    def _write(self) -> None:
        self._socket.write(self._words)
        self._socket.flush()  # not after all that Krita has to do before its loop comes round

    def _read(self) -> None:
        data = bytes(self._socket.readAll())
        if data or self._call is None:
            self._hear(data)

    def _gone(self) -> None:
        """The server hung up, which may be how it ends an answer."""
        data = bytes(self._socket.readAll()) if self._socket.isOpen() else b""
        if data:
            self._hear(data)
        if self._call is not None and self._begun:
            self._hear(b"")
        self._end(None)

    def _hear(self, data: bytes) -> None:
        if self._call is None:  # nobody has asked
            return self._end(None)
        self._moved()
        self._begun = self._begun or bool(data)
        try:
            self._protocol.receive_data(data)
            while True:
                event = self._protocol.next_event()
                if isinstance(event, h11.Response):
                    self._head = event
                elif isinstance(event, h11.Data):
                    self._size += len(event.data)
                    if self._size > self._call.limit:
                        return self._end(Reply(trouble=Trouble.TOO_LARGE))
                    self._body.append(bytes(event.data))
                elif isinstance(event, h11.EndOfMessage):
                    return self._answered()
                elif not isinstance(event, h11.InformationalResponse):
                    return
        except h11.RemoteProtocolError:
            self._end(Reply(trouble=Trouble.OTHER))

    def _answered(self) -> None:
        names = {name: value.decode("latin-1") for name, value in self._head.headers}
        after = names.get(b"retry-after", "")
        reply = Reply(
            status=self._head.status_code,
            kind=names.get(b"content-type", "").lower(),
            body=b"".join(self._body),
            retry_after=float(after) if after.isdecimal() else None,
            location=names.get(b"location", ""),
        )
        call, self._call = self._call, None
        self._timer.stop()
        self._forget_answer()
        self.idle_since = time.time()
        clean = self._protocol.states == {h11.CLIENT: h11.DONE, h11.SERVER: h11.DONE}
        if not clean or self._protocol.trailing_data[0] or self._socket.bytesToWrite():
            self._direct.lost(self)
        self._direct.answered(call, reply)

    def _end(self, reply: Optional[Reply]) -> None:
        """The connection is of no use any more. Without an answer, another way may bring one."""
        call, self._call = self._call, None
        begun = self._begun
        self._direct.lost(self)
        if call is not None:
            self._direct.failed(call, reply or (Reply(trouble=Trouble.OTHER) if begun else None))


class Direct:
    """The connections."""

    def __init__(self, answered: Callable[[Call, Reply], None], other: Callable[[Call], None]) -> None:
        self.answered, self._other = answered, other
        self._lines: List[_Line] = []

    def send(self, call: Call) -> bool:
        """Sends a call, unless that is for another way."""
        url = QtCore.QUrl(call.url)
        if call.file is not None or len(call.body or b"") > MOST_BODY or not _is_ours(url):
            return False
        protocol = h11.Connection(h11.CLIENT)
        try:
            words = _words(protocol, call, url)
        except h11.LocalProtocolError:
            return False
        line = self._idle(url) or (self._new(url) if call.body is not None else None)
        if line is None:
            return False
        line.send(call, words, protocol)
        return True

    def approach(self, url: "QtCore.QUrl") -> None:
        """Connects ahead of a call, unless that was done."""
        if _is_ours(url) and self._idle(url) is None:
            self._new(url)

    def lost(self, line: _Line) -> None:
        """A connection is gone."""
        if line in self._lines:
            self._lines.remove(line)
            line.drop()

    def failed(self, call: Call, reply: Optional[Reply]) -> None:
        """A call was not answered; without a reply the server has not begun to."""
        if reply is None:
            self._other(call)
        else:
            self.answered(call, reply)

    def _idle(self, url: "QtCore.QUrl") -> Optional[_Line]:
        for line in [it for it in self._lines if it.is_idle]:
            if not line.is_fresh:
                self.lost(line)
            elif line.place == _place(url):
                return line
        return None

    def _new(self, url: "QtCore.QUrl") -> Optional[_Line]:
        proxies = QtNetwork.QNetworkProxyFactory.proxyForQuery(QtNetwork.QNetworkProxyQuery(url))
        if len(self._lines) >= MOST_LINES or not proxies:
            return None
        if proxies[0].type() != QtNetwork.QNetworkProxy.ProxyType.NoProxy:
            return None
        line = _Line(self, _place(url))
        self._lines.append(line)
        return line


def _is_ours(url: "QtCore.QUrl") -> bool:
    return url.scheme() in ("http", "https") and url.isValid() and bool(url.host()) and not url.userInfo()


def _place(url: "QtCore.QUrl") -> Place:
    secure = url.scheme() == "https"
    return secure, url.host(_Encoded), url.port(443 if secure else 80)


def _words(protocol: Any, call: Call, url: "QtCore.QUrl") -> bytes:
    query = url.query(_Encoded)
    target = (url.path(_Encoded) or "/") + ("?" + query if query else "")
    body = call.body or b""
    headers = [("Host", url.authority(_Encoded)), *call.headers]
    headers += [("Content-Length", str(len(body)))] if call.body is not None else []
    headers += [("Accept-Encoding", "identity"), ("User-Agent", "Atelier for Krita")]
    return b"".join(
        protocol.send(it)
        for it in (
            h11.Request(method=call.method, target=target, headers=headers),
            h11.Data(data=body),
            h11.EndOfMessage(),
        )
    )
