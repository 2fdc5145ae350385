"""Does a variant say what the trained model said? The comparison behind `verify` and the export gate."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt
import orjson

from stream.bundle import Bundle, Manifest, Parity
from stream.classify.heads.labels import label_thresholds, sigmoid
from stream.classify.inputs import TextInput
from stream.classify.queue import plan
from stream.classify.tokenise import RowTokens, Tokeniser, Tokens
from stream.classify.windows import pool
from stream.errors import BundleError
from stream.runtime import Runtime
from stream.runtime.base import Logits

REFERENCE_TEXTS = "reference.jsonl"
REFERENCE_LOGITS = "reference.npz"
# The worker's own batches on a CPU: int8 rounds a text by what stands beside it in its batch.
BATCH_ROWS = 64
BATCH_TOKENS = 512
# What bf16 may move: it is not a file, so no manifest says it.
BF16_TOLERANCE = 0.25
BF16_LABEL_AGREEMENT = 0.98


@dataclass(frozen=True, slots=True)
class Difference:
    """A reference row whose logits moved: its number, text and largest absolute difference."""

    row: int
    text: str
    logit_diff: float


def read_reference(bundle: Bundle) -> tuple[list[TextInput], Logits]:
    """The stored reference rows and PyTorch's logits for them.

    Returns:
        The rows, and float32 [rows, labels]; for the task `token` float32 [tokens, labels], the tokens of all
        rows one behind the other, special ones too (`read_lengths` tells how many each row has).

    Raises:
        BundleError: the files are missing or do not fit each other.
    """
    try:
        lines = (bundle.path / REFERENCE_TEXTS).read_bytes().splitlines()
        logits = _read_array(bundle, "logits").astype(np.float32)
        rows = [
            TextInput(row["text"], row.get("text_pair"), row.get("metadata"))
            for row in map(orjson.loads, lines)
        ]
    except (OSError, KeyError, ValueError) as exc:
        raise _unreadable(bundle, exc) from exc
    lengths = read_lengths(bundle, len(rows))
    if len(lengths) != len(rows) or logits.shape != (lengths.sum(), len(bundle.manifest.labels)):
        raise BundleError(
            f"the reference of {bundle.path} does not fit its labels",
            cause=f"{len(rows)} texts, {len(bundle.manifest.labels)} labels, logits of shape {logits.shape}",
            fix="export the bundle again",
        )
    return rows, logits


def read_lengths(bundle: Bundle, rows: int) -> npt.NDArray[np.int64]:
    """How many rows of reference logits each reference row has, int64 [rows]: its tokens, else 1.

    Raises:
        BundleError: the file is missing or has no lengths.
    """
    if bundle.manifest.head != "token":
        return np.ones(rows, dtype=np.int64)
    try:
        return _read_array(bundle, "lengths").astype(np.int64)
    except (OSError, KeyError, ValueError) as exc:
        raise _unreadable(bundle, exc) from exc


def _read_array(bundle: Bundle, name: str) -> npt.NDArray[np.generic]:
    with np.load(bundle.path / REFERENCE_LOGITS, allow_pickle=False) as arrays:
        found: npt.NDArray[np.generic] = arrays[name]
        return found


def _unreadable(bundle: Bundle, exc: Exception) -> BundleError:
    return BundleError(
        f"the reference of {bundle.path} cannot be read", cause=str(exc), fix="export the bundle again"
    )


def infer_all(
    runtime: Runtime,
    tokeniser: Tokeniser,
    rows: Sequence[TextInput],
    progress: Callable[[int], None] = lambda _: None,
) -> Logits:
    """Logits of many rows offline, in length-sorted batches and in the rows' order.

    Texts are cut into windows where the bundle does so, and the logits of their windows pooled.

    Returns:
        float32 [rows, labels]; for a bundle that tags tokens float32 [tokens, labels], the tokens of all rows
        one behind the other with their special tokens, and those of a text's windows likewise.
    """
    encoded = tokeniser.encode(rows)
    pieces: list[Tokens] = []
    owners: list[int] = []
    for row, tokens in enumerate(encoded):
        cut = _windows(tokeniser, tokens)
        pieces += cut
        owners += [row] * len(cut)
    found: list[Logits] = [np.empty(0, dtype=np.float32)] * len(pieces)
    for batch in plan([len(piece) for piece in pieces], max_rows=BATCH_ROWS, max_tokens=BATCH_TOKENS):
        logits = runtime.infer(tokeniser.pad([pieces[at] for at in batch]))
        for at, row_logits in zip(batch, logits, strict=True):
            found[at] = row_logits[: len(pieces[at])] if tokeniser.of_tokens else row_logits
        progress(sum(at == 0 or owners[at] != owners[at - 1] for at in batch))
    if tokeniser.of_tokens:
        return np.concatenate(found)
    if tokeniser.windows is None:
        return np.stack(found)
    first = np.searchsorted(owners, np.arange(len(rows) + 1))
    pooling = tokeniser.windows.pooling
    return np.stack([pool(np.stack(found[a:b]), pooling) for a, b in pairwise(first)])


def _windows(tokeniser: Tokeniser, tokens: Tokens) -> Sequence[Tokens]:
    if tokeniser.windows is None:
        return [tokens]
    assert isinstance(tokens, RowTokens)
    return tokens.windows(tokeniser.windows.most)


def terms(manifest: Manifest, variant: str) -> tuple[float, float]:
    """How far a variant's logits may move, and the share of rows whose label has to stay."""
    if variant == "bf16":
        return BF16_TOLERANCE, BF16_LABEL_AGREEMENT
    parity = manifest.variants[variant].parity
    return parity.tolerance, parity.min_label_agreement


def compare(
    reference: Logits,
    found: Logits,
    *,
    tolerance: float,
    min_label_agreement: float,
    manifest: Manifest | None = None,
) -> Parity:
    """Measure how far `found` lies from `reference`, both as `infer_all` returns them.

    Args:
        reference: the trained model's logits.
        found: a variant's.
        tolerance: how far a logit may move.
        min_label_agreement: the share of decisions that has to stay.
        manifest: says what a decision is (`label_agreement`); None: the best label of a row.

    Raises:
        BundleError: the two differ in shape, so the tokens do.
    """
    if reference.shape != found.shape:
        raise BundleError(
            "the graph and the trained model do not read the same tokens",
            cause=f"logits of shape {found.shape} against {reference.shape}",
            fix="export the bundle again with its own tokenizer",
        )
    moved = np.abs(reference - found)
    return Parity(
        rows=len(reference),
        max_abs_logit_diff=float(moved.max())
        if np.isfinite(moved).all()
        else float(np.finfo(np.float32).max),
        tolerance=tolerance,
        label_agreement=label_agreement(reference, found, tolerance, manifest),
        min_label_agreement=min_label_agreement,
    )


def label_agreement(
    reference: Logits, found: Logits, tolerance: float, manifest: Manifest | None = None
) -> float:
    """The share of decisions that are the same, 0 to 1.

    A decision is: the best label of a row; the best tag of a token; for several labels whether a row gets a
    label, for each of both; for a regression whether the logit moved by no more than the tolerance.
    """
    head = manifest.head if manifest is not None else "single-label"
    if manifest is not None and head == "multi-label":
        least = np.array(label_thresholds(manifest))
        given, wanted = (sigmoid(logits / manifest.temperature) >= least for logits in (found, reference))
        return float((given == wanted).mean())
    if head == "regression":
        return float((np.abs(reference - found) <= tolerance).mean())
    return float((reference.argmax(axis=1) == found.argmax(axis=1)).mean())


def within_tolerance(parity: Parity) -> bool:
    """Whether the gate lets this variant pass."""
    allowed = np.inf if parity.max_metric_loss is None else parity.max_metric_loss
    return (
        parity.max_abs_logit_diff <= parity.tolerance
        and parity.label_agreement >= parity.min_label_agreement
        and (parity.metric_loss is None or parity.metric_loss <= allowed)
    )


def largest_differences(
    rows: Sequence[TextInput],
    reference: Logits,
    found: Logits,
    most: int = 5,
    lengths: npt.NDArray[np.int64] | None = None,
) -> list[Difference]:
    """The reference rows that moved furthest, worst first, to be shown with a refusal.

    Args:
        rows: the reference rows.
        reference: the trained model's logits.
        found: a variant's.
        most: how many are wanted.
        lengths: rows of logits of each reference row (`read_lengths`); None: one each.
    """
    moved = np.abs(reference - found).max(axis=1)
    if lengths is not None:
        # Tokenizers give every row at least one token; an empty segment would take its neighbour's.
        starts = np.concatenate([[0], np.cumsum(lengths)[:-1]])
        moved = np.maximum.reduceat(moved, starts)
    return [Difference(int(at), rows[at].text, float(moved[at])) for at in np.argsort(-moved)[:most]]
