"""The labels of a data set beside those of a bundle: which of them the bundle knows, and under which name."""

import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from stream.bundle import Manifest
from stream.classify import as_number
from stream.errors import UsageError
from trainer.config import SimilarLabels
from trainer.data.examples import Example
from trainer.data.labels import quoted
from trainer.data.spellings import equal_spellings, similar_spellings
from trainer.data.tag_spelling import OUTSIDE

Locate = Callable[[int], str]
"""Returns the file and the row of a row number."""


@dataclass(frozen=True, slots=True)
class KnownRows:
    """The rows whose labels a bundle knows.

    Attributes:
        examples: these rows, with the labels as the bundle spells them.
        unknown: the number of occurrences of each label that the bundle does not know.
        left_out: the numbers of the rows that are left out because of them.
        without_rows: the labels of the bundle that no row has.
        notes: one line for each finding.
    """

    examples: list[Example]
    unknown: Mapping[str, int] = field(default_factory=dict)
    left_out: Sequence[int] = ()
    without_rows: Sequence[str] = ()
    notes: Sequence[str] = ()


def match_labels(
    examples: Sequence[Example], manifest: Manifest, policy: SimilarLabels, locate: Locate
) -> KnownRows:
    """Match the labels of rows with those of a bundle.

    A row with one label is left out if the bundle does not know the label, and so is a row of tagged words
    without spans. Of several labels only the unknown ones are left out, and words of an unknown span type
    become words outside of any span.

    Args:
        examples: the rows, whose labels have one spelling each.
        manifest: the manifest of the bundle.
        policy: the reading of labels that differ from a label of the bundle only in case, dashes or the
            spelling of a number.
        locate: names a row in messages.

    Raises:
        UsageError: the labels are numbers and those of the bundle are names, a label is similar to one of the
            bundle, or no row has a label of the bundle.
    """
    if manifest.head == "regression":
        return KnownRows(list(examples))
    known = label_names(manifest)
    marks_spans = manifest.head == "token" and _scheme(manifest) != "word"
    counts = Counter(name for example in examples for name in _labels(example, marks_spans=marks_spans))
    _refuse_ids(counts, known, examples, locate)
    names, notes = _spellings(counts, known, policy)
    unknown = {label: count for label, count in counts.items() if label not in names}
    kept, left_out = _keep(examples, names, manifest, marks_spans=marks_spans)
    if not kept or (manifest.head == "multi-label" and counts and len(unknown) == len(counts)):
        raise UsageError(
            "no row has a label of the bundle",
            cause=f"the labels of the data are: {quoted(sorted(counts)) or 'none'}; those of the bundle are: "
            f"{quoted(known)}",
            fix="name the column of these labels with --label-column, or evaluate the bundle of this data",
        )
    used = {name for example in kept for name in _labels(example, marks_spans=marks_spans)}
    without_rows = [label for label in known if label not in used and not (marks_spans and label == OUTSIDE)]
    notes += _unknown_note(unknown, left_out, manifest)
    if without_rows:
        notes.append(f"labels of the bundle without rows, which are not evaluated: {quoted(without_rows)}")
    return KnownRows(kept, unknown, left_out, without_rows, notes)


def _scheme(manifest: Manifest) -> str:
    return manifest.spans.scheme if manifest.spans else "bio"


def label_names(manifest: Manifest) -> list[str]:
    """Return the labels of a bundle, or the types of its spans."""
    if manifest.head != "token" or _scheme(manifest) == "word":
        return manifest.labels
    tags = (manifest.spans and manifest.spans.tags) or manifest.labels
    return list(dict.fromkeys(_span_type(tag) for tag in tags))


def _labels(example: Example, *, marks_spans: bool) -> Sequence[str]:
    """Return the labels of a row, or the types of the spans that begin in it."""
    if not marks_spans:
        return example.labels
    return [tag[2:] for tag in example.labels if tag.startswith("B-")]


def _span_type(tag: str) -> str:
    return tag[2:] if re.match(r"[BIES]-", tag) else tag


def _refuse_ids(
    counts: Mapping[str, int], known: Sequence[str], examples: Sequence[Example], locate: Locate
) -> None:
    """Refuse labels that are all numbers if no label of the bundle is one of them."""
    if not counts or set(counts) & set(known) or all(as_number(label) is not None for label in known):
        return
    if all(re.fullmatch(r"-?\d+", label) for label in counts):
        row = next(example.row for example in examples if example.labels)
        raise UsageError(
            f"the labels of the data are numbers, and those of the bundle are names ({locate(row)})",
            cause=f"the data have {quoted(sorted(counts))}, the bundle has {quoted(known)}; the order of the "
            "labels of a bundle need not be that of the numbers",
            fix="--label-names FILE, a text file in which line 1 is the name of 0, line 2 the name of 1, …",
        )


def _spellings(
    counts: Mapping[str, int], known: Sequence[str], policy: SimilarLabels
) -> tuple[dict[str, str], list[str]]:
    """Return the bundle's name of each label that it knows, and a note on the labels that were respelt."""
    names = {label: label for label in counts if label in known}
    rest = [label for label in counts if label not in names]
    equal = equal_spellings(rest, known)
    similar = similar_spellings([label for label in rest if label not in equal], known)
    if similar and policy == "refuse":
        label, name = next(iter(similar.items()))
        raise UsageError(
            f"the label {label!r} ({counts[label]} rows) is almost a label of the bundle, {name!r}",
            cause="labels that differ only in case, in dashes or in the spelling of a number are often one "
            "label" + (f"; {len(similar) - 1} more labels are like this" if len(similar) > 1 else ""),
            fix="--similar-labels merge reads them as the bundle's labels; --similar-labels keep treats them "
            "as unknown",
        )
    found = {**equal, **(similar if policy == "merge" else {})}
    notes = []
    if found:
        pairs = ", ".join(f"{label!r} → {name!r}" for label, name in [*found.items()][:5])
        notes.append(f"labels read as the bundle spells them: {pairs}{', …' if len(found) > 5 else ''}")
    return {**names, **found}, notes


def _keep(
    examples: Sequence[Example], names: Mapping[str, str], manifest: Manifest, *, marks_spans: bool
) -> tuple[list[Example], list[int]]:
    kept: list[Example] = []
    left_out: list[int] = []
    for example in examples:
        if marks_spans:
            tags = tuple(_respell_tag(tag, names) for tag in example.labels)
            kept.append(replace(example, target=tags))
        elif manifest.head == "multi-label":
            labels = dict.fromkeys(names[label] for label in example.labels if label in names)
            kept.append(replace(example, target=tuple(labels)))
        elif all(label in names for label in example.labels):
            found = tuple(names[label] for label in example.labels)
            kept.append(replace(example, target=found if manifest.head == "token" else found[0]))
        else:
            left_out.append(example.row)
    return kept, left_out


def _respell_tag(tag: str, names: Mapping[str, str]) -> str:
    name = names.get(tag[2:])
    return OUTSIDE if tag == OUTSIDE or name is None else tag[:2] + name


def _unknown_note(unknown: Mapping[str, int], left_out: Sequence[int], manifest: Manifest) -> Iterable[str]:
    if not unknown:
        return []
    listed = quoted(sorted(unknown, key=lambda label: (-unknown[label], label)))
    effect = f"{len(left_out)} rows are left out"
    if manifest.head == "multi-label":
        effect = f"{sum(unknown.values())} of them in the rows are left out, and the rows stay"
    elif not left_out:
        effect = f"{sum(unknown.values())} spans are left out, and their rows stay"
    return [f"labels that the bundle does not know: {listed}; {effect}"]
