"""Routes: which topic is read, how its events are read, and what is written."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal, Self

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PrivateAttr,
    field_validator,
    model_validator,
)
from pydantic_settings import NoDecode

from stream.errors import UsageError
from stream.field_paths import parse_path, parse_template
from stream.topic_template import check_template, is_template

DeliveryGuarantee = Literal["at_least_once", "exactly_once"]
Variant = Literal["auto", "fp32", "fp16", "int8", "int8-static", "bf16"]
InputFormat = Literal["json", "text", "avro", "json-schema", "protobuf"]
TextFormat = Literal["plain", "html"]
Output = Literal["label", "enrich"]
RegistryOutput = Literal["avro", "json-schema"]
OutputFormat = Literal["auto", "json", "cloudevents-binary", "cloudevents-structured", "avro", "json-schema"]
Unlabelled = Literal["keep", "drop"]

# The formats whose values begin with the id of a schema in the schema registry.
REGISTRY_INPUTS = frozenset(("avro", "json-schema", "protobuf"))

# The two ways to name the text exclude each other, so a route that has one does not inherit the other.
TEXT_SETTINGS = frozenset(("text_field", "text_template"))
TOPIC_SETTINGS = ("input_topic", "output_topic", "dead_topic")


def split_list(value: object) -> object:
    """Return the items of a comma-separated list; a value that is not a string passes through."""
    return [item.strip() for item in value.split(",") if item.strip()] if isinstance(value, str) else value


def split_names(value: object) -> object:
    """Return the paths by name of `NAME=PATH,NAME=PATH`; a value that is not a string passes through.

    Raises:
        ValueError: an item has no `=`.
    """
    if not isinstance(value, str):
        return value
    pairs = {}
    for item in split_list(value) or ():  # type: ignore[attr-defined]
        name, equals, path = item.partition("=")
        if not (name.strip() and equals):
            raise ValueError(f"{item!r} is not NAME=PATH, such as plan=customer.plan")
        pairs[name.strip()] = path.strip()
    return pairs


class RouteOptions(BaseModel):
    """The settings that a route may have of its own; those outside of `[[routes]]` are their defaults."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    variant: Variant = Field(
        "auto", description="precision of the model; auto takes the fastest in the bundle for the device"
    )
    delivery: DeliveryGuarantee = Field(
        "at_least_once",
        description="delivery guarantee; exactly_once commits output and offsets in one transaction, for "
        "consumers with isolation.level=read_committed",
    )
    input_format: InputFormat = Field(
        "json",
        description="format of values without a content-type header; text is bare UTF-8; avro, json-schema "
        "and protobuf are the formats of all values, with a schema of the schema registry",
    )
    text_field: str = Field(
        "", description="path of the text in an event: ticket.body, or as a JSON Pointer /ticket/body"
    )
    text_template: str = Field(
        "",
        description="text of several fields: {subject}: {body}; {note?} may be missing",
    )
    text_format: TextFormat = Field(
        "plain", description="format of the text in an event; html reads the visible text"
    )
    text_pair_field: str = Field(
        "", description="path of the second text, for bundles that compare two texts"
    )
    id_field: str = Field("", description="path of an event's id; default: id")
    time_field: str = Field("", description="path of an event's time, RFC 3339 or a Unix time; default: time")
    metadata_fields: Annotated[Mapping[str, str], NoDecode, BeforeValidator(split_names)] = Field(
        {}, description="paths of metadata columns: NAME=PATH, comma-separated; default: the object metadata"
    )
    output: Output = Field(
        "label", description="value of the output: the label event, or the input event with the label added"
    )
    include: Annotated[tuple[str, ...], NoDecode, BeforeValidator(split_list)] = Field(
        (), description="fields of the input to copy into the label event: text, or paths, comma-separated"
    )
    label_field: str = Field(
        "labelstream", min_length=1, description="member that output=enrich adds to the input event"
    )
    output_format: OutputFormat = Field(
        "auto",
        description="format of label events; auto writes a CloudEvent if the input is one; avro and "
        "json-schema need a schema registry",
    )
    review_topic: str = Field(
        "", description="topic for label events without a label or with a low score; default: none"
    )
    review_below: float | None = Field(
        None, gt=0, le=1, description="score below which a label event goes to review_topic; default: none"
    )
    unlabelled: Unlabelled = Field(
        "keep", description="events without a label when there is no review_topic: publish or drop them"
    )

    @field_validator("text_field", "text_pair_field", "id_field", "time_field")
    @classmethod
    def _path(cls, value: str) -> str:
        if value:
            parse_path(value)
        return value

    @field_validator("metadata_fields")
    @classmethod
    def _paths_by_name(cls, value: Mapping[str, str]) -> Mapping[str, str]:
        for path in value.values():
            parse_path(path)
        return value

    @field_validator("include")
    @classmethod
    def _paths(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for path in value:
            if not parse_path(path).only_names:
                raise ValueError(f"{path!r}: an element of an array cannot be included; include the array")
        return value

    @field_validator("text_template")
    @classmethod
    def _template(cls, value: str) -> str:
        if value:
            parse_template(value)
        return value

    @property
    def maps_fields(self) -> bool:
        """True if an event's fields have other names than those of labelstream's own events."""
        return bool(
            self.text_field
            or self.text_template
            or self.text_pair_field
            or self.id_field
            or self.time_field
            or self.metadata_fields
        )

    @property
    def needs_registry(self) -> bool:
        """True if the input or the output has a schema of the schema registry."""
        return self.input_format in REGISTRY_INPUTS or self.registry_output is not None

    @property
    def registry_output(self) -> RegistryOutput | None:
        """The format of label events under a schema of the schema registry, None if they have none."""
        return self.output_format if self.output_format in ("avro", "json-schema") else None

    def check_options(self) -> None:
        """Check that the options of a route do not contradict each other.

        Raises:
            ValueError: they do.
        """
        if self.text_field and self.text_template:
            raise ValueError("text_field and text_template are both set; set one of them")
        if self.input_format == "text" and self.maps_fields:
            raise ValueError(
                "events of input_format = text have no fields, so text_field and the like have no effect"
            )
        if self.input_format == "text" and self.output == "enrich":
            raise ValueError(
                "output = enrich adds a member to JSON objects, which input_format = text does not have"
            )
        if self.input_format in REGISTRY_INPUTS and self.output == "enrich":
            raise ValueError(
                f"output = enrich would break the schema of input_format = {self.input_format}; "
                "use include to copy fields into the label event"
            )
        if self.registry_output and self.output == "enrich":
            raise ValueError(
                f"output_format = {self.output_format} has the schema of label events, not of enriched ones"
            )
        if self.output_format == "avro" and self.include:
            raise ValueError(
                "output_format = avro has the schema of label events, which has no place for include"
            )
        if self.include and self.output == "enrich":
            raise ValueError("include has no effect with output = enrich, which keeps the whole event")
        if self.review_below is not None and not self.review_topic:
            raise ValueError("review_below needs a review_topic")
        if self.review_topic and self.unlabelled == "drop":
            raise ValueError(
                "unlabelled = drop has no effect with review_topic, which takes events without a label"
            )


class Route(RouteOptions):
    """An input topic, the bundle that labels its events, and the topics for labels and dead letters.

    `output_topic` is a topic, or a template such as `labels.{label}`. The bundle's labels determine the
    topics of a template; a route knows them if it comes from `with_label_topics`.
    """

    name: str = Field(pattern=r"^[A-Za-z0-9_.-]+$")
    input_topic: str
    output_topic: str
    dead_topic: str = ""
    bundle: str
    _label_topics: tuple[str, ...] = PrivateAttr(())

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if not self.dead_topic:
            object.__setattr__(self, "dead_topic", f"{self.input_topic}.dead")
        if is_template(self.output_topic):
            check_template(self.output_topic)
        settings: dict[str, str] = {}
        for setting, topic in (("input_topic", self.input_topic), *self.written_by_setting):
            if topic in settings:
                raise ValueError(f"{settings[topic]} and {setting} are the same topic, {topic!r}")
            settings[topic] = setting
        if is_template(self.review_topic):
            raise ValueError("review_topic is one topic; only output_topic can be a template")
        return self

    def check_options(self) -> None:
        """See `RouteOptions.check_options`."""
        super().check_options()
        if self.registry_output and (self.has_template or self.review_topic):
            raise ValueError(
                f"output_format = {self.output_format} has a schema for one output topic, so it cannot be "
                "combined with a topic for each label or a review_topic"
            )

    @property
    def has_template(self) -> bool:
        """True if the label of an event determines its output topic."""
        return is_template(self.output_topic)

    @property
    def chooses_topics(self) -> bool:
        """True if not every label event goes to the one output topic."""
        return self.has_template or bool(self.review_topic) or self.unlabelled == "drop"

    @property
    def label_topics(self) -> tuple[str, ...]:
        """The output topic, or the topics of the template: of each label, and of events without a label."""
        return self._label_topics or (self.output_topic,)

    @property
    def output_topics(self) -> tuple[str, ...]:
        """The topics for label events and tombstones: the label topics and the review topic."""
        return (*self.label_topics, self.review_topic) if self.review_topic else self.label_topics

    @property
    def written_topics(self) -> tuple[str, ...]:
        """The topics that the route writes to; the dead-letter topic is the last one."""
        return (*self.output_topics, self.dead_topic)

    @property
    def written_by_setting(self) -> tuple[tuple[str, str], ...]:
        """The topics that the route writes to, each after the setting that names it."""
        labels = tuple(("output_topic", topic) for topic in self.label_topics)
        review = (("review_topic", self.review_topic),) if self.review_topic else ()
        return (*labels, *review, ("dead_topic", self.dead_topic))

    def with_label_topics(self, topics: tuple[str, ...]) -> "Route":
        """Return the route with the topics of its template."""
        route = self.model_copy()
        route._label_topics = topics
        return route

    def decided(self) -> set[str]:
        """Return the names that the route sets, and those that have no effect beside them."""
        decided = set(self.model_fields_set)
        if TEXT_SETTINGS & decided:
            decided |= TEXT_SETTINGS
        if "review_topic" in decided:
            decided.add("unlabelled" if self.review_topic else "review_below")
        return decided

    def _own(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in self.model_fields_set}

    def with_defaults(self, defaults: RouteOptions) -> "Route":
        """Return the route with the options of `defaults` in place of those that it does not set.

        Raises:
            ValueError: the options contradict each other.
        """
        decided = self.decided()
        inherited: dict[str, Any] = {
            name: getattr(defaults, name)
            for name in RouteOptions.model_fields
            if name in defaults.model_fields_set and name not in decided
        }
        route = Route(**{**inherited, **self._own()})
        try:
            route.check_options()
        except ValueError as exc:
            raise ValueError(f"route {route.name}: {exc}") from None
        return route

    def replaced(self, values: Mapping[str, Any]) -> "Route":
        """Return the route with other values.

        Raises:
            ValidationError: they do not fit together.
        """
        dropped = TEXT_SETTINGS if TEXT_SETTINGS & values.keys() else frozenset[str]()
        own = {name: value for name, value in self._own().items() if name not in dropped}
        return Route(**{**own, **values})


def replace_values(routes: Sequence[Route], values: Mapping[str, Any]) -> tuple[Route, ...]:
    """Return the routes of the settings file with values that come before those of the file.

    A value that no route sets is a default of all routes, so only one that a route sets is replaced.

    Args:
        routes: the routes of the file.
        values: the values of flags and of environment variables, by name.

    Raises:
        UsageError: one of several routes sets another value itself.
        ValidationError: the values do not fit together.
    """
    if len(routes) == 1:
        return (routes[0].replaced(values),)
    for name, value in values.items():
        if setting := [r.name for r in routes if name in r.decided() and getattr(r, name) != value]:
            raise UsageError(
                f"{name} is given by a flag or an environment variable, and by {', '.join(setting)}",
                cause="the settings file has several routes, so it is not known which of them is meant",
                fix=f"leave out the flag or LABELSTREAM_{name.upper()}, or change [[routes]]",
            )
    return tuple(routes)
