"""Console output of a sweep while its trials run."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import optuna
from optuna.trial import FrozenTrial
from rich.console import Console
from rich.status import Status

from trainer.metric_titles import title_of
from trainer.sweep.charts import last_value
from trainer.sweep.results import outcome, write_table
from trainer.sweep.study import ERROR, best_trial, finished_trials
from trainer.sweep.trials import Search


class SweepProgress:
    """One line per finished trial with the best so far, a status line, and trials.csv after each trial."""

    def __init__(self, study: optuna.Study, search: Search, console: Console, status: Status) -> None:
        self._study = study
        self._search = search
        self._console = console
        self._status = status

    def note(self, text: str) -> None:
        """Show a sentence."""
        self._print(text)

    def epoch(self, number: int, epoch: int, value: float) -> None:
        """Show the metric of an epoch of the running trial."""
        done = len(finished_trials(self._study))
        self._status.update(
            f"trial {number}, epoch {epoch}: {self._title} {value:.4f}; "
            f"{done} of {self._search.trials} trials; {self._best()}"
        )

    def finished(self, trial: FrozenTrial) -> None:
        """Show a trial that has ended, and write the table of trials."""
        done, value = len(finished_trials(self._study)), last_value(trial)
        result = trial.user_attrs.get(ERROR) or (f"{self._title} {value:.4f}" if value is not None else "")
        self._print(
            f"{done}/{self._search.trials}  trial {trial.number} {outcome(trial)}: {result}; "
            f"{settings_text(trial.params)}; {trial.user_attrs.get('seconds', 0):.0f} s; {self._best()}"
        )
        write_table(self._study, self._search.metric, self._search.folder)

    @property
    def _title(self) -> str:
        return title_of(self._search.metric)

    def _best(self) -> str:
        best = best_trial(self._study)
        return "no best yet" if best is None else f"best {best.value:.4f} (trial {best.number})"

    def _print(self, text: str) -> None:
        self._console.print(text, markup=False, highlight=False, soft_wrap=True)


def settings_text(params: Mapping[str, Any]) -> str:
    """Return the settings of a trial on one line, numbers with four digits."""
    return ", ".join(
        f"{name} {value:.4g}" if isinstance(value, float) else f"{name} {value}"
        for name, value in params.items()
    )


def study_files(folder: Path) -> str:
    """Return the names of the files of a study that people read."""
    names = ("sweep.html", "trials.csv", "history.png", "importance.png")
    return ", ".join(str(folder / name) for name in names if (folder / name).is_file())
