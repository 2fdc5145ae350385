"""The commands that need the topics of a template refuse a bundle that does not fit, before they connect."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from stream.bundle import Bundle, Manifest
from stream.cli import app
from stream.errors import LabelstreamError, UsageError
from stream.settings import load_settings
from stream.worker.run import run_worker
from tests.real.kinds import BY_NAME, make_bundle_of

TEMPLATE = ("--output-topic", "labels.{label}", "--broker", "127.0.0.1:1")


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle store with a bundle of each kind that is refused."""
    store = tmp_path_factory.mktemp("store")
    for name in ("regression", "token"):
        make_bundle_of(BY_NAME[name], store)
    write_colliding(make_bundle_of(BY_NAME["single"], store), store / "colliding")
    return store


def write_colliding(bundle: Bundle, folder: Path) -> None:
    """Write the manifest of a bundle, with two labels whose topics collide."""
    manifest = Manifest.model_validate_json(bundle.read_manifest())
    folder.mkdir()
    colliding = manifest.model_copy(update={"labels": ["C+", "C#", "C"]})
    (folder / "labelstream.json").write_text(colliding.model_dump_json())


def refusal(*words: object) -> LabelstreamError:
    result = CliRunner().invoke(app, [*map(str, words)])
    assert isinstance(result.exception, LabelstreamError), result.output
    return result.exception


@pytest.mark.parametrize("command", ["create", "check"])
@pytest.mark.parametrize(
    ("bundle", "code", "named"),
    [
        ("none", 3, "was not found"),
        ("regression", 2, "predicts a number"),
        ("token", 2, "predicts spans"),
        ("colliding", 2, "'C+'"),
    ],
)
def test_a_bundle_that_does_not_fit_the_template_is_refused(
    store: Path, command: str, bundle: str, code: int, named: str
) -> None:
    spec = store / bundle if bundle == "colliding" else bundle
    error = refusal("topics", command, *TEMPLATE, "--bundle", spec, "--bundle-store", store)
    assert error.exit_code == code
    assert named in f"{error.message} {error.cause}"
    assert error.fix


async def test_a_worker_refuses_the_bundle_before_it_uses_the_broker(store: Path) -> None:
    flags = {
        "output_topic": "labels.{label}",
        "bundle": str(store / "regression" / "1"),
        "broker": "127.0.0.1:1",
        "web_port": 0,
        "device": "cpu",
    }
    with pytest.raises(UsageError, match="predicts a number"):
        await run_worker(load_settings(flags))


def test_tail_asks_for_one_of_the_topics() -> None:
    error = refusal("tail", *TEMPLATE)
    assert error.exit_code == 2
    assert "--topic, such as labels.LABEL" in error.fix
