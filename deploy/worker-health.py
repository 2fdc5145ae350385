"""Exit 0 when the worker in this container answers /ready with 200.

With `web_port` 0 the port is what the worker took: the only socket on which this container listens.
The standard library's sockets only: this runs every few seconds.
"""

import os
import re
import socket
import sys
from pathlib import Path

LISTEN = "0A"
ANSWER_S = 4.0


def own_sockets() -> set[str]:
    """Inodes of the sockets that the processes of this container hold."""
    found = set()
    for link in Path("/proc").glob("[0-9]*/fd/*"):
        try:
            found.update(re.findall(r"^socket:\[(\d+)\]$", str(link.readlink())))
        except OSError:
            continue
    return found


def listening_port() -> int:
    """The port that one of these sockets listens on, over IPv4 or IPv6; 0 when none does."""
    own = own_sockets()
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        for line in Path(table).read_text(encoding="ascii").splitlines()[1:]:
            fields = line.split()
            if fields[3] == LISTEN and fields[9] in own:
                return int(fields[1].rpartition(":")[2], 16)
    return 0


def status(port: int) -> str:
    """The status line of /ready."""
    with socket.create_connection(("127.0.0.1", port), ANSWER_S) as connection:
        connection.sendall(b"GET /ready HTTP/1.0\r\nHost: localhost\r\n\r\n")
        return connection.makefile("rb").readline().decode("ascii", "replace").strip()


def main() -> int:
    """0 when ready."""
    port = int(os.environ.get("LABELSTREAM_WEB_PORT") or 8080) or listening_port()
    try:
        told = status(port)
    except OSError as error:
        told = f"port {port}: {error}"
    print(told)  # noqa: T201 - what `docker inspect` shows of a health check
    return 0 if " 200 " in told else 1


if __name__ == "__main__":
    sys.exit(main())
