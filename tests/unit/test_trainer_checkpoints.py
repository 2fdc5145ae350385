"""A checkpoint folder belongs to one training."""

from pathlib import Path

import pytest

from stream.errors import UsageError
from trainer.config import Checkpoints
from trainer.model.finetune import claim_checkpoint_folder

SETTINGS = {"epochs": 3, "seed": 1, "augment": ("swap",), "data": "sha256:1"}


def test_a_training_with_the_same_settings_can_resume(tmp_path: Path) -> None:
    claim_checkpoint_folder(Checkpoints(keep_in=tmp_path / "kept"), SETTINGS)
    (tmp_path / "kept/checkpoint-4").mkdir()
    claim_checkpoint_folder(Checkpoints(resume_from=tmp_path / "kept"), SETTINGS)


def test_the_error_names_different_settings_and_data(tmp_path: Path) -> None:
    claim_checkpoint_folder(Checkpoints(keep_in=tmp_path), SETTINGS)
    with pytest.raises(UsageError) as refused:
        claim_checkpoint_folder(
            Checkpoints(resume_from=tmp_path), {**SETTINGS, "epochs": 5, "data": "sha256:2"}
        )
    assert refused.value.cause == "these settings differ: data, epochs"


def test_a_new_training_refuses_a_folder_with_checkpoints(tmp_path: Path) -> None:
    (tmp_path / "checkpoint-9").mkdir()
    with pytest.raises(UsageError, match="already holds checkpoints"):
        claim_checkpoint_folder(Checkpoints(keep_in=tmp_path), SETTINGS)


def test_a_folder_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="cannot write"):
        claim_checkpoint_folder(Checkpoints(keep_in=tmp_path / "file" / "kept"), SETTINGS)


@pytest.mark.parametrize("damage", ["{", "[]"])
def test_damaged_settings_are_not_resumed(tmp_path: Path, damage: str) -> None:
    (tmp_path / "labelstream-training.json").write_text(damage)
    with pytest.raises(UsageError, match="cannot be resumed"):
        claim_checkpoint_folder(Checkpoints(resume_from=tmp_path), SETTINGS)


def test_temporary_checkpoints_need_no_folder() -> None:
    claim_checkpoint_folder(Checkpoints(), SETTINGS)
