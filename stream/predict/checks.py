"""Checks of the arguments of `labelstream predict`, before anything is read."""

from dataclasses import dataclass
from pathlib import Path

from stream.bundle import Bundle
from stream.errors import UsageError
from stream.output_files import STANDARD_STREAM, check_not_input, is_inside, is_replaced
from stream.predict.input_files import COMPRESSED_FORMATS, OUTPUT_FORMATS
from stream.predict.writer import check_format
from stream.settings import Settings
from stream.tables import STANDARD_INPUT

ENGINES = ("local", "ray")
RAY_FORMATS = ("jsonl", "parquet")
DEFAULT_FORMAT = "jsonl"


@dataclass(frozen=True, slots=True)
class ScaleOptions:
    """The options for folders, for the continuation of a run, and for an engine.

    Attributes:
        output_format: the format of the files in an output folder; None for the default.
        glob: a pattern of the files of an input folder.
        resume: True to continue an interrupted run.
        overwrite: True to forget an earlier run.
        engine: local, or ray.
        actors: the number of actors of Ray; None for one on each node.
        ray_address: the address of a Ray cluster; None starts a local one.
    """

    output_format: str | None
    glob: str | None
    resume: bool
    overwrite: bool
    engine: str
    actors: int | None
    ray_address: str | None

    def check(self, file: Path | None, output: Path | None, *, evaluates: bool, explain: bool) -> None:
        """Check the options, for an input and an output.

        Raises:
            UsageError: an option does not fit the others.
        """
        self._check_engine(file)
        is_folder = self.engine == "ray" or (file is not None and file.is_dir())
        self._check_names(is_folder=is_folder)
        if is_folder:
            self._check_folder(file, output, evaluates=evaluates, explain=explain)
        elif self.resume:
            _check_resume(file, output, evaluates=evaluates)
        elif self.overwrite:
            raise UsageError(
                "--overwrite is used only with a folder or with --resume",
                cause="a single output file is always replaced",
                fix="remove --overwrite",
            )

    @property
    def suffix(self) -> str:
        """The suffix of the files in an output folder, without its dot."""
        return self.output_format or DEFAULT_FORMAT

    def _check_engine(self, file: Path | None) -> None:
        if self.engine not in ENGINES:
            raise UsageError(f"--engine {self.engine} is unknown", fix=f"use one of: {', '.join(ENGINES)}")
        for flag, value in (("--actors", self.actors), ("--ray-address", self.ray_address)):
            if value is not None and self.engine != "ray":
                raise UsageError(
                    f"{flag} is used only with --engine ray", fix=f"add --engine ray, or remove {flag}"
                )
        if self.engine == "ray" and (file is None or file == STANDARD_INPUT):
            raise UsageError(
                "--engine ray labels files",
                cause="it has no standard input",
                fix="use --input FILE or FOLDER",
            )

    def _check_names(self, *, is_folder: bool) -> None:
        formats = RAY_FORMATS if self.engine == "ray" else (*OUTPUT_FORMATS, *COMPRESSED_FORMATS)
        if self.output_format is not None and self.output_format not in formats:
            raise UsageError(
                f"--output-format {self.output_format} is not valid", fix=f"use one of: {', '.join(formats)}"
            )
        for flag, value in (("--output-format", self.output_format), ("--glob", self.glob)):
            if value is not None and not is_folder:
                raise UsageError(
                    f"{flag} is used only with folders",
                    fix="name a folder in --input, or remove it; the suffix of --output names its format",
                )
        if self.output_format is not None:
            check_format(Path(f"name.{self.output_format}"))

    def _check_folder(
        self, file: Path | None, output: Path | None, *, evaluates: bool, explain: bool
    ) -> None:
        what = "--engine ray" if self.engine == "ray" else f"the folder {file}"
        if explain or evaluates:
            flag = "--explain" if explain else "--evaluate-with"
            raise UsageError(
                f"{flag} cannot be used with {what}",
                fix="name one file in --input"
                + ("" if explain else ", or use `labelstream evaluate`, which reads folders"),
            )
        if output is None or output == STANDARD_STREAM:
            raise UsageError(f"{what} needs an output folder", fix="name a folder in --output")


def _check_resume(file: Path | None, output: Path | None, *, evaluates: bool) -> None:
    if evaluates:
        raise UsageError(
            "--evaluate-with cannot be used with --resume",
            cause="the rows of an earlier run are not read again",
            fix="remove --resume, or use `labelstream evaluate`",
        )
    if file is None or not file.is_file():
        raise UsageError(
            "--resume needs a file in --input", cause="a pipe cannot be read again", fix="use --input FILE"
        )
    if output is None or output == STANDARD_STREAM or not is_replaced(output):
        raise UsageError(
            "--resume needs a file in --output",
            cause="the rows so far are kept beside it",
            fix="use --output FILE",
        )


def check_arguments(
    texts: list[str], pairs: list[str], file: Path | None, output: Path | None, *, explain: bool
) -> None:
    if bool(texts) == (file is not None):
        raise UsageError(
            "there is nothing to predict" if not texts else "--text and --input cannot be used together",
            fix="use --text TEXT (may be repeated) or --input FILE",
        )
    if pairs and len(pairs) != len(texts):
        raise UsageError(
            f"{len(pairs)} --text-pair for {len(texts)} --text", fix="give one --text-pair for each --text"
        )
    if explain and output is not None:
        raise UsageError("--explain prints text, not rows for a file", fix="remove --output or --explain")


def check_evaluation(column: str | None, names: Path | None, file: Path | None, *, explain: bool) -> None:
    if names is not None and column is None:
        raise UsageError(
            "--label-names is used only with --evaluate-with", fix="add --evaluate-with COLUMN, or remove it"
        )
    if column is not None and (file is None or explain):
        raise UsageError(
            f"--evaluate-with cannot be used with {'--explain' if explain else '--text'}",
            cause="it compares the rows of a file with a column of the file",
            fix="use --input FILE" if file is None else "remove --explain",
        )


def with_all_scores(settings: Settings, shape: str | None, labels: int) -> Settings:
    """Return settings with the score of every label, as wide needs them, and long unless a number is set."""
    if shape == "wide" or (shape == "long" and settings.top_k is None):
        return settings.model_copy(update={"top_k": labels})
    return settings


def check_output(output: Path | None, bundle: Bundle, settings: Settings, file: Path | None) -> None:
    """Check that the output is neither an input nor inside the bundle, before anything is written."""
    check_format(output)
    inputs = (file, type(settings).toml_file, settings.require_signature)
    check_not_input(output, [path for path in inputs if path is not None])
    if output is not None and is_inside(output, bundle.path):
        raise UsageError(
            f"cannot write {output}",
            cause=f"it is inside the bundle {bundle.reference}, and a version never changes",
            fix="name a file outside of the bundle in --output",
        )
