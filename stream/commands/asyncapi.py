"""`labelstream asyncapi`: write the AsyncAPI document of the configured routes."""

import sys
from pathlib import Path
from typing import Annotated

import orjson
import typer

from stream.asyncapi import make_document
from stream.commands.options import CONNECTION, ROUTE_RECORDS, TOPICS, with_settings
from stream.output_files import write_file
from stream.settings import Settings


@with_settings(*CONNECTION, "group", "schema_registry_url", *TOPICS, *ROUTE_RECORDS)
def asyncapi(
    *,
    settings: Settings,
    to: Annotated[
        Path | None, typer.Option(help="File to write; default: standard output.", metavar="FILE")
    ] = None,
) -> None:
    """Write the AsyncAPI 3.0 document of the configured routes, as JSON.

    The document has the servers, topics, messages, headers and operations from the view of the worker. It
    contains no user names and no passwords, and needs neither a broker nor a bundle.

        labelstream asyncapi --config labelstream.toml --to asyncapi.json

        labelstream asyncapi --input-topic mails --output-topic mail-labels --text-field body
    """
    document = orjson.dumps(make_document(settings), option=orjson.OPT_INDENT_2) + b"\n"
    if to is None:
        sys.stdout.buffer.write(document)
        sys.stdout.buffer.flush()
    else:
        write_file(to, document)
