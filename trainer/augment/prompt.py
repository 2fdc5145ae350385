"""The prompt that asks for new rows of a label: a template with placeholders."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from string import Template

from stream.errors import UsageError
from stream.tables import read_text
from trainer.data.examples import Example

PLACEHOLDERS = {
    "label": "the label, or the labels, of the new rows",
    "labels": "all labels",
    "rows": "the number of new rows",
    "examples": "training rows of the label, one JSON object on each line",
    "format": "the JSON object that the answer must be",
}
REQUIRED = ("label", "format")
MAX_LABELS = 100
MAX_TEXT_CHARS = 2_000
"""The characters of an example's text that the prompt shows."""


@dataclass(frozen=True, slots=True)
class Prompt:
    """A template of prompts.

    Attributes:
        template: the text with the placeholders of `PLACEHOLDERS`, as `$label`.
    """

    template: Template

    @property
    def digest(self) -> str:
        """The SHA-256 of the template, as hexadecimal digits."""
        return hashlib.sha256(self.template.template.encode()).hexdigest()

    def render(
        self, labels: Sequence[str], all_labels: Sequence[str], rows: int, shown: Sequence[Example]
    ) -> str:
        """Return the prompt for new rows.

        Args:
            labels: the labels of the new rows.
            all_labels: the labels of the data set, of which the first 100 are listed.
            rows: the number of rows to ask for.
            shown: the training rows that serve as examples.
        """
        pair = any(example.text_pair is not None for example in shown)
        row = {"text": "…", **({"text_pair": "…"} if pair else {})}
        more = len(all_labels) - MAX_LABELS
        return self.template.substitute(
            label=", ".join(labels),
            labels=", ".join(all_labels[:MAX_LABELS]) + (f" and {more:,} more" if more > 0 else ""),
            rows=rows,
            examples="\n".join(json.dumps(_shown(example), ensure_ascii=False) for example in shown),
            format=json.dumps({"rows": [row]}, ensure_ascii=False),
        )


def load_prompt(file: Path | None) -> Prompt:
    """Load a template from a file; None for the included template.

    Raises:
        UsageError: the file cannot be read, lacks a required placeholder or has an unknown one.
    """
    if file is None:
        return Prompt(Template(files("trainer.augment").joinpath("prompt.txt").read_text(encoding="utf-8")))
    template = Template(read_text(file, has_flag=False))
    if not template.is_valid():
        raise UsageError(
            f"{file} has a $ that does not begin a placeholder",
            cause="placeholders are written as $label or ${label}",
            fix="write $$ for a dollar sign",
        )
    found = template.get_identifiers()
    unknown = [name for name in found if name not in PLACEHOLDERS]
    missing = [name for name in REQUIRED if name not in found]
    if unknown or missing:
        name = (unknown or missing)[0]
        raise UsageError(
            f"{file} {'has the unknown placeholder' if unknown else 'lacks the placeholder'} ${name}",
            cause="; ".join(f"${known}: {meaning}" for known, meaning in PLACEHOLDERS.items()),
            fix=f"write $${name} for the text itself, or use these placeholders"
            if unknown
            else f"add ${name}",
        )
    return Prompt(template)


def _shown(example: Example) -> dict[str, str]:
    row = {"text": example.text[:MAX_TEXT_CHARS]}
    return row if example.text_pair is None else {**row, "text_pair": example.text_pair[:MAX_TEXT_CHARS]}
