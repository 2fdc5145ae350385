"""A check of the consumer group that neither joins nor disturbs it, for `labelstream doctor`."""

import asyncio

from aiokafka.client import CoordinationType
from aiokafka.conn import AIOKafkaConnection
from aiokafka.coordinator.assignors.roundrobin import RoundRobinPartitionAssignor
from aiokafka.coordinator.protocol import ConsumerProtocol
from aiokafka.errors import IncompatibleBrokerVersion, KafkaError, TransactionalIdAuthorizationFailed
from aiokafka.protocol.admin import ApiVersionRequest, DescribeGroupsRequest
from aiokafka.protocol.commit import OffsetFetchRequest
from aiokafka.protocol.coordination import FindCoordinatorRequest
from aiokafka.protocol.group import HeartbeatRequest, JoinGroupRequest, LeaveGroupRequest
from aiokafka.protocol.transaction import InitProducerIdRequest

from stream.kafka.connection import connect, connection_error, parse_servers
from stream.kafka.group import GROUP_DENIED, SESSION_TIMEOUT_S, TEMPORARY, Answer, refusal_error
from stream.kafka.permissions import transactional_id, transactions_error
from stream.records import Source
from stream.settings import Settings

TIMEOUT_S = 5.0
ATTEMPTS, RETRY_S = 15, 0.2
MEMBER_ID_REQUIRED = 79
# The broker checks the permission before the timeout of a transaction, and changes nothing.
INVALID_TIMEOUT_MS = 0
# From this version on the broker answers a new member with its id, before it changes the group.
JOIN_VERSION = 5
NOBODY = "labelstream-doctor"


async def check_group(settings: Settings, timeout_s: float = TIMEOUT_S) -> int | None:
    """Send the group requests of a worker that change nothing.

    Returns:
        The number of the group's members, None if the broker does not describe the group.

    Raises:
        BrokerError: the broker does not answer, or a worker could not join the group or read its offsets.
    """
    try:
        async with asyncio.timeout(timeout_s):
            host, port = await _find_coordinator(settings)
            async with connect(settings, [(host, port)]) as coordinator:
                await _check_permissions(settings, coordinator)
                await _check_transactions(settings, coordinator)
                return await _describe(settings, coordinator)
    except (OSError, EOFError, KafkaError) as exc:
        raise connection_error(settings, exc) from exc


async def _find_coordinator(settings: Settings) -> tuple[str, int]:
    request = FindCoordinatorRequest(settings.group, CoordinationType.GROUP)
    async with connect(settings, parse_servers(settings.broker)) as connection:
        for _ in range(ATTEMPTS):
            response = await connection.send(request)
            if response.error_code not in TEMPORARY:
                break
            # The first request for any group makes the broker create the topic of the offsets.
            await asyncio.sleep(RETRY_S)
    if response.error_code:
        raise refusal_error(settings, Answer("FindCoordinator", response.error_code))
    return response.host, response.port


async def _check_permissions(settings: Settings, coordinator: AIOKafkaConnection) -> None:
    # The broker checks the permission before it looks for the member, which does not exist.
    heartbeat = await coordinator.send(HeartbeatRequest(settings.group, 0, NOBODY))
    topics = [(route.input_topic, [0]) for route in settings.effective_routes]
    offsets = await coordinator.send(OffsetFetchRequest(settings.group, topics))
    for request, response in (("Heartbeat", heartbeat), ("OffsetFetch", offsets)):
        if getattr(response, "error_code", 0) == GROUP_DENIED:
            raise refusal_error(settings, Answer(request, GROUP_DENIED))


async def _check_transactions(settings: Settings, broker: AIOKafkaConnection) -> None:
    """Check the permission for transactions with a request that the broker refuses for its timeout."""
    for route in settings.effective_routes:
        if route.delivery == "exactly_once":
            identity = transactional_id(settings.group, Source(route.input_topic, 0))
            response = await broker.send(InitProducerIdRequest(identity, INVALID_TIMEOUT_MS))
            if response.error_code == TransactionalIdAuthorizationFailed.errno:
                raise transactions_error(settings)


async def _describe(settings: Settings, coordinator: AIOKafkaConnection) -> int | None:
    try:
        response = await coordinator.send(DescribeGroupsRequest([settings.group]))
    except IncompatibleBrokerVersion:
        return None
    _, _, state, kind, assignor, members = response.groups[0][:6]
    if members and (kind, assignor) != (ConsumerProtocol.PROTOCOL_TYPE, RoundRobinPartitionAssignor.name):
        # The members may still support the assignor of labelstream as their second choice.
        await _try_to_join(settings, coordinator)
    # Kafka describes a group of the newer protocol (KIP-848) like one that does not exist.
    return None if state == "Dead" else len(members)


async def _try_to_join(settings: Settings, coordinator: AIOKafkaConnection) -> None:
    """Ask for a member id, which the broker refuses to a member that does not fit into the group."""
    versions = await coordinator.send(ApiVersionRequest())
    newest = {key: last for key, _, last in versions.api_versions}
    if newest.get(JoinGroupRequest.API_KEY, 0) < JOIN_VERSION:
        return
    topics = {route.input_topic for route in settings.effective_routes}
    metadata = RoundRobinPartitionAssignor.metadata(topics).encode()
    request = JoinGroupRequest(
        settings.group,
        int(SESSION_TIMEOUT_S * 1000),
        int(SESSION_TIMEOUT_S * 1000),
        JoinGroupRequest.UNKNOWN_MEMBER_ID,
        None,
        ConsumerProtocol.PROTOCOL_TYPE,
        [(RoundRobinPartitionAssignor.name, metadata)],
    )
    response = await coordinator.send(request)
    if response.member_id:
        # A rebalance would wait for the member of this id.
        await coordinator.send(LeaveGroupRequest(settings.group, response.member_id))
    if response.error_code not in (0, MEMBER_ID_REQUIRED):
        raise refusal_error(settings, Answer("JoinGroup", response.error_code))
