"""Settings: precedence, validation and errors."""

from pathlib import Path
from typing import Any

import pytest

from stream.errors import UsageError
from stream.settings import Settings, load_settings


def test_defaults_describe_one_route() -> None:
    (route,) = load_settings().effective_routes
    assert (route.input_topic, route.output_topic, route.dead_topic) == ("texts", "labels", "texts.dead")


def test_flags_precede_environment_file_and_defaults(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    file = tmp_path / "labelstream.toml"
    file.write_text('group = "file"\nbroker = "file:1"\nlinger_ms = 9\n')
    monkeypatch.setenv("LABELSTREAM_GROUP", "env")
    monkeypatch.setenv("LABELSTREAM_BROKER", "env:1")
    settings = load_settings({"broker": "flag:1", "group": None}, file)
    assert (settings.broker, settings.group, settings.linger_ms, settings.compression) == (
        "flag:1",
        "env",
        9,
        "lz4",
    )


def test_the_file_may_be_named_in_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    file = tmp_path / "s.toml"
    file.write_text('group = "file"\n')
    monkeypatch.setenv("LABELSTREAM_CONFIG", str(file))
    assert load_settings().group == "file"


def test_routes_come_from_the_file(tmp_path: Path) -> None:
    file = tmp_path / "s.toml"
    file.write_text(
        '[[routes]]\nname = "a"\ninput_topic = "a.in"\noutput_topic = "a.out"\nbundle = "x"\n'
        '[[routes]]\nname = "b"\ninput_topic = "b.in"\noutput_topic = "b.out"\nbundle = "y@2"\n'
        'input_format = "text"\n'
    )
    first, second = load_settings(config=file).effective_routes
    assert (first.dead_topic, second.bundle, second.input_format) == ("a.in.dead", "y@2", "text")


def test_an_unknown_variable_is_an_error_with_the_closest_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LABELSTREAM_BROKR", "x:1")
    with pytest.raises(UsageError) as refusal:
        load_settings()
    assert "LABELSTREAM_BROKR" in refusal.value.message
    assert "LABELSTREAM_BROKER" in refusal.value.fix


def test_variables_of_the_test_suite_are_not_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LABELSTREAM_TEST_BROKER", "x:1")
    monkeypatch.setenv("LABELSTREAM_REQUIRE_REAL", "1")
    load_settings()


def test_an_unknown_name_in_the_file_is_an_error(tmp_path: Path) -> None:
    file = tmp_path / "s.toml"
    file.write_text('grup = "x"\n')
    with pytest.raises(UsageError, match="grup: unknown setting") as refusal:
        load_settings(config=file)
    assert "group" in refusal.value.fix


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        ({"web_port": "99999"}, "web_port"),
        ({"device": "tpu"}, "device"),
        ({"linger_ms": "-1"}, "linger_ms"),
        ({"max_queue_bytes": "64 apples"}, "max_queue_bytes"),
        ({"input_topic": "t", "output_topic": "t"}, "input_topic and output_topic are the same topic, 't'"),
        ({"delivery": "at_most_once"}, "delivery: not a choice; the choices are 'at_least_once'"),
        ({"redis_url": "cache:6379"}, "redis_url"),
    ],
)
def test_an_invalid_value_names_its_setting(flags: dict[str, str], expected: str) -> None:
    with pytest.raises(UsageError) as refusal:
        load_settings(flags)
    assert expected in refusal.value.message
    assert refusal.value.exit_code == 2


def test_an_error_does_not_repeat_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LABELSTREAM_SASL_PASSWORD", "hunter2")
    monkeypatch.setenv("LABELSTREAM_SASL_PASSWORD_FILE", "/nowhere")
    with pytest.raises(UsageError) as refusal:
        load_settings()
    assert "hunter2" not in str(refusal.value) + refusal.value.cause


@pytest.mark.parametrize(
    ("text", "size"),
    [("64 MiB", 2**26), ("1MiB", 2**20), ("1.5 kib", 1536), ("123", 123), ("7 B", 7), (".5MiB", 2**19)],
)
def test_a_size_may_have_a_unit(text: str, size: int) -> None:
    assert load_settings({"max_queue_bytes": text}).max_queue_bytes == size


@pytest.mark.parametrize("text", ["not toml =", "\ufeffgroup", 'group = "unclosed'])
def test_a_file_that_is_not_toml_is_an_error(tmp_path: Path, text: str) -> None:
    file = tmp_path / "s.toml"
    file.write_text(text)
    with pytest.raises(UsageError, match="is not valid TOML"):
        load_settings(config=file)


def test_a_missing_file_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot read the settings file"):
        load_settings(config=tmp_path / "none.toml")


def test_secrets_are_masked_when_settings_are_shown() -> None:
    shown = load_settings({"redis_url": "redis://:hunter2@cache:6379/0"}).public()
    assert "hunter2" not in str(shown)


def test_every_setting_has_a_description() -> None:
    assert all(field.description for field in Settings.model_fields.values())


ROUTES = """
[[routes]]
name = "a"
input_topic = "a.in"
output_topic = "a.out"
bundle = "x"
{own}
"""


def route_of(tmp_path: Path, own: str = "", above: str = "") -> Any:
    """Return the only route of a settings file."""
    file = tmp_path / "s.toml"
    file.write_text(above + ROUTES.format(own=own))
    (route,) = load_settings(config=file).effective_routes
    return route


def test_a_route_takes_the_options_that_it_does_not_set(tmp_path: Path) -> None:
    above = 'text_field = "a.b"\nvariant = "int8"\nid_field = "x"\n'
    route = route_of(tmp_path, 'variant = "fp32"\nid_field = ""', above)
    assert (route.text_field, route.variant, route.id_field) == ("a.b", "fp32", "")


def test_a_route_with_a_template_does_not_take_the_field_of_the_text(tmp_path: Path) -> None:
    route = route_of(tmp_path, 'text_template = "{a} {b}"', 'text_field = "a.b"\n')
    assert (route.text_field, route.text_template) == ("", "{a} {b}")


def test_flags_and_variables_precede_the_values_of_a_single_route(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "s.toml"
    file.write_text(ROUTES.format(own='text_field = "a.b"\nvariant = "int8"\nid_field = "x"'))
    monkeypatch.setenv("LABELSTREAM_VARIANT", "fp32")
    # A compose file sets it for every worker.
    monkeypatch.setenv("LABELSTREAM_BUNDLE", "of-the-environment")
    monkeypatch.setenv("LABELSTREAM_OUTPUT_TOPIC", "")
    # These are variables of other programs.
    for name in ("OUTPUT_TOPIC", "DELIVERY", "ID_FIELD", "text_field", "XLABELSTREAM_OUTPUT"):
        monkeypatch.setenv(name, "other")
    flags = {"text_template": "{a} {b}", "input_topic": "z.in", "review_topic": "review"}
    (route,) = load_settings(flags, file).effective_routes
    assert (route.name, route.input_topic, route.output_topic) == ("a", "z.in", "a.out")
    assert (route.text_field, route.text_template, route.id_field) == ("", "{a} {b}", "x")
    assert (route.variant, route.bundle, route.review_topic) == ("fp32", "x", "review")
    (route,) = load_settings({"bundle": "of-a-flag"}, file).effective_routes
    assert route.bundle == "of-a-flag"
    with pytest.raises(UsageError, match="are the same topic"):
        load_settings({"input_topic": "a.out"}, file)


@pytest.mark.parametrize(
    ("flags", "setting"),
    [
        ({"text_field": "c"}, "text_field is given by a flag or an environment variable, and by a"),
        ({"text_template": "{c}"}, "text_template is given .* and by a"),
        ({"unlabelled": "drop"}, "unlabelled is given .* and by b"),
        ({"input_topic": "c.in"}, "input_topic is given .* and by a, b"),
        ({"bundle": "y"}, "bundle is given .* and by a, b"),
    ],
)
def test_a_flag_that_one_of_several_routes_sets_itself_is_refused(
    tmp_path: Path, flags: dict[str, str], setting: str
) -> None:
    file = tmp_path / "s.toml"
    other = '[[routes]]\nname = "b"\ninput_topic = "b.in"\noutput_topic = "b.out"\nbundle = "x"\n'
    file.write_text(ROUTES.format(own='text_field = "a.b"') + other + 'review_topic = "review"\n')
    with pytest.raises(UsageError, match=setting):
        load_settings(flags, file)
    settings = load_settings({"id_field": "c", "variant": "fp32", "bundle": "x"}, file)
    assert [(route.id_field, route.variant) for route in settings.effective_routes] == [("c", "fp32")] * 2


def test_a_contradiction_names_its_route(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="route a: text_field and text_template are both set"):
        route_of(tmp_path, 'text_field = "x"\ntext_template = "{x}"')


@pytest.mark.parametrize(
    ("own", "message", "fix"),
    [
        ('text_fild = "x"', "route a: text_fild: unknown setting", "did you mean text_field?"),
        ('inptu_topic = "x"', "route a: inptu_topic: unknown setting", "did you mean input_topic?"),
        ('output = "b"', "route a: output: not a choice", "--help"),
        ('dead_topic = "a.in"', "route a: input_topic and dead_topic are the same topic", "--help"),
        ('[[routes]]\ninput_topic = "b"\noutput_topic = "c"\nbundle = "x"', "[[routes]] number 2: name", ""),
    ],
)
def test_an_invalid_option_names_its_route(tmp_path: Path, own: str, message: str, fix: str) -> None:
    with pytest.raises(UsageError) as refusal:
        route_of(tmp_path, own)
    assert refusal.value.message.startswith(message)
    assert fix in refusal.value.fix


def test_two_routes_with_the_same_input_are_named_with_it(tmp_path: Path) -> None:
    second = '[[routes]]\nname = "b"\ninput_topic = "a.in"\noutput_topic = "c"\nbundle = "x"'
    with pytest.raises(UsageError, match=r"two routes have the same input_topic, 'a\.in'"):
        route_of(tmp_path, second)


def test_metadata_fields_and_include_have_two_spellings(tmp_path: Path) -> None:
    written = route_of(tmp_path, 'include = ["text", "a.b"]\nmetadata_fields = { Age = "a.b", "x y" = "/c" }')
    (flags,) = load_settings({"include": "text, a.b", "metadata_fields": "Age=a.b, x y=/c"}).effective_routes
    assert written.include == flags.include == ("text", "a.b")
    assert written.metadata_fields == flags.metadata_fields == {"Age": "a.b", "x y": "/c"}


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        ({"text_field": "a", "text_template": "{b}"}, "text_field and text_template are both set"),
        ({"text_field": "a..b"}, "text_field: 'a..b' is not a path"),
        ({"id_field": "$.a"}, "id_field: '$.a': JSONPath is not supported"),
        ({"text_template": "{a"}, "text_template: '{a': a brace has no partner; {{ and }} stand for"),
        ({"text_template": "{{a}}"}, "names no field; a field is written {subject}, {{ and }} stand for"),
        ({"metadata_fields": "a.b"}, "metadata_fields: 'a.b' is not NAME=PATH"),
        ({"metadata_fields": "a=b..c"}, "metadata_fields: 'b..c' is not a path"),
        ({"include": "a.*"}, "include: 'a.*': an element of an array cannot be included"),
        ({"input_format": "text", "text_field": "a"}, "events of input_format = text have no fields"),
        ({"input_format": "text", "output": "enrich"}, "which input_format = text does not have"),
        ({"output": "enrich", "include": "text"}, "include has no effect"),
        ({"label_field": ""}, "label_field"),
        ({"label_field": "mood"}, "label_field has no effect without output = enrich"),
        ({"trace_ratio": "0.5"}, "trace_ratio has no effect with tracing = off"),
        (
            {"output_format": "avro", "schema_registry_url": "http://r", "review_topic": "review"},
            "output_format = avro has a schema for one output topic",
        ),
        (
            {"output_format": "json-schema", "schema_registry_url": "http://r", "output_topic": "l.{label}"},
            "output_format = json-schema has a schema for one output topic",
        ),
        ({"output_format": "xml"}, "output_format: not a choice"),
    ],
)
def test_options_of_a_route_that_contradict_each_other_are_refused(
    flags: dict[str, str], expected: str
) -> None:
    with pytest.raises(UsageError) as refusal:
        load_settings(flags)
    assert expected in refusal.value.message
