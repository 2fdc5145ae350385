"""The host names that requests may address, so that a web page of another origin cannot read the web port.

DNS rebinding gives a foreign page's own host name the address of the worker. The browser then sends the
foreign name in the header Host, by which such a request is recognised.
"""

import ipaddress
import re
import socket
from collections.abc import Sequence

ANY = "*"
# A host, or an IPv6 address in brackets, and an optional port.
_AUTHORITY = re.compile(r"(?P<host>\[[0-9A-Fa-f:.]+\]|[^\s:/@\[\]]+)(?::\d{1,5})?", re.ASCII)


class AllowedHosts:
    """Decides by the header Host whether a request may be answered.

    `localhost`, the loopback addresses, the address that the server listens on, and the names of the setting
    are always allowed. A server that listens beyond the loopback interface also allows IP addresses, names
    without a dot (Compose and Kubernetes services) and the name of this machine: no foreign page can have
    such a name.
    """

    def __init__(self, bound_to: str, setting: str = "") -> None:
        """
        Args:
            bound_to: the address that the server listens on.
            setting: further host names, comma-separated; `*` allows every name.
        """
        names = {_without_port(name) for name in setting.split(",") if name.strip()}
        self._any = ANY in names
        self._names = names | {"localhost", _plain(bound_to)}
        self._beyond_loopback = not _is_loopback(_plain(bound_to))
        if self._beyond_loopback:
            self._names.add(_plain(socket.gethostname()))

    def allows(self, headers: Sequence[str]) -> bool:
        """Return True if the Host headers of a request name an allowed host.

        Args:
            headers: all headers Host of the request. A request without one comes from no browser.
        """
        if self._any or not headers:
            return True
        host = _without_port(headers[0])
        if len(headers) > 1 or not host:
            return False
        if host in self._names or _is_loopback(host):
            return True
        return self._beyond_loopback and (_is_address(host) or "." not in host)


def _without_port(authority: str) -> str:
    """Return the host of `host` or `host:port`, "" if it is neither."""
    matched = _AUTHORITY.fullmatch(authority.strip())
    return _plain(matched["host"]) if matched else ""


def _plain(host: str) -> str:
    return host.strip().lower().strip("[]").rstrip(".")


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _is_loopback(host: str) -> bool:
    if host == "localhost" or host.endswith(".localhost"):
        return True
    return _is_address(host) and ipaddress.ip_address(host).is_loopback
