"""`labelstream dlq` on every broker: dead letters of a worker, replays, attempts, files, kills, two runs."""

import json
import os
import re
import shlex
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path

import orjson
import pytest
from confluent_kafka import KafkaException
from typer.testing import CliRunner

from stream.cli import app
from stream.dlq.replayer import BATCH_EVENTS
from stream.errors import LabelstreamError
from tests.contract.test_client_commands import COMMAND, Broker, environment
from tests.dead_letters import dead_headers, produce_dead_letters
from tests.pipeline import StartWorker, event, make_route, start_worker, tiny_bundle
from tests.real.client import BrokerClient, Record
from tests.real.components import unique
from tests.real.embedded import EmbeddedBroker
from tests.real.kafka import ApacheKafka
from tests.real.raw_batches import batch, produce_batches, record
from tests.real.reconcile import dead_ids, label_ids
from tests.real.wait import until

__all__ = ["start_worker", "tiny_bundle"]

EVENTS = 40
WAIT_S = 60.0


def make_topics(broker: BrokerClient) -> tuple[str, str]:
    """Create an input topic and a dead-letter topic, and return their names."""
    source = unique("texts")
    return broker.create_topic(source), broker.create_topic(f"{source}.dead")


def sent(broker: BrokerClient, topic: str) -> int:
    """Return the number of events in a topic."""
    return sum(broker.end_offsets(topic).values())


def sent_ids(broker: BrokerClient, topic: str) -> Counter[str]:
    """Return how often each id is in a topic."""
    return Counter((dict(r.headers)["labelstream-id"] or b"").decode() for r in broker.records(topic))


def attempt(broker: BrokerClient, *words: object) -> tuple[int, str]:
    """Run a subcommand of dlq in this process, and return its exit code and its output with the error."""
    arguments = [*map(str, words), "--broker", broker.address]
    result = CliRunner().invoke(app, ["dlq", *arguments], env={"LABELSTREAM_BROKER": None})
    error = result.exception
    if isinstance(error, LabelstreamError):
        return error.exit_code, f"{result.stdout}{error.message}\n{error.cause}\n{error.fix}"
    assert error is None or isinstance(error, SystemExit), result.output
    return result.exit_code, result.stdout


def dlq(broker: BrokerClient, *words: object) -> str:
    """Run a subcommand of dlq, which has to succeed, and return its output."""
    code, out = attempt(broker, *words)
    assert code == 0, out
    return out


def outcomes(out: str) -> dict[str, int]:
    """Return the numbers by outcome that a replay has printed."""
    found = re.findall(r"^  ([a-z][a-z ]*?) +([\d,]+)  ", out, re.MULTILINE)
    return {name: int(count.replace(",", "")) for name, count in found}


def replay(broker: BrokerClient, dead: str, *words: object) -> dict[str, int]:
    """Replay a topic, and return the numbers by outcome."""
    return outcomes(dlq(broker, "replay", "--topic", dead, *words))


def test_a_replay_after_the_fix_labels_every_event_under_its_own_id(
    broker: Broker, start_worker: StartWorker
) -> None:
    """The texts are in a field that the first worker does not read, and the second one does."""
    route = make_route(broker, "dlq")
    broken = start_worker(broker, route)
    for number in range(EVENTS):
        event_id, value = event(number)
        body = orjson.loads(value)
        named = {"id": event_id, "message": body["text"]} if number % 2 else {"message": body["text"]}
        headers = [("source", b"crm"), ("source", b"mail")]
        broker.produce(
            route, orjson.dumps(named), key=b"k", headers=headers, partition=number % 4, timestamp=1
        )
    until(lambda: len(broker.records(broken.dead)) == EVENTS, WAIT_S, "dead letters")
    assert broken.stop() == 0
    ids = dead_ids(broker.records(broken.dead))
    assert set(ids.values()) == {1}
    assert sum(f"{route}-" in event_id for event_id in ids) == EVENTS / 2

    assert replay(broker, broken.dead, "--dry-run") == {"replayed": EVENTS}
    assert sent(broker, route) == EVENTS
    assert replay(broker, broken.dead) == {"replayed": EVENTS}

    originals = broker.records(route)
    repeated: dict[object, list[Record]] = {}
    for found in originals:
        repeated.setdefault((found.partition, found.key, found.value, found.timestamp), []).append(found)
    assert {len(pair) for pair in repeated.values()} == {2}
    for first, second in repeated.values():
        added = [pair for pair in second.headers if pair not in first.headers]
        assert [name for name, _ in added] == ["labelstream-id", "labelstream-error-attempt"]
        assert second.headers[: len(first.headers)] == first.headers

    fitting = start_worker(broker, route, text_field="message")
    until(lambda: len(broker.records(fitting.labels)) == EVENTS, WAIT_S, "labels")
    assert fitting.stop() == 0
    labels = broker.records(fitting.labels)
    assert label_ids(labels) == ids
    assert {dict(found.headers)["labelstream-error-attempt"] for found in labels} == {b"1"}
    assert len(broker.records(fitting.dead)) == EVENTS


def test_an_event_that_fails_again_and_again_is_parked(broker: Broker, start_worker: StartWorker) -> None:
    """A dead letter is replayed twice, then parked; no run sends what became a dead letter during the run."""
    route = make_route(broker, "dlq")
    worker = start_worker(broker, route)
    broker.produce(route, b'{"id": "bad", "no_text": 1}', key=b"k", partition=2)
    for number in (1, 2, 3):
        until(lambda n=number: sent(broker, worker.dead) == n, WAIT_S, "dead letter")  # type: ignore[misc]
        (last,) = [found for found in broker.records(worker.dead) if found.offset == number - 1]
        assert dict(last.headers)["labelstream-error-attempt"] == b"%d" % number
        done = {"done before": number - 1} if number > 1 else {}
        assert replay(broker, worker.dead) == {"parked" if number == 3 else "replayed": 1, **done}
    dead = broker.records(worker.dead)
    assert [dict(r.headers)["labelstream-error-reason"] for r in dead] == [b"schema"] * 3 + [b"attempts"]
    assert {(r.partition, r.key, r.value) for r in dead} == {(2, b"k", b'{"id": "bad", "no_text": 1}')}
    assert b"processed 3 times, the last time schema: " in (
        dict(dead[-1].headers)["labelstream-error-message"] or b""
    )
    assert replay(broker, worker.dead) == {"done before": 3, "parked before": 1}
    assert sent(broker, route) == 3
    assert replay(broker, worker.dead, "--reason", "attempts", "--max-attempts", 5) == {"replayed": 1}
    until(lambda: len(broker.records(worker.dead)) == 5, WAIT_S, "dead letter")
    assert dict(broker.records(worker.dead)[-1].headers)["labelstream-error-attempt"] == b"4"


def test_selections_overlap_without_a_second_replay(broker: Broker) -> None:
    source, dead = make_topics(broker)
    produce_dead_letters(broker, dead, source, 12)
    produce_dead_letters(broker, dead, source, 4, reason=b"model")
    assert (
        len(dlq(broker, "list", "--topic", dead, "--where", "n!=3", "--reason", "schema").splitlines()) == 13
    )
    out = dlq(broker, "list", "--topic", dead, "--where", "n=3", "--json")
    assert [json.loads(line)["id"] for line in out.splitlines()] == ["e-3", "e-3"]
    words = ("--partition", 0, "--partition", 1, "--reason", "schema")
    assert replay(broker, dead, *words) == {"replayed": 6}
    assert len(dlq(broker, "list", "--topic", dead, "--pending").splitlines()) == 1 + 10 + 1
    assert replay(broker, dead) == {"replayed": 10, "done before": 6}
    assert sent_ids(broker, source) == {f"e-{n}": 2 if n < 4 else 1 for n in range(12)}
    assert replay(broker, dead, "--at", "0@0", "--again") == {"replayed": 1}


def test_what_cannot_be_replayed_is_counted_and_not_sent(broker: Broker) -> None:
    source, dead = make_topics(broker)
    topic = source.encode()
    broken = dead_headers("cut", topic=topic, truncated=b"true")
    pointer = "the setting quarantine names this offset; the record cannot be read and lies at this offset"
    unread = dead_headers("unread", topic=topic, reason=b"quarantined", message=pointer.encode())
    broker.produce(dead, b'{"te', headers=broken, partition=0)
    broker.produce(dead, None, key=None, headers=unread, partition=0)
    broker.produce(dead, b"{}", headers=dead_headers("gone", topic=b"no-such-topic"), partition=1)
    broker.produce(dead, b"{}", headers=dead_headers("nowhere", topic=None), partition=1)
    broker.produce(dead, b"{}", partition=2)
    expected = {"incomplete": 2, "without origin": 1, "without topic": 1, "not dead letters": 1}
    assert replay(broker, dead) == expected
    assert broker.records(source) == []
    assert replay(broker, dead, "--to", source) == {"incomplete": 2, "replayed": 2, "not dead letters": 1}
    assert sent_ids(broker, source) == {"gone": 1, "nowhere": 1}


def test_a_dead_letter_is_shown_without_its_text_unless_asked(broker: Broker) -> None:
    source, dead = make_topics(broker)
    odd = dead_headers("t-7", (("caf\udce9", b"secret"), ("token", b"secret")), topic=source.encode())
    produce_batches(
        broker.address,
        dead,
        batch(record(0, b'{"text": "secret", "secret": 1}', key=b"secret", headers=odd), 1),
    )
    out = dlq(broker, "show", "0@0", "--topic", dead)
    assert "secret" not in out
    assert "cause     text is missing" in out
    assert "labelstream dlq replay" in out
    assert '{"text": <string, 6 characters>, <name, 6 characters>: <number>}' in out
    out = dlq(broker, "show", "--id", "t-7", "--topic", dead, "--show-text")
    assert out.count("secret") == 5
    assert replay(broker, dead) == {"replayed": 1}
    assert attempt(broker, "list", "--topic", source)[0] == 0
    code, out = attempt(broker, "show", "0@9", "--topic", dead)
    assert code == 2
    assert f"topic {dead} has no dead letter 0@9" in out


def test_edited_events_are_sent_once_after_a_check_of_the_whole_file(broker: Broker, tmp_path: Path) -> None:
    source, dead = make_topics(broker)
    produce_dead_letters(broker, dead, source, 6)
    file = tmp_path / "edited.jsonl"
    dlq(broker, "export", file, "--topic", dead, "--where", "n", "--partition", 1)
    lines = file.read_bytes().splitlines()
    assert len(lines) == 2
    edited = [line.replace(b'"message": "where', b'"text": "where') for line in lines]
    file.write_bytes(edited[0] + b"\n" + edited[1].replace(b'"value"', b'"vaule"') + b"\n")
    code, out = attempt(broker, "replay", "--topic", dead, "--import", file)
    assert code == 2
    assert "line 2: the line has no member value" in out
    assert broker.records(source) == []
    file.write_bytes(b"\n".join(edited))
    assert replay(broker, dead, "--import", file) == {"replayed": 2}
    assert replay(broker, dead, "--import", file) == {"done before": 2}
    assert sorted(r.value or b"" for r in broker.records(source)) == [
        b'{"id": "e-%d", "text": "where is my parcel", "n": %d}' % (n, n) for n in (1, 5)
    ]
    assert {r.partition for r in broker.records(source)} == {1}
    assert replay(broker, dead) == {"replayed": 4, "done before": 2}
    assert set(sent_ids(broker, source).values()) == {1}


def start_replay(broker: BrokerClient, dead: str, *words: object) -> "subprocess.Popen[str]":
    """Start a replay in the background."""
    return subprocess.Popen(
        [*COMMAND, "dlq", "replay", "--topic", dead, *map(str, words), "--broker", broker.address],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(),
    )


def test_a_replay_that_is_killed_goes_on_and_repeats_at_most_a_batch(apache_kafka: ApacheKafka) -> None:
    source, dead = make_topics(apache_kafka)
    count, kills = 1_800, 0
    produce_dead_letters(apache_kafka, dead, source, count)
    while True:
        process = start_replay(apache_kafka, dead)
        before = sent(apache_kafka, source)
        until(
            lambda: process.poll() is not None or sent(apache_kafka, source) > before,  # noqa: B023
            WAIT_S,
            "events or the end",
        )
        if process.poll() is not None or kills == 2:
            break
        os.kill(process.pid, signal.SIGKILL)
        process.communicate()
        kills += 1
    _, err = process.communicate(timeout=WAIT_S)
    assert process.returncode == 0, err
    found = sent_ids(apache_kafka, source)
    assert set(found) == {f"e-{n}" for n in range(count)}
    assert kills
    assert max(found.values()) <= 1 + kills
    assert found.total() - count <= kills * BATCH_EVENTS


def test_ctrl_c_ends_a_replay_between_batches_and_the_rest_is_sent_later(apache_kafka: ApacheKafka) -> None:
    source, dead = make_topics(apache_kafka)
    produce_dead_letters(apache_kafka, dead, source, 30)
    process = start_replay(apache_kafka, dead, "--rate", 5)
    until(lambda: sent(apache_kafka, source) >= 10, WAIT_S, "events")
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=WAIT_S)
    assert process.returncode == 130
    assert "the same command goes on after the recorded events" in err
    assert 10 <= sent(apache_kafka, source) < 30
    replay(apache_kafka, dead)
    assert sent_ids(apache_kafka, source).keys() == {f"e-{n}" for n in range(30)}
    assert sent(apache_kafka, source) <= 30 + 5


def test_a_later_replay_takes_over_from_an_earlier_one(apache_kafka: ApacheKafka) -> None:
    source, dead = make_topics(apache_kafka)
    produce_dead_letters(apache_kafka, dead, source, 40)
    earlier = start_replay(apache_kafka, dead, "--rate", 5)
    until(lambda: sent(apache_kafka, source) >= 5, WAIT_S, "events")
    replay(apache_kafka, dead)
    _, err = earlier.communicate(timeout=WAIT_S)
    assert earlier.returncode == 6
    assert f"another replay of {dead} has started" in err
    assert sent_ids(apache_kafka, source).keys() == {f"e-{n}" for n in range(40)}
    assert sent(apache_kafka, source) <= 40 + 5


def test_the_offsets_of_a_deleted_topic_do_not_count_for_a_new_one(apache_kafka: ApacheKafka) -> None:
    source, dead = make_topics(apache_kafka)
    produce_dead_letters(apache_kafka, dead, source, 4)
    replay(apache_kafka, dead)
    apache_kafka.delete_topics(dead)
    until(lambda: _create(apache_kafka, dead), WAIT_S, "the new topic")
    produce_dead_letters(apache_kafka, dead, source, 4)
    assert replay(apache_kafka, dead) == {"replayed": 4}


def _create(kafka: ApacheKafka, topic: str) -> bool:
    try:
        kafka.create_topic(topic)
    except KafkaException:
        # The broker may still be deleting the topic of that name.
        return False
    return True


def test_an_event_that_is_too_large_for_its_topic_is_named_and_stays(apache_kafka: ApacheKafka) -> None:
    source = apache_kafka.create_topic(unique("texts"), 1, **{"max.message.bytes": "2000"})
    dead = apache_kafka.create_topic(f"{source}.dead", 1)
    headers = dead_headers(topic=source.encode(), partition=b"0")
    apache_kafka.produce(dead, b"small", headers=headers)
    apache_kafka.produce(dead, os.urandom(4_000), headers=headers)
    code, out = attempt(apache_kafka, "replay", "--topic", dead)
    assert code == 4
    assert outcomes(out) == {"refused": 1, "replayed": 1}
    assert "max.message.bytes" in out
    assert len(dlq(apache_kafka, "list", "--topic", dead, "--pending").splitlines()) == 3


@pytest.mark.parametrize("words", [("list",), ("show", "0@0"), ("replay",), ("export", "-")])
def test_a_missing_topic_is_an_error(broker: Broker, words: tuple[str, ...]) -> None:
    name = unique("none")
    code, out = attempt(broker, *words, "--topic", name)
    assert code == 4
    assert f"has no topic {name}" in out


def test_the_memory_of_a_replay_does_not_grow_with_the_topic(apache_kafka: ApacheKafka) -> None:
    """A replay of 54 MB needs little more memory than one of nothing."""
    source, dead = make_topics(apache_kafka)
    headers = dead_headers(topic=source.encode(), partition=b"0")
    values = [b'{"n": %d, "message": "%s"}' % (n, b"x" * 6_000) for n in range(9_000)]
    apache_kafka.produce(dead, *values, headers=headers, partition=0)
    # The peak of getrusage would include that of this process, from which the other one is forked.
    program = (
        "from pathlib import Path; from stream.cli import app\n"
        "try:\n    app()\n"
        "finally:\n    print(Path('/proc/self/status').read_text().split('VmHWM:')[1].split()[0])"
    )
    peaks = []
    for partition in (3, 0):
        words = [
            "dlq",
            "replay",
            "--topic",
            dead,
            "--partition",
            str(partition),
            "--broker",
            apache_kafka.address,
        ]
        done = subprocess.run(
            [sys.executable, "-c", program, *words],
            check=True,
            capture_output=True,
            text=True,
            env=environment(),
        )
        peaks.append(int(done.stdout.split()[-1]) / 1024)
    assert sent(apache_kafka, source) == 9_000
    assert peaks[1] - peaks[0] < 40, f"{peaks} MiB"


PAGE = (Path(__file__).parents[2] / "docs" / "dlq.md").read_text(encoding="utf-8")
COMMANDS = [
    line
    for block in re.findall(r"^```sh\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)
    for line in block.splitlines()
]


def test_the_commands_of_the_page_succeed_in_their_order(
    embedded_broker: EmbeddedBroker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, dead = make_topics(embedded_broker)
    retry = embedded_broker.create_topic("texts-retry")
    produce_dead_letters(embedded_broker, dead, source, 8)
    monkeypatch.setenv("LABELSTREAM_DEAD_TOPIC", dead)
    monkeypatch.chdir(tmp_path)
    assert len(COMMANDS) > 10
    for command in COMMANDS:
        words = shlex.split(command)
        if words[:2] == ["labelstream", "dlq"]:
            code, out = attempt(embedded_broker, *words[2:])
            assert code == 0, f"{command}: {out}"
        else:
            subprocess.run(words, check=True)
    assert set(sent_ids(embedded_broker, source)) | set(sent_ids(embedded_broker, retry)) == {
        f"e-{n}" for n in range(8)
    }
