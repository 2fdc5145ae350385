"""The answer of /info: the worker and its partitions, without secrets."""

import orjson

from stream import __version__
from stream.settings import load_settings
from stream.worker.status import describe, worker_name


def test_info_contains_no_secrets() -> None:
    settings = load_settings(
        {
            "redis_url": "rediss://someone:hunter2@cache:6379/0",
            "sasl_password": "hunter3",
            "sasl_username": "me",
            "group": "g",
        }
    )
    info = orjson.dumps(describe(settings, [], [], "2026-11-20T10:00:00+00:00"), default=str).decode()
    assert "hunter" not in info
    assert "someone" not in info
    assert '"sasl_username":"me"' in info


def test_info_names_the_worker_and_its_partitions() -> None:
    assigned = [("chat", 0), ("mail", 1), ("mail", 3)]
    info = describe(load_settings({"group": "g"}), [], assigned, "2026-11-20T10:00:00+00:00")
    assert info["partitions"] == {"chat": [0], "mail": [1, 3]}
    assert (info["version"], info["worker"], info["group"]) == (__version__, worker_name(), "g")
    assert info["started_at"] == "2026-11-20T10:00:00+00:00"
    assert {"python", "aiokafka", "faust-streaming", "tokenizers"} <= info["versions"].keys()
    assert info["settings"]["log_interval_s"] == 60
    assert info["settings"]["log_texts"] is False
    orjson.dumps(info)
