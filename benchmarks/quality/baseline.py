"""Baseline without a language model: a linear SVM over words and word pairs."""

from typing import Any, Literal

import numpy as np

from trainer.data.examples import Data, Example
from trainer.evaluation.metrics import evaluate_multi, evaluate_single
from trainer.model.targets import row_targets

Head = Literal["single-label", "multi-label"]

THRESHOLD = 0.5


def baseline_figures(data: Data) -> dict[str, Any]:
    """Fit TF-IDF over one and two words with LinearSVC, at scikit-learn's defaults, and score the test part.

    The baseline is fitted to the training and the validation part. With several labels per text, each label
    has its own classifier.

    Args:
        data: the data of a task with one text or a pair and one or several labels, with a test part.

    Returns:
        The figures of `trainer.evaluation.metrics`, with intervals.
    """
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.multiclass import OneVsRestClassifier
    from sklearn.pipeline import make_pipeline
    from sklearn.svm import LinearSVC

    test = [example for example in data.examples if example.split == "test"]
    training = [example for example in data.examples if example.split != "test"]
    head: Literal["multi-label", "single-label"] = (
        "multi-label" if data.task == "multi-label" else "single-label"
    )
    training_targets, test_targets = (row_targets(part, data.labels, head) for part in (training, test))
    classifier = LinearSVC(random_state=0)
    estimator = OneVsRestClassifier(classifier) if head == "multi-label" else classifier
    model = make_pipeline(TfidfVectorizer(ngram_range=(1, 2)), estimator)
    predicted = np.asarray(model.fit(_texts(training), training_targets).predict(_texts(test)))
    if head == "multi-label":
        thresholds = dict.fromkeys(data.labels, THRESHOLD)
        return evaluate_multi(predicted.astype(np.float64), test_targets, data.labels, thresholds)
    return evaluate_single(np.eye(len(data.labels))[predicted], test_targets, data.labels)


def _texts(examples: list[Example]) -> list[str]:
    return [" ".join(filter(None, (example.text, example.text_pair))) for example in examples]
