"""The procedure of an error analysis."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from trainer.data.examples import Example
from trainer.evaluation.analysis.answers import (
    show_target,
    show_text,
    usable_rows,
)
from trainer.evaluation.analysis.column_values import MAX_COLUMNS, MAX_VALUES, column_values
from trainer.evaluation.analysis.costs import check_costs, cost_curves
from trainer.evaluation.analysis.cross_split import find_duplicates
from trainer.evaluation.analysis.label_errors import find_label_errors
from trainer.evaluation.analysis.mistakes import WrongDecision, find_mistakes
from trainer.evaluation.analysis.neighbours import embed, nearest_rows
from trainer.evaluation.analysis.options import AnalysisModel, AnalysisOptions, Probabilities
from trainer.evaluation.analysis.properties import length_values, text_properties
from trainer.evaluation.analysis.slices import HEADLINES, find_slices, row_ratio
from trainer.evaluation.analysis.words import split_words, tagged_word_effects, word_effects
from trainer.evaluation.answers import label_flags, label_numbers
from trainer.evaluation.evaluated_rows import EvaluatedRows
from trainer.evaluation.findings import (
    CostCurve,
    Findings,
    LabelSuspicion,
    Mistake,
    Neighbour,
    Slice,
    WordEffect,
)

WORDS_CHUNK = 256
MAX_NAMES = 10


def analyse(
    rows: EvaluatedRows,
    training: Sequence[Example],
    model: AnalysisModel | None,
    options: AnalysisOptions,
) -> Findings:
    """Find mistakes, bad slices, probable label errors, duplicates across splits and the cost of thresholds.

    Args:
        rows: the evaluated rows.
        training: the rows that the model was trained on; empty if they are not known.
        model: the PyTorch model; None if the bundle has no weights. Without it there are no neighbours and
            no effects of words, and for token classification no label errors.
        options: limits, costs and seed.

    Raises:
        UsageError: the costs do not apply to the model; see `check_costs`.
    """
    check_costs(options.costs, rows.head, rows.labels)
    usable = usable_rows(rows)
    notes = _row_notes(rows, usable)
    words = _word_probabilities(rows, usable, model, options)
    wrong = find_mistakes(rows, usable, words)
    mistakes, mistake_notes = _explained(rows, wrong, training, model, options)
    slices, slice_notes = _slices(rows, usable, model, options)
    suspicions, error_notes = _label_errors(rows, training, words, options)
    curves, cost_notes = _cost_curves(rows, usable, options)
    return Findings(
        HEADLINES[rows.head],
        mistakes,
        slices,
        suspicions,
        find_duplicates(rows.examples, training, options.split),
        curves,
        [*notes, *mistake_notes, *slice_notes, *error_notes, *cost_notes],
    )


def _row_notes(rows: EvaluatedRows, usable: Sequence[int]) -> list[str]:
    notes = []
    failed = len(rows.examples) - len(usable)
    abstained = sum(bool(rows.predictions[index].get("abstained")) for index in usable)
    if failed:
        notes.append(f"{failed} of {len(rows.examples)} rows have no answer and are left out.")
    if abstained:
        notes.append(
            f"The model gives no label for {abstained} rows, because it abstains below "
            f"{rows.abstain_below:g}. They are not listed as mistakes."
        )
    return notes


def _word_probabilities(
    rows: EvaluatedRows, usable: Sequence[int], model: AnalysisModel | None, options: AnalysisOptions
) -> list[Probabilities] | None:
    """Return the tag probabilities of the words of each usable row; None for any head but token."""
    if rows.head != "token" or model is None:
        return None
    advance = options.stage("tag the words", len(usable))
    found = []
    for start in range(0, len(usable), WORDS_CHUNK):
        examples = [rows.examples[index] for index in usable[start : start + WORDS_CHUNK]]
        inputs = [example.input for example in examples]
        found += model.word_probabilities(inputs, [example.word_spans for example in examples])
        advance(len(examples))
    return found


def _explained(
    rows: EvaluatedRows,
    wrong: Sequence[WrongDecision],
    training: Sequence[Example],
    model: AnalysisModel | None,
    options: AnalysisOptions,
) -> tuple[list[Mistake], list[str]]:
    """Return the mistakes with neighbours, the first ones with the effects of words, and notes."""
    if model is None:
        notes = ["The mistakes have no neighbours and no effects of words, which need the PyTorch model."]
        notes += _listing_notes(rows, wrong)
        return [_mistake(decision) for decision in wrong], notes if wrong else []
    neighbours, notes = _neighbours(rows, wrong, training, model, options)
    advance = options.stage("leave out words", min(len(wrong), options.max_mistakes))
    mistakes = []
    for number, decision in enumerate(wrong):
        effects: list[WordEffect] = []
        if number < options.max_mistakes:
            effects = _effects(rows.examples[decision.index], decision, model, options)
            advance(1)
        near = neighbours.get(decision.index, [])
        mistakes.append(replace(_mistake(decision), neighbours=near, words=effects))
    return mistakes, [*notes, *_listing_notes(rows, wrong), *_word_notes(rows, wrong, options)]


def _mistake(decision: WrongDecision) -> Mistake:
    return Mistake(
        decision.index, decision.gold, decision.predicted, decision.confidence, scored=decision.scored
    )


def _effects(
    example: Example, decision: WrongDecision, model: AnalysisModel, options: AnalysisOptions
) -> list[WordEffect]:
    if decision.column is not None:
        return word_effects(model, example.input, decision.column, options.max_words)
    return tagged_word_effects(model, example.input, example.word_spans, decision.words, options.max_words)


def _listing_notes(rows: EvaluatedRows, wrong: Sequence[WrongDecision]) -> list[str]:
    if rows.head != "regression" or not wrong:
        return []
    return [f"The {len(wrong)} rows with the largest errors are listed as mistakes."]


def _word_notes(rows: EvaluatedRows, wrong: Sequence[WrongDecision], options: AnalysisOptions) -> list[str]:
    notes = []
    shown = [rows.examples[decision.index] for decision in wrong[: options.max_mistakes]]
    if len(wrong) > len(shown):
        notes.append(
            f"The effects of words were measured for the first {len(shown)} of {len(wrong)} mistakes."
        )
    if any(len(split_words(example.text)) > options.max_words for example in shown):
        notes.append(f"In long texts the effects of {options.max_words} words were measured.")
    if any(example.text_pair for example in shown):
        notes.append("The effects of words were measured in the first text of each pair.")
    return notes


def _neighbours(
    rows: EvaluatedRows,
    wrong: Sequence[WrongDecision],
    training: Sequence[Example],
    model: AnalysisModel,
    options: AnalysisOptions,
) -> tuple[dict[int, list[Neighbour]], list[str]]:
    """Return the nearest training rows by the index of the evaluated row, and notes."""
    indices = list(dict.fromkeys(decision.index for decision in wrong))
    if not indices:
        return {}, []
    if not training:
        return {}, ["The mistakes have no nearest training rows, because no training rows were given."]
    notes = []
    searched = list(training)
    if len(training) > options.max_training_rows:
        chosen = np.random.default_rng(options.seed).choice(
            len(training), options.max_training_rows, replace=False
        )
        searched = [training[at] for at in np.sort(chosen).tolist()]
        notes.append(
            f"The nearest training rows come from a random sample of {len(searched)} of {len(training)} rows."
        )
    advance = options.stage("embed rows", len(indices) + len(searched))
    queries = embed(model.vectors, [rows.examples[index].input for index in indices], advance)
    # An evaluated training row is one of the searched rows, and nearest to itself.
    nearest = nearest_rows(
        queries, [example.input for example in searched], model.vectors, options.max_neighbours + 1, advance
    )
    found = {}
    for index, of_row in zip(indices, nearest, strict=True):
        near = [(searched[at], similarity) for at, similarity in of_row]
        others = [(row, similarity) for row, similarity in near if row is not rows.examples[index]]
        found[index] = [
            Neighbour(row.row, show_text(row), show_target(row, rows.head, rows.spans), similarity)
            for row, similarity in others[: options.max_neighbours]
        ]
    return found, notes


def _slices(
    rows: EvaluatedRows, usable: Sequence[int], model: AnalysisModel | None, options: AnalysisOptions
) -> tuple[list[Slice], list[str]]:
    if len(usable) < 2 * options.min_slice_rows:
        return [], [f"There are no slices, because they need {2 * options.min_slice_rows} rows."]
    examples = [rows.examples[index] for index in usable]
    inputs = [example.input for example in examples]
    if model is None:
        unit, lengths = "words", [len(split_words(show_text(example))) for example in examples]
    else:
        unit, lengths = "tokens", model.token_counts(inputs)
    own = {name: [values[index] for index in usable] for name, values in rows.columns.items()}
    columns = column_values(own, examples, rows.labels)
    properties = {
        "length": length_values(lengths, unit, options.min_slice_rows),
        **text_properties(examples, options.min_slice_rows),
    }
    for name, values in columns.values.items():
        properties[f"{name} (column)" if name in properties else name] = values
    slices, notes = find_slices(
        properties, row_ratio(rows, usable), rows.head, options.min_slice_rows, options.seed
    )
    if columns.skipped:
        notes.append(
            f"These columns have more than {MAX_VALUES} different values and make no slices: "
            f"{_names(columns.skipped)}."
        )
    if columns.left_out:
        notes.append(
            f"Slices are made of the first {MAX_COLUMNS} columns; these are left out: "
            f"{_names(columns.left_out)}."
        )
    return slices, notes


def _names(names: Sequence[str]) -> str:
    more = f" and {len(names) - MAX_NAMES} more" if len(names) > MAX_NAMES else ""
    return ", ".join(names[:MAX_NAMES]) + more


def _label_errors(
    rows: EvaluatedRows,
    training: Sequence[Example],
    words: Sequence[Probabilities] | None,
    options: AnalysisOptions,
) -> tuple[list[LabelSuspicion], list[str]]:
    found, notes = find_label_errors(rows, training, words, options.split)
    if options.out_of_fold is not None:
        more, more_notes = find_label_errors(options.out_of_fold, None, split="train")
        found = sorted([*found, *more], key=lambda suspicion: suspicion.quality)
        notes += more_notes
    return found, notes


def _cost_curves(
    rows: EvaluatedRows, usable: Sequence[int], options: AnalysisOptions
) -> tuple[list[CostCurve], list[str]]:
    if rows.head in ("regression", "token") or rows.probabilities is None:
        return [], []
    examples = [rows.examples[index] for index in usable]
    probabilities = rows.probabilities[list(usable)]
    if rows.head == "multi-label":
        flags = label_flags(examples, rows.labels)
        thresholds = rows.thresholds or dict.fromkeys(rows.labels, 0.5)
        return cost_curves(rows.labels, probabilities, flags, options.costs, thresholds)
    numbers = label_numbers(examples, rows.labels)
    flags = numbers[:, None] == np.arange(len(rows.labels))
    return cost_curves(rows.labels, probabilities, flags, options.costs, None)
