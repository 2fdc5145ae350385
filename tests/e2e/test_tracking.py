"""Trainings that report to real trackers, read back by the trackers' own readers."""

import io
import json
import struct
import subprocess
import sys
from collections.abc import Iterator
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from stream.bundle import Bundle, open_bundle
from stream.errors import BundleError, UsageError
from tests.e2e.test_train_tiny import ENVIRONMENT, write_tickets
from tests.real.tiny_bundle import save_tiny_base

if TYPE_CHECKING:
    from tests.real.mlflow import MlflowServer

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

ROWS = 120
EPOCHS = 2
STEPS = 6
SECRET = "0123456789abcdef0123456789abcdef01234567"
SYSTEM = "system_memory_usage_percentage"


@pytest.fixture(scope="module")
def room(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder with data and a base model, which is the working directory; trackers write into it."""
    pytest.importorskip("mlflow")
    room = tmp_path_factory.mktemp("room")
    save_tiny_base(room / "base")
    write_tickets(room / "tickets.csv", ROWS)
    with pytest.MonkeyPatch.context() as patched:
        patched.chdir(room)
        patched.setenv("WANDB_MODE", "offline")
        patched.setenv("WANDB_API_KEY", SECRET)
        patched.setenv("WANDB_DIR", str(room))
        patched.setenv("TRACKIO_DIR", str(room / "trackio"))
        patched.setenv("XDG_CACHE_HOME", str(room / "cache"))
        patched.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
        yield room


def train(name: str, **flags: Any) -> str:
    """Train a tiny model in this process and return everything that was printed."""
    from trainer.cli import train as command

    printed = io.StringIO()
    with redirect_stdout(printed), redirect_stderr(printed):
        command("tickets.csv", base_model="base", epochs=EPOCHS, variants=["fp32"], name=name, **flags)
    return printed.getvalue()


@pytest.fixture(scope="module")
def local(room: Path) -> str:
    """The output of a training that reports to the trackers without a server."""
    return train("local", report_to=["tensorboard,wandb", "trackio"], run_name="größe/1", project="proj")


def test_the_output_names_each_run_and_nothing_else_of_the_libraries(local: str, room: Path) -> None:
    tail = local[local.index("next       labelstream worker") :].splitlines()
    assert [line.split()[:2] for line in tail[1:]] == [
        ["tracked", "tensorboard:"],
        ["tracked", "wandb:"],
        ["tracked", "trackio:"],
    ]
    assert "wandb: " not in local.replace("tracked    wandb: ", "")


def test_metrics_json_has_the_history_of_the_epochs(local: str, room: Path) -> None:
    metrics = json.loads((room / "bundles/local/1/metrics.json").read_text())
    history = metrics["training"]["history"]
    assert [entry["epoch"] for entry in history] == [1, 2]
    assert all({"loss", "accuracy", "macro_f1"} <= entry.keys() for entry in history)


def test_tensorboard_holds_curves_parameters_and_results(local: str, room: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    (folder,) = (room / "runs/proj").iterdir()
    assert folder.name == "größe-1"
    events = EventAccumulator(str(folder))
    events.Reload()
    for curve in ("train/loss", "train/learning_rate", "train/grad_norm"):
        assert [event.step for event in events.Scalars(curve)] == [*range(1, STEPS + 1)]
    assert [event.step for event in events.Scalars("validation/accuracy")] == [3, 6]
    assert events.Scalars(f"system/{SYSTEM}")
    metrics = json.loads((room / "bundles/local/1/metrics.json").read_text())
    low, high = metrics["test"]["intervals"]["accuracy"]
    found = [events.Scalars(f"test/accuracy{end}")[0].value for end in ("_low", "", "_high")]
    assert found == pytest.approx([low, metrics["test"]["accuracy"], high])

    def table(name: str) -> str:
        return str(events.Tensors(f"{name}/text_summary")[0].tensor_proto.string_val[0].decode())

    assert "| learning_rate | 0.0001 |" in table("parameters")
    assert open_bundle("local").digest in table("bundle")
    assert "finished" in table("status")
    assert "_hparams_/session_start_info" in events.PluginTagToContent("hparams")


def test_wandb_holds_curves_config_summary_and_the_bundle(local: str, room: Path) -> None:
    (file,) = (room / "wandb").glob("offline-run-*/*.wandb")
    assert SECRET.encode() not in file.read_bytes()
    records = list(wandb_records(file))
    (run,) = [record.run for record in records if record.WhichOneof("record_type") == "run"][:1]
    assert (run.project, run.display_name, run.job_type) == ("proj", "größe/1", "train")
    config = {item.key: json.loads(item.value_json) for item in run.config.update}
    assert (config["learning_rate"], config["data.rows"]) == (1e-4, ROWS)
    points = [_items(record.history.item) for record in records if record.HasField("history")]
    losses = [point["step"] for point in points if "train/loss" in point]
    assert losses == [*range(1, STEPS + 1)]
    assert [point["step"] for point in points if "validation/accuracy" in point] == [3, 6]
    summaries = [_items(record.summary.update) for record in records if record.HasField("summary")]
    assert any("test/accuracy_low" in summary for summary in summaries)
    artefacts = [r.request.log_artifact.artifact if r.HasField("request") else r.artifact for r in records]
    names = {artefact.name: {entry.path for entry in artefact.manifest.contents} for artefact in artefacts}
    assert {"labelstream.json", "onnx/model.onnx"} <= names["local"]
    assert any(record.HasField("exit") and record.exit.exit_code == 0 for record in records)


def wandb_records(file: Path) -> Iterator[Any]:
    """Yield the records of a .wandb file: W&B's own messages in the log format of LevelDB.

    The reader of W&B is part of a compiled program that needs a server.
    """
    from wandb.proto import wandb_internal_pb2

    data, block, at, parts = file.read_bytes(), 32_768, 7, b""
    while at + 7 <= len(data):
        if block - at % block < 7:
            at += block - at % block
            continue
        _, size, kind = struct.unpack_from("<IHB", data, at)
        parts += data[at + 7 : at + 7 + size]
        at += 7 + size
        if kind in (1, 4):  # a whole record, or its last part
            yield wandb_internal_pb2.Record.FromString(parts)
            parts = b""


def _items(items: Any) -> dict[str, Any]:
    return {item.key or "/".join(item.nested_key): json.loads(item.value_json) for item in items}


def test_trackio_holds_curves_config_system_figures_and_the_bundle(local: str, room: Path) -> None:
    import trackio
    from trackio.sqlite_storage import SQLiteStorage

    (run,) = trackio.Api().runs("proj")
    assert run.name == "größe/1"
    assert (run.config["learning_rate"], run.config["data.rows"]) == (1e-4, ROWS)
    points = SQLiteStorage.get_logs("proj", run.name, run_id=run.id)
    assert [point["step"] for point in points if "train/loss" in point] == [*range(1, STEPS + 1)]
    assert [point["step"] for point in points if "validation/accuracy" in point] == [3, 6]
    assert any("test/accuracy_low" in point for point in points)
    assert SYSTEM in SQLiteStorage.get_system_logs("proj", run.name, run_id=run.id)[0]
    stored = [file.read_bytes() for file in (room / "trackio/artifacts").rglob("*") if file.is_file()]
    assert (room / "bundles/local/1/labelstream.json").read_bytes() in stored


@pytest.fixture(scope="module")
def server(mlflow_server: "MlflowServer", room: Path) -> Iterator["MlflowServer"]:
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("MLFLOW_TRACKING_URI", mlflow_server.url)
        yield mlflow_server


@pytest.fixture(scope="module")
def registered(server: "MlflowServer") -> str:
    """The output of a training that reports to MLflow, and to a TensorBoard whose disk is full."""

    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("trainer.tracking.tensorboard.TensorBoardTracker.log_metrics", full)
        return train(
            "served", report_to=["mlflow,tensorboard"], register="tickets", alias=["champion", "new"]
        )


def client() -> Any:
    import mlflow

    return mlflow.MlflowClient()


def version_of(alias: str) -> Any:
    return client().get_model_version_by_alias("tickets", alias)


@pytest.fixture(scope="module")
def served(registered: str) -> Bundle:
    return open_bundle("served")


def test_a_tracker_that_fails_does_not_end_the_training(registered: str, served: Bundle) -> None:
    assert registered.count("tensorboard has failed, and the training goes on without it") == 1
    assert registered.count("the run in tensorboard is incomplete: OSError: [Errno 28]") == 1
    assert "tracked    mlflow: http://" in registered
    assert "Successfully registered" not in registered


def test_mlflow_holds_curves_parameters_results_and_the_registered_bundle(
    registered: str, served: Bundle
) -> None:
    version = version_of("champion")
    assert version.version == version_of("new").version == "1"
    run = client().get_run(version.run_id)
    assert run.info.status == "FINISHED"
    assert run.info.run_name.startswith("served-")
    assert (run.data.params["learning_rate"], run.data.params["data.rows"]) == ("0.0001", str(ROWS))
    assert run.data.tags["labelstream.digest"] == served.digest
    for curve, steps in (("train/loss", [*range(1, STEPS + 1)]), ("validation/accuracy", [3, 6])):
        history = client().get_metric_history(version.run_id, curve)
        assert [point.step for point in history] == steps
    test = json.loads((served.path / "metrics.json").read_text())["test"]
    assert run.data.metrics["test/accuracy"] == pytest.approx(test["accuracy"])
    assert run.data.metrics["test/accuracy_low"] == pytest.approx(test["intervals"]["accuracy"][0])
    assert f"system/{SYSTEM}" in run.data.metrics
    assert SECRET not in json.dumps(run.to_dictionary())


def test_references_to_mlflow_are_bundles_of_every_command(
    registered: str, served: Bundle, room: Path
) -> None:
    from trainer.model.base_location import resolve_base_model

    run = version_of("champion").run_id
    references = ("models:/tickets@champion", "models:/tickets/1", f"runs:/{run}/bundle")
    opened = [open_bundle(reference) for reference in references]
    assert {bundle.digest for bundle in opened} == {served.digest}
    # The alias and the version name one model, which is downloaded once.
    assert opened[0].path == opened[1].path
    assert (opened[0].path / ".origin").read_text() == "models:/tickets/1\n"
    assert resolve_base_model("models:/tickets@champion").source == str(opened[0].path)
    command = [sys.executable, "-m", "stream", "predict", "models:/tickets@champion", "--text", "where is it"]
    done = subprocess.run(
        command, capture_output=True, text=True, env={**ENVIRONMENT, **_environment()}, check=False
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["label"] in served.manifest.labels


def _environment() -> dict[str, str]:
    import os

    return {name: os.environ[name] for name in ("MLFLOW_TRACKING_URI", "XDG_CACHE_HOME")}


@pytest.mark.parametrize(
    "reference", ["models:/tickets@nobody", "models:/nothing/1", "runs:/0123456789abcdef/bundle"]
)
def test_an_unknown_reference_is_named(reference: str, registered: str) -> None:
    with pytest.raises(BundleError) as refused:
        open_bundle(reference)
    assert reference in refused.value.message
    assert "check the name at http://127.0.0.1" in refused.value.fix


def test_a_changed_file_in_the_cache_is_refused(registered: str, room: Path) -> None:
    path = open_bundle("models:/tickets/1").path
    original = (path / "config.json").read_bytes()
    (path / "config.json").write_bytes(original + b" ")
    with pytest.raises(BundleError, match=r"config\.json"):
        open_bundle("models:/tickets/1")
    (path / "config.json").write_bytes(original)


def test_mlflow_serves_the_bundle_with_the_results_of_predict(
    registered: str, served: Bundle, server: "MlflowServer"
) -> None:
    from tests.real.mlflow import invoke

    texts = ["i was charged twice", "  ", "Größe \U0001f600 where is my money", "x" * 100_001]
    command = [sys.executable, "-m", "stream", "predict", str(served.path), "--variant", "fp32"]
    for text in texts:
        command += ["--text", text]
    done = subprocess.run(command, capture_output=True, text=True, env=ENVIRONMENT, check=True)
    expected = [json.loads(line) for line in done.stdout.splitlines()]
    with server.serve("models:/tickets@champion") as url:
        found = invoke(url, [{"text": text} for text in texts])
    assert [
        {name: value for name, value in row.items() if name not in ("row", "text", "text_pair")}
        for row in expected
    ] == found
    assert "error" in found[1]


def test_without_the_server_a_version_comes_from_the_cache_and_an_alias_is_refused(
    registered: str, served: Bundle, server: "MlflowServer", monkeypatch: pytest.MonkeyPatch
) -> None:
    open_bundle("models:/tickets/1")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "2")
    server.pause()
    assert open_bundle("models:/tickets/1").digest == served.digest
    with pytest.raises(BundleError) as refused:
        open_bundle("models:/tickets@champion")
    assert "MLFLOW_TRACKING_URI" in refused.value.fix
    with pytest.raises(UsageError) as not_started:
        train("unreachable", report_to=["mlflow"])
    assert not_started.value.message == "mlflow does not start a run"
    assert not Path("bundles/unreachable").exists()
