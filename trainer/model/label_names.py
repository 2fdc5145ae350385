"""The label names of a trained classifier, from `id2label` in its config.json."""

import re
from collections import Counter
from collections.abc import Mapping
from typing import Any

from stream.errors import UsageError
from trainer.model.model_files import json_kind

DEFAULT_LABELS = 2
"""The number of labels of a configuration of transformers with neither id2label nor num_labels."""

MAX_LABEL_CHARS = 1_000
"""The limit of a bundle's manifest."""

_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]")


def label_names(config: Mapping[str, Any], model: str) -> list[str]:
    """Return the label names in the order of the logits.

    Args:
        config: the content of config.json.
        model: the name of the model, for errors.

    Raises:
        UsageError: id2label is not a map from the numbers 0, 1, … to distinct names, or label2id or
            num_labels contradicts it.
    """
    names = _names(config, model)
    for number, name in enumerate(names):
        if problem := _problem(name):
            raise _refused(
                model, f"label {number} in id2label {problem}", "correct id2label in its config.json"
            )
    repeated, times = Counter(names).most_common(1)[0]
    if times > 1:
        raise _refused(
            model,
            f"two of its labels have the same name: {repeated}",
            "give each number in id2label of its config.json a name of its own",
        )
    _check_label2id(config.get("label2id"), names, model)
    return names


def _names(config: Mapping[str, Any], model: str) -> list[str]:
    id2label, num_labels = config.get("id2label"), config.get("num_labels")
    if num_labels is not None and (type(num_labels) is not int or num_labels < 1):
        raise _refused(
            model,
            f"num_labels is {num_labels!a}",
            "set num_labels in its config.json to the number of logits",
        )
    if id2label is None:
        return [f"LABEL_{number}" for number in range(num_labels or DEFAULT_LABELS)]
    if not isinstance(id2label, dict):
        raise _refused(
            model,
            f"id2label is {json_kind(id2label)}, not an object",
            'write it in its config.json as {"0": "first label", "1": "second label"}',
        )
    by_number = _by_number(id2label, model)
    if num_labels not in (None, len(by_number)):
        raise _refused(
            model,
            f"num_labels is {num_labels}, and id2label names {len(by_number)} labels",
            "remove num_labels from its config.json, and name every logit in id2label",
        )
    return [_text(by_number[number], number, model) for number in range(len(by_number))]


def _by_number(id2label: Mapping[str, Any], model: str) -> dict[int, Any]:
    odd = [key for key in id2label if not (key.isascii() and key.isdigit())]
    if odd or not id2label:
        swapped = bool(id2label) and all(type(value) is int for value in id2label.values())
        raise _refused(
            model,
            f"the key {odd[0][:40]!a} of id2label is not a number" if odd else "id2label names no label",
            "exchange the keys and values of id2label in its config.json: the keys are the numbers"
            if swapped
            else "use the numbers of the logits, from 0, as the keys of id2label in its config.json",
        )
    found = sorted(int(key) for key in id2label)
    present = set(found)
    missing = next((number for number in range(len(found)) if number not in present), None)
    if missing is not None:
        raise _refused(
            model,
            f"id2label numbers its {len(found)} labels from {found[0]} to {found[-1]}; {missing} is missing",
            "number the labels in id2label of its config.json from 0, in the order of the logits",
        )
    return {int(key): name for key, name in id2label.items()}


def _text(name: Any, number: int, model: str) -> str:
    if isinstance(name, str):
        return name
    raise _refused(
        model,
        f"the name of label {number} in id2label is {json_kind(name)}, not a string",
        f"name label {number} in id2label of its config.json, in quotes",
    )


def _problem(name: str) -> str:
    if not name.strip():
        return "has an empty name"
    if len(name) > MAX_LABEL_CHARS:
        return f"has a name of {len(name):,} characters; a bundle supports {MAX_LABEL_CHARS:,}"
    if found := _UNPRINTABLE.search(name):
        what = "half of a surrogate pair" if found[0] >= "\ud800" else "a control character"
        return f"has a name with {what}: {name[:40]!a}"
    return ""


def _check_label2id(label2id: Any, names: list[str], model: str) -> None:
    """Refuse a `label2id` that gives a name of `id2label` another number: one of the two was not used."""
    if not isinstance(label2id, dict):
        return
    for number, name in enumerate(names):
        other = label2id.get(name, number)
        if str(other) != str(number):
            raise _refused(
                model,
                f"the label {name} is number {number} in id2label and {other!a} in label2id",
                "correct the wrong one of them in its config.json, in the order of the logits",
            )


def _refused(model: str, cause: str, fix: str) -> UsageError:
    return UsageError(f"{model} cannot be exported to a bundle", cause=cause, fix=fix)
