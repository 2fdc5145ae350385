"""The settings of a bundle in its config.json, from which `export` and `train` continue."""

from dataclasses import fields
from typing import Any

import orjson
from pydantic import TypeAdapter, ValidationError

from stream.bundle import Bundle, read_bundle
from stream.classify import TextInput
from stream.errors import UsageError
from stream.verify import read_reference
from trainer.config import ModelLocation
from trainer.export.bundle_source import InferenceConfig
from trainer.export.reference import edge_case_rows
from trainer.model.saving import SETTINGS, is_saved_here

METRICS_FILE = "metrics.json"


def settings_of(inference: InferenceConfig) -> dict[str, Any]:
    """Return the settings as JSON-ready members, without those that have no value."""
    members = TypeAdapter(InferenceConfig).dump_python(inference, mode="json", exclude_none=True)
    return {name: value for name, value in members.items() if value is not False}


def inference_of(config: Any, source: ModelLocation) -> InferenceConfig | None:
    """Return the settings that a configuration holds, or None for a model that labelstream did not save.

    Args:
        config: a configuration of transformers.
        source: the location of the configuration, for errors.

    Raises:
        UsageError: the settings are missing from a model of labelstream's own class, or are not valid.
    """
    if not is_saved_here(config):
        return None
    members = getattr(config, SETTINGS, {})
    labels = [str(config.id2label[at]) for at in range(config.num_labels)]
    try:
        inference = TypeAdapter(InferenceConfig).validate_python(members)
    except ValidationError as exc:
        found = exc.errors(include_url=False, include_input=False)[0]
        raise UsageError(
            f"the settings in config.json of {source.name} are not valid",
            cause=f"{'.'.join(map(str, (SETTINGS, *found['loc'])))}: {found['msg']}",
            fix="save the model again with save_pretrained, or use the bundle itself",
        ) from None
    if inference.labels != labels:
        raise UsageError(
            f"the settings in config.json of {source.name} belong to another model",
            cause=f"the labels of {SETTINGS!r} differ from those of id2label",
            fix=f"remove {SETTINGS!r} from config.json, or restore id2label",
        )
    return inference


def source_bundle(source: ModelLocation) -> Bundle | None:
    """Return the verified bundle at a location, or None for another folder or a Hub id."""
    return read_bundle(source.source) if source.bundle else None


def reference_texts(bundle: Bundle, tokenizer: Any) -> list[TextInput]:
    """Return the real texts of a bundle's reference: all rows but the edge cases."""
    manifest = bundle.manifest
    edge_cases = edge_case_rows(
        tokenizer, manifest.max_length, pair=manifest.takes_pair, metadata=manifest.metadata or ()
    )
    rows, _ = read_reference(bundle)
    return [row for row in rows if row not in edge_cases]


def metrics_of(bundle: Bundle) -> dict[str, Any]:
    """Return the measurements in a bundle's metrics.json, or none if the bundle has no such file."""
    if METRICS_FILE not in bundle.manifest.files:
        return {}
    found: dict[str, Any] = orjson.loads(bundle.read(METRICS_FILE))
    return found


def changes(before: InferenceConfig, after: InferenceConfig) -> list[str]:
    """Return the names of the settings that differ."""
    names = [field.name for field in fields(InferenceConfig)]
    return [name for name in names if getattr(before, name) != getattr(after, name)]
