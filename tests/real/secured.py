"""Apache Kafka with a listener on which a user may do only what a test grants."""

from pathlib import Path
from typing import Any

from confluent_kafka.admin import (
    AclBinding,
    AclBindingFilter,
    AclOperation,
    AclPermissionType,
    ResourcePatternType,
    ResourceType,
)

from tests.real.client import BrokerClient
from tests.real.components import Notify
from tests.real.kafka import ApacheKafka
from tests.real.kafka_sources import PASSWORD, USER, find_secured_kafka
from tests.real.process import free_ports
from tests.real.retry import DEADLINE_S

GROUP, TOPIC = ResourceType.GROUP, ResourceType.TOPIC
TRANSACTIONAL_ID = ResourceType.TRANSACTIONAL_ID
READ, WRITE, DESCRIBE = AclOperation.READ, AclOperation.WRITE, AclOperation.DESCRIBE


class SecuredKafka(ApacheKafka):
    """Apache Kafka with the StandardAuthorizer. The test's own client, on `address`, may do everything.

    Attributes:
        secured: the listener with logins, for `start_worker`.
    """

    def __init__(self, notify: Notify) -> None:
        """Find Apache Kafka without starting it.

        Raises:
            MissingComponentError: Apache Kafka is not available on this machine.
        """
        (port,) = free_ports(1)
        self.secured = BrokerClient()
        self.secured.address = f"127.0.0.1:{port}"
        super().__init__(find_secured_kafka(notify, port), notify)

    def allow(self, kind: ResourceType, name: str, *operations: AclOperation) -> None:
        """Grant the user these operations on a topic or a group."""
        bindings = [AclBinding(*self._entry(kind, name, operation)) for operation in operations]
        for future in self._admin_client().create_acls(bindings).values():
            future.result(DEADLINE_S)

    def allow_prefix(self, kind: ResourceType, prefix: str, operation: AclOperation) -> None:
        """Grant the user an operation on everything whose name begins with a prefix."""
        _, _, _, *rest = self._entry(kind, prefix, operation)
        binding = AclBinding(kind, prefix, ResourcePatternType.PREFIXED, *rest)
        for future in self._admin_client().create_acls([binding]).values():
            future.result(DEADLINE_S)

    def revoke(self, kind: ResourceType, name: str, *operations: AclOperation) -> None:
        """Revoke these operations."""
        filters = [AclBindingFilter(*self._entry(kind, name, operation)) for operation in operations]
        for future in self._admin_client().delete_acls(filters).values():
            assert future.result(DEADLINE_S), f"{name}: nothing to revoke"

    def revoke_all(self) -> None:
        """Revoke every permission."""
        every = AclBindingFilter(
            ResourceType.ANY,
            None,
            ResourcePatternType.ANY,
            None,
            None,
            AclOperation.ANY,
            AclPermissionType.ANY,
        )
        for future in self._admin_client().delete_acls([every]).values():
            future.result(DEADLINE_S)

    def allow_route(self, route: str) -> None:
        """Grant what a worker needs on the topics of a route."""
        self.allow(TOPIC, route, READ)
        self.allow(TOPIC, f"{route}.labels", WRITE)
        self.allow(TOPIC, f"{route}.dead", WRITE)

    def login(self, folder: Path) -> dict[str, Any]:
        """Return the settings with which a worker logs in."""
        password = folder / "password"
        password.write_text(PASSWORD)
        return {
            "security_protocol": "SASL_PLAINTEXT",
            "sasl_mechanism": "PLAIN",
            "sasl_username": USER,
            "sasl_password_file": password,
        }

    @staticmethod
    def _entry(kind: ResourceType, name: str, operation: AclOperation) -> tuple[Any, ...]:
        user = f"User:{USER}"
        return kind, name, ResourcePatternType.LITERAL, user, "*", operation, AclPermissionType.ALLOW
