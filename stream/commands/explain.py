"""`labelstream predict --explain`: the stages from a text to its label, one after the other."""

from collections.abc import Sequence

import numpy as np
from rich.box import SIMPLE_HEAD
from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from stream.bundle import Manifest
from stream.classify.heads import probabilities
from stream.classify.inputs import ModelInput, Prediction, WithMetadata, texts_of
from stream.classify.tokenise import RowTokens
from stream.classify.windows import pool
from stream.errors import Poison
from stream.runtime.base import Logits
from stream.worker.route_model import OpenModel


def explain(opened: OpenModel, row: ModelInput, result: Prediction | Poison) -> RenderableType:
    """Text, tokens and ids, logits, probabilities and the label event's members of one row.

    Args:
        opened: the model.
        row: what it reads of the row.
        result: what the stream says of it.
    """
    manifest = opened.bundle.manifest
    (tokens,) = opened.tokeniser.encode_rows([row])
    windows = tokens.windows(manifest.windows.most) if manifest.windows else [tokens]
    logits = [opened.runtimes[0].infer(opened.tokeniser.pad([window]))[0] for window in windows]
    shown: list[RenderableType] = [*_texts(row)]
    for at, (window, of_window) in enumerate(zip(windows, logits, strict=True), 1):
        if len(windows) > 1:
            shown.append(Text(f"window {at} of {len(windows)}", style="bold"))
        shown.append(
            _tags(manifest, window, of_window) if manifest.head == "token" else _tokens(manifest, window)
        )
    if manifest.head != "token":
        shown.append(_scores(manifest, logits))
    said = result.members.decode() if isinstance(result, Prediction) else f"{result.reason.value}: {result}"
    shown.append(Text.assemble(("said      ", "bold"), said))
    return Group(*shown, "")


def _texts(row: ModelInput) -> list[Text]:
    texts = texts_of(row)
    text, pair = (texts, None) if isinstance(texts, str) else texts
    shown = [Text.assemble(("text      ", "bold"), _printable(text))]
    if pair is not None:
        shown.append(Text.assemble(("text_pair ", "bold"), _printable(pair)))
    if isinstance(row, WithMetadata):
        told = ", ".join(f"{name}={value!r}" for name, value in row.metadata)
        shown.append(Text.assemble(("metadata  ", "bold"), _printable(told)))
    return shown


def _tokens(manifest: Manifest, tokens: RowTokens) -> Text:
    told = " ".join(
        f"{_printable(token)}:{number}" for token, number in zip(tokens.tokens, tokens.ids, strict=True)
    )
    shown = Text.assemble((f"{len(tokens)} tokens, token:id", "bold"), f"  {told}")
    if tokens.metadata is not None and "metadata" in manifest.inputs:
        numbers = " ".join(f"{number:g}" for number in tokens.metadata.tolist())
        shown.append(f"\nmetadata as the graph reads it  {numbers}")
    return shown


def _scores(manifest: Manifest, logits: Sequence[Logits]) -> RenderableType:
    pooling = manifest.windows.pooling if manifest.windows else "mean"
    pooled = pool(np.stack(logits), pooling) if len(logits) > 1 else logits[0]
    chances = probabilities(manifest, pooled)
    table = Table("id", "label", "logit", box=SIMPLE_HEAD)
    if chances is not None:
        table.add_column("probability")
    if manifest.thresholds:
        table.add_column("threshold")
    order = np.argsort(-pooled, kind="stable").tolist()
    for at in order:
        label = manifest.labels[at]
        cells = [str(at), label, f"{pooled[at]:.6f}"]
        if chances is not None:
            cells.append(f"{chances[at]:.6f}")
        if manifest.thresholds:
            cells.append(f"{manifest.thresholds[label]:g}")
        table.add_row(*map(Text, cells))
    if manifest.temperature != 1.0:
        told = f"probabilities of logits / {manifest.temperature:g}, the bundle's temperature"
        return Group(table, Text(told, style="dim"))
    return table


def _tags(manifest: Manifest, tokens: RowTokens, logits: Logits) -> RenderableType:
    chances = probabilities(manifest, logits[: len(tokens)])
    assert chances is not None, "tags have probabilities"
    table = Table("token", "id", "characters", "tag", "logit", "probability", box=SIMPLE_HEAD)
    best = chances.argmax(axis=1).tolist()
    columns = zip(tokens.tokens, tokens.ids, tokens.offsets, tokens.special_tokens_mask, strict=True)
    for at, (token, number, (start, end), special) in enumerate(columns):
        tag = best[at]
        table.add_row(
            Text(_printable(token)),
            str(number),
            "" if special else f"{start}-{end}",
            Text(manifest.labels[tag]),
            f"{logits[at, tag]:.6f}",
            f"{chances[at, tag]:.6f}",
            style="dim" if special else None,
        )
    return table


def explaining_console() -> Console:
    """Where explanations go; lines are as long as they need to be where no terminal sets the limit."""
    console = Console(highlight=False, soft_wrap=True)
    return console if console.is_terminal else Console(highlight=False, soft_wrap=True, width=200)


def _printable(text: str) -> str:
    # Texts come from outside; an escape sequence in them must not reach the terminal.
    return "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in text)
