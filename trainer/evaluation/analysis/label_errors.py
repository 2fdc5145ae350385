"""Rows whose label is probably wrong, by confident learning (Northcutt et al. 2021) as in cleanlab."""

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from stream.bundle import SpanRules
from trainer.data.examples import Example
from trainer.data.tag_spelling import OUTSIDE
from trainer.evaluation.analysis.answers import (
    show_labels,
    show_number,
    show_target,
    show_text,
    usable_rows,
)
from trainer.evaluation.analysis.options import Probabilities
from trainer.evaluation.answers import UNKNOWN, label_flags, label_numbers
from trainer.evaluation.evaluated_rows import EvaluatedRows
from trainer.evaluation.findings import LabelSuspicion

MIN_ROWS = 20
"""The smallest number of rows that distinguishes label errors from rare labels."""

OUTLIER_DEVIATIONS = 3.5
"""The modified z-score from which a residual is an outlier (Iglewicz and Hoaglin 1993)."""

MAD_TO_DEVIATION = 1.4826

MANY = 0.1
"""The share of suspicious rows above which they say more about the model than about the labels."""

MAX_WORDS = 20

_Found = list[tuple[int, str, str, float]]
"""The index, the given and the suggested label, and the quality of each suspicious row."""


def find_label_errors(
    rows: EvaluatedRows,
    training: Sequence[Example] | None = (),
    words: Sequence[Probabilities] | None = None,
    split: str = "data",
) -> tuple[list[LabelSuspicion], list[str]]:
    """Return the rows whose label is probably wrong, the worst first, and notes on the search.

    The search needs probabilities of a model that was not trained on the rows. Rows whose text occurs in the
    training rows are left out.

    Args:
        rows: the evaluated rows.
        training: the rows that the model was trained on; empty if they are not known, None if the answers
            come from a cross-validation, whose models were not trained on the rows.
        words: for token classification the tag probabilities of the words of each row that has an answer.
        split: the split of rows that name none.
    """
    usable = usable_rows(rows)
    trained = {example.normalised_text for example in training or ()}
    searched = [at for at, index in enumerate(usable) if rows.examples[index].normalised_text not in trained]
    notes = []
    if len(searched) < len(usable):
        notes.append(
            f"{len(usable) - len(searched)} rows are left out of the search for label errors, because the "
            "model was trained on their text."
        )
    if len(searched) < MIN_ROWS:
        notes.append(f"Label errors were not searched: this needs {MIN_ROWS} rows that were not trained on.")
        return [], notes
    indices = [usable[at] for at in searched]
    if rows.head == "token" and words is None:
        return [], [*notes, "Label errors were not searched: this needs the PyTorch model."]
    with warnings.catch_warnings():
        # cleanlab warns of labels with few rows.
        warnings.simplefilter("ignore")
        found = _search(rows, indices, [words[at] for at in searched] if words is not None else [])
    if found is None:
        return [], [*notes, "Label errors were not searched: this needs rows of two labels of the model."]
    suspicions = [
        LabelSuspicion(
            rows.examples[index].split or split,
            rows.examples[index].row,
            show_text(rows.examples[index]),
            given,
            suggested,
            quality,
        )
        for index, given, suggested, quality in sorted(found, key=lambda error: error[3])
    ]
    notes.append(_search_note(rows, training, len(searched)))
    if len(suspicions) > MANY * len(searched):
        notes.append(
            f"{len(suspicions)} of these {len(searched)} rows were found. With so many, most labels may be "
            "right: the model is wrong too often, or people would not agree on the labels either."
        )
    return suspicions, notes


def _search(rows: EvaluatedRows, indices: Sequence[int], words: Sequence[Probabilities]) -> _Found | None:
    match rows.head:
        case "regression":
            return _regression_errors(rows, indices)
        case "multi-label":
            return _multi_label_errors(rows, indices)
        case "token":
            return _tag_errors(rows, indices, words)
        case _:
            return _single_label_errors(rows, indices)


def _search_note(rows: EvaluatedRows, training: Sequence[Example] | None, searched: int) -> str:
    method = (
        "by residuals that are outliers" if rows.head == "regression" else "by confident learning (cleanlab)"
    )
    note = f"Label errors were searched in {searched} rows {method}."
    if training is None:
        note += " Their probabilities come from models of a cross-validation, which were not trained on them."
    elif not training:
        note += (
            " The result holds only if the model was not trained on these rows; no training rows were given"
            " to check this."
        )
    return note


def _single_label_errors(rows: EvaluatedRows, indices: Sequence[int]) -> _Found | None:
    from cleanlab.filter import find_label_issues
    from cleanlab.rank import get_label_quality_scores

    assert rows.probabilities is not None
    numbers = label_numbers([rows.examples[index] for index in indices], rows.labels)
    known = np.flatnonzero(numbers != UNKNOWN)
    numbers, probabilities = numbers[known], rows.probabilities[np.asarray(indices)[known]]
    if len(set(numbers.tolist())) < 2:
        return None
    issues = find_label_issues(numbers, probabilities, n_jobs=1)
    quality = get_label_quality_scores(numbers, probabilities)
    best = probabilities.argmax(axis=1)
    return [
        (indices[known[at]], rows.labels[numbers[at]], rows.labels[best[at]], float(quality[at]))
        for at in np.flatnonzero(issues).tolist()
    ]


def _multi_label_errors(rows: EvaluatedRows, indices: Sequence[int]) -> _Found | None:
    from cleanlab.multilabel_classification import get_label_quality_scores
    from cleanlab.multilabel_classification.filter import find_label_issues

    assert rows.probabilities is not None
    examples = [rows.examples[index] for index in indices]
    flags = label_flags(examples, rows.labels)
    # cleanlab compares rows that have a label with rows that lack it.
    columns = np.flatnonzero(flags.any(axis=0) & ~flags.all(axis=0))
    if not len(columns):
        return None
    given = [np.flatnonzero(row).tolist() for row in flags[:, columns]]
    probabilities = rows.probabilities[np.asarray(indices)][:, columns]
    issues = find_label_issues(given, probabilities, n_jobs=1)
    quality = get_label_quality_scores(given, probabilities)
    return [
        (indices[at], show_labels(examples[at].labels), suggested, float(quality[at]))
        for at in np.flatnonzero(issues).tolist()
        if (suggested := show_labels(_in_order(rows.predictions[indices[at]]["labels"], rows.labels)))
        != show_labels(_in_order(examples[at].labels, rows.labels))
    ]


def _in_order(names: Sequence[str], labels: Sequence[str]) -> list[str]:
    return [label for label in labels if label in names]


def _regression_errors(rows: EvaluatedRows, indices: Sequence[int]) -> _Found:
    from cleanlab.regression.rank import get_label_quality_scores

    targets = np.array([float(rows.examples[index].target) for index in indices])  # type: ignore[arg-type]
    predicted = np.array([float(rows.predictions[index]["value"]) for index in indices])
    residuals = targets - predicted
    centred = np.abs(residuals - np.median(residuals))
    deviation = float(np.median(centred)) * MAD_TO_DEVIATION
    outliers = centred > OUTLIER_DEVIATIONS * deviation if deviation else centred > 0
    quality = get_label_quality_scores(targets, predicted, method="residual")
    return [
        (
            indices[at],
            show_target(rows.examples[indices[at]], rows.head, rows.spans),
            show_number(float(predicted[at])),
            float(quality[at]),
        )
        for at in np.flatnonzero(outliers).tolist()
    ]


def _tag_errors(rows: EvaluatedRows, indices: Sequence[int], words: Sequence[Probabilities]) -> _Found | None:
    from cleanlab.token_classification.filter import find_label_issues
    from cleanlab.token_classification.rank import get_label_quality_scores

    names = list(dict.fromkeys(rows.spans.tags or rows.labels))
    number = {tag: at for at, tag in enumerate(names)}
    columns = [number[tag] for tag in rows.spans.tags or rows.labels]
    kept: list[tuple[int, list[int], list[str], npt.NDArray[Any]]] = []
    for index, probabilities in zip(indices, words, strict=True):
        tags = _model_tags(rows.examples[index].labels, rows.spans)
        read = [at for at, tag in enumerate(tags) if tag in number and not np.isnan(probabilities[at]).any()]
        if read:
            # Labels of a model that mean the same tag count together.
            of_tags = np.zeros((len(read), len(names)))
            np.add.at(of_tags.T, columns, probabilities[read].T)
            kept.append((index, read, tags, of_tags))
    given = [[number[tags[at]] for at in read] for _, read, tags, _ in kept]
    if len({tag for row in given for tag in row}) < 2:
        return None
    of_words = [probabilities for *_, probabilities in kept]
    issues = find_label_issues(given, of_words, n_jobs=1)
    _, word_quality = get_label_quality_scores(given, of_words)
    by_row: dict[int, list[int]] = {}
    for row, word in issues:
        by_row.setdefault(row, []).append(word)
    found = []
    for row, wrong in by_row.items():
        index, read, tags, probabilities = kept[row]
        example = rows.examples[index]
        at = sorted(wrong)[:MAX_WORDS]
        suggested = [names[int(probabilities[word].argmax())] for word in at]
        texts = [example.text[slice(*example.word_spans[read[word]])] for word in at]
        found.append(
            (
                index,
                "; ".join(f'{tags[read[word]]} "{text}"' for word, text in zip(at, texts, strict=True)),
                "; ".join(f'{tag} "{text}"' for tag, text in zip(suggested, texts, strict=True)),
                float(min(word_quality[row].iloc[word] for word in at)),
            )
        )
    return found


def _model_tags(tags: Sequence[str], rules: SpanRules) -> list[str]:
    """Return BIO tags in the scheme of the model; in BIOES, E- and S- mark the last word of a span."""
    if rules.scheme != "bioes":
        return list(tags)
    last = {"B-": "S-", "I-": "E-"}
    return [
        tag if tag == OUTSIDE or following == f"I-{tag[2:]}" else last[tag[:2]] + tag[2:]
        for tag, following in zip(tags, [*tags[1:], OUTSIDE], strict=True)
    ]
