"""`labelstream augment`: synthetic rows for rare labels."""

import os
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from stream.errors import UsageError
from stream.output_files import check_not_input
from stream.sample import sample_path
from stream.short_names import shorten_names
from stream.termination import exit_on_termination
from stream.wording import count_of
from trainer.config import DataConfig, Recipe
from trainer.config.options import with_settings
from trainer.config.settings import settings_of
from trainer.data.files import data_stem
from trainer.data.read import read_data
from trainer.data.splits import split_examples

KEY_VARIABLE = "OPENAI_API_KEY"
MAX_REQUESTS_FACTOR = 3
LABEL_CELLS = 40


@with_settings(DataConfig)
def augment(
    data: Annotated[str, typer.Argument(metavar="DATA", help="Labelled texts, as for `labelstream train`.")],
    endpoint: Annotated[
        str,
        typer.Option(
            help="Base URL of an OpenAI-compatible server, such as http://localhost:8000/v1.", metavar="URL"
        ),
    ],
    model: Annotated[str, typer.Option(help="Name of the model at the endpoint.", metavar="NAME")],
    rows_per_label: Annotated[
        int | None, typer.Option(min=1, help="New rows of each label.", metavar="N")
    ] = None,
    to_rows: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="New rows for each label with fewer training rows than this, until it has as many.",
            metavar="N",
        ),
    ] = None,
    labels: Annotated[
        list[str] | None,
        typer.Option(help="Label that gets rows; may be repeated.", metavar="LABEL", show_default="all"),
    ] = None,
    prompt_file: Annotated[
        Path | None,
        typer.Option(
            help="Template of the prompt, with $label, $labels, $rows, $examples and $format.",
            metavar="FILE",
            show_default="the included prompt",
        ),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            help="File of the new rows, .csv or .jsonl; an earlier one is continued.",
            metavar="FILE",
            show_default="DATA-augmented.jsonl",
        ),
    ] = None,
    examples: Annotated[
        int, typer.Option(min=1, help="Training rows of the label in each prompt.", metavar="K")
    ] = 5,
    rows_per_request: Annotated[
        int, typer.Option(min=1, max=100, help="Rows that one request asks for.", metavar="N")
    ] = 5,
    concurrency: Annotated[
        int, typer.Option(min=1, max=256, help="Requests at the same time.", metavar="N")
    ] = 4,
    max_requests: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Requests, retries included, after which the command stops, to limit the cost.",
            metavar="N",
            show_default="three times as many as needed",
        ),
    ] = None,
    api_key_file: Annotated[
        Path | None,
        typer.Option(
            help="File with the API key.", metavar="FILE", show_default=f"the variable {KEY_VARIABLE}"
        ),
    ] = None,
    temperature: Annotated[
        float | None,
        typer.Option(min=0, max=2, help="Sampling temperature.", metavar="T", show_default="the endpoint's"),
    ] = None,
    no_json_mode: Annotated[
        bool,
        typer.Option("--no-json-mode", help="Do not send response_format, which some servers refuse."),
    ] = False,
    seed: Annotated[
        int,
        typer.Option(
            min=0, max=2**32 - 1, help="Seed of the splits; that of `labelstream train`.", metavar="N"
        ),
    ] = Recipe().seed,
    *,
    config: DataConfig,
) -> None:
    """Write synthetic rows for rare labels with a language model, for `labelstream train --extra-train`.

    The command splits the data as `labelstream train` does. Only training rows are sent to the endpoint, as
    examples in the prompt. New rows that equal a row of the data or a new row, or nearly do, are left out.
    Each row names its model, prompt, request, source rows and time in columns that `train` ignores. If the
    command ends early, run it again: it continues with the rows of the output. The exit code is 1 if rows are
    missing.

        labelstream augment tickets.csv --to-rows 50 --endpoint http://localhost:8000/v1 --model my-model

        labelstream train tickets.csv --extra-train tickets-augmented.jsonl

        labelstream augment tickets.csv --labels refund --rows-per-label 20 --prompt-file prompt.txt
        --endpoint https://api.openai.com/v1 --model gpt-4o-mini --max-requests 10
    """
    from trainer.augment.endpoint import EndpointOptions
    from trainer.augment.output import Layout, check_output
    from trainer.augment.plan import Amount
    from trainer.augment.prompt import load_prompt
    from trainer.augment.run import Augmenter, AugmentOptions

    exit_on_termination()
    if (rows_per_label is None) == (to_rows is None):
        raise UsageError(
            "the number of rows is not given"
            if to_rows is None
            else "--rows-per-label cannot be combined with --to-rows",
            fix="use either --rows-per-label N or --to-rows N",
        )
    _check_task(config)
    path = sample_path() if data == "sample" else Path(data)
    target = output if output is not None else Path(f"{data_stem(path) or 'data'}-augmented.jsonl")
    check_output(target, config)
    prompt, key = load_prompt(prompt_file), _read_key(api_key_file)
    found = read_data(path if path.exists() else data, config)
    check_not_input(target, [*found.files, *filter(None, (prompt_file, api_key_file, config.label_names))])
    amount = Amount(rows_per_label, to_rows, tuple(labels or ()))
    options = AugmentOptions(amount, examples, rows_per_request, concurrency, seed)
    layout = Layout(found.columns, config.label_columns)
    augmenter = Augmenter(found, split_examples(found.examples, seed), layout, target, options)
    console = Console(stderr=True, highlight=False, soft_wrap=True)
    if augmenter.earlier:
        console.print(f"continuing {target}: {count_of(augmenter.earlier, 'row')}", markup=False)
    if not augmenter.goals:
        console.print("nothing to write: each label has enough rows", markup=False)
        return
    needed = sum(-(-goal.missing // rows_per_request) for goal in augmenter.goals)
    most = max_requests or MAX_REQUESTS_FACTOR * needed
    console.print(
        f"{count_of(augmenter.missing, 'row')} for {count_of(len(augmenter.goals), 'label')}: "
        f"at least {count_of(needed, 'request')}, at most {most:,}",
        markup=False,
    )
    request = EndpointOptions(endpoint, model, key, not no_json_mode, temperature, most)
    progress = Progress(
        *(TextColumn("augment"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    )
    task = progress.add_task("augment", total=augmenter.missing)
    try:
        with progress:
            augmenter.run(prompt, request, lambda rows: progress.advance(task, rows))
    finally:
        for line in augmenter.outcome.lines(shorten_names(augmenter.outcome.unmet, LABEL_CELLS)):
            console.print(line, markup=False)
    if augmenter.earlier + augmenter.outcome.written:
        words = ["labelstream", "train", data, *_data_flags(config), "--extra-train", str(target)]
        words += [] if seed == Recipe().seed else ["--seed", str(seed)]
        console.print(f"next: {shlex.join(words)}", markup=False)
    if augmenter.outcome.unmet:
        raise typer.Exit(1)


def _data_flags(config: DataConfig) -> Iterator[str]:
    """Yield the flags that describe the data, as `labelstream train` takes them."""
    for setting in settings_of(DataConfig):
        value = getattr(config, setting.field)
        if value == setting.info.default:
            continue
        yield setting.option
        if not isinstance(value, bool):
            yield ",".join(value) if isinstance(value, tuple) else str(value)


def _check_task(config: DataConfig) -> None:
    if config.task in ("regression", "token"):
        raise UsageError(
            f"augment cannot be combined with --task {config.task}",
            cause="it writes whole texts for labels, and "
            + ("a regression has no labels" if config.task == "regression" else "each word needs a tag"),
            fix="use --task single-label, multi-label or pair",
        )


def _read_key(file: Path | None) -> str | None:
    """Return the API key of the file or of the environment; None if there is none.

    Raises:
        UsageError: the file cannot be read, or the key cannot be sent in a header.
    """
    if file is None:
        key, origin = os.environ.get(KEY_VARIABLE, "").strip(), KEY_VARIABLE
    else:
        origin = str(file)
        try:
            key = file.read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as exc:
            cause = exc.strerror if isinstance(exc, OSError) else "it is not a text in UTF-8"
            raise UsageError(
                f"cannot read {file}", cause=cause or "", fix="name a file with the key"
            ) from None
    valid = key.isascii() and key.isprintable() and " " not in key
    if not valid or (file is not None and not key):
        raise UsageError(
            f"{origin} holds no API key",
            cause="it is empty" if not key else "a key is one line of letters, digits and marks",
            fix="write the key, and nothing else, into it",
        )
    return key or None
