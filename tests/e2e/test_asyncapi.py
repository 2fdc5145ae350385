"""The AsyncAPI documents of several configurations, validated by the official parser."""

from pathlib import Path

import orjson

from tests.real.asyncapi_parser import AsyncapiParser
from tests.unit.test_asyncapi import CASES, document


def test_the_official_parser_accepts_every_document(asyncapi_parser: AsyncapiParser, tmp_path: Path) -> None:
    files = {}
    for number, case in enumerate(CASES):
        files[case] = tmp_path / f"{number}.json"
        files[case].write_bytes(orjson.dumps(document(case, tmp_path)))
    broken = tmp_path / "broken.json"
    broken.write_bytes(orjson.dumps(document("default", tmp_path) | {"channels": {"a": {"address": 7}}}))
    errors = asyncapi_parser.errors(*files.values(), broken)
    assert errors.pop(str(broken)), "the parser finds errors"
    assert errors == {str(file): [] for file in files.values()}
