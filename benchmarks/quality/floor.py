"""What a model without any understanding reaches: a linear SVM over words and pairs of words."""

from typing import Any

import numpy as np

from trainer.data.examples import Data, Example
from trainer.evaluation.metrics import evaluate_multi, evaluate_single
from trainer.model.targets import row_targets

THRESHOLD = 0.5


def floor_figures(data: Data) -> dict[str, Any]:
    """Fit TF-IDF over one and two words and LinearSVC, both at scikit-learn's defaults; score the test part.

    It is fitted to all that the trainer sees, validation part included. Several labels are learnt one by one.

    Args:
        data: single-label, pair or multi-label, with a test part.

    Returns:
        The figures of `trainer.evaluation.metrics`, with intervals.
    """
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.multiclass import OneVsRestClassifier
    from sklearn.pipeline import make_pipeline
    from sklearn.svm import LinearSVC

    test = [example for example in data.examples if example.split == "test"]
    rest = [example for example in data.examples if example.split != "test"]
    head = "multi-label" if data.task == "multi-label" else "single-label"
    learnt, truth = (row_targets(part, data.labels, head) for part in (rest, test))
    machine = LinearSVC(random_state=0)
    several = OneVsRestClassifier(machine) if head == "multi-label" else machine
    model = make_pipeline(TfidfVectorizer(ngram_range=(1, 2)), several)
    guessed = np.asarray(model.fit(_texts(rest), learnt).predict(_texts(test)))
    if head == "multi-label":
        thresholds = dict.fromkeys(data.labels, THRESHOLD)
        return evaluate_multi(guessed.astype(np.float64), truth, data.labels, thresholds)
    return evaluate_single(np.eye(len(data.labels))[guessed], truth, data.labels)


def _texts(examples: list[Example]) -> list[str]:
    return [" ".join(filter(None, (example.text, example.text_pair))) for example in examples]
