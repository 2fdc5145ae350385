"""Tokenizer files that the library cannot load, or that make it panic, hang or abort."""

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from stream.bundle import Bundle, Windows, open_bundle
from stream.classify import Tokeniser, check_tokenizer
from stream.errors import BundleError
from tests.real.kinds import BY_NAME, make_bundle_of
from tests.unit.bad_bundles import relist

UNKNOWN_TOKEN = [{"SpecialToken": {"id": "[NONE]", "type_id": 0}}]
BAD_TOKENIZERS: dict[str, bytes | dict[str, Any]] = {
    "empty": b"",
    "not JSON": b"{",
    "not UTF-8": b'{"version": "\xff"}',
    "a list": b"[]",
    "nested": b'{"a":' * 10_000,
    "no model": {"model": None},
    "bad pattern": {
        "pre_tokenizer": {
            "type": "Split",
            "pattern": {"Regex": "("},
            "behavior": "Isolated",
            "invert": False,
        }
    },
    "panics at load": {"normalizer": {"type": "Precompiled", "precompiled_charsmap": "AAAA"}},
    "panics at the first text": {"normalizer": {"type": "Precompiled", "precompiled_charsmap": "AQAAAA=="}},
    "special token without an id": {
        "post_processor": {
            "type": "TemplateProcessing",
            "single": UNKNOWN_TOKEN,
            "pair": UNKNOWN_TOKEN,
            "special_tokens": {},
        }
    },
    "model fails on every text": {
        "model": {
            "type": "WordPiece",
            "unk_token": "[NONE]",
            "continuing_subword_prefix": "##",
            "max_input_chars_per_word": 0,
            "vocab": {},
        }
    },
}


@pytest.fixture(scope="module")
def intact(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_bundle_of(BY_NAME["single"], tmp_path_factory.mktemp("store")).path


@pytest.fixture
def copied(intact: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(intact, tmp_path / "bundle"))


def with_tokenizer(folder: Path, change: bytes | dict[str, Any]) -> Bundle:
    """Replace the tokenizer, or some of its members, and list its digest."""
    file = folder / "tokenizer.json"
    file.write_bytes(
        change
        if isinstance(change, bytes)
        else json.dumps({**json.loads(file.read_bytes()), **change}).encode()
    )
    relist(folder)
    return open_bundle(folder)


@pytest.mark.parametrize("load", [Tokeniser, check_tokenizer])
@pytest.mark.parametrize("name", BAD_TOKENIZERS)
def test_a_tokenizer_that_does_not_load_is_a_bundle_error(
    name: str, load: Callable[[Bundle], object], copied: Path
) -> None:
    bundle = with_tokenizer(copied, BAD_TOKENIZERS[name])
    with pytest.raises(BundleError, match=r"tokenizer .* cannot be loaded") as raised:
        load(bundle)
    assert "tokenizer.json" in raised.value.cause
    assert raised.value.cause.isprintable()
    assert len(raised.value.cause) < 300


def test_an_intact_tokenizer_passes(copied: Path) -> None:
    check_tokenizer(open_bundle(copied))


def test_a_load_that_takes_too_long_is_a_bundle_error(copied: Path) -> None:
    """No process can start, import the library and load a file in a microsecond."""
    with pytest.raises(BundleError) as raised:
        check_tokenizer(open_bundle(copied), timeout_s=1e-6)
    assert "did not load within" in raised.value.cause


def test_a_stride_that_makes_the_library_panic_is_a_bundle_error(copied: Path) -> None:
    opened = open_bundle(copied)
    manifest = opened.manifest.model_copy(update={"windows": Windows(stride=opened.manifest.max_length)})
    with pytest.raises(BundleError):
        check_tokenizer(replace(opened, manifest=manifest))


@pytest.mark.parametrize(("max_length", "fits"), [(1, False), (2, False), (3, True)])
def test_special_tokens_leave_room_for_text(max_length: int, fits: bool, copied: Path) -> None:
    opened = open_bundle(copied)
    short = replace(opened, manifest=opened.manifest.model_copy(update={"max_length": max_length}))
    if fits:
        Tokeniser(short)
        return
    with pytest.raises(BundleError) as raised:
        Tokeniser(short)
    assert f"max_length is {max_length}" in raised.value.cause


def test_a_file_in_the_working_folder_does_not_replace_the_library(
    copied: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "tokenizers.py").write_text("raise SystemExit(9)")
    monkeypatch.chdir(tmp_path)
    check_tokenizer(open_bundle(copied))
