"""Flags that do not go together are refused before anything heavy is loaded."""

import difflib
import re
from collections.abc import Sequence

from stream.errors import UsageError
from trainer.request import Request

NAME_PATTERN = r"[A-Za-z0-9][A-Za-z0-9_.-]*"


def one_of(flag: str, value: str, choices: Sequence[str]) -> str:
    """The value, if it is among the choices.

    Raises:
        UsageError: it is not; the nearest choice is named.
    """
    if value in choices:
        return value
    begun = [choice for choice in choices if value and choice.startswith(value)]
    near = begun or difflib.get_close_matches(value, choices, n=1)
    raise UsageError(
        f"{flag} {value} is not possible",
        cause=f"there are: {', '.join(choices)}",
        fix=f"did you mean {flag} {near[0]}?" if near else f"take one of them for {flag}",
    )


def check_request(request: Request, *, text_pair: bool) -> None:
    """Refuse what cannot be learnt; `read_data` does so for what concerns the data.

    Args:
        request: everything that was asked for.
        text_pair: whether a second text was named.

    Raises:
        UsageError: with the first pair of flags that do not go together.
    """
    task, recipe, imbalance = request.task, request.recipe, request.imbalance
    regression, token = task == "regression", task == "token"
    lora = recipe.lora is not None
    clashes = [
        (
            request.windows is not None and (text_pair or task == "pair"),
            "--windows",
            "a second text",
            "windows are cut of one text; a pair is truncated, the longer text first",
        ),
        (regression and request.abstain_below is not None, "--abstain-below", "--task regression", _NUMBER),
        (regression and imbalance.class_weights is not None, "--class-weights", "--task regression", _NUMBER),
        (regression and imbalance.sampling is not None, "--sampling", "--task regression", _NUMBER),
        (regression and recipe.loss == "focal", "--loss focal", "--task regression", _NUMBER),
        (token and bool(imbalance.augment), "--augment", "--task token", "the tags would lose their words"),
        (
            recipe.label_smoothing > 0 and (recipe.loss == "focal" or task in ("multi-label", "regression")),
            "--label-smoothing",
            "--loss focal" if recipe.loss == "focal" else f"--task {task}",
            "only the cross-entropy is smoothed",
        ),
        (lora and recipe.freeze_layers > 0, "--freeze-layers", "--lora", "LoRA freezes the whole encoder"),
        (lora and recipe.layer_decay != 1, "--layer-decay", "--lora", "LoRA freezes the whole encoder"),
    ]
    for clash, flag, other, cause in clashes:
        if clash:
            raise UsageError(f"{flag} does not go with {other}", cause=cause, fix=f"leave {flag} out")


_NUMBER = "a regression gives a number, not one of several labels"


def bundle_name(wanted: str | None, source: str) -> str:
    """The name that was asked for, or one made of where the model comes from.

    Raises:
        UsageError: it cannot name a bundle.
    """
    if wanted is None:
        return re.sub(r"^[^A-Za-z0-9]+|[^A-Za-z0-9_.-]+", "-", source).strip("-") or "model"
    if not re.fullmatch(NAME_PATTERN, wanted):
        raise UsageError(
            f"--name {wanted!r} cannot name a bundle",
            cause="it becomes a folder and stands before @VERSION",
            fix="use letters, digits, dots, dashes and underscores, a letter or digit first",
        )
    return wanted
