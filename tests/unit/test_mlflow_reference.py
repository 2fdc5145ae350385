"""Bundles in MLflow, with its real client on a store in a folder: download, cache, and refusals."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from stream.bundle import import_mlflow, open_bundle
from stream.errors import BundleError
from tests.unit.hub_process import WEIGHTS, make_saved

MODEL, ALIAS = "models:/tickets/1", "models:/tickets@champion"


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    return make_saved(tmp_path / "saved")


@pytest.fixture
def run_id(saved: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The run that has logged the bundle, which is registered as version 1 with the alias champion."""
    pytest.importorskip("mlflow", reason="the extra tracking is not installed")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", (tmp_path / "mlruns").as_uri())
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    monkeypatch.setenv("LABELSTREAM_BUNDLE_CACHE", str(tmp_path / "cache"))
    client = import_mlflow().MlflowClient()
    run = client.create_run(client.create_experiment("tickets")).info.run_id
    client.log_artifacts(run, str(saved), "bundle/data/1")
    client.create_registered_model("tickets")
    version = client.create_model_version("tickets", f"runs:/{run}/bundle", run_id=run).version
    client.set_registered_model_alias("tickets", "champion", version)
    return str(run)


@pytest.fixture
def fetched(run_id: str, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the files that were downloaded, in order."""
    artifacts: Any = import_mlflow().artifacts
    download: Callable[..., str] = artifacts.download_artifacts
    names: list[str] = []

    def record(artifact_uri: str, dst_path: str) -> str:
        names.append(artifact_uri.partition("/data/1/")[2])
        return download(artifact_uri=artifact_uri, dst_path=dst_path)

    monkeypatch.setattr(artifacts, "download_artifacts", record)
    return names


def test_a_worker_downloads_no_weights_and_later_readers_only_the_weights(
    fetched: list[str], saved: Path, run_id: str
) -> None:
    found = open_bundle(ALIAS, weights=False)
    assert (found.digest, found.origin) == (open_bundle(saved).digest, MODEL)
    assert "onnx/model.onnx" in fetched
    assert not {WEIGHTS, "README.md"} & {*fetched}
    fetched.clear()
    assert open_bundle(MODEL).path == found.path
    assert fetched == ["labelstream.json", WEIGHTS]
    fetched.clear()
    assert open_bundle(ALIAS).path == found.path
    assert fetched == []
    of_run = open_bundle(f"runs:/{run_id}/bundle")
    assert (of_run.digest, of_run.origin) == (found.digest, f"runs:/{run_id}/bundle")


def test_a_file_that_does_not_match_the_manifest_never_enters_the_cache(
    run_id: str, saved: Path, tmp_path: Path
) -> None:
    (stored,) = (tmp_path / "mlruns").rglob("onnx/model.onnx")
    stored.write_bytes(b"damaged")
    with pytest.raises(BundleError, match=r"onnx/model\.onnx .* was changed"):
        open_bundle(MODEL)
    assert [*(tmp_path / "cache").rglob("*.onnx")] == []
    shutil.copyfile(saved / "onnx/model.onnx", stored)
    assert open_bundle(MODEL).digest == open_bundle(saved).digest


def test_a_signature_is_downloaded_with_the_bundle(saved: Path, run_id: str, tmp_path: Path) -> None:
    (manifest,) = (tmp_path / "mlruns").rglob("labelstream.json")
    manifest.with_name("labelstream.sig").write_bytes(b"signed")
    assert (open_bundle(MODEL, weights=False).path / "labelstream.sig").read_bytes() == b"signed"


def test_two_bundles_or_none_are_refused(run_id: str, saved: Path) -> None:
    client = import_mlflow().MlflowClient()
    client.log_artifacts(run_id, str(saved), "bundle/data/2")
    with pytest.raises(BundleError, match="is not one bundle") as refused:
        open_bundle(MODEL)
    assert refused.value.cause == "it holds 2 files labelstream.json"


@pytest.mark.parametrize(
    ("code", "is_cached"), [("TEMPORARILY_UNAVAILABLE", True), ("PERMISSION_DENIED", False)]
)
def test_the_cached_copy_is_used_without_an_answer_but_not_after_a_refusal(
    code: str, is_cached: bool, run_id: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    from mlflow.exceptions import RestException

    before = open_bundle(MODEL)

    def refuse(*_: object) -> None:
        raise RestException({"error_code": code, "message": "no"})

    client = import_mlflow().MlflowClient
    monkeypatch.setattr(client, "get_model_version", refuse)
    monkeypatch.setattr(client, "get_model_version_by_alias", refuse)
    if is_cached:
        assert open_bundle(MODEL).path == before.path
        assert "MLflow does not answer; models:/tickets/1 is the cached copy" in caplog.text
    else:
        with pytest.raises(BundleError, match="cannot be loaded from MLflow"):
            open_bundle(MODEL)
    with pytest.raises(BundleError, match="cannot be loaded from MLflow"):
        open_bundle(ALIAS)


def test_a_manifest_that_is_not_valid_is_reported(run_id: str, tmp_path: Path) -> None:
    (manifest,) = (tmp_path / "mlruns").rglob("labelstream.json")
    manifest.write_text(json.dumps({"schema_version": 1}))
    with pytest.raises(BundleError, match="is not valid"):
        open_bundle(MODEL)
