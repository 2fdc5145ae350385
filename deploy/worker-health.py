"""Exit with 0 when the worker in this container answers /ready with 200, else with 1.

With `web_port` 0 the worker chose the port; it is that of the only listening socket in the container. The
program uses sockets instead of an HTTP library because it runs every few seconds.
"""

import os
import re
import socket
import sys
from pathlib import Path

LISTEN = "0A"
ANSWER_S = 4.0


def own_sockets() -> set[str]:
    """Return the inodes of the sockets of all processes in this container."""
    found = set()
    for link in Path("/proc").glob("[0-9]*/fd/*"):
        try:
            found.update(re.findall(r"^socket:\[(\d+)\]$", str(link.readlink())))
        except OSError:
            continue
    return found


def listening_port() -> int:
    """Return the port of the listening socket, over IPv4 or IPv6; 0 without one."""
    own = own_sockets()
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        for line in Path(table).read_text(encoding="ascii").splitlines()[1:]:
            fields = line.split()
            if fields[3] == LISTEN and fields[9] in own:
                return int(fields[1].rpartition(":")[2], 16)
    return 0


def status(port: int) -> str:
    """Return the status line of /ready."""
    with socket.create_connection(("127.0.0.1", port), ANSWER_S) as connection:
        connection.sendall(b"GET /ready HTTP/1.0\r\nHost: localhost\r\n\r\n")
        return connection.makefile("rb").readline().decode("ascii", "replace").strip()


def main() -> int:
    """Print the status, and return the exit code."""
    port = int(os.environ.get("LABELSTREAM_WEB_PORT") or 8080) or listening_port()
    try:
        result = status(port)
    except OSError as error:
        result = f"port {port}: {error}"
    print(result)  # noqa: T201 - `docker inspect` shows this output
    return 0 if " 200 " in result else 1


if __name__ == "__main__":
    sys.exit(main())
