"""Random kills, terminations, joins and pauses from a seed; the ids are reconciled at the end."""

import os
import random

import pytest

from tests.fault.traffic import RECOVERY_S, Traffic, check_nothing_lost
from tests.pipeline import StartWorker, make_route, start_worker, tiny_bundle
from tests.real.kafka import ApacheKafka
from tests.real.wait import until
from tests.real.worker import WorkerProcess

__all__ = ["start_worker", "tiny_bundle"]

ACTIONS = 8
# For a longer run: LABELSTREAM_TEST_CHAOS_SEEDS=1,2,3 make test
SEEDS = [int(seed) for seed in os.environ.get("LABELSTREAM_TEST_CHAOS_SEEDS", "11").split(",")]
MAX_WORKERS = 3


@pytest.mark.slow
@pytest.mark.timeout(400)
@pytest.mark.parametrize("seed", SEEDS)
def test_chaos_loses_nothing(apache_kafka: ApacheKafka, start_worker: StartWorker, seed: int) -> None:
    generator = random.Random(seed)
    route = make_route(apache_kafka, "chaos")
    workers: list[WorkerProcess] = [start_worker(apache_kafka, route)]
    done: list[str] = []
    with Traffic(apache_kafka, route) as traffic:
        for _ in range(ACTIONS):
            action = generator.choice(["kill", "term", "join", "pause"])
            worker = generator.choice(workers)
            if action == "join" and len(workers) < MAX_WORKERS:
                workers.append(start_worker(apache_kafka, route, ready=False))
            elif action == "pause":
                worker.pause()
                if len(workers) > 1:
                    await_more_labels(apache_kafka, worker)
                worker.resume()
            else:
                workers.remove(worker)
                worker.kill() if action == "kill" else worker.stop()
                workers.append(start_worker(apache_kafka, route, ready=not workers))
            done.append(action)
            await_more_labels(apache_kafka, worker)
    print(f"seed {seed}: {', '.join(done)}")
    check_nothing_lost(apache_kafka, traffic, route)
    until(
        lambda: apache_kafka.committed(workers[0].group, route) == apache_kafka.end_offsets(route),
        RECOVERY_S,
        "every offset committed",
    )


def await_more_labels(kafka: ApacheKafka, worker: WorkerProcess) -> None:
    """Wait until any worker labels more events."""
    before = sum(kafka.end_offsets(worker.labels).values())
    until(
        lambda: sum(kafka.end_offsets(worker.labels).values()) > before + 40, RECOVERY_S, "labels under load"
    )
