"""The decisions that parity counts for each task, and the rows that it reports."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import typer
from typer.testing import CliRunner

from stream.bundle import Bundle, Manifest
from stream.classify import TextInput
from stream.commands.verify import verify
from stream.errors import BundleError
from stream.verify import (
    compare,
    label_agreement,
    largest_differences,
    read_lengths,
    read_reference,
    within_tolerance,
)
from tests.real import kinds
from tests.real.kinds import BY_NAME, make_bundle_of
from tests.unit.small_bundle import partial_manifest


def manifest(task: Any, **more: Any) -> Manifest:
    return partial_manifest(task=task, labels=["a", "b"], **more)


def test_every_label_of_a_multi_label_row_is_a_decision() -> None:
    multi = manifest("multi-label", thresholds={"a": 0.5, "b": 0.9})
    expected = np.array([[1.0, 2.0], [-1.0, 2.0]], dtype=np.float32)
    actual = np.array([[1.0, 2.5], [-1.0, 2.0]], dtype=np.float32)
    assert label_agreement(expected, actual, 1, multi) == 0.75, (
        "sigmoid(2.5) exceeds 0.9, sigmoid(2) does not"
    )
    warm = multi.model_copy(update={"temperature": 2.0})
    assert label_agreement(expected, actual, 1, warm) == 1.0
    assert label_agreement(expected, actual, 1) == 1.0, "the best label is the same"


def test_a_regression_row_agrees_within_the_tolerance() -> None:
    expected = np.zeros((4, 1), dtype=np.float32)
    actual = np.array([[0.0], [0.1], [-0.2], [0.3]], dtype=np.float32)
    assert label_agreement(expected, actual, 0.2, manifest("regression")) == 0.75


def test_every_tagged_token_is_a_decision() -> None:
    expected = np.array([[1, 0], [0, 1], [1, 0], [1, 0]], dtype=np.float32)
    actual = np.array([[1, 0], [1, 0], [1, 0], [1, 0]], dtype=np.float32)
    parity = compare(expected, actual, tolerance=2, min_label_agreement=0.75, manifest=manifest("token"))
    assert (parity.rows, parity.label_agreement) == (4, 0.75)
    assert within_tolerance(parity)


def test_the_rows_with_the_largest_token_differences_are_reported() -> None:
    rows = [TextInput(text) for text in ("one", "two", "three")]
    expected = np.zeros((6, 2), dtype=np.float32)
    actual = expected.copy()
    actual[3, 1], actual[0, 0] = 5.0, 1.0
    worst = largest_differences(rows, expected, actual, 2, lengths=np.array([1, 3, 2]))
    reported = [(difference.row, difference.text, difference.logit_diff) for difference in worst]
    assert reported == [(1, "two", 5.0), (0, "one", 1.0)]


def test_logits_of_different_tokens_are_refused() -> None:
    with pytest.raises(BundleError, match="same tokens"):
        compare(
            np.zeros((3, 2), dtype=np.float32),
            np.zeros((4, 2), dtype=np.float32),
            tolerance=1,
            min_label_agreement=1,
        )


@pytest.fixture(scope="module")
def token(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return make_bundle_of(BY_NAME["token"], tmp_path_factory.mktemp("token"))


def test_lengths_are_the_tokens_of_each_row(token: Bundle) -> None:
    rows, logits = read_reference(token)
    lengths = read_lengths(token, len(rows))
    assert lengths.sum() == len(logits)
    assert lengths.max() == kinds.MAX_LENGTH


@pytest.mark.parametrize("broken", ["none", "short", "wrong"])
def test_a_reference_with_inconsistent_lengths_is_refused(token: Bundle, tmp_path: Path, broken: str) -> None:
    rows, logits = read_reference(token)
    lengths = read_lengths(token, len(rows))
    (tmp_path / "reference.jsonl").write_bytes((token.path / "reference.jsonl").read_bytes())
    arrays: dict[str, Any] = {
        "none": {},
        "short": {"lengths": lengths[1:]},
        "wrong": {"lengths": lengths + 1},
    }[broken]
    np.savez(tmp_path / "reference.npz", logits=logits, **arrays)
    with pytest.raises(BundleError, match="reference"):
        read_reference(replace(token, path=tmp_path))


@pytest.mark.parametrize(
    ("name", "counted"),
    [
        ("token", "same tag"),
        ("many", "same decisions"),
        ("regression", "within tolerance"),
        ("pair", "same label"),
    ],
)
def test_verify_shows_the_decisions_of_the_task(name: str, counted: str, tmp_path: Path) -> None:
    make_bundle_of(BY_NAME[name], tmp_path)
    app = typer.Typer()
    app.command()(verify)
    result = CliRunner().invoke(app, [name, "--bundle-store", str(tmp_path)], env={"COLUMNS": "200"})
    assert result.exit_code == 0, result.output
    assert counted in result.output
    assert "100.00%" in result.output


def test_verify_refuses_a_graph_with_different_tags(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    unchanged = kinds.reference

    def moved(*given: Any) -> tuple[np.ndarray, np.ndarray]:
        logits, lengths = unchanged(*given)
        logits[lengths[0] + 1] += 1.0
        return logits, lengths

    monkeypatch.setattr(kinds, "reference", moved)
    make_bundle_of(BY_NAME["token"], tmp_path)
    app = typer.Typer()
    app.command()(verify)
    with pytest.raises(BundleError, match="does not match the trained model") as raised:
        CliRunner().invoke(
            app, ["token", "--bundle-store", str(tmp_path)], standalone_mode=False, catch_exceptions=False
        )
    assert "the logits of row 1 differ by 1" in raised.value.cause
