"""`labelstream push`: upload a bundle to the Hub."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from stream.bundle import open_bundle
from trainer.export.card_metadata import CardDetails
from trainer.export.push import PushRequest, plan_push
from trainer.export.push_report import announce, push_to_hub, readable_size


def push(
    bundle: Annotated[
        str, typer.Argument(help="Bundle: a folder, or NAME or NAME@VERSION in the store.", metavar="BUNDLE")
    ],
    repository: Annotated[
        str,
        typer.Argument(help="Repository of the Hub; it is created if it is missing.", metavar="OWNER/NAME"),
    ],
    *,
    bundle_store: Annotated[Path, typer.Option(help="Folder with the bundles.")] = Path("bundles"),
    revision: Annotated[
        str, typer.Option("--revision", "--branch", help="Branch; it is created if it is missing.")
    ] = "main",
    private: Annotated[bool, typer.Option("--private", help="Make a new repository private.")] = False,
    message: Annotated[
        str, typer.Option(help="Message of the commit.", show_default="the bundle's name and version")
    ] = "",
    license_: Annotated[
        str,
        typer.Option(
            "--license", help="Licence of the model, such as apache-2.0.", show_default="not stated"
        ),
    ] = "",
    license_name: Annotated[str, typer.Option(help="Name of the licence, for --license other.")] = "",
    license_link: Annotated[
        str, typer.Option(help="Address of the licence's text, for --license other.")
    ] = "",
    language: Annotated[
        list[str] | None, typer.Option(help="ISO 639 code of the texts' language; may be repeated.")
    ] = None,
    dataset: Annotated[
        list[str] | None, typer.Option(help="Hub id of the training data; may be repeated.")
    ] = None,
    base_model: Annotated[
        str, typer.Option(help="Hub id of the base model.", show_default="the one that the bundle names")
    ] = "",
    report: Annotated[
        Path | None, typer.Option(help="Page of an evaluation, uploaded as report.html.", metavar="FILE")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="List the files, and upload nothing.")] = False,
) -> None:
    """Upload a bundle to the Hub, with a model card, in one commit.

    All digests are checked first. The token comes from HF_TOKEN or from `hf auth login`. The command prints
    the reference, hf://OWNER/NAME@COMMIT, that `worker`, `predict`, `verify`, `export` and
    `train --base-model` accept. A bundle with weights is also a model for `from_pretrained("OWNER/NAME")`.

        labelstream push tickets owner/tickets --license apache-2.0 --language en

        labelstream push tickets@3 owner/tickets --private --revision staging

        labelstream push bundles/tickets/3 owner/tickets --report results/report.html --dry-run
    """
    console = Console(soft_wrap=True, highlight=False)
    details = CardDetails(
        repository=repository if "/" in repository else "",
        license=license_.lower(),
        license_name=license_name,
        license_link=license_link,
        languages=tuple(_split(language)),
        datasets=tuple(_split(dataset)),
        base_model=base_model,
    )
    request = PushRequest(repository, revision, private, message, report, details)
    opened = open_bundle(bundle, bundle_store)
    files = plan_push(opened, request)
    if dry_run:
        for file in files:
            console.print(f"{readable_size(file.size):>12}  {file.path}", markup=False)
        announce(console, opened, files, f"would go to {repository}, branch {revision}")
        return
    push_to_hub(console, opened, request)


def _split(values: list[str] | None) -> list[str]:
    return [part.strip() for value in values or () for part in value.split(",") if part.strip()]
