"""Parameters and metrics as the trackers take them: flat names, plain values, no secrets."""

import os
import re
from collections.abc import Iterator, Mapping
from typing import Any

import orjson

from stream.bundle import Bundle
from trainer.tracking.base import Parameter

MAX_VALUE_CHARS = 500
HIDDEN = "***"
LABEL_WEIGHTS = "imbalance.weights"
SECRET_NAME = re.compile(
    r"(^|[._-])(token|password|passwd|secret|credentials?|api_?key|access_?key)$", re.IGNORECASE
)
USER_IN_URL = re.compile(r"(?<=://)[^/@\s]+@")
# Shorter values occur in ordinary texts.
MIN_SECRET_CHARS = 6


def flat_parameters(settings: Mapping[str, Any]) -> dict[str, Parameter]:
    """Return nested settings with dotted names.

    Settings without a value, secrets and the weights of labels are left out: a model can have thousands of
    labels, and a tracker does not take every label as a name.
    """
    return dict(_flatten(settings, ""))


def _flatten(settings: Mapping[str, Any], prefix: str) -> Iterator[tuple[str, Parameter]]:
    for key, value in settings.items():
        name = f"{prefix}{key}"
        # The number of a setting such as `max_token` is no secret.
        if value is None or name == LABEL_WEIGHTS or (isinstance(value, str) and SECRET_NAME.search(name)):
            continue
        if isinstance(value, bool | int | float):
            yield name, value
        elif isinstance(value, Mapping):
            yield from _flatten(value, f"{name}.")
        else:
            text = value if isinstance(value, str) else orjson.dumps(value, default=str).decode()
            yield name, _shorten(without_secrets(text))


def _shorten(text: str) -> str:
    return text if len(text) <= MAX_VALUE_CHARS else f"{text[: MAX_VALUE_CHARS - 1]}…"


def without_secrets(text: str) -> str:
    """Return a text without users in URLs and without the values of secret environment variables."""
    shown = USER_IN_URL.sub("", text)
    for name, value in os.environ.items():
        if SECRET_NAME.search(name) and len(value) >= MIN_SECRET_CHARS:
            shown = shown.replace(value, HIDDEN)
    return shown


def flat_results(metrics: Mapping[str, Any]) -> dict[str, float]:
    """Return the metrics of the validation and the test split, with the ends of their 95% intervals.

    The figures of each label stay in metrics.json, because a model can have thousands of labels.

    Args:
        metrics: the content of metrics.json.

    Returns:
        Names such as `test/macro_f1`, `test/macro_f1_low` and `test/macro_f1_high`.
    """
    # The curve of the validation metrics is validation/…; these are of the selected epoch, calibrated.
    return {
        f"{prefix}/{name}": value
        for split, prefix in (("validation", "best_validation"), ("test", "test"))
        for name, value in _figures(metrics.get(split) or {})
    }


def _figures(section: Mapping[str, Any]) -> Iterator[tuple[str, float]]:
    for name, value in section.items():
        if isinstance(value, int | float) and not isinstance(value, bool):
            yield name, float(value)
    for name, ends in (section.get("intervals") or {}).items():
        if _is_interval(ends):
            yield f"{name}_low", float(ends[0])
            yield f"{name}_high", float(ends[1])


def _is_interval(ends: Any) -> bool:
    return isinstance(ends, list | tuple) and [isinstance(end, int | float) for end in ends] == [True, True]


def curve_points(logs: Mapping[str, Any]) -> dict[str, float]:
    """Return one log entry of the Trainer with the names of the curves: train/loss, validation/accuracy."""
    return {
        _curve_name(name): float(value)
        for name, value in logs.items()
        if isinstance(value, int | float) and not isinstance(value, bool)
    }


def _curve_name(name: str) -> str:
    if name.startswith("eval_"):
        return f"validation/{name.removeprefix('eval_')}"
    # The mean over the whole training comes at its end, and is no point of the curve.
    return "train/mean_loss" if name == "train_loss" else f"train/{name.removeprefix('train_')}"


def bundle_facts(bundle: Bundle) -> dict[str, str]:
    """Return the name, the digest and the folder of a bundle."""
    return {"bundle": bundle.reference, "digest": bundle.digest, "folder": str(bundle.path)}
