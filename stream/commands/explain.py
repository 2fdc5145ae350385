"""`labelstream predict --explain`: the stages from a text to its label."""

from collections.abc import Iterator, Sequence

import numpy as np
from rich.box import SIMPLE_HEAD
from rich.console import Console, Group, RenderableType
from rich.table import Column, Table
from rich.text import Text

from stream.bundle import Manifest
from stream.classify import (
    ModelInput,
    Prediction,
    RowResult,
    RowTokens,
    WithMetadata,
    pool_logits,
    probabilities,
    texts_of,
)
from stream.runtime import Logits
from stream.short_names import printable
from stream.worker.route_model import OpenModel

PIPE_COLUMNS = 200


def explanation(opened: OpenModel, row: ModelInput, result: RowResult) -> RenderableType:
    """Return the text, tokens with ids, logits, probabilities and result of one row.

    Args:
        opened: the model.
        row: the row as the input of the model.
        result: the result of the row.
    """
    manifest = opened.bundle.manifest
    (tokens,) = opened.tokeniser.encode_rows([row])
    windows = tokens.windows(manifest.windows.most) if manifest.windows else [tokens]
    logits = [opened.runtimes[0].infer(opened.tokeniser.pad([window]))[0] for window in windows]
    parts = [*_texts(row), *_windows(manifest, windows, logits)]
    if manifest.head != "token":
        parts.append(_scores(manifest, logits))
    if isinstance(result, Prediction):
        outcome = result.members.decode()
    else:
        outcome = f"{result.reason.value}: {result}"
    return Group(*parts, _line("result", outcome), "")


def _line(name: str, value: str) -> Text:
    return Text.assemble((name.ljust(10), "bold"), value)


def _texts(row: ModelInput) -> Iterator[Text]:
    texts = texts_of(row)
    text, pair = (texts, None) if isinstance(texts, str) else texts
    yield _line("text", printable(text))
    if pair is not None:
        yield _line("text_pair", printable(pair))
    if isinstance(row, WithMetadata):
        values = ", ".join(f"{name}={value!r}" for name, value in row.metadata)
        yield _line("metadata", printable(values))


def _windows(
    manifest: Manifest, windows: Sequence[RowTokens], logits: Sequence[Logits]
) -> Iterator[RenderableType]:
    for number, (window, window_logits) in enumerate(zip(windows, logits, strict=True), 1):
        if len(windows) > 1:
            yield Text(f"window {number} of {len(windows)}", style="bold")
        if manifest.head == "token":
            yield _tags(manifest, window, window_logits)
        else:
            yield _tokens(manifest, window)


def _tokens(manifest: Manifest, tokens: RowTokens) -> Text:
    pairs = " ".join(
        f"{printable(token)}:{number}" for token, number in zip(tokens.tokens, tokens.ids, strict=True)
    )
    text = Text.assemble((f"{len(tokens)} tokens, token:id", "bold"), f"  {pairs}")
    if tokens.metadata is not None and "metadata" in manifest.inputs:
        numbers = " ".join(f"{number:g}" for number in tokens.metadata.tolist())
        text.append(f"\nmetadata as the model's input  {numbers}")
    return text


def _scores(manifest: Manifest, logits: Sequence[Logits]) -> RenderableType:
    pooling = manifest.windows.pooling if manifest.windows else "mean"
    pooled = pool_logits(np.stack(logits), pooling) if len(logits) > 1 else logits[0]
    label_probabilities = probabilities(manifest, pooled)
    # A label that does not fit continues on the next line: cut labels could look alike.
    table = Table("id", Column("label", overflow="fold"), "logit", box=SIMPLE_HEAD)
    if label_probabilities is not None:
        table.add_column("probability")
    if manifest.thresholds:
        table.add_column("threshold")
    for at in np.argsort(-pooled, kind="stable").tolist():
        label = manifest.labels[at]
        cells = [str(at), label, f"{pooled[at]:.6f}"]
        if label_probabilities is not None:
            cells.append(f"{label_probabilities[at]:.6f}")
        if manifest.thresholds:
            cells.append(f"{manifest.thresholds[label]:g}")
        table.add_row(*map(Text, cells))
    if manifest.temperature == 1.0:
        return table
    note = f"probabilities are those of the logits divided by the temperature {manifest.temperature:g}"
    return Group(table, Text(note, style="dim"))


def _tags(manifest: Manifest, tokens: RowTokens, logits: Logits) -> RenderableType:
    tag_probabilities = probabilities(manifest, logits[: len(tokens)])
    assert tag_probabilities is not None, "tags have probabilities"
    tag_column = Column("tag", overflow="fold")
    table = Table("token", "id", "characters", tag_column, "logit", "probability", box=SIMPLE_HEAD)
    best = tag_probabilities.argmax(axis=1).tolist()
    columns = zip(tokens.tokens, tokens.ids, tokens.offsets, tokens.special_tokens_mask, strict=True)
    for at, (token, number, (start, end), special) in enumerate(columns):
        tag = best[at]
        table.add_row(
            Text(printable(token)),
            str(number),
            "" if special else f"{start}-{end}",
            Text(manifest.labels[tag]),
            f"{logits[at, tag]:.6f}",
            f"{tag_probabilities[at, tag]:.6f}",
            style="dim" if special else None,
        )
    return table


def explanation_console() -> Console:
    """Return the console for explanations; in a file or a pipe lines are not wrapped at 80 columns."""
    console = Console(highlight=False, soft_wrap=True)
    return console if console.is_terminal else Console(highlight=False, soft_wrap=True, width=PIPE_COLUMNS)
