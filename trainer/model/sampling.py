"""The order of the training rows: batches of similar lengths, equal in all processes and after a resume."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from transformers.trainer_pt_utils import LengthGroupedSampler

from trainer.processes import from_main

STATE_FILE = "sampler_rng.pth"


class EpochSampler(LengthGroupedSampler):  # type: ignore[misc] # transformers has no types
    """A sampler whose order in an epoch can be repeated when training resumes within the epoch.

    The order is drawn from the global random state. Processes have different states after dropout, so all of
    them take the order of the main process.
    """

    def __init__(self, batch_size: int, dataset: Any, resume_state: Any = None) -> None:
        """
        Args:
            batch_size: the rows of one optimiser step in all processes.
            dataset: the training dataset.
            resume_state: the random state at the start of the first epoch; None for the current state.
        """
        super().__init__(batch_size, dataset=dataset, model_input_name="input_ids")
        self._resume_state = resume_state
        self.epoch_state: Any = None

    def __iter__(self) -> Iterator[int]:
        if self._resume_state is not None:
            torch.set_rng_state(self._resume_state)
            self._resume_state = None
        self.epoch_state = torch.get_rng_state()
        return iter(from_main(list(super().__iter__())))

    def save(self, checkpoint: Path) -> None:
        """Write the random state at the start of the current epoch into a checkpoint."""
        torch.save(self.epoch_state, checkpoint / STATE_FILE)


def saved_order(checkpoint: Path) -> Any:
    """Return the random state that `EpochSampler.save` wrote, or None if the checkpoint has none."""
    file = checkpoint / STATE_FILE
    return torch.load(file, weights_only=True) if file.is_file() else None
