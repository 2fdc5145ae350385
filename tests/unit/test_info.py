"""What /info tells, and what it keeps to itself."""

import orjson

from stream import __version__
from stream.settings import load_settings
from stream.worker.info import describe, worker_name


def test_secrets_are_not_told() -> None:
    settings = load_settings(
        {
            "redis_url": "rediss://someone:hunter2@cache:6379/0",
            "sasl_password": "hunter3",
            "sasl_username": "me",
            "group": "g",
        }
    )
    told = orjson.dumps(describe(settings, [], [], "2026-11-20T10:00:00+00:00"), default=str).decode()
    assert "hunter" not in told
    assert "someone" not in told
    assert '"sasl_username":"me"' in told


def test_a_worker_tells_who_it_is_and_what_it_reads() -> None:
    assigned = [("chat", 0), ("mail", 1), ("mail", 3)]
    told = describe(load_settings({"group": "g"}), [], assigned, "2026-11-20T10:00:00+00:00")
    assert told["partitions"] == {"chat": [0], "mail": [1, 3]}
    assert (told["version"], told["worker"], told["group"]) == (__version__, worker_name(), "g")
    assert told["started_at"] == "2026-11-20T10:00:00+00:00"
    assert {"python", "aiokafka", "faust-streaming", "tokenizers"} <= told["versions"].keys()
    assert told["settings"]["log_interval_s"] == 60
    assert told["settings"]["log_texts"] is False
    orjson.dumps(told)
