"""topics, produce, tail and doctor as commands, on the development broker and on Apache Kafka."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from stream.demo.broker import DevBroker
from tests.real.embedded import EmbeddedBroker
from tests.real.kafka import ApacheKafka
from tests.real.raw_batches import batch, produce_batches, record
from tests.real.redis import RedisServer
from tests.real.wait import until

Broker = EmbeddedBroker | ApacheKafka
DEADLINE_S = 30
COMMAND = [sys.executable, "-m", "stream"]


def environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith("LABELSTREAM_")}


def run(*words: object, address: str, given: bytes = b"") -> tuple[int, str, str]:
    done = subprocess.run(
        [*COMMAND, *map(str, words), "--broker", address],
        check=False,
        input=given,
        capture_output=True,
        timeout=DEADLINE_S,
        env=environment(),
    )
    out, err = done.stdout.decode(errors="surrogateescape"), done.stderr.decode()
    assert "Traceback" not in out + err
    return done.returncode, out, err


def topic_flags(name: str) -> tuple[str, ...]:
    return "--input-topic", name, "--output-topic", f"{name}.labels"


@pytest.fixture
def name(request: pytest.FixtureRequest) -> str:
    """A topic name that no other test uses."""
    return f"c{abs(hash(request.node.nodeid)):x}-{time.time_ns():x}"


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


def test_topics_are_created_and_checked(broker: Broker, name: str) -> None:
    flags = topic_flags(name)
    code, out, err = run("topics", "check", *flags, address=broker.address)
    assert code == 4
    assert out.count("missing") == 3
    assert "fix: create the topics: labelstream topics create" in err

    code, out, _ = run("topics", "create", "--partitions", 3, *flags, address=broker.address)
    embedded = isinstance(broker, EmbeddedBroker)
    count = 4 if embedded else 3
    assert code == 0
    assert out.splitlines()[:3] == [
        f"created  {name}  {count} partitions",
        f"created  {name}.labels  {count} partitions",
        f"created  {name}.dead  {count} partitions",
    ]
    assert ("by name" in out) == embedded

    code, out, _ = run("topics", "create", "--partitions", 9, *flags, address=broker.address)
    assert code == 0
    assert out.count(f"{count} partitions") == out.count("exists") == 3

    code, out, _ = run("topics", "check", *flags, address=broker.address)
    assert code == 0
    assert (out.count(" ok "), out.count("warn")) == (3, 0)


def test_new_topics_get_the_given_settings(apache_kafka: ApacheKafka, name: str) -> None:
    words = ("--retention-hours", 36, "--max-event-bytes", "4MiB", *topic_flags(name))
    assert run("topics", "create", *words, address=apache_kafka.address)[0] == 0
    _, out, _ = run("topics", "check", *topic_flags(name), address=apache_kafka.address)
    rows = {line.split()[0]: line.split()[1:] for line in out.splitlines() if line.strip().startswith(name)}
    largest = 4 * 2**20 + 64 * 2**10
    assert rows[name] == ["input", "6", "1", "36", "h", str(largest), "ok"]
    assert rows[f"{name}.dead"] == ["dead", "6", "1", "36", "h", str(largest + 64 * 2**10), "ok"]


def test_unsuitable_topics_are_warnings(apache_kafka: ApacheKafka, name: str) -> None:
    apache_kafka.create_topic(name, 4)
    apache_kafka.create_topic(f"{name}.labels", 2)
    apache_kafka.create_topic(f"{name}.dead", 4)
    code, out, _ = run("topics", "check", *topic_flags(name), address=apache_kafka.address)
    assert code == 0
    assert f"--topic {name}.labels --partitions 4" in out
    assert f"--topic {name}.dead --add-config max.message.bytes=2097152" in out


def test_a_refused_topic_is_an_error_with_the_reason_of_the_broker(
    apache_kafka: ApacheKafka, name: str
) -> None:
    words = ("topics", "create", "--replication-factor", 3, *topic_flags(name))
    code, _, err = run(*words, address=apache_kafka.address)
    assert code == 4
    assert "InvalidReplicationFactor" in err


def test_tail_prints_the_produced_records(broker: Broker, name: str) -> None:
    broker.create_topic(name)
    events = [b'{"id":  "%d", "label": "billing", "k": "%d"}' % (n, n % 3) for n in range(2000)]
    lines = [*events, b"{broken", b"\xff\xfe"]
    words = ("produce", "-", "--topic", name, "--key-field", "k", "--header", "source=test")
    code, out, err = run(*words, address=broker.address, given=b"\n".join(lines))
    assert code == 0
    assert out.startswith(f"2,002 events produced to {name} in ")
    assert "will become dead letters: 2" in err

    records = broker.records(name)
    assert sorted(record.value or b"" for record in records) == sorted(lines)
    assert {record.headers for record in records} == {(("source", b"test"),)}
    keys = {record.key for record in records if record.value in events}
    assert keys == {b"0", b"1", b"2"}
    assert len({(record.key, record.partition) for record in records if record.key}) == 3

    tail_words = ("tail", "--topic", name, "--from-beginning", "--json", "--count", 2002)
    code, out, _ = run(*tail_words, address=broker.address)
    assert code == 0
    shown = [line.encode(errors="surrogateescape") for line in out.removesuffix("\n").split("\n")]
    assert sorted(shown) == sorted(lines)


def test_tail_prints_new_records_until_ctrl_c(broker: Broker, name: str) -> None:
    broker.create_topic(name)
    broker.produce(name, b'{"id": "before", "label": "old"}')
    tail = subprocess.Popen(
        [*COMMAND, "tail", "--topic", name, "--broker", broker.address],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment() | {"PYTHONUNBUFFERED": "1"},
    )
    assert tail.stdout is not None
    assert tail.stderr is not None
    started = tail.stderr.readline()
    assert "from the end" in started
    assert "--from-beginning" in started
    event = {"id": "t-1\x1b[31m", "label": "billing", "score": 0.9812, "cached": False}
    broker.produce(name, json.dumps(event).encode())
    header, line = tail.stdout.readline(), tail.stdout.readline()
    tail.send_signal(signal.SIGINT)
    rest, errors = tail.communicate(timeout=DEADLINE_S)
    assert tail.returncode == 130
    assert header.split() == ["time", "id", "label", "score", "cached", "partition@offset", "text"]
    assert line.split()[1:5] == ["t-1\N{REPLACEMENT CHARACTER}[31m", "billing", "0.9812", "no"]
    assert (rest, errors) == ("", "")


def test_tail_prints_the_reason_of_a_dead_letter(broker: Broker, name: str) -> None:
    broker.create_topic(name)
    headers = [("labelstream-id", b"t-7"), ("labelstream-error-reason", b"schema")]
    broker.produce(name, b"{}", headers=[*headers, ("labelstream-error-message", b"text is missing")])
    words = ("tail", "--dead", "--topic", name, "--from-beginning", "--count", 1)
    code, out, _ = run(*words, address=broker.address)
    assert code == 0
    assert out.splitlines()[1].split()[1:3] == ["t-7", "schema"]
    assert out.rstrip().endswith("text is missing")


def test_tail_prints_records_that_other_clients_cannot_read(broker: Broker, name: str) -> None:
    broker.create_topic(name)
    odd = record(0, b'{"label": "billing"}', headers=[("caf\udce9", b"x"), ("labelstream-id", b"t-7")])
    produce_batches(broker.address, name, batch(odd + record(1, None), 2))
    words = ("tail", "--topic", name, "--from-beginning", "--count", 2)
    code, out, err = run(*words, address=broker.address)
    assert code == 0, err
    assert [line.split()[1:] for line in out.splitlines()[1:]] == [
        ["t-7", "billing", "-", "-", "0@0", "-"],
        ["-", "(tombstone)", "-", "-", "0@1", "-"],
    ]


def test_tail_names_a_batch_that_cannot_be_read(embedded_broker: EmbeddedBroker, name: str) -> None:
    embedded_broker.create_topic(name)
    claims_gzip = batch(record(0, b"{}"), 1, compression=1)
    produce_batches(embedded_broker.address, name, batch(record(0, b"{}"), 1), claims_gzip)
    code, out, err = run("tail", "--topic", name, "--from-beginning", address=embedded_broker.address)
    assert code == 4
    assert len(out.splitlines()) == 2
    assert f"topic {name}, partition 0, offset 1 cannot be read" in err


def test_text_lines_get_a_content_type(broker: Broker, name: str, tmp_path: Path) -> None:
    broker.create_topic(name)
    file = tmp_path / "lines.txt"
    file.write_text("my card was charged twice\n")
    words = ("produce", file, "--text", "--topic", name)
    assert run(*words, address=broker.address)[0] == 0
    (record,) = broker.records(name)
    assert record.value == b"my card was charged twice"
    assert record.headers == (("content-type", b"text/plain"),)


def test_an_event_that_the_topic_refuses_is_an_error(apache_kafka: ApacheKafka, name: str) -> None:
    apache_kafka.create_topic(name, 1, **{"max.message.bytes": "2000"})
    given = b'{"text": "small"}\n' + os.urandom(4000).hex().encode()
    words = ("produce", "-", "--topic", name)
    code, _, err = run(*words, address=apache_kafka.address, given=given)
    assert code == 4
    assert "MessageSizeTooLarge" in err
    assert "max.message.bytes" in err


@pytest.mark.parametrize("words", [("produce", "-"), ("tail",)])
def test_a_missing_topic_is_an_error_and_is_not_created(
    broker: Broker, name: str, words: tuple[str, ...]
) -> None:
    for _ in range(2):
        code, _, err = run(*words, "--topic", name, address=broker.address, given=b"{}\n")
        assert code == 4
        assert name in err


@pytest.mark.parametrize("words", [("topics", "check"), ("topics", "create"), ("produce", "-"), ("tail",)])
def test_an_unreachable_broker_is_an_error_in_three_lines(words: tuple[str, ...]) -> None:
    address = f"127.0.0.1:{free_port()}"
    code, out, err = run(*words, address=address, given=b"{}\n")
    assert (code, out) == (4, "")
    assert [line.strip() for line in err.splitlines()] == [
        f"error: broker {address} does not answer",
        "cause: connection refused",
        "fix: start it, or set broker (LABELSTREAM_BROKER); to try without a broker: labelstream demo",
    ]


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with the bundle `tiny`."""
    pytest.importorskip("torch")
    from tests.real.tiny_bundle import make_tiny_bundle

    folder = tmp_path_factory.mktemp("store")
    make_tiny_bundle(folder)
    return folder


@pytest.fixture
def ready(broker: Broker, name: str, store: Path) -> tuple[object, ...]:
    """Flags with which doctor reports no problem."""
    run("topics", "create", *topic_flags(name), address=broker.address)
    return ("--bundle", "tiny", "--bundle-store", store, "--web-port", 0, *topic_flags(name))


def test_doctor_succeeds_when_everything_is_available(
    broker: Broker, ready: tuple[object, ...], redis_server: RedisServer
) -> None:
    code, out, _ = run("doctor", *ready, "--redis-url", redis_server.url, address=broker.address)
    assert code == 0
    assert (out.count(" ok "), out.count("FAIL"), out.count(" skip ")) == (10, 0, 0)
    assert "tiny@1" in out


def test_an_unreachable_redis_does_not_fail_doctor(broker: Broker, ready: tuple[object, ...]) -> None:
    words = ("--redis-url", f"redis://127.0.0.1:{free_port()}")
    code, out, _ = run("doctor", *ready, *words, address=broker.address)
    assert code == 0
    assert "the worker runs without it" in out


def test_doctor_reports_a_changed_bundle(broker: Broker, ready: tuple[object, ...], store: Path) -> None:
    changed = store / "tiny" / "1" / "onnx" / "model.onnx"
    whole = changed.read_bytes()
    changed.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    try:
        code, out, _ = run("doctor", *ready, address=broker.address)
    finally:
        changed.write_bytes(whole)
    assert code == 3
    assert "was changed" in out


def test_doctor_reports_missing_topics(broker: Broker, name: str) -> None:
    code, out, _ = run("doctor", *topic_flags(name), address=broker.address)
    assert code == 4
    assert "labelstream topics create" in out


def test_doctor_finishes_soon_when_the_broker_is_unreachable_or_silent() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        for port in (free_port(), silent.getsockname()[1]):
            started = time.monotonic()
            code, out, _ = run("doctor", address=f"127.0.0.1:{port}")
            assert code == 4
            assert "does not answer" in out
            assert "bundle" in out
            assert time.monotonic() - started < 8


class Relay:
    """A proxy of a broker that advertises a port on which nothing listens."""

    def __init__(self, broker: str) -> None:
        self._host, _, port = broker.rpartition(":")
        self._advertised, self._port = int(port).to_bytes(4, "big"), int(port)
        self.elsewhere = free_port()
        self._front = socket.create_server(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self._front.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._front.accept()
                server = socket.create_connection((self._host, self._port))
                threading.Thread(target=self._pass_on, args=(client, server), daemon=True).start()
                threading.Thread(target=self._pass_on, args=(server, client), daemon=True).start()

    def _pass_on(self, source: socket.socket, target: socket.socket) -> None:
        with contextlib.suppress(OSError), source, target:
            while data := source.recv(65536):
                target.sendall(data.replace(self._advertised, self.elsewhere.to_bytes(4, "big")))

    def close(self) -> None:
        self._front.close()


def test_doctor_reports_an_unreachable_advertised_address() -> None:
    with DevBroker() as broker, contextlib.closing(Relay(broker.address)) as relay:
        code, out, _ = run("doctor", address=relay.address)
    assert code == 4
    assert f"sends clients to 127.0.0.1:{relay.elsewhere}" in out
    assert "advertised.listeners" in out


def test_the_development_broker_ends_with_its_parent() -> None:
    script = "from stream.demo.broker import DevBroker; print(DevBroker(['a']).start().address, flush=True)"
    exit_at_once = f"{script}; import os; os._exit(0)"
    done = subprocess.run(
        [sys.executable, "-c", exit_at_once], check=True, capture_output=True, timeout=DEADLINE_S
    )
    host, _, port = done.stdout.decode().strip().rpartition(":")

    def listens() -> bool:
        try:
            socket.create_connection((host, int(port)), 1).close()
        except OSError:
            return False
        return True

    until(lambda: not listens(), DEADLINE_S, "the end of the development broker")


def test_the_development_broker_prints_its_address_only_and_stops_on_a_signal() -> None:
    broker = DevBroker(["texts"])
    with broker:
        assert broker.process is not None
        code, out, _ = run("topics", "check", address=broker.address)
        assert code == 4
        assert out.count("missing") == 2
    assert broker.process.returncode == 0
    alone = subprocess.Popen(
        [sys.executable, "-m", "stream.demo.broker"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert alone.stdout is not None
    assert alone.stdout.readline().startswith("127.0.0.1:")
    alone.send_signal(signal.SIGINT)
    assert alone.communicate(timeout=DEADLINE_S) == ("", "")
    assert alone.returncode == 0
