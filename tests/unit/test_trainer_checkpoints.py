"""A checkpoint folder belongs to one training."""

from pathlib import Path

import pytest

from stream.errors import UsageError
from trainer.model.checkpoints import claim
from trainer.request import Checkpoints

ASKED = {"epochs": 3, "seed": 1, "augment": ("swap",), "data": "sha256:1"}


def test_what_was_begun_may_go_on(tmp_path: Path) -> None:
    claim(Checkpoints(tmp_path / "kept"), ASKED)
    (tmp_path / "kept/checkpoint-4").mkdir()
    claim(Checkpoints(tmp_path / "kept", resume=True), ASKED)


def test_other_flags_and_other_data_are_named(tmp_path: Path) -> None:
    claim(Checkpoints(tmp_path), ASKED)
    with pytest.raises(UsageError) as refused:
        claim(Checkpoints(tmp_path, resume=True), {**ASKED, "epochs": 5, "data": "sha256:2"})
    assert refused.value.cause == "different are: data, epochs"


def test_a_folder_with_checkpoints_is_not_taken_over(tmp_path: Path) -> None:
    (tmp_path / "checkpoint-9").mkdir()
    with pytest.raises(UsageError, match="holds checkpoints already"):
        claim(Checkpoints(tmp_path), ASKED)


def test_temporary_checkpoints_need_no_claim() -> None:
    claim(Checkpoints(), ASKED)
