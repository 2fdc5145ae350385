"""The training rows nearest to evaluated rows, by the cosine similarity of their vectors."""

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from stream.classify import TextInput
from trainer.evaluation.analysis.options import Vectors

CHUNK_ROWS = 1024
QUERY_ROWS = 1024

Nearest = list[tuple[int, float]]
"""The index and the similarity of each neighbour, nearest first."""


def embed(
    vectors: Callable[[Sequence[TextInput]], Vectors],
    inputs: Sequence[TextInput],
    progress: Callable[[int], None],
) -> Vectors:
    """Return the vectors of rows, computed in chunks; float32 [rows, hidden]."""
    found = []
    for start in range(0, len(inputs), CHUNK_ROWS):
        chunk = inputs[start : start + CHUNK_ROWS]
        found.append(vectors(chunk))
        progress(len(chunk))
    return np.concatenate(found)


def nearest_rows(
    queries: Vectors,
    training: Sequence[TextInput],
    vectors: Callable[[Sequence[TextInput]], Vectors],
    count: int,
    progress: Callable[[int], None] = lambda _: None,
) -> list[Nearest]:
    """Return the nearest training rows of each query.

    The training rows are embedded in chunks, and each chunk is compared in chunks of queries, so the memory
    does not grow with the number of training rows.

    Args:
        queries: L2-normalised vectors, float32 [queries, hidden].
        training: the inputs of the training rows.
        vectors: returns the L2-normalised vectors of inputs.
        count: the number of neighbours of each query.
        progress: receives the number of embedded training rows.
    """
    similarities = np.zeros((len(queries), 0), dtype=np.float32)
    indices = np.zeros((len(queries), 0), dtype=np.int64)
    for start in range(0, len(training), CHUNK_ROWS):
        chunk = training[start : start + CHUNK_ROWS]
        of_chunk = vectors(chunk)
        best = [
            _best(queries[at : at + QUERY_ROWS] @ of_chunk.T, count)
            for at in range(0, len(queries), QUERY_ROWS)
        ]
        new = np.concatenate([columns for columns, _ in best])
        similarities = np.concatenate([similarities, np.concatenate([values for _, values in best])], axis=1)
        indices = np.concatenate([indices, new + start], axis=1)
        # A stable sort keeps the earlier row first among equally near rows.
        order = np.argsort(-similarities, axis=1, kind="stable")[:, :count]
        similarities = np.take_along_axis(similarities, order, axis=1)
        indices = np.take_along_axis(indices, order, axis=1)
        progress(len(chunk))
    return [
        list(zip(row.tolist(), np.clip(near, -1, 1).tolist(), strict=True))
        for row, near in zip(indices, similarities, strict=True)
    ]


def _best(similarities: Vectors, count: int) -> tuple[npt.NDArray[np.int64], Vectors]:
    """Return the columns and the values of the highest similarities of each row, in the order of columns."""
    kept = min(count, similarities.shape[1])
    columns = np.sort(np.argpartition(-similarities, kept - 1, axis=1)[:, :kept], axis=1)
    return columns, np.take_along_axis(similarities, columns, axis=1)
