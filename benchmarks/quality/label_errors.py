"""The search for label errors, measured: `python -m benchmarks.quality.label_errors --data FOLDER`.

The program changes the labels of 3% of the messages of sms_spam at random, and searches them with
`trainer.evaluation.analysis.find_label_errors`. The probabilities come from a cross-validation, so that no
model was trained on the rows that it answers for.
"""

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any

import numpy as np
import numpy.typing as npt
import typer
from rich.console import Console
from rich.table import Table

from benchmarks.quality.prepare import NoDataError, sms_spam, thin
from benchmarks.quality.training import flags, run_command
from trainer.data.examples import Example
from trainer.evaluation.analysis import find_label_errors
from trainer.evaluation.answers import label_numbers
from trainer.evaluation.evaluated_rows import EvaluatedRows

LABELS = ("ham", "spam")
FLIPPED_SHARE = 0.03
FOLDS = 5
QUICK_ROWS = 600
QUICK_STEPS = 5
FINE_TUNING = {
    "text_column": "text",
    "label_column": "label",
    "epochs": 2,
    "batch_size": 32,
    "learning_rate": 1e-4,
    "max_length": 48,
    "cross_validate": FOLDS,
    "name": "label_errors",
}


@dataclass(frozen=True, slots=True)
class Figures:
    """The figures of one search.

    Attributes:
        flipped: the number of changed labels.
        found: the number of suspicious rows.
        precision: the share of changed labels among the suspicious rows.
        recall: the share of the changed labels that are among the suspicious rows.
        top_precision: the precision of the worst rows, as many as 3% of all rows.
        top_recall: their recall.
    """

    flipped: int
    found: int
    precision: float
    recall: float
    top_precision: float
    top_recall: float


def flip_labels(examples: Sequence[Example], seed: int) -> tuple[list[Example], set[int]]:
    """Change the label of 3% of the rows; return the rows, and the numbers of the changed ones."""
    count = round(len(examples) * FLIPPED_SHARE)
    chosen = set(np.random.default_rng(seed).choice(len(examples), count, replace=False).tolist())
    flipped = [
        Example(
            example.row, example.text, LABELS[example.target == LABELS[0]] if at in chosen else example.target
        )
        for at, example in enumerate(examples)
    ]
    return flipped, {examples[at].row for at in chosen}


def search(examples: Sequence[Example], changed: set[int], probabilities: npt.NDArray[np.float64]) -> Figures:
    """Search the rows for label errors, and compare the result with the changed rows."""
    predictions = [
        {"label": LABELS[at], "score": float(row[at])}
        for at, row in zip(probabilities.argmax(axis=1).tolist(), probabilities, strict=True)
    ]
    rows = EvaluatedRows(
        "single-label",
        LABELS,
        None,
        examples,
        np.log(np.maximum(probabilities, 1e-12)).astype(np.float32),
        probabilities,
        predictions,
        None,
        None,
        {},
    )
    found = [error.row for error in find_label_errors(rows, None)[0]]
    top = found[: round(len(examples) * FLIPPED_SHARE)]
    hits, top_hits = len(changed.intersection(found)), len(changed.intersection(top))
    return Figures(
        len(changed),
        len(found),
        hits / max(1, len(found)),
        hits / len(changed),
        top_hits / max(1, len(top)),
        top_hits / len(changed),
    )


def tf_idf_model() -> Any:
    """Return a logistic regression over words and word pairs."""
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline

    return make_pipeline(
        TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True),
        LogisticRegression(C=30, class_weight="balanced", max_iter=2000),
    )


def vector_model() -> Any:
    """Return a logistic regression over vectors."""
    from sklearn.linear_model import LogisticRegression

    return LogisticRegression(C=10, max_iter=2000)


def cross_validate(
    model: Any, inputs: Any, examples: Sequence[Example], seed: int
) -> npt.NDArray[np.float64]:
    """Return out-of-fold probabilities, float64 [rows, labels]."""
    from sklearn.model_selection import StratifiedKFold, cross_val_predict

    folds = StratifiedKFold(FOLDS, shuffle=True, random_state=seed)
    targets = label_numbers(examples, LABELS)
    found: npt.NDArray[np.float64] = cross_val_predict(
        model, inputs, targets, cv=folds, method="predict_proba"
    )
    return found


def fine_tuned(
    examples: Sequence[Example], seed: int, folder: Path, *, quick: bool
) -> npt.NDArray[np.float64]:
    """Return out-of-fold probabilities of fine-tuned models, float64 [rows, labels].

    They are those of `labelstream train --cross-validate`, run in its own process.

    Args:
        examples: the rows.
        seed: the seed of the training.
        folder: an empty folder for its files.
        quick: True for trainings of few steps.

    Raises:
        FailedError: the command failed.
    """
    data = folder / "rows.csv"
    with data.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("text", "label"))
        writer.writerows((example.text, example.target) for example in examples)
    options = {**FINE_TUNING, **({"max_steps": QUICK_STEPS} if quick else {}), "seed": seed}
    places = {"bundle_store": folder / "bundles", "results": folder / "results"}
    run_command(["labelstream", "train", str(data), *flags({**options, **places})], folder / "log")
    (found,) = folder.glob("results/**/oof.csv")
    probabilities = np.zeros((len(examples), len(LABELS)))
    with found.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            # The header of the data is not counted.
            probabilities[int(row["row"]) - 1] = [float(row[f"p:{label}"]) for label in LABELS]
    return probabilities


def base_vectors(examples: Sequence[Example]) -> npt.NDArray[np.float32]:
    """Return the vectors of the default base model, which is not fine-tuned."""
    from trainer.model.base_location import resolve_base_model
    from trainer.model.base_model import load_classifier, load_tokenizer
    from trainer.model.encoding import Preprocessing
    from trainer.model.vectors import encoder_vectors
    from trainer.progress import silence_libraries

    silence_libraries()
    base = resolve_base_model(None)
    _, tokenizer = load_tokenizer(base)
    model = load_classifier(base, tokenizer, list(LABELS))
    return encoder_vectors(model, tokenizer, [example.input for example in examples], Preprocessing(128))


def main(
    data: Annotated[Path, typer.Option(help="Folder with the folder sms_spam; only read.")],
    seeds: Annotated[int, typer.Option(help="The number of random choices of changed labels.", min=1)] = 5,
    quick: Annotated[bool, typer.Option("--quick", help="Few rows, to try the program.")] = False,
    vectors: Annotated[bool, typer.Option(help="Also use the vectors of the default base model.")] = True,
    fine_tune: Annotated[
        int, typer.Option(help="The number of choices for which models are fine-tuned, 20 minutes each.")
    ] = 0,
) -> None:
    """Change 3% of the labels of sms_spam, search them, and print precision and recall."""
    console = Console()
    try:
        parts = sms_spam(data)
    except NoDataError as error:
        console.print(f"error: {error}", markup=False)
        raise typer.Exit(2) from error
    rows = [row for part in parts.values() for row in part]
    if quick:
        rows = thin(rows, QUICK_ROWS)
    examples = [Example(number, row["text"], row["label"]) for number, row in enumerate(rows, 1)]
    inputs: dict[str, tuple[Any, Any]] = {"TF-IDF": (tf_idf_model(), [example.text for example in examples])}
    if vectors:
        inputs["vectors of MiniLM"] = (vector_model(), base_vectors(examples))
    table = Table(
        "probabilities", "seed", "changed", "found", "precision", "recall", "top 3%: precision", "recall"
    )
    for name, (model, of_model) in inputs.items():
        found = []
        for seed in range(seeds):
            flipped, changed = flip_labels(examples, seed)
            figures = search(flipped, changed, cross_validate(model, of_model, flipped, seed))
            found.append(figures)
            table.add_row(name, str(seed), *_cells(figures))
        table.add_row(name, "mean", "", "", *(f"{_mean(found, field):.3f}" for field in SHARES))
    for seed in range(fine_tune):
        flipped, changed = flip_labels(examples, seed)
        with TemporaryDirectory() as folder:
            probabilities = fine_tuned(flipped, seed, Path(folder), quick=quick)
        table.add_row("fine-tuned", str(seed), *_cells(search(flipped, changed, probabilities)))
    console.print(table)


SHARES = ("precision", "recall", "top_precision", "top_recall")


def _cells(figures: Figures) -> list[str]:
    shares = [f"{getattr(figures, field):.3f}" for field in SHARES]
    return [str(figures.flipped), str(figures.found), *shares]


def _mean(found: Sequence[Figures], field: str) -> float:
    return float(np.mean([getattr(figures, field) for figures in found]))


if __name__ == "__main__":
    typer.run(main)
