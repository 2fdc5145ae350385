"""What is told of bundles: one line of each, and what two of them do not share."""

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from stream.bundle.manifest import Manifest
from stream.bundle.store import Bundle, read_bundle
from stream.bundle.versions import LATEST, latest_version, versions

# The metric by which a bundle of each head is named, the first one that was measured.
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
NOT_MEASURES = ("rows", "support")


@dataclass(frozen=True, slots=True)
class Entry:
    """A bundle of the store, as its latest version describes it.

    Attributes:
        size_bytes: all files of the latest version.
        metric: the headline metric's name and value on the test split, if one was measured.
        problem: why the latest version cannot be read; the rest is empty then.
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


def entries(store: Path) -> Iterator[Entry]:
    """Every bundle of a store, by name; a manifest that cannot be read is told, not raised."""
    for home in sorted(file.parent for file in store.glob(f"*/{LATEST}")):
        latest = latest_version(store, home.name) or ""
        known = versions(home)
        try:
            bundle = read_bundle(home / latest, store)
        except Exception as exc:  # noqa: BLE001 - one broken bundle must not hide the others
            yield Entry(home.name, known, latest, problem=f"{exc}")
            continue
        manifest = bundle.manifest
        yield Entry(
            home.name,
            known,
            latest,
            manifest.task,
            len(manifest.labels),
            size_bytes(bundle.path),
            manifest.created_at.isoformat(timespec="seconds"),
            headline(manifest),
        )


def size_bytes(path: Path) -> int:
    """The bytes of all files of a folder."""
    return sum(file.stat().st_size for file in path.rglob("*") if file.is_file())


def headline(manifest: Manifest) -> tuple[str, float] | None:
    """The metric that says most of a bundle, as measured on the test split."""
    test = manifest.metrics.get("test")
    if not isinstance(test, Mapping):
        return None
    for name in HEADLINES[manifest.head]:
        if isinstance(value := test.get(name), int | float):
            return name, float(value)
    return None


def summary(bundle: Bundle) -> dict[str, Any]:
    """What a manifest says of a bundle, JSON-ready, without the digests of its files."""
    said = bundle.manifest.model_dump(mode="json", exclude_none=True, exclude={"files"})
    return {
        "reference": bundle.reference,
        "path": str(bundle.path),
        "digest": bundle.digest,
        "size_bytes": size_bytes(bundle.path),
        **said,
    }


def difference(before: Bundle, after: Bundle) -> dict[str, Any]:
    """What two bundles do not share, JSON-ready; empty members are left out.

    Returns:
        `labels` (added, removed, reordered), `settings`, `metrics` and `variants`, each changed entry as
        [before, after] with null where it is not there.
    """
    old, new = before.manifest, after.manifest
    labels: dict[str, Any] = {
        "added": [label for label in new.labels if label not in old.labels],
        "removed": [label for label in old.labels if label not in new.labels],
        "reordered": set(old.labels) == set(new.labels) and old.labels != new.labels,
    }
    found = {
        "labels": {name: value for name, value in labels.items() if value},
        "settings": changed(_settings(old), _settings(new)),
        "metrics": changed(flat(old.metrics.get("test", {})), flat(new.metrics.get("test", {}))),
        "variants": changed(_variants(old), _variants(new)),
    }
    return {name: value for name, value in found.items() if value}


def changed(before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, list[Any]]:
    """Entries that differ, as [before, after]."""
    names = [*before, *(name for name in after if name not in before)]
    return {
        name: [before.get(name), after.get(name)] for name in names if before.get(name) != after.get(name)
    }


def flat(metrics: Any, prefix: str = "") -> dict[str, float]:
    """The numbers of nested metrics, by their dotted names."""
    if not isinstance(metrics, Mapping):
        return {}
    found: dict[str, float] = {}
    for name, value in metrics.items():
        if isinstance(value, Mapping):
            found |= flat(value, f"{prefix}{name}.")
        elif isinstance(value, int | float) and not isinstance(value, bool) and name not in NOT_MEASURES:
            found[f"{prefix}{name}"] = value
    return found


def as_json(entry: Entry) -> dict[str, Any]:
    """An entry, JSON-ready."""
    said = asdict(entry)
    said["metric"] = {"name": entry.metric[0], "value": entry.metric[1]} if entry.metric else None
    return said


def _settings(manifest: Manifest) -> dict[str, Any]:
    said = manifest.model_dump(mode="json")
    return {name: said[name] for name in SETTINGS}


def _variants(manifest: Manifest) -> dict[str, Any]:
    return {
        f"{name}.{what}": value
        for name, entry in manifest.variants.items()
        for what, value in (
            ("size_bytes", entry.size_bytes),
            ("device", entry.device),
            ("max_abs_logit_diff", entry.parity.max_abs_logit_diff),
            ("label_agreement", entry.parity.label_agreement),
        )
    }
