"""Descriptions of bundles: the list of a store, one bundle in full, and the differences of two bundles."""

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from stream.bundle.manifest import Manifest, Parity
from stream.bundle.store import Bundle, read_bundle
from stream.bundle.versions import LATEST, latest_version, versions

# The headline metrics of each kind of head; the first one that was measured is shown.
HEADLINES = {
    "single-label": ("macro_f1", "accuracy"),
    "multi-label": ("macro_f1", "micro_f1"),
    "regression": ("pearson", "spearman", "mae", "rmse"),
    "token": ("entity_f1", "f1", "accuracy"),
}
SETTINGS = (
    "task",
    "max_length",
    "text_pair",
    "temperature",
    "abstain_below",
    "values",
    "thresholds",
    "target",
    "metadata",
    "windows",
    "spans",
    "inputs",
)
COUNT_FIELDS = ("rows", "support")


@dataclass(frozen=True, slots=True)
class StoreEntry:
    """A bundle of the store, described by its latest version.

    Attributes:
        size_bytes: the size of all files of the latest version.
        metric: the name and value of the headline metric on the test split, if one was measured.
        problem: the reason why the latest version cannot be read; other fields are empty then.
    """

    name: str
    versions: list[str]
    latest: str
    task: str = ""
    labels: int = 0
    size_bytes: int = 0
    created_at: str = ""
    metric: tuple[str, float] | None = None
    problem: str = ""


def read_store(store: Path) -> Iterator[StoreEntry]:
    """Yield every bundle of a store by name; `problem` reports an unreadable manifest."""
    for home in sorted(file.parent for file in store.glob(f"*/{LATEST}")):
        latest, known = "", versions(home)
        try:
            latest = latest_version(store, home.name) or ""
            bundle = read_bundle(home / latest, store)
        except Exception as exc:  # noqa: BLE001 - one broken bundle must not hide the others
            yield StoreEntry(home.name, known, latest, problem=f"{exc}")
            continue
        manifest = bundle.manifest
        yield StoreEntry(
            home.name,
            known,
            latest,
            manifest.task,
            len(manifest.labels),
            folder_size(bundle.path),
            manifest.created_at.isoformat(timespec="seconds"),
            headline(manifest),
        )


def folder_size(path: Path) -> int:
    """Return the total size of all files in a folder, in bytes."""
    return sum(file.stat().st_size for file in path.rglob("*") if file.is_file())


def headline(manifest: Manifest) -> tuple[str, float] | None:
    """Return the name and value of the headline metric, as measured on the test split."""
    test = manifest.metrics.get("test")
    if not isinstance(test, Mapping):
        return None
    for name in HEADLINES[manifest.head]:
        if isinstance(value := test.get(name), int | float):
            return name, float(value)
    return None


def describe_agreement(parity: Parity) -> str:
    """Return the share of equal decisions with their number; of the real rows with its 95% interval."""
    real = parity.real
    if real is None:
        return f"{parity.label_agreement:.2%} of {parity.rows} decisions"
    low, high = real.interval
    among = "" if real.rows == real.decisions else f" in {real.rows} rows"
    return (
        f"{real.label_agreement:.2%} of {real.decisions} decisions{among} "
        f"(95% interval {low:.1%} to {high:.1%})"
    )


def describe_bundle(bundle: Bundle) -> dict[str, Any]:
    """Return the manifest of a bundle as JSON-ready data, without the digests of its files."""
    fields = bundle.manifest.model_dump(mode="json", exclude_none=True, exclude={"files"})
    return {
        "reference": bundle.reference,
        "path": str(bundle.path),
        **({"origin": bundle.origin} if bundle.origin else {}),
        "digest": bundle.digest,
        "size_bytes": folder_size(bundle.path),
        **fields,
    }


def compare_bundles(before: Bundle, after: Bundle) -> dict[str, Any]:
    """Return the differences between two bundles as JSON-ready data, without empty members.

    Returns:
        `labels` (added, removed, reordered), `settings`, `metrics` and `variants`, each changed entry as
        [before, after], with null for a missing value.
    """
    old, new = before.manifest, after.manifest
    old_labels, new_labels = set(old.labels), set(new.labels)
    labels: dict[str, Any] = {
        "added": [label for label in new.labels if label not in old_labels],
        "removed": [label for label in old.labels if label not in new_labels],
        "reordered": old_labels == new_labels and old.labels != new.labels,
    }
    found = {
        "labels": {name: value for name, value in labels.items() if value},
        "settings": changed_values(_settings(old), _settings(new)),
        "metrics": changed_values(flatten(old.metrics.get("test", {})), flatten(new.metrics.get("test", {}))),
        "variants": changed_values(_variants(old), _variants(new)),
    }
    return {name: value for name, value in found.items() if value}


def changed_values(before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, list[Any]]:
    """Return the values that differ, as [before, after]."""
    names = [*before, *(name for name in after if name not in before)]
    return {
        name: [before.get(name), after.get(name)] for name in names if before.get(name) != after.get(name)
    }


def flatten(metrics: Any, prefix: str = "") -> dict[str, float]:
    """Return the numbers of nested metrics by their dotted names."""
    if not isinstance(metrics, Mapping):
        return {}
    found: dict[str, float] = {}
    for name, value in metrics.items():
        if isinstance(value, Mapping):
            found |= flatten(value, f"{prefix}{name}.")
        elif isinstance(value, int | float) and not isinstance(value, bool) and name not in COUNT_FIELDS:
            found[f"{prefix}{name}"] = value
    return found


def entry_as_json(entry: StoreEntry) -> dict[str, Any]:
    """Return an entry as JSON-ready data."""
    fields = asdict(entry)
    fields["metric"] = {"name": entry.metric[0], "value": entry.metric[1]} if entry.metric else None
    return fields


def _settings(manifest: Manifest) -> dict[str, Any]:
    fields = manifest.model_dump(mode="json")
    return {name: fields[name] for name in SETTINGS}


def _variants(manifest: Manifest) -> dict[str, Any]:
    return {
        f"{name}.{what}": value
        for name, entry in manifest.variants.items()
        for what, value in (
            ("size_bytes", entry.size_bytes),
            ("device", entry.device),
            ("max_abs_logit_diff", entry.parity.max_abs_logit_diff),
            ("label_agreement", entry.parity.label_agreement),
            ("accepted_by_user", entry.parity.accepted_by_user),
        )
    }
