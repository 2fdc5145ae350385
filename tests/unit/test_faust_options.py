"""The worker's settings as options of a Faust app."""

from pathlib import Path
from typing import Any

import faust
import pytest

from stream.kafka.faust.options import faust_options
from stream.settings import load_settings


def test_faust_accepts_the_options() -> None:
    app = faust.App("g", **faust_options(load_settings({"broker": "one:9092,two:9093"})))
    assert [str(url) for url in app.conf.broker_consumer] == ["kafka://one:9092", "kafka://two:9093"]
    assert app.conf.producer_compression_type == "lz4"
    assert app.conf.consumer_auto_offset_reset == "none"
    assert app.conf.web_enabled is False


def test_new_partitions_are_found_within_the_setting_by_consumer_and_producer() -> None:
    app = faust.App("g", **faust_options(load_settings({"metadata_max_age_s": "2.5"})))
    assert app.conf.consumer_metadata_max_age_ms == app.conf.producer_metadata_max_age_ms == 2_500


def test_compression_none_is_passed_as_none() -> None:
    assert faust_options(load_settings({"compression": "none"}))["producer_compression_type"] is None


@pytest.mark.parametrize(
    ("protocol", "kind"),
    [
        ("SSL", faust.SSLCredentials),
        ("SASL_PLAINTEXT", faust.SASLCredentials),
        ("SASL_SSL", faust.SASLCredentials),
    ],
)
def test_security_settings_become_credentials(protocol: str, kind: type[Any], tmp_path: Path) -> None:
    password = tmp_path / "password"
    password.write_text("hunter2\n")
    flags = {"security_protocol": protocol, "sasl_username": "me", "sasl_password_file": str(password)}
    credentials: Any = faust_options(load_settings(flags))["broker_credentials"]
    assert isinstance(credentials, kind)
    assert credentials.protocol.value == protocol
    if kind is faust.SASLCredentials:
        assert (credentials.username, credentials.password) == ("me", "hunter2")


def test_plaintext_has_no_credentials() -> None:
    assert faust_options(load_settings())["broker_credentials"] is None
