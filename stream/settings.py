"""Every setting of the worker: its name, default, unit and reason, in one place.

Precedence: command-line flag, environment `LABELSTREAM_*`, the TOML file of `--config`, default.
Unknown names are errors in all three, so a typing mistake never passes for a default.
"""

import difflib
import os
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
    model_validator,
)
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

from stream.errors import UsageError

ENV_PREFIX = "LABELSTREAM_"
FOREIGN_ENV = ("LABELSTREAM_TEST_", "LABELSTREAM_REQUIRE_REAL", "LABELSTREAM_CONFIG")

Delivery = Literal["at_least_once", "exactly_once"]
Device = Literal["auto", "cpu", "cuda", "tensorrt", "openvino"]
Variant = Literal["auto", "fp32", "fp16", "int8", "int8-static", "bf16"]
InputFormat = Literal["json", "text"]

REDIS_SCHEMES = ("redis://", "rediss://", "unix://")

_UNITS = {"": 1, "B": 1, "KIB": 2**10, "MIB": 2**20, "GIB": 2**30}


def parse_bytes(value: object) -> object:
    """Read sizes such as `64 MiB` or `1MiB`; numbers pass through as bytes."""
    if not isinstance(value, str):
        return value
    number = value.strip().rstrip("BbKkMmGgIi ")
    unit = value.strip()[len(number) :].strip().upper()
    if unit not in _UNITS:
        raise ValueError("a size is a number of bytes, or a number with KiB, MiB or GiB")
    return int(float(number) * _UNITS[unit])


Bytes = Annotated[int, BeforeValidator(parse_bytes), Field(gt=0)]


class Route(BaseModel):
    """One way through the worker: from an input topic, through a bundle, to its topics."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(pattern=r"^[A-Za-z0-9_.-]+$")
    input_topic: str
    output_topic: str
    dead_topic: str = ""
    bundle: str
    variant: Variant = "auto"
    delivery: Delivery = "at_least_once"
    input_format: InputFormat = "json"

    @model_validator(mode="after")
    def _topics_differ(self) -> Self:
        if not self.dead_topic:
            object.__setattr__(self, "dead_topic", f"{self.input_topic}.dead")
        if len({self.input_topic, self.output_topic, self.dead_topic}) < 3:
            raise ValueError("input_topic, output_topic and dead_topic must be three different topics")
        return self


class Settings(BaseSettings):
    """The settings of `labelstream worker` and of the commands around it."""

    model_config = SettingsConfigDict(
        env_prefix=ENV_PREFIX,
        env_nested_delimiter="__",
        extra="forbid",
        frozen=True,
        validate_default=True,
    )
    toml_file: ClassVar[Path | None] = None

    broker: str = Field("127.0.0.1:9092", description="Kafka bootstrap servers, host:port, comma separated")
    group: str = Field(
        "labelstream", min_length=1, description="consumer group; also the prefix of transactional ids"
    )
    input_topic: str = Field("texts", description="topic that the text events are read from")
    output_topic: str = Field("labels", description="topic that the label events are written to")
    dead_topic: str = Field("", description="topic of the dead letters; default: {input_topic}.dead")
    input_format: InputFormat = Field(
        "json", description="how a value without content-type is read: json, or text for bare UTF-8"
    )
    bundle: str = Field("", description="the model: a bundle's folder, or NAME or NAME@VERSION in the store")
    bundle_store: Path = Field(Path("bundles"), description="folder that holds NAME/VERSION bundles")
    routes: tuple[Route, ...] = Field((), description="several routes; only in the file, as [[routes]]")
    start_at: Literal["earliest", "latest"] = Field(
        "earliest", description="where a group starts that has committed nothing"
    )
    compression: Literal["none", "gzip", "snappy", "lz4", "zstd"] = Field(
        "lz4", description="compression of what is published; every kind is read"
    )
    delivery: Delivery = Field("at_least_once", description="delivery guarantee of the default route")

    redis_url: SecretStr | None = Field(
        None, description="second cache tier: redis://, rediss:// or unix://; unset: in-process cache only"
    )
    cache_ttl_s: int = Field(86_400, gt=0, description="seconds that a Redis entry lives")
    cache_local_entries: int = Field(100_000, ge=0, description="entries of the in-process cache; 0: off")

    device: Device = Field(
        "auto", description="where the model runs; auto: the fastest usable; anything else must be there"
    )
    variant: Variant = Field(
        "auto", description="precision of the model; auto: the fastest that the bundle has for the device"
    )
    sessions: int | None = Field(
        None,
        gt=0,
        description="inferences side by side; default 2, on GPUs 1; with several GPUs: their number",
    )
    linger_ms: float = Field(
        5, ge=0, description="longest wait for a fuller batch, milliseconds; none when few events come"
    )
    max_batch_rows: int | None = Field(None, gt=0, description="rows of one inference; default by device")
    max_batch_tokens: int | None = Field(
        None, gt=0, description="padded tokens of one inference (longest x rows); default by device"
    )

    max_queue_events: int = Field(20_000, gt=0, description="events waiting; past it partitions pause")
    max_queue_bytes: Bytes = Field(64 * 2**20, description="bytes waiting; past it partitions pause")
    max_event_bytes: Bytes = Field(2**20, description="larger values become dead letters: too-large")
    max_text_chars: int = Field(100_000, gt=0, description="longer texts become dead letters: too-large")
    top_k: int | None = Field(
        None, gt=0, description="labels named in scores; default: all up to 20 labels, else the best 20"
    )

    security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = Field(
        "PLAINTEXT", description="how to talk to the broker, in Kafka's words"
    )
    sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] = Field(
        "PLAIN", description="how to log in under SASL"
    )
    sasl_username: str = Field("", description="user name under SASL")
    sasl_password: SecretStr | None = Field(None, description="password under SASL; better: the file")
    sasl_password_file: Path | None = Field(None, description="file that holds the SASL password")
    ssl_cafile: Path | None = Field(None, description="certificate authorities to trust, PEM")
    ssl_certfile: Path | None = Field(None, description="client certificate, PEM")
    ssl_keyfile: Path | None = Field(None, description="client key, PEM")

    web_host: str = Field("127.0.0.1", description="address of the page and of /live /ready /info /metrics")
    web_port: int = Field(8080, ge=0, le=65_535, description="port of the same; 0 takes a free one")
    web_token_file: Path | None = Field(
        None, description="file with a token that the port asks for: Bearer, or Basic as the password"
    )
    web_show_texts: bool = Field(
        False, description="whether the page shows the beginnings of the last texts; else only their lengths"
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field("info", description="what is logged")
    log_format: Literal["auto", "json", "console"] = Field(
        "auto", description="auto: colour on a terminal, else JSON lines"
    )
    log_interval_s: float = Field(
        60, ge=0, description="seconds between the lines that sum up what happened; 0: none"
    )
    log_texts: bool = Field(
        False, description="show the beginnings of some texts in the log, at debug only; else never"
    )

    retry_deadline_s: float = Field(
        120, gt=0, description="how long a broker or topic may be away before the worker gives up, seconds"
    )
    drain_deadline_s: float = Field(
        10, gt=0, description="how long a stop may take to finish and commit what is in flight, seconds"
    )
    stall_exit_s: float = Field(300, gt=0, description="seconds without progress until the watchdog exits")

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

    @property
    def effective_routes(self) -> tuple[Route, ...]:
        """The routes of the file, or the one route that the plain settings describe."""
        if self.routes:
            return self.routes
        return (
            Route(
                name="default",
                input_topic=self.input_topic,
                output_topic=self.output_topic,
                dead_topic=self.dead_topic,
                bundle=self.bundle,
                variant=self.variant,
                delivery=self.delivery,
                input_format=self.input_format,
            ),
        )

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        routes = self.effective_routes
        for what, names in (
            ("name", [r.name for r in routes]),
            ("input_topic", [r.input_topic for r in routes]),
        ):
            if len(set(names)) < len(names):
                raise ValueError(f"two routes share the same {what}")
        written = {t for r in routes for t in (r.output_topic, r.dead_topic)}
        if loops := written & {r.input_topic for r in routes}:
            raise ValueError(f"topic {sorted(loops)[0]!r} is written by one route and read by another")
        if any(r.delivery == "exactly_once" for r in routes):
            raise ValueError("delivery exactly_once is not available in this version; use at_least_once")
        if self.redis_url and not self.redis_url.get_secret_value().startswith(REDIS_SCHEMES):
            raise ValueError(f"redis_url must begin with one of {', '.join(REDIS_SCHEMES)}")
        if self.sasl_password and self.sasl_password_file:
            raise ValueError("give sasl_password or sasl_password_file, not both")
        return self

    def public(self) -> dict[str, Any]:
        """All settings as JSON-ready values, secrets masked."""
        return self.model_dump(mode="json")


def load_settings(flags: Mapping[str, Any] | None = None, config: Path | None = None) -> Settings:
    """Collect the settings from flags, environment, file and defaults.

    Args:
        flags: settings given on the command line, by name; None values count as not given.
        config: TOML file; without it the path in `LABELSTREAM_CONFIG`, if any.

    Raises:
        UsageError: a name is unknown or a value is refused; all of them are listed.
    """
    if config is None and os.environ.get("LABELSTREAM_CONFIG"):
        config = Path(os.environ["LABELSTREAM_CONFIG"])
    if config is not None:
        _check_file(config)
    if unknown := list(_unknown_environment()):
        raise UsageError(
            f"unknown setting in the environment: {', '.join(unknown)}",
            cause="every LABELSTREAM_ variable must name a setting",
            fix=_did_you_mean(unknown[0].removeprefix(ENV_PREFIX).lower(), prefix=ENV_PREFIX),
        )
    source = type("Settings", (Settings,), {"toml_file": config, "__module__": __name__})
    given = {name: value for name, value in (flags or {}).items() if value is not None}
    try:
        settings = source(**given)
    except ValidationError as exc:
        raise _refusal(exc) from None
    assert isinstance(settings, Settings)
    return settings


def _check_file(path: Path) -> None:
    try:
        tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as exc:
        raise UsageError(
            f"cannot read the settings file {path}",
            cause=str(exc.strerror),
            fix="name an existing file in --config",
        ) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as exc:
        raise UsageError(
            f"{path} is not TOML", cause=str(exc), fix="correct that line; strings stand in quotes"
        ) from None


def _unknown_environment() -> Iterator[str]:
    for name in sorted(os.environ):
        if name.startswith(ENV_PREFIX) and not name.startswith(FOREIGN_ENV):
            setting = name.removeprefix(ENV_PREFIX).lower().split("__")[0]
            if setting not in Settings.model_fields:
                yield name


def _did_you_mean(name: str, *, prefix: str = "") -> str:
    near = difflib.get_close_matches(name, Settings.model_fields, n=1)
    if not near:
        return "`labelstream worker --help` lists all settings"
    return f"did you mean {prefix + near[0].upper() if prefix else near[0]}?"


def _refusal(exc: ValidationError) -> UsageError:
    """Turn pydantic's findings into our three lines; values are not repeated, they may be secret."""
    found = exc.errors(include_url=False, include_input=False)
    lines = []
    for error in found:
        name = ".".join(str(part) for part in error["loc"]) or "settings"
        message = "unknown setting" if error["type"] == "extra_forbidden" else error["msg"]
        lines.append(f"{name}: {message.removeprefix('Value error, ')}")
    first = str(found[0]["loc"][0]) if found[0]["loc"] else ""
    unknown = found[0]["type"] == "extra_forbidden"
    return UsageError(
        lines[0] if len(lines) == 1 else f"{len(lines)} settings were refused",
        cause="; ".join(lines) if len(lines) > 1 else "",
        fix=_did_you_mean(first)
        if unknown
        else "`labelstream worker --help` lists all settings and what they take",
    )
