"""A real Apache Kafka for development (`make kafka`), on 127.0.0.1:9092 until Ctrl-C, without persistence.

python -m tests.kafka [PORT]
"""

import signal
import sys
import threading

from tests.real.kafka import ApacheKafka
from tests.real.process import free_ports


def main(port: int) -> None:
    """Run Apache Kafka until SIGINT or SIGTERM."""
    ended = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: ended.set())
    kafka = ApacheKafka(notify=print, ports=(port, free_ports(1)[0]))
    try:
        kafka.start()
        print(
            f"Apache Kafka {kafka.version} ({kafka.origin}) on {kafka.address}; press Ctrl-C to stop",
            flush=True,
        )
        ended.wait()
    finally:
        kafka.close()


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 9092)
