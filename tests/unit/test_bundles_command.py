"""`labelstream bundles`: output, and changes of `latest` only."""

import hashlib
from collections.abc import Iterator
from pathlib import Path

import orjson
import pytest
from typer.testing import CliRunner, Result

from stream.bundle import Manifest, latest_version, read_bundle
from stream.bundle.manifest import FILE_NAME
from stream.commands.bundles import app
from stream.errors import BundleError, UsageError
from tests.real.kinds import BY_NAME, make_bundle_of


@pytest.fixture(scope="module")
def built_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    store = tmp_path_factory.mktemp("store")
    for name in ("single", "single", "token"):
        make_bundle_of(BY_NAME[name], store)
    file = store / "single" / "2" / FILE_NAME
    manifest = Manifest.model_validate_json(file.read_bytes())
    metrics = {"test": {"rows": 10, "macro_f1": 0.875, "per_label": {"a": {"f1": 0.5, "support": 3}}}}
    labels = ["billing", "delivery", "other"]
    changed = manifest.model_copy(update={"metrics": metrics, "labels": labels, "temperature": 1.5})
    file.write_text(changed.model_dump_json(exclude_none=True))
    return store


@pytest.fixture
def store(built_store: Path) -> Iterator[Path]:
    yield built_store
    (built_store / "single" / "latest").write_text("2\n")
    (built_store / "single" / "history").write_text("1\n")


def run(store: Path, *arguments: str) -> Result:
    result = CliRunner().invoke(app, [*arguments, "--bundle-store", str(store)], standalone_mode=False)
    if result.exception is not None:
        raise result.exception
    return result


def digests(folder: Path) -> dict[str, str]:
    return {
        str(file): hashlib.sha256(file.read_bytes()).hexdigest()
        for file in sorted(folder.glob("*/*/**/*"))
        if file.is_file()
    }


def test_list_prints_a_line_for_each_bundle(store: Path) -> None:
    _, header, _, *rows = [line.split() for line in run(store, "list").stdout.splitlines()]
    assert header[:5] == ["name", "latest", "versions", "task", "labels"]
    single, token, *_ = rows
    assert single[:6] == ["single", "2", "1,", "2", "single-label", "3"]
    assert single[-2:] == ["macro_f1", "0.875"]
    assert token[:5] == ["token", "1", "1", "token", "5"]
    one, other = orjson.loads(run(store, "list", "--json").stdout)
    assert one["metric"] == {"name": "macro_f1", "value": 0.875}
    assert other["metric"] is None
    assert one["size_bytes"] > 1000


def test_an_unreadable_bundle_is_listed_with_the_reason(tmp_path: Path) -> None:
    (tmp_path / "odd" / "1").mkdir(parents=True)
    (tmp_path / "odd" / "1" / FILE_NAME).write_text("{}")
    (tmp_path / "odd" / "latest").write_text("1\n")
    assert "is not valid" in run(tmp_path, "list").stdout


def test_an_empty_store_prints_how_to_create_a_bundle(tmp_path: Path) -> None:
    assert "labelstream train" in run(tmp_path, "list").stdout
    assert orjson.loads(run(tmp_path, "list", "--json").stdout) == []


def test_show_prints_labels_settings_variants_and_metrics(store: Path) -> None:
    shown = run(store, "show", "single").stdout
    for text in ("single@2", "latest", "billing, delivery, other", "temperature   1.5", "fp32", "100.00%"):
        assert text in shown
    assert "test macro_f1: 0.875" in shown
    summary = orjson.loads(run(store, "show", "single@1", "--json").stdout)
    assert summary["reference"] == "single@1"
    assert summary["digest"] == read_bundle("single@1", store).digest
    assert "latest" not in run(store, "show", "single@1").stdout


def test_diff_prints_the_changes_only(store: Path) -> None:
    changes = orjson.loads(run(store, "diff", "single@1", "single", "--json").stdout)
    assert changes == {
        "before": "single@1",
        "after": "single@2",
        "labels": {"added": ["other"], "removed": ["refund"]},
        "settings": {"temperature": [1.0, 1.5]},
        "metrics": {"macro_f1": [None, 0.875], "per_label.a.f1": [None, 0.5]},
    }
    shown = run(store, "diff", "single@1", "single").stdout
    assert "+ other" in shown
    assert "- refund" in shown
    assert "temperature" in shown
    assert "do not differ" in run(store, "diff", "single", "single").stdout


def test_promote_and_rollback_move_latest_and_change_no_version(store: Path) -> None:
    before = digests(store)
    assert "latest is 1, was 2" in run(store, "promote", "single@1").stdout
    assert latest_version(store, "single") == "1"
    assert "latest is 1, unchanged" in run(store, "promote", "single@1").stdout
    assert "latest is 2, was 1" in run(store, "rollback", "single").stdout
    assert "latest is 1, was 2" in run(store, "rollback", "single").stdout, "as it was published"
    assert digests(store) == before


def test_missing_bundles_and_versions_are_errors(store: Path) -> None:
    with pytest.raises(BundleError, match="no single@9"):
        run(store, "promote", "single@9")
    with pytest.raises(UsageError, match="has no version"):
        run(store, "promote", "single")
    with pytest.raises(BundleError, match="no bundle nothing"):
        run(store, "rollback", "nothing")


@pytest.mark.parametrize(
    ("spec", "cause", "fix"),
    [
        ("singel", "which contains: ", "did you mean single?"),
        ("nothing", "which contains: ", "name one of these bundles"),
        ("single@9", "which has single in the versions 1, 2", "such as single@2"),
    ],
)
def test_a_missing_bundle_is_an_error_that_names_those_of_the_store(
    store: Path, spec: str, cause: str, fix: str
) -> None:
    with pytest.raises(BundleError, match="was not found") as failure:
        run(store, "show", spec)
    assert cause in failure.value.cause
    assert fix in failure.value.fix
    assert "set bundle_store (--bundle-store FOLDER)" in failure.value.fix
    assert "labelstream train DATA --name NAME" in failure.value.fix


def test_a_store_that_does_not_exist_is_named(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="was not found") as failure:
        run(tmp_path / "none", "show", "single")
    assert "which does not exist" in failure.value.cause
    assert failure.value.fix.startswith("set bundle_store")
