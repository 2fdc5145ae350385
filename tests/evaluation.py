"""Evaluated rows and findings of every task, made without a model."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from stream.bundle import HeadKind
from stream.classify import softmax
from trainer.data.examples import Example, Target
from trainer.evaluation.evaluated_rows import EvaluatedRows
from trainer.evaluation.findings import (
    CostCurve,
    DuplicatePair,
    Findings,
    LabelSuspicion,
    Mistake,
    Neighbour,
    Slice,
    WordEffect,
)

HOSTILE = "<script>alert(1)</script>"
INTENTS = [
    "card_arrival",
    "card_not_working",
    "cancel_transfer",
    "transfer_fee",
    "transfer_pending",
    "refund_not_showing_up",
    "top_up_failed",
    "exchange_rate",
    "verify_my_identity",
    "lost_or_stolen_card",
    "declined_card_payment",
    "wrong_amount_of_cash_received",
]
TEXTS = (
    "my new card has still not arrived, it is two weeks now",
    "why was I charged a fee for the transfer to my sister?",
    "I do not see the refund of the shoes that I sent back",
    "how do I cancel a transfer that I made by mistake yesterday",
    "the machine gave me 50 instead of 100 and my balance says 100",
    "what rate do you use when I pay in dollars",
)
ABOUT = {
    "bundle": "support@3",
    "variant": "fp32",
    "data": "test.csv, 1,000 rows",
    "date": "2026-03-01 12:00 UTC",
    "versions": "labelstream 0.1.0, onnxruntime 1.22",
}
HISTORY = [
    {"epoch": n, "loss": 2.2 / n, "accuracy": 1 - 0.6 / (n + 1), "macro_f1": 0.96 - 0.6 / (n + 1)}
    for n in range(1, 9)
]


def label_names(count: int) -> list[str]:
    """Return distinct label names; the first are names of intents."""
    return [
        INTENTS[at]
        if at < len(INTENTS)
        else f"{INTENTS[at % len(INTENTS)]}_of_the_customer_group_number_{at:04}"
        for at in range(count)
    ]


def single_rows(count: int, labels: Sequence[str], *, abstain: bool = False, seed: int = 0) -> EvaluatedRows:
    """Return rows with one label each, of which about 85% are labelled correctly."""
    rng = np.random.default_rng(seed)
    targets = rng.integers(0, len(labels), count)
    logits = rng.normal(0, 1, (count, len(labels))).astype(np.float32)
    logits[np.arange(count), targets] += 1.5 + 0.6 * np.log(len(labels))
    # Neighbouring labels are confused most.
    logits[np.arange(count), (targets + 1) % len(labels)] += 1 + 0.3 * np.log(len(labels))
    probabilities = softmax(logits)
    predictions: list[dict[str, Any]] = []
    for row in probabilities:
        best = int(row.argmax())
        low = abstain and row[best] < 0.3
        predictions.append({"label": None if low else labels[best], "score": round(float(row[best]), 6)})
    return _rows("single-label", labels, [labels[at] for at in targets], logits, probabilities, predictions)


def multi_rows(count: int, labels: Sequence[str], seed: int = 0) -> EvaluatedRows:
    """Return rows with any number of labels."""
    rng = np.random.default_rng(seed)
    targets = rng.random((count, len(labels))) < min(0.3, 2 / len(labels))
    logits = (rng.normal(-2, 1.2, targets.shape) + 4 * targets).astype(np.float32)
    probabilities = 1 / (1 + np.exp(-logits.astype(np.float64)))
    predictions = [
        {"labels": [labels[at] for at in np.flatnonzero(row >= 0.5).tolist()]} for row in probabilities
    ]
    names = [tuple(labels[at] for at in np.flatnonzero(row).tolist()) for row in targets]
    return _rows("multi-label", labels, names, logits, probabilities, predictions)


def regression_rows(count: int, name: str = "price in €", seed: int = 0) -> EvaluatedRows:
    """Return rows with a number each."""
    rng = np.random.default_rng(seed)
    targets = rng.normal(50, 15, count)
    values = targets + rng.normal(0, 6, count)
    predictions = [{"value": round(float(value), 6)} for value in values]
    logits = values.astype(np.float32)[:, None]
    return _rows("regression", [name], targets.tolist(), logits, None, predictions)


def token_rows(count: int, seed: int = 0) -> EvaluatedRows:
    """Return rows with spans; some predicted spans are missed, longer, of another type or spurious."""
    rng = np.random.default_rng(seed)
    tags = ["O", "B-Chemical", "I-Chemical", "B-Disease", "I-Disease"]
    words = ["patients", "with", "renal", "failure", "took", "lithium", "carbonate", "daily"]
    truth = ("O", "O", "B-Disease", "I-Disease", "O", "B-Chemical", "I-Chemical", "O")
    text = " ".join(words)
    starts = [text.index(word) for word in words]
    spans = tuple((start, start + len(word)) for start, word in zip(starts, words, strict=True))
    examples, predictions = [], []
    for at in range(count):
        examples.append(Example(at + 1, text, truth, word_spans=spans))
        choice = rng.random()
        disease = ("Disease", 14, 27) if choice < 0.8 else ("Disease", 20, 27)
        chemical = ("Chemical" if choice > 0.1 else "Disease", 33, 50)
        found = [disease, chemical] if choice < 0.93 else [disease, ("Chemical", 0, 8)]
        predictions.append({"spans": [_span(text, *span, 0.6 + 0.4 * rng.random()) for span in found]})
    logits = [np.zeros((len(words) + 2, len(tags)), np.float32)] * count
    return EvaluatedRows("token", tags, None, examples, logits, None, predictions, None, None, {})


def _span(text: str, kind: str, start: int, end: int, score: float) -> dict[str, Any]:
    return {"type": kind, "start": start, "end": end, "text": text[start:end], "score": score}


def _rows(
    head: HeadKind,
    labels: Sequence[str],
    targets: Sequence[Target],
    logits: Any,
    probabilities: Any,
    predictions: Sequence[Any],
) -> EvaluatedRows:
    texts = [f"{TEXTS[at % len(TEXTS)]}{' please' * (at % 7)}" for at in range(len(targets))]
    examples = [
        Example(at + 1, text, target) for at, (text, target) in enumerate(zip(texts, targets, strict=True))
    ]
    columns = {"text": texts}
    thresholds = dict.fromkeys(labels, 0.5) if head == "multi-label" else None
    return EvaluatedRows(
        head, labels, None, examples, logits, probabilities, predictions, thresholds, None, columns
    )


def make_metrics(rows: EvaluatedRows) -> dict[str, Any]:
    """Return metrics in the form of metrics.json; the figures are not those of the rows."""
    common = {"rows": len(rows.examples)}
    if rows.head == "regression":
        return {**common, "mae": 4.8, "rmse": 6.1, "pearson": 0.92, "intervals": {"mae": [4.5, 5.2]}}
    per_label = {
        label: {
            "precision": 0.5 + (at * 37 % 50) / 100,
            "recall": 0.5 + (at * 53 % 50) / 100,
            "f1": 0.5 + (at * 71 % 50) / 100,
            "support": 3 + at * 13 % 40,
        }
        for at, label in enumerate(rows.labels)
    }
    intervals = {
        label: {"f1": [figures["f1"] - 0.1, figures["f1"] + 0.08], "recall": [None, None]}
        for label, figures in per_label.items()
    }
    return {
        **common,
        "accuracy": 0.853,
        "macro_f1": 0.841,
        "log_loss": 0.412,
        "at_half": {"macro_f1": 0.79},
        "intervals": {"accuracy": [0.83, 0.875], "macro_f1": [0.81, 0.868]},
        "per_label": per_label,
        "per_label_intervals": intervals,
    }


def make_findings(rows: EvaluatedRows, mistakes: int = 40) -> Findings:
    """Return findings of every kind about the first rows."""
    names = list(rows.labels)
    found = [_mistake(rows, names, at) for at in range(min(mistakes, len(rows.examples)))]
    texts = [example.text for example in rows.examples[:30]]
    return Findings(
        headline="accuracy",
        mistakes=found,
        slices=[
            Slice("length", "33 to 64 tokens", 120, 0.612, 0.52, 0.70, -0.24),
            Slice("language", "de", 44, 0.702, 0.55, 0.82, -0.15),
            Slice("negation", "with", 210, 0.79, 0.73, 0.84, -0.07),
            Slice("channel", HOSTILE, 80, 0.90, 0.82, 0.95, 0.05),
        ],
        suspicions=[
            LabelSuspicion("test", at + 1, text, names[0], names[-1], round(0.02 + at * 0.011, 3))
            for at, text in enumerate(texts)
        ],
        duplicates=[
            DuplicatePair("near", "test", at + 1, text, "train", 100 + at, text + " thanks")
            for at, text in enumerate(texts[:8])
        ],
        cost_curves=[]
        if rows.head in ("regression", "token")
        else [_curve(name, at) for at, name in enumerate(names)],
        notes=["Slices with fewer than 20 rows are left out.", f"A note with {HOSTILE}."],
    )


def _mistake(rows: EvaluatedRows, names: list[str], at: int) -> Mistake:
    text = rows.examples[at].text
    words, start = [], 0
    for number, word in enumerate(text.split()):
        start = text.index(word, start)
        effect = [0.21, -0.08, 0.0, 0.02, -0.17, 0.11][(number + at) % 6]
        words.append(WordEffect(start, start + len(word), effect))
        start += len(word)
    neighbours = [
        Neighbour(500 + at, f"{HOSTILE} {text} soon", names[at % len(names)], 0.93),
        Neighbour(7, TEXTS[at % len(TEXTS)], names[-1], 0.871),
    ]
    gold, predicted = names[at % len(names)], names[(at + 1) % len(names)]
    return Mistake(at, gold, predicted, 0.99 - 0.01 * at, neighbours, words)


def _curve(label: str, at: int) -> CostCurve:
    thresholds = np.linspace(0.01, 0.99, 99)
    best = 0.2 + 0.6 * (at * 37 % 100) / 100
    costs = 0.05 + 0.4 * (thresholds - best) ** 2
    return CostCurve(label, thresholds.tolist(), costs.tolist(), best, 0.5)
