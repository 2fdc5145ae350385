"""`stream.kafka.faust` uses these private names of Faust, mode and aiokafka, and no other module uses any."""

import ast
import importlib
import inspect
import pkgutil
import re
from collections.abc import Iterator
from pathlib import Path

import faust
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.client import AIOKafkaClient
from aiokafka.cluster import ClusterMetadata
from aiokafka.consumer import fetcher, group_coordinator
from aiokafka.consumer.fetcher import Fetcher, FetchResult, PartitionRecords
from aiokafka.consumer.group_coordinator import GroupCoordinator
from aiokafka.consumer.subscription_state import Assignment
from aiokafka.producer import sender
from aiokafka.producer.message_accumulator import MessageAccumulator, MessageBatch
from aiokafka.producer.sender import AddPartitionsToTxnHandler, Sender, SendProduceReqHandler
from aiokafka.producer.transaction_manager import TransactionManager, TransactionState
from aiokafka.protocol.abstract import AbstractType
from aiokafka.protocol.api import Request, RequestStruct
from aiokafka.protocol.commit import OffsetFetchRequest, OffsetFetchRequest_v3
from aiokafka.protocol.produce import ProduceRequest, ProduceRequest_v8
from aiokafka.record.default_records import DefaultRecordBatchBuilder
from aiokafka.record.memory_records import MemoryRecords
from faust.app.base import App
from faust.streams import Stream
from faust.topics import Topic
from faust.transport import conductor
from faust.transport import consumer as faust_consumer
from faust.transport.drivers import aiokafka as driver
from mode.utils.queues import FlowControlQueue

import stream
import stream.kafka.faust
from stream.kafka.faust.packed_batch import PackedBatch
from stream.kafka.faust.unpack import IndexedMemoryRecords

UPGRADE = (
    "the pinned Faust, mode or aiokafka has changed: read docs/adr/0002, compare stream/kafka/faust with the "
    "new sources, run tests/broker and tests/fault, then update this list"
)

PRIVATE_NAMES: dict[object, tuple[str, ...]] = {
    App: ("_consumer", "_new_transport", "_create_directories"),
    Topic: ("_clone_args",),
    conductor.Conductor: ("_topic_name_index",),
    faust_consumer.ThreadDelegateConsumer: ("_thread",),
    faust_consumer.Consumer: (
        "_committed_offset",
        "_commit_offsets",
        "_filter_committable_offsets",
        "_filter_tps_with_pending_acks",
        "_get_active_partitions",
        "_read_offset",
        "_wait_next_records",
    ),
    driver.Consumer: ("_getmany", "_new_consumer_thread"),
    driver.AIOKafkaConsumerThread: (
        "_commit",
        "_create_worker_consumer",
        "_ensure_consumer",
        "_fetch_records",
    ),
    driver.Producer: ("_new_producer", "_producer", "_settings_extra"),
    AIOKafkaConsumer: (
        "_client",
        "_coordinator",
        "_fetch_max_wait_ms",
        "_fetcher",
        "_isolation_level",
        "_subscription",
    ),
    GroupCoordinator: (
        "_client",
        "_closing",
        "_commit_refresh_task",
        "_coordination_task",
        "_heartbeat_task",
        "_max_poll_interval",
        "_push_error_to_user",
        "_send_req",
        "_subscription",
    ),
    AIOKafkaClient: ("_wait_on_metadata",),
    AIOKafkaProducer: ("_message_accumulator", "_sender", "_txn_manager"),
    MessageAccumulator: ("_batch_size", "_batch_ttl", "_compression_type", "_txn_manager"),
    MessageBatch: ("_builder",),
    Sender: ("_sender_task", "_txn_manager"),
    SendProduceReqHandler: ("_batches", "_sender"),
    TransactionManager: ("_sequence_numbers",),
    ProduceRequest: ("_CLASSES",),
    OffsetFetchRequest: ("_consumer_group", "_partitions"),
    Fetcher: ("_fetch_max_wait_ms", "_fetch_min_bytes", "_records"),
    FetchResult: ("_partition_records", "_topic_partition", "_update_position"),
    PartitionRecords: (
        "_aborted_producers",
        "_aborted_transactions",
        "_check_crcs",
        "_consume_aborted_up_to",
        "_contains_abort_marker",
        "_isolation_level",
        "_key_deserializer",
        "_records",
        "_records_iterator",
        "_tp",
        "_unpack_records",
        "_value_deserializer",
    ),
}

OVERRIDDEN_OR_CALLED: dict[object, tuple[str, ...]] = {
    App: ("consumer_generation_id", "create_event", "on_rebalance_start", "on_stop"),
    driver.Transport: ("create_consumer", "create_producer"),
    faust.Worker: ("install_signal_handlers", "spinner"),
    Stream: ("enable_acks",),
    faust_consumer.Consumer: (
        "can_resume_flow",
        "flow_active",
        "maybe_wait_for_commit_to_finish",
        "not_waiting_next_records",
        "on_partitions_assigned",
        "on_partitions_revoked",
        "perform_seek",
        "stop_flow",
        "suspend_flow",
        "verify_event_path",
    ),
    driver.Consumer: ("on_task_error", "wait_first"),
    driver.AIOKafkaConsumerThread: ("call_thread", "getmany", "on_thread_stop"),
    AIOKafkaConsumer: ("end_offsets", "highwater", "last_stable_offset"),
    Assignment: ("all_consumed_offsets",),
    AIOKafkaClient: ("coordinator_lookup", "force_metadata_update", "ready", "send"),
    ClusterMetadata: ("add_listener", "unauthorized_topics"),
    GroupCoordinator: (
        "coordinator_dead",
        "coordinator_id",
        "fetch_committed_offsets",
        "request_rejoin",
        "start_commit_offsets_refresh_task",
    ),
    Request: ("build", "prepare"),
    RequestStruct: ("FLEXIBLE_VERSION", "build_request_header"),
    AbstractType: ("decode", "encode"),
    AIOKafkaProducer: (
        "abort_transaction",
        "begin_transaction",
        "client",
        "commit_transaction",
        "create_batch",
        "partitions_for",
        "send_batch",
        "send_offsets_to_transaction",
    ),
    MessageAccumulator: ("flush", "reenqueue"),
    MessageBatch: ("failure",),
    SendProduceReqHandler: ("create_request", "handle_response"),
    TransactionManager: ("increment_sequence_number", "state", "wait_for_transaction_end"),
    FetchResult: ("check_assignment", "getall", "has_more"),
    PartitionRecords: ("next_fetch_offset",),
    DefaultRecordBatchBuilder: ("append",),
    FlowControlQueue: ("clear", "force_put_nowait"),
}
"""Public names without a promise of stability: overridden, patched, or not documented."""

LISTED = {name for names in PRIVATE_NAMES.values() for name in names}
LIBRARIES = ("faust", "mode", "aiokafka")
PACKAGE = Path(stream.kafka.faust.__file__).parent


def has_name(owner: object, name: str) -> bool:
    """Return whether a class has a name, as a class attribute or as an attribute that its methods use."""
    assert isinstance(owner, type)
    sources = (inspect.getsource(base) for base in owner.__mro__ if base.__module__.startswith(LIBRARIES))
    return hasattr(owner, name) or any(re.search(rf"\bself\.{name}\b", source) for source in sources)


@pytest.mark.parametrize(
    ("owner", "name"),
    [
        (owner, name)
        for names in (PRIVATE_NAMES, OVERRIDDEN_OR_CALLED)
        for owner, listed in names.items()
        for name in listed
    ],
)
def test_the_library_has_the_name(owner: type, name: str) -> None:
    assert has_name(owner, name), f"{owner.__name__}.{name}: {UPGRADE}"


# ---- the list is complete, and no other module uses a private name ---------------------------------------


def is_private(name: str) -> bool:
    return name.startswith("_") and not name.startswith("__")


def own_names(tree: ast.AST) -> set[str]:
    """Return the functions and the attributes of `self` that a piece of code defines."""
    return {
        node.name if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) else node.attr
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        or (isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store) and is_self(node.value))
    }


def is_self(node: ast.expr) -> bool:
    return isinstance(node, ast.Name) and node.id in ("self", "cls")


def foreign_attributes(tree: ast.AST) -> Iterator[ast.Attribute]:
    """Yield the private attributes that a module uses of objects other than its own `self`."""
    own = own_names(tree)
    for node in ast.walk(tree):
        if (
            isinstance(node, ast.Attribute)
            and is_private(node.attr)
            and not (is_self(node.value) and node.attr in own)
        ):
            yield node


def modules(*, inside: bool) -> Iterator[tuple[str, ast.Module]]:
    """Yield the path and the code of the modules of `stream` inside or outside `stream/kafka/faust`."""
    root = Path(stream.__file__).parent
    for path in sorted(root.rglob("*.py")):
        if (PACKAGE in path.parents) == inside:
            yield str(path.relative_to(root)), ast.parse(path.read_text(encoding="utf-8"))


def test_every_private_name_that_is_used_is_listed() -> None:
    used = {node.attr for _, tree in modules(inside=True) for node in foreign_attributes(tree)}
    assert used <= LISTED, f"add it to PRIVATE_NAMES: {UPGRADE}"


def test_every_private_name_that_is_overridden_is_listed() -> None:
    overridden = set()
    for info in pkgutil.iter_modules([str(PACKAGE)], "stream.kafka.faust."):
        for owner in vars(importlib.import_module(info.name)).values():
            if isinstance(owner, type) and owner.__module__ == info.name:
                foreign = [base for base in owner.__mro__[1:] if base.__module__.split(".")[0] in LIBRARIES]
                overridden |= {
                    name
                    for name in vars(owner)
                    if is_private(name) and any(hasattr(base, name) for base in foreign)
                }
    # `abc` and `mode` set some names on every class.
    assert {name for name in overridden if not name.startswith("_abc")} <= LISTED, UPGRADE
    assert "_wait_next_records" in overridden


def test_no_listed_name_is_unused() -> None:
    trees = [tree for _, tree in modules(inside=True)]
    used = {node.attr for tree in trees for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    defined = {name for tree in trees for name in own_names(tree)}
    assert used | defined >= LISTED, "remove it from PRIVATE_NAMES"


def test_no_other_module_uses_a_private_name() -> None:
    users = {
        f"{path}: {ast.unparse(node)}"
        for path, tree in modules(inside=False)
        for node in foreign_attributes(tree)
        if node.attr in LISTED
    }
    # OpenTelemetry's exporter has a private attribute of this name as well.
    assert users == {"tracing/otlp/exporters.py: self._client"}, "move the code into stream/kafka/faust"


def imported_from(tree: ast.AST, packages: tuple[str, ...]) -> set[str]:
    """Return the names in a module that come from these packages."""
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {
                alias.asname or alias.name.split(".")[0]
                for alias in node.names
                if alias.name.split(".")[0] in packages
            }
        elif isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] in packages:
            names |= {alias.asname or alias.name for alias in node.names}
    return names


def test_no_other_module_imports_faust_or_mode() -> None:
    importers = {path for path, tree in modules(inside=False) if imported_from(tree, ("faust", "mode"))}
    assert not importers, "move the code into stream/kafka/faust"


def test_no_other_module_subclasses_or_patches_the_libraries() -> None:
    violations = set()
    for path, tree in modules(inside=False):
        foreign = imported_from(tree, LIBRARIES)
        for node in ast.walk(tree):
            if isinstance(node, ast.ClassDef):
                bases = {ast.unparse(base).split(".")[0] for base in node.bases}
                violations |= {f"{path}: class {node.name}({base})" for base in bases & foreign}
            elif (
                isinstance(node, ast.Attribute)
                and isinstance(node.ctx, ast.Store)
                and ast.unparse(node.value).split(".")[0] in foreign
            ):
                violations.add(f"{path}: {ast.unparse(node)} = ...")
    assert not violations, "move the code into stream/kafka/faust"


def test_the_libraries_read_the_attributes_that_are_set() -> None:
    source = inspect.getsource(AIOKafkaConsumer)
    for name in ("_fetch_max_wait_ms", "_isolation_level"):
        assert source.count(f"self.{name}") >= 2, f"AIOKafkaConsumer.{name}: {UPGRADE}"
    fetch = inspect.getsource(Fetcher._get_actions_per_node)
    for name in ("_fetch_min_bytes", "_fetch_max_wait_ms"):
        assert f"self.{name}" in fetch, f"Fetcher.{name}: {UPGRADE}"
    initial = inspect.getsource(faust_consumer.Consumer.__init__)
    for name in (
        "_read_offset",
        "_committed_offset",
        "can_resume_flow",
        "suspend_flow",
        "not_waiting_next_records",
    ):
        assert f"self.{name}" in initial, f"Consumer.{name}: {UPGRADE}"


def test_a_record_builder_accepts_only_a_list_of_headers_and_reports_when_it_is_full() -> None:
    builder = DefaultRecordBatchBuilder(2, 0, 0, -1, -1, 0, 100)
    with pytest.raises(TypeError):
        builder.append(0, 1_000, b"k", b"v", (("h", b"1"),))
    builder = DefaultRecordBatchBuilder(2, 0, 0, -1, -1, 0, 100)
    assert builder.append(0, 1_000, b"k", b"v" * 500, []) is not None, "the first record always fits"
    assert builder.append(1, 1_000, b"k", b"v", []) is None, UPGRADE


def test_a_packed_batch_has_every_attribute_that_the_producer_uses() -> None:
    used = set()
    for owner in (MessageBatch, MessageAccumulator):
        used |= set(re.findall(r"_builder\.(\w+)", inspect.getsource(owner)))
    # The producer calls `append` only for single records.
    missing = {name for name in used - {"append"} if not hasattr(PackedBatch, name)}
    assert used, UPGRADE
    assert not missing, f"{missing}: {UPGRADE}"
    added = inspect.getsource(MessageAccumulator.add_batch)
    assert "_append_batch(builder, tp)" in added, UPGRADE
    initial = inspect.getsource(MessageAccumulator.__init__)
    for name in ("_batch_size", "_compression_type", "_txn_manager"):
        assert f"self.{name} = " in initial, f"MessageAccumulator.{name}: {UPGRADE}"


def test_the_fetcher_creates_memory_records_by_a_name_that_can_be_replaced() -> None:
    assert "MemoryRecords(part_data[-1])" in inspect.getsource(Fetcher._proc_fetch_request), UPGRADE
    assert fetcher.MemoryRecords in (MemoryRecords, IndexedMemoryRecords), UPGRADE
    uses = set(re.findall(r"\brecords\.(\w+)\(", inspect.getsource(fetcher)))
    assert uses == {"has_next", "next_batch", "size_in_bytes"}, UPGRADE
    drained = inspect.getsource(Fetcher.fetched_records)
    assert "type(res_or_error) is FetchResult" in drained, UPGRADE
    assert "res_or_error.getall(max_records)" in drained, UPGRADE
    for name in ("check_assignment", "has_more", "_update_position"):
        assert hasattr(FetchResult, name), f"FetchResult.{name}: {UPGRADE}"
    assert "self._topic_partition = " in inspect.getsource(FetchResult.__init__), UPGRADE


def test_the_fetcher_keeps_responses_in_a_dict_and_unpacks_them_record_by_record() -> None:
    assert "self._records = collections.OrderedDict()" in inspect.getsource(Fetcher.__init__), UPGRADE
    assert "self._records[tp] = FetchResult(" in inspect.getsource(Fetcher._proc_fetch_request), UPGRADE
    drained = inspect.getsource(FetchResult.getall) + inspect.getsource(FetchResult._update_position)
    assert "for msg in self._partition_records:" in drained, UPGRADE
    assert "self._partition_records.next_fetch_offset" in drained, UPGRADE
    initial = inspect.getsource(PartitionRecords.__init__)
    for name in (
        "_tp",
        "_records",
        "_aborted_transactions",
        "_aborted_producers",
        "_key_deserializer",
        "_value_deserializer",
        "_check_crcs",
        "_isolation_level",
        "next_fetch_offset",
    ):
        assert f"self.{name} = " in initial, f"PartitionRecords.{name}: {UPGRADE}"
    assert "self._records_iterator = self._unpack_records()" in initial, UPGRADE
    for name in ("_consume_aborted_up_to", "_contains_abort_marker"):
        assert hasattr(PartitionRecords, name), f"PartitionRecords.{name}: {UPGRADE}"


def test_the_coordinator_calls_the_methods_that_are_replaced() -> None:
    source = inspect.getsource(group_coordinator)
    assert source.count("await self._push_error_to_user(exc)") == source.count("_push_error_to_user(") - 1
    assert "await self._coordinator._send_req(request)" in source, UPGRADE
    assert "await self._client.coordinator_lookup(" in source, UPGRADE
    assert "idle_time >= self._max_poll_interval" in source, UPGRADE
    fetched = inspect.getsource(GroupCoordinator._do_fetch_commit_offsets)
    # If it reads the error code of the response one day, `CoordinatorWatch.send` need not raise it.
    assert "response.error_code" not in fetched, UPGRADE


def test_fausts_producer_holds_the_aiokafka_producer() -> None:
    source = inspect.getsource(driver.Producer)
    assert "self._producer = self._new_producer()" in source, UPGRADE
    assert "aiokafka.AIOKafkaProducer" in inspect.getsource(driver.Producer._new_producer), UPGRADE


async def test_faust_finds_the_channels_of_a_topic_by_its_name() -> None:
    app = faust.App("index", broker="kafka://127.0.0.1:1")
    topic = app.topic("texts")
    app.topics.add(topic)
    await app.topics._update_indices()
    assert app.topics._topic_name_index["texts"] == {topic}, UPGRADE


def test_a_stream_does_not_acknowledge_events_if_acks_are_disabled() -> None:
    assert "do_ack = self.enable_acks" in inspect.getsource(Stream), UPGRADE


def test_a_batch_is_sent_again_through_the_accumulator() -> None:
    assert "self._message_accumulator = " in inspect.getsource(AIOKafkaProducer), UPGRADE
    assert "_message_accumulator.reenqueue(batch)" in inspect.getsource(SendProduceReqHandler), UPGRADE


def test_the_consumer_holds_its_client() -> None:
    assert "self._client = AIOKafkaClient(" in inspect.getsource(AIOKafkaConsumer), UPGRADE


def test_the_sender_creates_the_response_handler_by_a_name_that_can_be_replaced() -> None:
    assert "handler = SendProduceReqHandler(self, batches)" in inspect.getsource(sender), UPGRADE
    handled = inspect.getsource(SendProduceReqHandler.handle_response)
    assert (
        "batch = self._batches.get(tp)\n                if batch is None:\n                    continue"
        in handled
    )
    assert "for topic, partitions in response.topics:" in handled, UPGRADE
    sent = inspect.getsource(Sender._send_produce_req)
    assert "for tp in batches:" in sent, f"the sender iterates over its own dict: {UPGRADE}"


def test_the_sequence_number_advances_when_a_batch_is_sent_and_one_batch_is_in_flight() -> None:
    popped = inspect.getsource(MessageAccumulator._pop_batch)
    assert "increment_sequence_number(batch.tp, batch.record_count)" in popped, UPGRADE
    assert "base_sequence=seq" in popped, UPGRADE
    assert "muted_partitions" in inspect.getsource(MessageAccumulator.drain_by_nodes), UPGRADE
    routine = inspect.getsource(Sender._sender_routine)
    assert "self._muted_partitions.add(tp)" in routine, UPGRADE


def test_a_batch_expires_by_the_accumulators_time_and_a_stop_flushes() -> None:
    assert "MessageBatch(tp, builder, self._batch_ttl" in inspect.getsource(MessageAccumulator), UPGRADE
    assert "await self.flush()" in inspect.getsource(MessageAccumulator.close), UPGRADE


def test_aiokafka_reads_version_8_of_the_produce_response_and_does_not_request_it() -> None:
    assert ProduceRequest_v8 not in ProduceRequest._CLASSES, f"remove create_request: {UPGRADE}"
    assert "reversed(self._CLASSES)" in inspect.getsource(ProduceRequest.prepare), UPGRADE
    assert "global_error,\n" in inspect.getsource(SendProduceReqHandler.handle_response), UPGRADE


def test_aiokafka_does_not_request_stable_offsets_and_reads_version_3() -> None:
    assert OffsetFetchRequest._CLASSES[-1] is OffsetFetchRequest_v3, f"remove stable_offsets: {UPGRADE}"
    fetched = inspect.getsource(GroupCoordinator._do_fetch_commit_offsets)
    assert "request = OffsetFetchRequest(self.group_id, list(partitions_by_topic.items()))" in fetched
    assert "for partition, offset, metadata, error_code in topic_partitions:" in fetched, UPGRADE
    assert "if not err.retriable:" in inspect.getsource(GroupCoordinator.fetch_committed_offsets), UPGRADE


def test_a_transaction_that_can_be_aborted_is_in_one_of_two_states() -> None:
    valid = inspect.getsource(TransactionState.is_transition_valid)
    assert "source in [cls.IN_TRANSACTION, cls.ABORTABLE_ERROR]" in valid, UPGRADE
    # `commit_transaction` succeeds although the broker refused a batch, so the publisher awaits every batch.
    assert "batch.failure" not in inspect.getsource(Sender._do_txn_commit), UPGRADE
    assert "accumulator.flush_for_commit()" in inspect.getsource(Sender._do_txn_commit), UPGRADE
    handled = inspect.getsource(AddPartitionsToTxnHandler.handle_response)
    assert "return BACKOFF_OVERRIDE" in handled, UPGRADE
    assert "fail_all(task_exception)" in inspect.getsource(Sender._fail_all), UPGRADE
