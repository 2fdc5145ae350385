"""The settings of the worker: name, type, default and description of each, in one place.

A command-line flag takes precedence over an environment variable `LABELSTREAM_*`, the variable over the TOML
file of `--config` with its `[[routes]]`, and the file over the default. An unknown name is an error in all
three, so that no misspelt setting is ignored.
"""

import os
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, Self
from urllib.parse import urlsplit

from pydantic import (
    BeforeValidator,
    Field,
    PrivateAttr,
    SecretStr,
    ValidationError,
    field_validator,
    model_validator,
)
from pydantic_settings import (
    BaseSettings,
    NoDecode,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

from stream.errors import UsageError
from stream.quarantine import parse_offsets
from stream.routes import TOPIC_SETTINGS, Route, RouteOptions, replace_values, split_list
from stream.settings_errors import ENV_PREFIX, check_environment, check_file, invalid_settings
from stream.wording import BUNDLE_FORMS

Device = Literal["auto", "cpu", "cuda", "tensorrt", "openvino"]

REDIS_SCHEMES = ("redis://", "rediss://", "unix://")

_UNITS = {"": 1, "B": 1, "KIB": 2**10, "MIB": 2**20, "GIB": 2**30}
_SIZE = re.compile(
    r"\s*(?P<number>(?:\d+\.?\d*|\.\d+)(?:e\d+)?)\s*(?P<unit>B|KiB|MiB|GiB|)\s*", re.IGNORECASE
)


def parse_bytes(value: object) -> object:
    """Return the bytes of a size such as `64 MiB` or `1MiB`; a value that is not a string passes through.

    Raises:
        ValueError: the string is not a number with a known unit.
    """
    if not isinstance(value, str):
        return value
    matched = _SIZE.fullmatch(value)
    if matched is None:
        raise ValueError("not a size; a size is a number of bytes, or a number with KiB, MiB or GiB")
    return int(float(matched["number"]) * _UNITS[matched["unit"].upper()])


Bytes = Annotated[int, BeforeValidator(parse_bytes), Field(gt=0)]


class Settings(BaseSettings, RouteOptions):
    """The settings of `labelstream worker` and of the commands around it."""

    model_config = SettingsConfigDict(
        env_prefix=ENV_PREFIX,
        env_nested_delimiter="__",
        extra="forbid",
        frozen=True,
        validate_default=True,
    )
    toml_file: ClassVar[Path | None] = None
    _label_topics: Mapping[str, tuple[str, ...]] = PrivateAttr({})

    broker: str = Field("127.0.0.1:9092", description="Kafka bootstrap servers: host:port, comma-separated")
    group: str = Field("labelstream", min_length=1, description="consumer group of the worker")
    input_topic: str = Field("texts", description="topic with the text events")
    output_topic: str = Field(
        "labels", description="topic for the label events; labels.{label} is a topic for each label"
    )
    dead_topic: str = Field("", description="topic for the dead letters; default: {input_topic}.dead")
    bundle: str = Field("", description=f"bundle of the model: {BUNDLE_FORMS}")
    bundle_store: Path = Field(Path("bundles"), description="folder with the bundles, as NAME/VERSION")
    require_signature: Path | None = Field(
        None, description="Ed25519 public key, PEM, that must have signed every bundle; default: none"
    )
    routes: tuple[Route, ...] = Field((), description="several routes, only in the settings file: [[routes]]")
    start_at: Literal["earliest", "latest"] = Field(
        "earliest", description="first offset of a group without committed offsets"
    )
    metadata_max_age_s: float = Field(
        30, ge=1, description="seconds after which new partitions of a topic are found at the latest"
    )
    compression: Literal["none", "gzip", "snappy", "lz4", "zstd"] = Field(
        "lz4", description="compression of published records"
    )

    schema_registry_url: str = Field(
        "", description="schema registry with Confluent's interface, http:// or https://; default: none"
    )
    schema_registry_auth_file: Path | None = Field(
        None, description="file with USER:PASSWORD for the schema registry"
    )
    schema_registry_cafile: Path | None = Field(
        None, description="certificate authorities trusted for the schema registry, PEM"
    )

    redis_url: SecretStr | None = Field(
        None, description="Redis for the second cache tier: redis://, rediss:// or unix://; default: none"
    )
    cache_ttl_s: int = Field(86_400, gt=0, description="lifetime of a Redis entry in seconds")
    cache_local_entries: int = Field(
        100_000, ge=0, description="entries of the in-process cache; 0 disables it"
    )
    cache_secret_file: Path | None = Field(
        None, description="file with a secret that signs the values in Redis; the same for all workers"
    )

    device: Device = Field(
        "auto",
        description="device for inference; auto takes the fastest available, any other must be available",
    )
    sessions: int | None = Field(
        None,
        gt=0,
        description="parallel inferences; default: 2 on CPUs, 1 on GPUs; for several GPUs set their number",
    )
    linger_ms: float = Field(
        5, ge=0, description="longest wait for a fuller batch in milliseconds; at low traffic no wait"
    )
    max_batch_rows: int | None = Field(
        None, gt=0, description="rows per inference at most; the default depends on the device"
    )
    max_batch_tokens: int | None = Field(
        None,
        gt=0,
        description="padded tokens (rows x longest) per inference at most; the default depends on the device",
    )

    max_queue_events: int = Field(20_000, gt=0, description="queued events at which partitions are paused")
    max_queue_bytes: Bytes = Field(64 * 2**20, description="queued bytes at which partitions are paused")
    max_decompressed_bytes: Bytes = Field(
        128 * 2**20, description="size that the records of a compressed Kafka batch may have, decompressed"
    )
    quarantine: Annotated[tuple[str, ...], NoDecode, BeforeValidator(split_list)] = Field(
        (),
        description="offsets that become dead letters unread: TOPIC:PARTITION:OFFSET or "
        "TOPIC:PARTITION:FIRST-LAST, such as texts:3:1041; repeatable",
    )
    max_event_bytes: Bytes = Field(
        2**20, description="size above which an event becomes a dead letter, or over HTTP an error"
    )
    max_text_chars: int = Field(
        100_000, gt=0, description="length above which a text becomes a dead letter, or over HTTP an error"
    )
    on_unwritable_dead_letter: Literal["truncate", "stop"] = Field(
        "truncate", description="reaction to a dead letter that its topic refuses as too large"
    )
    top_k: int | None = Field(
        None, gt=0, description="labels listed in scores, best first; default: at most 20"
    )

    security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = Field(
        "PLAINTEXT", description="security protocol of the connection to Kafka"
    )
    sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] = Field(
        "PLAIN", description="SASL mechanism"
    )
    sasl_username: str = Field("", description="SASL user name")
    sasl_password: SecretStr | None = Field(None, description="SASL password; sasl_password_file is safer")
    sasl_password_file: Path | None = Field(None, description="file with the SASL password")
    ssl_cafile: Path | None = Field(None, description="trusted certificate authorities, PEM")
    ssl_certfile: Path | None = Field(None, description="client certificate, PEM")
    ssl_keyfile: Path | None = Field(None, description="client key, PEM")

    web_host: str = Field(
        "127.0.0.1", description="address of the HTTP endpoints, such as /live, /ready and /metrics"
    )
    web_port: int = Field(8080, ge=0, le=65_535, description="port of the HTTP endpoints; 0 takes a free one")
    web_token_file: Path | None = Field(
        None,
        description="file with a token that requests must carry: Bearer, or Basic as the password",
    )
    web_allowed_hosts: str = Field(
        "",
        description="further host names that requests may address, comma-separated; * allows all names",
    )
    web_show_texts: bool = Field(
        False, description="show the beginnings of recent texts on the status page instead of their lengths"
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field("info", description="log level")
    log_format: Literal["auto", "json", "console"] = Field(
        "auto", description="log format; auto logs text on a terminal and JSON elsewhere"
    )
    log_interval_s: float = Field(60, ge=0, description="seconds between two summary lines; 0 disables them")
    log_texts: bool = Field(False, description="log the beginnings of some texts, at level debug only")

    tracing: Literal["off", "otlp"] = Field(
        "off", description="export traces over OTLP; the variables OTEL_* configure the exporter"
    )
    trace_ratio: float | None = Field(
        None,
        ge=0,
        le=1,
        description="share of the events without a traceparent that are traced; "
        "default: OTEL_TRACES_SAMPLER, else 0",
    )

    retry_deadline_s: float = Field(
        120,
        gt=0,
        description="seconds that the broker, a topic or the schema registry may be unavailable before the "
        "worker exits",
    )
    drain_deadline_s: float = Field(
        10,
        gt=0,
        description="seconds that a shutdown may take to finish the events or requests in flight",
    )
    stall_exit_s: float = Field(
        300, gt=0, description="seconds without progress after which a worker exits, and /live fails"
    )

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return init_settings, env_settings, TomlConfigSettingsSource(settings_cls, cls.toml_file)

    @field_validator("schema_registry_url")
    @classmethod
    def _registry_url(cls, value: str) -> str:
        url = urlsplit(value)
        if value and (url.scheme not in ("http", "https") or not url.hostname):
            raise ValueError("a schema registry's URL begins with http:// or https:// and names a host")
        if url.username or url.password:
            # The URL appears in messages and on /info.
            raise ValueError("the URL must not contain a password; use schema_registry_auth_file")
        return value

    @field_validator("quarantine")
    @classmethod
    def _offsets(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for named in value:
            parse_offsets(named)
        return value

    @property
    def effective_routes(self) -> tuple[Route, ...]:
        """The routes of the settings file, or the default route described by the other settings.

        A route takes the options that it does not set from the other settings.
        """
        routes = self.routes or (
            Route(
                name="default",
                input_topic=self.input_topic,
                output_topic=self.output_topic,
                dead_topic=self.dead_topic,
                bundle=self.bundle,
            ),
        )
        complete = (route.with_defaults(self) for route in routes)
        return tuple(route.with_label_topics(self._label_topics.get(route.name, ())) for route in complete)

    def with_label_topics(self, topics: Mapping[str, tuple[str, ...]]) -> Self:
        """Return the settings with the label topics of the routes whose output topic is a template.

        Args:
            topics: the label topics by the name of the route.

        Raises:
            UsageError: a label topic is the input topic of a route.
        """
        settings = self.model_copy()
        settings._label_topics = topics
        try:
            _check_loops(settings.effective_routes)
        except ValueError as exc:
            raise UsageError(
                str(exc), cause="a label gives output_topic this name", fix="choose another output_topic"
            ) from None
        return settings

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        routes = self.effective_routes
        for what, names in (
            ("name", [r.name for r in routes]),
            ("input_topic", [r.input_topic for r in routes]),
        ):
            if repeated := [name for at, name in enumerate(names) if name in names[:at]]:
                raise ValueError(f"two routes have the same {what}, {repeated[0]!r}")
        _check_loops(routes)
        set_names = self.model_fields_set.union(*(route.model_fields_set for route in self.routes))
        if "label_field" in set_names and all(route.output != "enrich" for route in routes):
            raise ValueError("label_field has no effect without output = enrich")
        if self.trace_ratio is not None and self.tracing == "off":
            raise ValueError("trace_ratio has no effect with tracing = off; set tracing = otlp")
        topics = {r.input_topic for r in routes}
        for named in map(parse_offsets, self.quarantine):
            if named.topic not in topics:
                raise ValueError(
                    f"quarantine: {named.topic!r} is not an input topic; the input topics are "
                    f"{', '.join(sorted(topics))}"
                )
        if self.redis_url and not self.redis_url.get_secret_value().startswith(REDIS_SCHEMES):
            raise ValueError(f"redis_url must begin with one of {', '.join(REDIS_SCHEMES)}")
        if self.sasl_password and self.sasl_password_file:
            raise ValueError("sasl_password and sasl_password_file are both set; set one of them")
        return self

    def public(self) -> dict[str, Any]:
        """Return all settings as JSON values, with secrets masked."""
        return self.model_dump(mode="json")


def _check_loops(routes: Sequence[Route]) -> None:
    readers = {route.input_topic: route for route in routes}
    for route in routes:
        for setting, topic in route.written_by_setting:
            if topic in readers:
                raise ValueError(
                    f"topic {topic!r} is the {setting} of route {route.name} and the input_topic of route "
                    f"{readers[topic].name}"
                )


def load_settings(flags: Mapping[str, Any] | None = None, config: Path | None = None) -> Settings:
    """Load the settings from flags, environment, file and defaults.

    Args:
        flags: settings from the command line by name; a value of None means that the flag is absent.
        config: the TOML file; None takes the path in `LABELSTREAM_CONFIG`, if that is set.

    Raises:
        UsageError: a name is unknown or a value is invalid; the error lists all of them.
    """
    if config is None and os.environ.get("LABELSTREAM_CONFIG"):
        config = Path(os.environ["LABELSTREAM_CONFIG"])
    routes = check_file(config) if config is not None else []
    check_environment(os.environ, Settings.model_fields)
    source = type("Settings", (Settings,), {"toml_file": config, "__module__": __name__})
    given = {name: value for name, value in (flags or {}).items() if value is not None}
    try:
        settings = source(**given)
        before_file = {name: getattr(settings, name) for name in _names_before_file(given)}
        if settings.routes and before_file:
            settings = source(**given, routes=replace_values(settings.routes, before_file))
    except ValidationError as exc:
        raise invalid_settings(exc, Settings.model_fields, Route.model_fields, routes) from None
    assert isinstance(settings, Settings)
    return settings


def _names_before_file(flags: Iterable[str]) -> set[str]:
    """Return the names of a route's values that flags or environment variables give."""
    of_route = {*RouteOptions.model_fields, *TOPIC_SETTINGS}
    prefix = ENV_PREFIX.lower()
    variables = {
        name.lower().removeprefix(prefix)
        for name, value in os.environ.items()
        if value and name.lower().startswith(prefix)
    }
    # A compose file sets LABELSTREAM_BUNDLE for the route that the settings describe without [[routes]].
    return (of_route & variables) | ({*of_route, "bundle"} & set(flags))
