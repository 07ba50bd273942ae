"""What is said to the painter: one plain sentence, with what to do next."""

from __future__ import annotations

from . import untrusted
from .effects import Reply, Trouble

TROUBLES = {
    Trouble.OFFLINE: "The server cannot be found. Check the internet connection and the address {host}.",
    Trouble.REFUSED: "Nobody answers at {host}. Check the address, or ask your studio whether the server is up.",
    Trouble.TIMEOUT: "The server at {host} does not answer. It is tried again by itself.",
    Trouble.TLS: "The connection to {host} is not secure (its certificate is not good). Check this computer's clock,"
    " or ask your studio.",
    Trouble.PROXY: "The proxy does not let Krita through to {host}. Check the system's proxy settings.",
    Trouble.TOO_LARGE: "The server at {host} sent more than is right. Check the address.",
    Trouble.OTHER: "The connection to {host} failed. It is tried again by itself.",
}
NOT_ATELIER = (
    "{host} answers, but not as Atelier does. Sign in to this network in a browser, or correct the address."
)


def of_reply(reply: Reply, url: str) -> str:
    """Why a call failed."""
    host = untrusted.host(url)
    if reply.trouble is not None:
        return TROUBLES[reply.trouble].format(host=host)
    if 300 <= reply.status < 400:
        elsewhere = untrusted.host(reply.location) if "://" in reply.location else "another page"
        return f"{host} sends on to {elsewhere}. Sign in to this network in a browser, or correct the address."
    said = reply.json()
    error = untrusted.text(said.get("error")) if said is not None else None
    if error is not None:
        return error
    if reply.status == 407:
        return TROUBLES[Trouble.PROXY].format(host=host)
    if reply.is_page and reply.status < 500 or reply.status == 511:
        return NOT_ATELIER.format(host=host)
    if reply.status == 404:
        return f"There is no Atelier at {host}. Check the address."
    if reply.status == 413:
        return "The pictures are too large for the server. Use a smaller canvas or selection."
    if reply.status == 429:
        return "The server has too much to do at the moment. It is tried again by itself."
    if reply.status in (401, 403):
        return "The server does not take this token. Sign in again."
    if reply.status >= 500:
        return "The server has a problem at the moment. It is tried again by itself."
    return NOT_ATELIER.format(host=host)
