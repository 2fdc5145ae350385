"""The metadata of a model card: the YAML that the Hub searches, filters and shows results from."""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from stream.bundle import Manifest
from stream.errors import UsageError
from trainer.metric_titles import SHOWN_METRICS, TITLES

if TYPE_CHECKING:
    from huggingface_hub import EvalResult, ModelCardData

PIPELINE = {"token": "token-classification"}
# The Hub's name of a metric; the others have the same name here and there.
HUB_METRICS = {
    "macro_f1": "f1",
    "micro_f1": "f1",
    "weighted_f1": "f1",
    "entity_f1": "f1",
    "word_accuracy": "accuracy",
    "pearson": "pearsonr",
    "spearman": "spearmanr",
}
PARTIAL = ("answered", "accuracy_answered")
"""Metrics of a part of the rows, which do not compare with those of other models."""

LICENSE = re.compile(r"[a-z0-9][a-z0-9.+-]*")
LANGUAGE = re.compile(r"[a-z]{2,3}|multilingual|code")
HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*(/[A-Za-z0-9_][\w.-]*)?", re.ASCII)
OWNED = re.compile(r"(hf://)?(?P<id>[A-Za-z0-9][\w.-]*/[A-Za-z0-9_][\w.-]*)(@\S+)?", re.ASCII)


@dataclass(frozen=True, slots=True)
class CardDetails:
    """What a card states and a bundle does not know.

    Attributes:
        repository: OWNER/NAME on the Hub; empty for a bundle in a folder.
        license: the identifier of the licence, such as apache-2.0.
        license_name: the name of a licence that has no identifier; `license` is `other` then.
        license_link: the address of its text, or a file of the repository.
        languages: the ISO 639 codes of the texts' languages.
        datasets: the Hub ids of the training data.
        base_model: the Hub id of the base model; empty for the one that the bundle names.
    """

    repository: str = ""
    license: str = ""
    license_name: str = ""
    license_link: str = ""
    languages: tuple[str, ...] = ()
    datasets: tuple[str, ...] = ()
    base_model: str = ""


def check_details(details: CardDetails) -> None:
    """Check the values that the Hub would refuse, before any file is uploaded.

    Raises:
        UsageError: a value is malformed.
    """
    if details.license and not LICENSE.fullmatch(details.license):
        raise _invalid("--license", details.license, "an identifier such as apache-2.0, mit or cc-by-4.0")
    if details.license == "other" and not (details.license_name and details.license_link):
        raise UsageError(
            "--license other needs a name and a link",
            cause="the Hub shows both in place of the identifier",
            fix="add --license-name NAME --license-link URL",
        )
    if details.license_name and details.license != "other":
        raise UsageError("--license-name belongs to --license other", fix="add --license other")
    for language in details.languages:
        if not LANGUAGE.fullmatch(language):
            raise _invalid("--language", language, "an ISO 639 code, such as en or deu")
    for flag, names in (("--dataset", details.datasets), ("--base-model", (details.base_model,))):
        for name in names:
            if name and not HUB_ID.fullmatch(name):
                raise _invalid(flag, name, "the id of a repository of the Hub, OWNER/NAME")


def card_metadata(
    manifest: Manifest, metrics: Mapping[str, Any], details: CardDetails, *, weights: bool, own_code: bool
) -> "ModelCardData":
    """Return the metadata of a bundle's card, in the classes of huggingface_hub.

    Args:
        manifest: the manifest.
        metrics: all measurements.
        details: what the bundle does not know.
        weights: whether the bundle holds the PyTorch weights.
        own_code: whether transformers needs the code in the bundle to load them.
    """
    from huggingface_hub import ModelCardData

    results = _results(manifest, metrics)
    found: dict[str, Any] = {
        "license": details.license,
        "license_name": details.license_name,
        "license_link": details.license_link,
        "language": _one_or_more(details.languages),
        "base_model": details.base_model or base_model_id(metrics),
        "datasets": list(details.datasets) or _datasets(manifest),
    }
    return ModelCardData(
        **{name: value for name, value in found.items() if value},
        pipeline_tag=PIPELINE.get(manifest.task, "text-classification"),
        library_name="transformers" if weights else "labelstream",
        tags=["labelstream", "onnx", *(["custom_code"] if own_code else [])],
        metrics=sorted({result.metric_type for result in results}) or None,
        model_name=manifest.name if results else None,
        eval_results=results or None,
    )


def base_model_id(metrics: Mapping[str, Any]) -> str:
    """Return the Hub id of the base model, or "" if it is a local folder."""
    training = metrics.get("training") or {}
    name = training.get("base_model_id") or training.get("base_model", "")
    if not name:
        name = (metrics.get("exported") or {}).get("model", "")
    if training.get("base_model_id") and HUB_ID.fullmatch(name):
        return str(name)
    match = OWNED.fullmatch(name)
    return match["id"] if match else ""


def _results(manifest: Manifest, metrics: Mapping[str, Any]) -> "list[EvalResult]":
    from huggingface_hub import EvalResult

    test = metrics.get("test") or {}
    found = {
        name: float(value)
        for name in SHOWN_METRICS
        if name not in PARTIAL and isinstance(value := test.get(name), int | float) and math.isfinite(value)
    }
    hub_id, _, configuration = str(manifest.data.get("hub_id", "")).partition(":")
    file = str(manifest.data.get("file") or "data")
    return [
        EvalResult(
            task_type=PIPELINE.get(manifest.task, "text-classification"),
            dataset_type=hub_id or re.sub(r"[^A-Za-z0-9_.-]+", "-", file).strip("-") or "data",
            dataset_name=hub_id or file,
            dataset_config=configuration or None,
            dataset_split="test",
            metric_type=HUB_METRICS.get(name, name),
            metric_name=TITLES[name],
            metric_value=round(value, 4),
        )
        for name, value in found.items()
    ]


def _datasets(manifest: Manifest) -> list[str]:
    name = str(manifest.data.get("hub_id", "")).partition(":")[0]
    return [name] if name else []


def _one_or_more(values: tuple[str, ...]) -> list[str] | str:
    return values[0] if len(values) == 1 else list(values)


def _invalid(flag: str, value: str, expected: str) -> UsageError:
    return UsageError(
        f"{flag} {value[:100]!a} is not valid", cause=f"it is not {expected}", fix=f"pass {expected}"
    )
