"""`labelstream worker`, `doctor`, `verify` and `predict` refuse a bad bundle with exit code 3, by name."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.e2e.test_refusals import labelstream, refused
from tests.real.kinds import BY_NAME, make_bundle_of
from tests.real.process import free_ports
from tests.unit.bad_bundles import external, graph, literal, member, outside, set_shape
from tests.unit.test_bundle_signature import make_keys
from tests.unit.test_tokenizer_file import BAD_TOKENIZERS, with_tokenizer


def panicking_tokenizer(folder: Path) -> None:
    with_tokenizer(folder, BAD_TOKENIZERS["panics at load"])


def wrong_labels_undeclared(folder: Path) -> None:
    graph(set_shape("logits", "rows", "labels"))(folder)
    member("labels", ["a", "b"])(folder)


CASES: dict[str, tuple[Callable[[Path], object], str]] = {
    "temperature": (literal("temperature", "NaN"), "temperature"),
    "labels": (member("labels", ["a", "b"]), "names 2 labels"),
    "undeclared labels": (wrong_labels_undeclared, "labels"),
    "external data": (graph(external("/dev/zero")), "onnx/model.onnx"),
    "link": (outside("tokenizer.json"), "tokenizer.json"),
    "tokenizer": (panicking_tokenizer, "tokenizer.json"),
}


@pytest.fixture(scope="module")
def intact(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_bundle_of(BY_NAME["single"], tmp_path_factory.mktemp("store")).path


@pytest.fixture
def bundle(intact: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(intact, tmp_path / "bundle"))


@pytest.mark.slow
@pytest.mark.parametrize("name", CASES)
def test_a_worker_refuses_a_bad_bundle_before_it_needs_a_broker(name: str, bundle: Path) -> None:
    change, word = CASES[name]
    change(bundle)
    (port,) = free_ports(1)
    done = labelstream(
        "worker", "--broker", f"127.0.0.1:{port}", "--bundle", bundle, "--web-port", 0, "--device", "cpu"
    )
    refused(done, 3, "error:", "cause:", "fix:", word)


@pytest.mark.slow
@pytest.mark.parametrize("command", [("verify",), ("predict", "--text", "a", "--device", "cpu")])
def test_other_commands_refuse_a_tokenizer_that_panics(command: tuple[str, ...], bundle: Path) -> None:
    panicking_tokenizer(bundle)
    refused(labelstream(*command, bundle), 3, "tokenizer.json")


@pytest.mark.slow
def test_a_worker_that_requires_a_signature_refuses_an_unsigned_bundle(bundle: Path, tmp_path: Path) -> None:
    keys = make_keys(tmp_path)
    (port,) = free_ports(1)
    worker = (
        *("worker", "--broker", f"127.0.0.1:{port}", "--bundle", bundle, "--web-port", 0),
        *("--device", "cpu", "--retry-deadline-s", 1, "--require-signature", keys.public),
    )
    refused(labelstream(*worker), 3, "is not signed", "bundles sign")
    refused(labelstream("bundles", "verify", bundle, "--key", keys.public), 3, "is not signed")
    refused(labelstream("bundles", "sign", bundle, "--key", keys.private), 0, "signed")
    refused(labelstream("bundles", "verify", bundle, "--key", keys.public), 0, "the signature is right")
    refused(labelstream(*worker), 4, "does not answer")
