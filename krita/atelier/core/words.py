"""What is said to the painter: one plain sentence, with what to do next."""

from __future__ import annotations

from . import untrusted
from .effects import Reply, Trouble
from .tongue import mark, say

TROUBLES = {
    Trouble.OFFLINE: mark("The server cannot be found. Check the internet connection and the address {host}."),
    Trouble.REFUSED: mark("Nobody answers at {host}. Check the address, or ask your studio whether the server is up."),
    Trouble.TIMEOUT: mark("The server at {host} does not answer. It is tried again by itself."),
    Trouble.TLS: mark("The connection to {host} is not secure (its certificate is not good). Check this computer's clock,"
    " or ask your studio."),
    Trouble.PROXY: mark("The proxy does not let Krita through to {host}. Check the system's proxy settings."),
    Trouble.TOO_LARGE: mark("The server at {host} sent more than is right. Check the address."),
    Trouble.OTHER: mark("The connection to {host} failed. It is tried again by itself."),
}
NOT_ATELIER = mark(
    "{host} answers, but not as Atelier does. Sign in to this network in a browser, or correct the address."
)


def of_reply(reply: Reply, url: str) -> str:
    """Why a call failed."""
    host = untrusted.host(url)
    if reply.trouble is not None:
        return say(TROUBLES[reply.trouble], host=host)
    if 300 <= reply.status < 400:
        elsewhere = untrusted.host(reply.location) if "://" in reply.location else say("another page")
        return say(
            "{host} sends on to {elsewhere}. Sign in to this network in a browser, or correct the address.",
            host=host,
            elsewhere=elsewhere,
        )
    said = reply.json()
    error = untrusted.text(said.get("error")) if said is not None else None
    if error is not None:
        return error
    if reply.status == 407:
        return say(TROUBLES[Trouble.PROXY], host=host)
    if reply.is_page and reply.status < 500 or reply.status == 511:
        return say(NOT_ATELIER, host=host)
    if reply.status == 404:
        return say("There is no Atelier at {host}. Check the address.", host=host)
    if reply.status == 413:
        return say("The pictures are too large for the server. Use a smaller canvas or selection.")
    if reply.status == 429:
        return say("The server has too much to do at the moment. It is tried again by itself.")
    if reply.status in (401, 403):
        return say("The server does not take this token. Sign in again.")
    if reply.status >= 500:
        return say("The server has a problem at the moment. It is tried again by itself.")
    return say(NOT_ATELIER, host=host)
