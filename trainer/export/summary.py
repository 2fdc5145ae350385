"""The closing summary of an export: the variants, their parity checks, and where `auto` uses each of them."""

from typing import get_args

from rich.table import Table
from rich.text import Text

from stream.bundle import Manifest, Parity, Verdict, describe_agreement
from stream.runtime import Choice, usual_choices


def variant_table(manifest: Manifest) -> Table:
    """Return a table of the published variants and of those that the export left out."""
    choices = usual_choices(manifest)
    table = Table("variant", "parity check", "same decisions", "used by --variant auto on")
    for name, entry in manifest.variants.items():
        table.add_row(name, _status(entry.parity), describe_agreement(entry.parity), _use(name, choices))
    for name, reason in manifest.skipped_variants.items():
        verdict, figures = _short(reason)
        table.add_row(Text(name, style="yellow"), Text(f"left out: {verdict}"), Text(figures), "")
    return table


def _short(reason: str) -> tuple[str, str]:
    """Return the verdict and the first figure of a refused variant; other reasons as they are."""
    verdict, _, figures = reason.partition(": ")
    if verdict not in get_args(Verdict):
        return reason, ""
    return verdict, figures.split("; ")[0].removeprefix("same decision for ")


def _status(parity: Parity) -> str:
    if parity.accepted_by_user:
        return f"{parity.verdict}, accepted by --accept-variant"
    return "passed"


def _use(name: str, choices: dict[str, Choice]) -> str:
    """Return the machines on which `auto` chooses a variant; bf16 is computed from the fp32 file."""
    machines = [machine for machine, choice in choices.items() if choice.variant == name]
    if name == "fp32":
        rounded = [machine for machine, choice in choices.items() if choice.variant == "bf16"]
        machines += [f"{machine} (as bf16)" for machine in rounded]
    return ", ".join(machines) or f"none; name it: --variant {name}"
