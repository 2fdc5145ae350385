"""Bundles that are damaged, inconsistent or made to mislead: each is refused with exit code 3 and by name."""

import os
import shutil
from pathlib import Path

import pytest

from stream.bundle import Bundle, open_bundle, read_bundle
from stream.commands.bundles import app
from stream.errors import BundleError, LabelstreamError
from tests.real.kinds import BY_NAME, KINDS, make_bundle_of
from tests.unit.bad_bundles import BAD_BUNDLES, GRAPH, BadBundle, relist


@pytest.fixture(scope="module")
def intact(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_bundle_of(BY_NAME["single"], tmp_path_factory.mktemp("store")).path


@pytest.fixture
def copied(intact: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(intact, tmp_path / "bundle"))


@pytest.mark.parametrize("bad", BAD_BUNDLES, ids=lambda bad: bad.name)
def test_a_bad_bundle_is_refused_by_name(bad: BadBundle, copied: Path) -> None:
    open_bundle(copied)
    bad.change(copied)
    with pytest.raises(BundleError) as raised:
        open_bundle(copied)
    error = raised.value
    assert error.exit_code == 3
    assert error.cause
    assert error.fix
    printed = f"{error.message} {error.cause}"
    assert all(word in printed for word in bad.words), printed
    assert printed.isprintable(), "the error must not send control characters to a terminal"
    assert len(printed) < 1_000


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_an_intact_bundle_of_every_kind_is_accepted(kind: object, tmp_path: Path) -> None:
    assert open_bundle(make_bundle_of(kind, tmp_path).path).stamps  # type: ignore[arg-type]


def test_listed_external_data_and_links_inside_the_folder_are_accepted(copied: Path) -> None:
    import onnx

    onnx.save(
        onnx.load(copied / GRAPH),
        copied / GRAPH,
        save_as_external_data=True,
        location="model.onnx.data",
        size_threshold=0,
    )
    relist(copied, "onnx/model.onnx.data")
    (copied / "tokenizer.json").rename(copied / "onnx" / "tokenizer")
    (copied / "tokenizer.json").symlink_to("onnx/tokenizer")
    relist(copied, "onnx/tokenizer")
    (copied / ".DS_Store").touch()
    opened = open_bundle(copied)
    assert "onnx/model.onnx.data" in opened.stamps


def test_a_file_that_is_replaced_after_its_check_is_detected(copied: Path) -> None:
    opened = open_bundle(copied)
    opened.check_unchanged()
    assert opened.read("tokenizer.json") == (copied / "tokenizer.json").read_bytes()
    shutil.copyfile(copied / "tokenizer.json", copied / ".other")
    (copied / ".other").replace(copied / "tokenizer.json")
    with pytest.raises(BundleError, match=r"tokenizer.json .* was changed while it was loaded"):
        opened.check_unchanged()
    (copied / "tokenizer.json").write_bytes(b"{}")
    with pytest.raises(BundleError, match=r"tokenizer.json .* was changed"):
        opened.read("tokenizer.json")


def test_a_file_that_is_not_listed_is_not_read(copied: Path) -> None:
    opened = open_bundle(copied)
    (copied / "more").write_bytes(b"x")
    with pytest.raises(BundleError, match="was changed"):
        opened.read("more")
    draft = Bundle(copied, opened.manifest, "")
    assert draft.read("more") == b"x", "a bundle that is being built has no digests yet"


def test_an_unreadable_file_is_an_error_with_its_cause(copied: Path) -> None:
    if os.geteuid() == 0:
        pytest.skip("root can read every file; run this test as another user")
    (copied / GRAPH).chmod(0)
    with pytest.raises(BundleError, match=r"model.onnx .* cannot be read") as raised:
        open_bundle(copied)
    assert "denied" in raised.value.cause


@pytest.mark.parametrize("spec", ["a\0b", "x" * 5_000, "single@" + "9" * 5_000, "single/../../etc", "\ud800"])
def test_a_strange_name_is_a_bundle_error(spec: str, intact: Path) -> None:
    with pytest.raises(BundleError):
        read_bundle(spec, intact.parent.parent)


@pytest.mark.parametrize("latest", [b"\xff\xfe", b"../../etc", "²".encode(), b"1 2"])
def test_latest_must_name_a_version(latest: bytes, intact: Path, tmp_path: Path) -> None:
    shutil.copytree(intact, tmp_path / "single" / "1")
    (tmp_path / "single" / "latest").write_bytes(latest)
    with pytest.raises(BundleError, match="names no version"):
        read_bundle("single", tmp_path)


def test_a_broken_latest_file_does_not_hide_other_bundles(
    intact: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("bad", "good"):
        shutil.copytree(intact, tmp_path / name / "1")
        (tmp_path / name / "latest").write_bytes(b"1\n" if name == "good" else b"\xff")
    (tmp_path / "bad" / "²").mkdir()
    try:
        app(["list", "--bundle-store", str(tmp_path)], standalone_mode=False)
    except LabelstreamError as error:
        pytest.fail(error.message)
    shown = capsys.readouterr().out
    assert "names no version" in " ".join(shown.split())
    assert "single-label" in shown
