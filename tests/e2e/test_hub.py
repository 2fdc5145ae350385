"""A training that pushes its bundle, and transformers that loads it from the Hub's stand-in."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from huggingface_hub import ModelCard
from rich.console import Console

from stream.bundle import Bundle, open_bundle
from stream.errors import UsageError
from tests.e2e.test_train_tiny import write_tickets
from tests.real.hub import OWNER, HubServer
from tests.real.tiny_bundle import TEXTS, save_tiny_base
from trainer.config import TrainingConfig
from trainer.data.read import read_data
from trainer.export.push import PushRequest
from trainer.model.base_location import resolve_base_model
from trainer.run import run

pytestmark = pytest.mark.slow
PROJECT = Path(__file__).parents[2]
LOGITS = """
import json, sys
from transformers import AutoModelForSequenceClassification, AutoTokenizer
model = AutoModelForSequenceClassification.from_pretrained("owner/tickets").eval()
tokenizer = AutoTokenizer.from_pretrained("owner/tickets")
batch = tokenizer(json.loads(sys.argv[1]), padding=True, truncation=True, return_tensors="pt")
print(json.dumps([model(**batch).logits.tolist(), model.config.id2label]))
"""


@pytest.fixture(scope="module")
def hub() -> Iterator[HubServer]:
    with HubServer() as server:
        yield server


@pytest.fixture(scope="module")
def room(tmp_path_factory: pytest.TempPathFactory) -> Path:
    room = tmp_path_factory.mktemp("room")
    save_tiny_base(room / "base")
    write_tickets(room / "tickets.csv", 120)
    return room


def train(hub: HubServer, room: Path, token: str) -> subprocess.CompletedProcess[str]:
    flags = (
        "--base-model",
        "base",
        "--epochs",
        "1",
        "--max-length",
        "32",
        "--variants",
        "fp32",
        "--no-results",
    )
    return subprocess.run(
        [sys.executable, "-m", "stream", "train", "tickets.csv", *flags, "--push-to-hub", "owner/tickets"],
        env={**hub.environment(room, token), "PYTHONPATH": str(PROJECT)},
        cwd=room,
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )


@pytest.fixture(scope="module")
def pushed(hub: HubServer, room: Path) -> Bundle:
    done = train(hub, room, OWNER)
    assert done.returncode == 0, done.stdout + done.stderr
    repository = hub.state.repositories["owner/tickets"]
    assert f"pushed: hf://owner/tickets@{repository.branches['main']}" in done.stdout
    return open_bundle("tickets", room / "bundles")


def test_a_token_that_may_not_write_is_reported_before_the_training(
    room: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(request: PushRequest) -> str:
        raise UsageError(f"the token may not write to {request.repository}")

    monkeypatch.setattr("trainer.run.prepare_push", refuse)
    config = TrainingConfig(push_to_hub="owner/x", bundle_store=room / "store")
    data = read_data(room / "tickets.csv", config.data)
    with pytest.raises(UsageError, match="may not write to owner/x"):
        run(data, config, resolve_base_model(str(room / "base")), Console(quiet=True))
    assert not (room / "store").exists()


def test_the_card_has_the_results_of_the_test_split(hub: HubServer, pushed: Bundle) -> None:
    repository = hub.state.repositories["owner/tickets"]
    card = ModelCard(repository.commits[repository.branches["main"]]["README.md"].decode())
    results = {result.metric_name: result.metric_value for result in card.data.get("eval_results") or []}
    measured = pushed.manifest.metrics["test"]
    assert results["accuracy"] == pytest.approx(measured["accuracy"], abs=1e-4)
    assert results["macro-F1"] == pytest.approx(measured["macro_f1"], abs=1e-4)
    assert "labelstream predict hf://owner/tickets" in card.text


def test_transformers_loads_the_pushed_model(hub: HubServer, room: Path, pushed: Bundle) -> None:
    from trainer import load

    done = subprocess.run(
        [sys.executable, "-c", LOGITS, json.dumps(TEXTS)],
        env=hub.environment(room / "fresh"),
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    logits, labels = json.loads(done.stdout)
    assert [*labels.values()] == pushed.manifest.labels
    expected = load(pushed.path).logits(TEXTS)
    np.testing.assert_allclose(logits, expected, atol=1e-5)
