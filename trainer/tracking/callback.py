"""The Trainer's callback that passes its log entries to the trackers.

The integration callbacks of transformers end the run before the test metrics and the bundle exist, record the
temporary folder as a parameter, and let an error of a tracker end the training.
"""

from collections.abc import Callable, Mapping
from typing import Any

from transformers import TrainerCallback

from trainer.tracking.values import curve_points


class CurveCallback(TrainerCallback):  # type: ignore[misc] # transformers has no types
    """Passes loss, learning rate, gradient norm and validation metrics on, with the number of the step."""

    def __init__(self, log: Callable[[Mapping[str, float], int], None]) -> None:
        self._log = log

    def on_log(self, _args: Any, state: Any, _control: Any, logs: dict[str, float], **_: Any) -> None:
        if state.is_world_process_zero:
            self._log(curve_points(logs), state.global_step)
