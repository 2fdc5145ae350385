"""A real Apache Kafka for development: `make kafka`, on 127.0.0.1:9092 until Ctrl-C; its data go with it.

python -m tests.kafka [PORT]
"""

import signal
import sys
import threading

from tests.real.kafka import ApacheKafka
from tests.real.process import free_ports


def main(port: int) -> None:
    """Run it until SIGINT or SIGTERM."""
    ended = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: ended.set())
    kafka = ApacheKafka(tell=print, ports=(port, *free_ports(1)))
    try:
        kafka.start()
        print(f"Apache Kafka {kafka.version} ({kafka.found}) on {kafka.address}; Ctrl-C ends it", flush=True)
        ended.wait()
    finally:
        kafka.close()


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 9092)
