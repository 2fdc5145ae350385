"""The addresses of a running stack; the tests are skipped without them."""

import os
from collections.abc import Iterator

import pytest
import redis

from tests.compose.stack import StackBroker

BROKER, REDIS, WEB = "LABELSTREAM_TEST_BROKER", "LABELSTREAM_TEST_REDIS", "LABELSTREAM_TEST_WEB"


@pytest.fixture(scope="session")
def addresses() -> dict[str, str]:
    """The addresses of broker, Redis and web port."""
    configured = {name: os.environ.get(name, "") for name in (BROKER, REDIS, WEB)}
    if not all(configured.values()):
        pytest.skip("these tests need a stack that is up: docker-compose run --rm tests")
    return configured


@pytest.fixture
def stack_broker(addresses: dict[str, str]) -> StackBroker:
    """The stack's Kafka."""
    return StackBroker(addresses[BROKER])


@pytest.fixture
def stack_redis(addresses: dict[str, str]) -> Iterator["redis.Redis"]:
    """The stack's Redis."""
    client = redis.Redis.from_url(addresses[REDIS])
    yield client
    client.close()


@pytest.fixture
def web_addresses(addresses: dict[str, str]) -> list[str]:
    """The known web addresses of the workers."""
    return addresses[WEB].split(",")
