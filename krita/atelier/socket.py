"""The WebSocket by Qt's sockets and wsproto, since Krita's own builds have no QtWebSockets."""

from __future__ import annotations

from typing import Callable, Optional
from urllib.parse import urlsplit

from .core.link import LONGEST_MESSAGE
from .protocols import wsproto
from .qt import QtNetwork

ConnectionType, WSConnection, events = wsproto.ConnectionType, wsproto.WSConnection, wsproto.events
LocalProtocolError, RemoteProtocolError = wsproto.utilities.LocalProtocolError, wsproto.utilities.RemoteProtocolError


class Socket:
    """One connection at a time."""

    def __init__(self, opened: Callable[[], None], said: Callable[[str], None], closed: Callable[[], None]) -> None:
        self._opened, self._said, self._closed = opened, said, closed
        self._socket: Optional[QtNetwork.QAbstractSocket] = None
        self._protocol: Optional[WSConnection] = None
        self._text: list = []

    def open(self, url: str, token: str) -> None:
        """Connects; an open connection is dropped first, without a word."""
        self.close()
        parts = urlsplit(url)
        host, secure = parts.hostname or "", parts.scheme == "wss"
        socket = QtNetwork.QSslSocket() if secure else QtNetwork.QTcpSocket()
        path = (parts.path or "/") + ("?" + parts.query if parts.query else "")
        self._socket, self._protocol, self._text = socket, WSConnection(ConnectionType.CLIENT), []
        hello = events.Request(
            host=parts.netloc, target=path, extra_headers=[(b"Authorization", b"Bearer " + token.encode())]
        )
        (socket.encrypted if secure else socket.connected).connect(lambda: self._send(hello))
        socket.readyRead.connect(self._read)
        socket.disconnected.connect(lambda: self._gone(socket))
        wrong = getattr(socket, "errorOccurred", None)  # Qt 5.15 and later
        (wrong or socket.error).connect(lambda _error: self._gone(socket))
        if secure:
            socket.connectToHostEncrypted(host, parts.port or 443)
        else:
            socket.connectToHost(host, parts.port or 80)

    def send(self, text: str) -> None:
        """Says something; nothing if there is nobody to hear it."""
        self._send(events.TextMessage(data=text))

    def close(self) -> None:
        """Drops the connection."""
        socket, self._socket, self._protocol = self._socket, None, None
        if socket is not None:
            socket.abort()
            socket.deleteLater()

    def _send(self, event: "events.Event") -> None:
        if self._socket is None or self._protocol is None:
            return
        try:
            self._socket.write(self._protocol.send(event))
        except LocalProtocolError:
            self._gone(self._socket)

    def _gone(self, socket: "QtNetwork.QAbstractSocket") -> None:
        if socket is self._socket:
            self.close()
            self._closed()

    def _read(self) -> None:
        socket, protocol = self._socket, self._protocol
        if socket is None or protocol is None:
            return
        try:
            protocol.receive_data(bytes(socket.readAll()))
            for event in protocol.events():
                self._heard(event)
                if self._protocol is not protocol:
                    return
        except (RemoteProtocolError, LocalProtocolError, UnicodeDecodeError):
            self._gone(socket)

    def _heard(self, event: "events.Event") -> None:
        assert self._socket is not None
        if isinstance(event, events.AcceptConnection):
            self._opened()
        elif isinstance(event, events.TextMessage):
            self._text.append(event.data)
            if sum(map(len, self._text)) > LONGEST_MESSAGE:
                self._gone(self._socket)
            elif event.message_finished:
                text, self._text = "".join(self._text), []
                self._said(text)
        elif isinstance(event, events.Ping):
            self._send(event.response())
        elif isinstance(event, (events.CloseConnection, events.RejectConnection)):
            self._gone(self._socket)
