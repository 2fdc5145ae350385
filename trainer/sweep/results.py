"""The files of a study: trials.csv, importance.png, history.png, sweep.html and result.json."""

import base64
import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import optuna
import orjson
from optuna.trial import FrozenTrial, TrialState

from stream.output_files import write_file
from trainer.evaluation.paired import PairedDifference
from trainer.metric_titles import title_of
from trainer.sweep.charts import history_png, importance_png, last_value
from trainer.sweep.study import DEFAULT_RECIPE, ERROR, best_trial, finished_trials

TABLE = "trials.csv"
HISTORY = "history.png"
IMPORTANCE = "importance.png"
PAGE = "sweep.html"
RESULT = "result.json"

MIN_TRIALS_FOR_IMPORTANCE = 4


def trial_rows(trials: Sequence[FrozenTrial], metric: str) -> list[dict[str, Any]]:
    """Return one row per trial: its outcome, its metric, its epochs and its settings."""
    return [
        {
            "trial": trial.number,
            "state": outcome(trial),
            f"validation_{metric}": last_value(trial),
            "best_epoch": trial.user_attrs.get("best_epoch"),
            "epochs_run": trial.user_attrs.get("epochs_run"),
            "seconds": trial.user_attrs.get("seconds"),
            "default_recipe": bool(trial.user_attrs.get(DEFAULT_RECIPE)),
            **trial.params,
            "error": trial.user_attrs.get(ERROR),
        }
        for trial in trials
    ]


def outcome(trial: FrozenTrial) -> str:
    """Return the outcome of a finished trial: complete, pruned or failed."""
    return {TrialState.COMPLETE: "complete", TrialState.PRUNED: "pruned"}.get(trial.state, "failed")


def write_table(study: optuna.Study, metric: str, folder: Path) -> None:
    """Write trials.csv."""
    rows = trial_rows(finished_trials(study), metric)
    columns = dict.fromkeys(name for row in rows for name in row if name != "error")
    text = io.StringIO()
    writer = csv.DictWriter(text, [*columns, "error"])
    writer.writeheader()
    writer.writerows(rows)
    write_file(folder / TABLE, text.getvalue().encode())


def importances(study: optuna.Study) -> dict[str, float]:
    """Return the share of each setting in the importance; empty if too few trials are complete.

    The importance is that of PED-ANOVA (Watanabe et al. 2023), Optuna's default.
    """
    complete = [trial for trial in finished_trials(study) if trial.state == TrialState.COMPLETE]
    if len(complete) < MIN_TRIALS_FOR_IMPORTANCE or len({trial.value for trial in complete}) < 2:
        return {}
    return dict(optuna.importance.get_param_importances(study))


def write_page(
    study: optuna.Study, metric: str, folder: Path, about: Mapping[str, str], conclusion: str = ""
) -> None:
    """Write the two charts and the page that holds both and the table of trials.

    Args:
        study: the study.
        metric: the validation metric of the trials.
        folder: the folder of the study.
        about: the facts at the top of the page, name to text.
        conclusion: the comparison of the winner with the default recipe, in a sentence.
    """
    import jinja2

    trials = finished_trials(study)
    title = title_of(metric)
    charts = {"History": history_png(trials, title)}
    write_file(folder / HISTORY, charts["History"])
    found = importances(study)
    if found:
        charts["Importance"] = importance_png(found)
        write_file(folder / IMPORTANCE, charts["Importance"])
    else:
        (folder / IMPORTANCE).unlink(missing_ok=True)
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("trainer.sweep", "templates"), autoescape=True, trim_blocks=True
    )
    best = best_trial(study)
    page = environment.get_template("sweep.html").render(
        about=about,
        charts={name: base64.b64encode(png).decode() for name, png in charts.items()},
        rows=trial_rows(trials, metric),
        best=None if best is None else best.number,
        conclusion=conclusion,
        min_trials=MIN_TRIALS_FOR_IMPORTANCE,
    )
    write_file(folder / PAGE, page.encode())


def conclude(compared: PairedDifference, title: str) -> str:
    """Return what the comparison of the winner with the default recipe says, in one sentence."""
    seeds = len(compared.first)
    figures = (
        f"test {title} {compared.difference:+.4f} (95% interval {compared.low:+.4f} to {compared.high:+.4f}, "
        f"{seeds} {'seed' if seeds == 1 else 'seeds'})"
    )
    if compared.verdict == "better":
        return f"The winner is better than the default recipe: {figures}."
    if compared.verdict == "worse":
        return f"The winner is not better than the default recipe, but worse: {figures}."
    return f"The winner is not better than the default recipe: the interval contains 0, {figures}."


def write_result(folder: Path, result: Mapping[str, Any]) -> None:
    """Write result.json."""
    write_file(folder / RESULT, orjson.dumps(result, option=orjson.OPT_INDENT_2 | orjson.OPT_SERIALIZE_NUMPY))


def read_result(folder: Path) -> dict[str, Any]:
    """Return the result of an earlier run; empty if there is none."""
    try:
        found = orjson.loads((folder / RESULT).read_bytes())
    except (OSError, orjson.JSONDecodeError):
        return {}
    return found if isinstance(found, dict) else {}
