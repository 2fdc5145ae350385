"""The worker's settings as options of `faust.App`."""

from typing import Any

import faust

from stream.kafka.connection import client_options, security_options
from stream.kafka.group import SESSION_TIMEOUT_S
from stream.kafka.transaction_errors import TRANSACTION_TIMEOUT_S
from stream.settings import Settings

POLL_RECORDS = 8_192
COMMIT_INTERVAL_S = 1.0
HEARTBEAT_S = 2.0
REBALANCE_TIMEOUT_S = 30.0
REQUEST_TIMEOUT_S = 30.0
PRODUCE_BATCH_BYTES = 2**19
TRANSACTION_RETRY_MS = 10


def faust_options(settings: Settings) -> dict[str, Any]:
    """Return the keyword arguments of `faust.App`.

    Raises:
        UsageError: the credentials cannot be read.
    """
    return {
        "broker": [f"kafka://{server}" for server in client_options(settings)["bootstrap_servers"]],
        "broker_credentials": _credentials(settings),
        "broker_client_id": "labelstream",
        "broker_commit_interval": COMMIT_INTERVAL_S,
        "broker_max_poll_records": POLL_RECORDS,
        "broker_session_timeout": SESSION_TIMEOUT_S,
        "broker_heartbeat_interval": HEARTBEAT_S,
        "broker_rebalance_timeout": REBALANCE_TIMEOUT_S,
        "broker_request_timeout": REQUEST_TIMEOUT_S,
        "consumer_metadata_max_age_ms": round(settings.metadata_max_age_s * 1000),
        # The consumer thread detects and reports offsets outside the log; a reset policy would be silent.
        "consumer_auto_offset_reset": "none",
        "producer_acks": -1,
        "producer_compression_type": None if settings.compression == "none" else settings.compression,
        "producer_linger": 0.0,
        "producer_max_batch_size": PRODUCE_BATCH_BYTES,
        "producer_metadata_max_age_ms": round(settings.metadata_max_age_s * 1000),
        "producer_request_timeout": REQUEST_TIMEOUT_S,
        "producer_threaded": False,
        "store": "memory://",
        # BatchConsumer.drain waits and commits at a rebalance and at a stop.
        "stream_wait_empty": False,
        "table_standby_replicas": 0,
        "topic_allow_declare": False,
        "topic_disable_leader": True,
        "web_enabled": False,
        "autodiscover": False,
    }


def transactional_options(settings: Settings) -> dict[str, Any]:
    """Return the keyword arguments of the transactional `AIOKafkaProducer`s, without the transactional id.

    Raises:
        UsageError: the credentials cannot be read.
    """
    return {
        **client_options(settings),
        "client_id": "labelstream",
        "compression_type": None if settings.compression == "none" else settings.compression,
        "linger_ms": 0,
        "max_batch_size": PRODUCE_BATCH_BYTES,
        "metadata_max_age_ms": round(settings.metadata_max_age_s * 1000),
        "request_timeout_ms": round(REQUEST_TIMEOUT_S * 1000),
        # A broker asks for retries while it writes the end of the previous transaction.
        "retry_backoff_ms": TRANSACTION_RETRY_MS,
        "transaction_timeout_ms": round(TRANSACTION_TIMEOUT_S * 1000),
    }


def _credentials(settings: Settings) -> Any:
    if settings.security_protocol == "PLAINTEXT":
        return None
    options = security_options(settings)
    context = options.get("ssl_context")
    if settings.security_protocol == "SSL":
        return faust.SSLCredentials(context)
    return faust.SASLCredentials(
        username=options["sasl_plain_username"],
        password=options["sasl_plain_password"],
        mechanism=options["sasl_mechanism"],
        ssl_context=context,
    )
