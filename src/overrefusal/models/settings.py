"""Keys and addresses, from options and the environment."""

from __future__ import annotations

import os
from urllib.parse import urlsplit, urlunsplit
from urllib.request import getproxies, proxy_bypass

from overrefusal.errors import OverrefusalError


def api_key(spec: str, given: str | None, *variables: str) -> str:
    """The key from the option, else from the first of ``variables`` that is set.

    Raises ``OverrefusalError`` naming them where none is, and where the key cannot be one.
    """
    key = optional_key(spec, given, *variables)
    if key is None:
        raise OverrefusalError(f"{spec}: no API key; set {' or '.join(variables)}")
    return key


def optional_key(spec: str, given: str | None, *variables: str) -> str | None:
    """As :func:`api_key`, but ``None`` where no key is set."""
    for name, value in (("the key", given), *((v, os.environ.get(v)) for v in variables)):
        if value and (value := value.strip()):
            if not (value.isascii() and value.isprintable()):
                raise OverrefusalError(
                    f"{spec}: {name} holds a line break or a letter no key has; copy it again"
                )
            return value
    return None


def address(spec: str, url: str) -> str:
    """``url`` without a slash at its end; ``OverrefusalError`` where it is no HTTP address."""
    try:
        parts = urlsplit(url.strip())
        valid = parts.scheme in ("http", "https") and bool(parts.hostname)
        valid = valid and (parts.port is None or parts.port > 0)
    except ValueError:
        valid = False
    if not valid:
        raise OverrefusalError(
            f"{spec}: {url!r} is no address; write one like http://127.0.0.1:8000/v1"
        )
    return url.strip().rstrip("/")


def public_address(url: str) -> str:
    """``url`` without user name, password, query and fragment, fit for a stored identity."""
    parts = urlsplit(url)
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))


def proxy_for(url: str) -> str | None:
    """The proxy that the environment (``HTTPS_PROXY``, ``NO_PROXY``, ...) names for ``url``.

    This machine itself is never reached through one.
    """
    parts = urlsplit(url)
    host = parts.hostname or ""
    if host == "localhost" or host == "::1" or host.startswith("127.") or proxy_bypass(host):
        return None
    proxies = getproxies()
    return proxies.get(parts.scheme) or proxies.get("all")
