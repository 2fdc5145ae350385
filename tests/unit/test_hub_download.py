"""Bundles on the Hub, hf://OWNER/NAME@REVISION: download, cache, digests and errors."""

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from stream.bundle import open_bundle
from tests.real.hub import OWNER, READER, HubServer
from tests.unit.bad_bundles import relist
from tests.unit.hub_process import PROJECT, WEIGHTS, contents, labelstream, make_saved, open_all

BUNDLE = "hf://owner/tickets"
MIB = 2**20


@pytest.fixture
def hub() -> Iterator[HubServer]:
    with HubServer() as server:
        yield server


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    return make_saved(tmp_path / "saved")


def one_line(error: dict[str, Any]) -> str:
    """Return the parts of an error, each of which has text in one line."""
    for part in ("error", "cause", "fix"):
        assert error[part].strip(), error
        assert "\n" not in error[part], error
    return f"{error['error']} | {error['cause']} | {error['fix']}"


def test_a_worker_downloads_no_weights_and_later_readers_only_the_weights(
    hub: HubServer, saved: Path, tmp_path: Path
) -> None:
    page = {
        "README.md": b"# edited on the Hub",
        "report.html": b"<p>",
        "notes/plan.txt": b"not of the bundle",
    }
    repository = hub.state.add("owner/tickets", {**contents(saved), **page})
    commit = repository.branches["main"]
    environment = hub.environment(tmp_path)

    (found,) = open_all(environment, BUNDLE, weights=False)
    assert found["digest"] == open_bundle(saved).digest
    assert found["origin"] == f"{BUNDLE}@{commit}"
    assert commit in found["path"]
    first = hub.state.downloads()
    assert WEIGHTS not in first
    assert not {*page} & {*first}

    (complete,) = open_all(environment, f"{BUNDLE}@{commit}")
    assert hub.state.downloads()[len(first) :] == [WEIGHTS]
    listed = [name for name in complete["files"] if name != "README.md"]
    assert {name: (Path(complete["path"]) / name).read_bytes() for name in listed} == {
        name: (saved / name).read_bytes() for name in listed
    }

    # Everything is there: a commit needs no request, a branch is found without the Hub.
    hub.state.requests.clear()
    hub.state.down = True
    again, *offline = open_all({**environment, "HF_HUB_OFFLINE": "1"}, f"{BUNDLE}@{commit}", BUNDLE)
    assert again["path"] == complete["path"] == offline[0]["path"]
    assert hub.state.requests == []
    (unreachable,) = open_all(environment, BUNDLE)
    assert unreachable["path"] == complete["path"]


def test_the_library_s_own_cache_serves_a_bundle_offline(hub: HubServer, saved: Path, tmp_path: Path) -> None:
    hub.state.add("owner/tickets", contents(saved))
    environment = hub.environment(tmp_path)
    code = "import huggingface_hub as h; h.snapshot_download('owner/tickets')"
    subprocess.run([sys.executable, "-c", code], env=environment, check=True, capture_output=True)
    (found,) = open_all({**environment, "HF_HUB_OFFLINE": "1"}, BUNDLE)
    assert found["digest"] == open_bundle(saved).digest


def test_a_branch_is_followed_and_a_commit_is_not(hub: HubServer, saved: Path, tmp_path: Path) -> None:
    repository = hub.state.add("owner/tickets", contents(saved))
    first = repository.branches["main"]
    environment = hub.environment(tmp_path)
    open_all(environment, BUNDLE)
    changed = json.loads((saved / "labelstream.json").read_bytes())
    changed["version"] = "2"
    (saved / "labelstream.json").write_text(json.dumps(changed))
    second = repository.commit("main", contents(saved), "version 2")
    repository.branches["feature/x"] = first
    newest, pinned, branch = open_all(environment, BUNDLE, f"{BUNDLE}@{first}", f"{BUNDLE}@feature/x")
    assert newest["origin"].endswith(second)
    assert pinned["origin"].endswith(first)
    assert branch["path"] == pinned["path"] != newest["path"]


def test_every_refusal_names_its_cause_and_a_fix(hub: HubServer, saved: Path, tmp_path: Path) -> None:
    state = hub.state
    state.add("owner/tickets", contents(saved))
    state.add("owner/secret", contents(saved), private=True)
    state.add("owner/gated", contents(saved), gated=True)
    state.add("owner/plain", {"config.json": b"{}", "model.safetensors": b""})
    state.add("owner/data", {"table.csv": b"a"})
    incomplete = contents(saved)
    del incomplete["tokenizer.json"]
    state.add("owner/incomplete", incomplete)
    state.add("owner/mixed", {**contents(saved), "config.json": b'{"edited": true}'})
    state.add("owner/odd", {**contents(saved), "labelstream.json": b'{"schema_version": 1}'})
    expected = {
        "hf://owner/none": (3, "no repository owner/none", "no token was found", "HF_TOKEN"),
        "hf://owner/secret": (3, "no repository owner/secret", "private", "hf auth login"),
        "hf://owner/gated": (3, "access to owner/gated is restricted", "on request", "ask for access"),
        f"{BUNDLE}@v9": (3, "owner/tickets has no revision v9", "there are: main", "REVISION"),
        f"{BUNDLE}@{'0' * 40}": (3, "no revision 0000", "", ""),
        "hf://owner/plain": (3, "has no bundle", "a plain model", "labelstream export owner/plain"),
        "hf://owner/data": (3, "has no bundle", "table.csv", "labelstream push BUNDLE owner/data"),
        "hf://owner/incomplete": (3, "is not complete", "tokenizer.json", "push"),
        "hf://owner/mixed": (3, "config.json of hf://owner/mixed", "SHA-256", "older commit"),
        "hf://owner/odd": (3, "is not valid", "", "export"),
        "hf://": (2, "is not a bundle on the Hub", "OWNER/NAME", ""),
        "hf://owner/tickets/onnx": (2, "is not a bundle on the Hub", "OWNER/NAME", ""),
        "hf://datasets/owner/tickets": (2, "is not a bundle", "datasets/", ""),
        "hf://owner/tickets@": (2, "is not a bundle on the Hub", "branch", ""),
        "hf://owner/tickets@../../x": (2, "is not a bundle on the Hub", "branch", ""),
        "hf://owner/<script>": (2, "is not a bundle on the Hub", "OWNER/NAME", ""),
        "s3://bucket/tickets": (3, "is not a bundle", "hf://", "hf://OWNER/NAME"),
    }
    found = open_all(hub.environment(tmp_path), *expected)
    for (spec, (code, *words)), error in zip(expected.items(), found, strict=True):
        assert error.get("code") == code, (spec, error)
        line = one_line(error)
        for word in words:
            assert word in line, (spec, error)
    (foreign,) = open_all(hub.environment(tmp_path, READER), "hf://owner/secret")
    assert "the token in use may not read it" in foreign["cause"]
    (own,) = open_all(hub.environment(tmp_path, OWNER), "hf://owner/secret")
    assert own["digest"] == open_bundle(saved).digest


def test_without_an_answer_or_a_cache_the_network_is_named(hub: HubServer, tmp_path: Path) -> None:
    environment = hub.environment(tmp_path)
    hub.state.down = True
    for changes, cause in (
        ({}, "the Hub does not answer"),
        ({"HF_ENDPOINT": "http://127.0.0.1:9"}, "the Hub does not answer"),
        ({"HF_HUB_OFFLINE": "1"}, "HF_HUB_OFFLINE is set"),
    ):
        (error,) = open_all({**environment, **changes}, BUNDLE)
        assert error["code"] == 3
        assert cause in one_line(error)


def test_a_cut_download_continues_where_it_ended(hub: HubServer, saved: Path, tmp_path: Path) -> None:
    # The library writes blocks of 10 MiB.
    (saved / WEIGHTS).write_bytes(b"weights!" * (3 * MIB))
    relist(saved, WEIGHTS)
    hub.state.add("owner/tickets", contents(saved))
    digest = json.loads((saved / "labelstream.json").read_bytes())["files"][WEIGHTS]
    # The library tries a few times by itself; so many cuts end the process.
    hub.state.cuts[digest.removeprefix("sha256:")] = [12 * MIB] + [0] * 20
    environment = hub.environment(tmp_path)
    (error,) = open_all(environment, BUNDLE)
    assert "the Hub does not answer" in one_line(error)
    hub.state.cuts.clear()
    before = len(hub.state.requests)
    (found,) = open_all(environment, BUNDLE)
    ranges = [ask for method, path, ask in hub.state.requests[before:] if method == "GET" and "/lfs/" in path]
    assert ranges == [f"bytes={10 * MIB}-"]
    assert (Path(found["path"]) / WEIGHTS).read_bytes() == (saved / WEIGHTS).read_bytes()


def test_a_damaged_cache_is_downloaded_again(hub: HubServer, saved: Path, tmp_path: Path) -> None:
    hub.state.add("owner/tickets", contents(saved))
    environment = hub.environment(tmp_path)
    (found,) = open_all(environment, BUNDLE, weights=False)
    graph = Path(found["path"]) / "onnx/model.onnx"
    # The file of the library's cache is the same file.
    graph.write_bytes(b"damaged")
    (error,) = open_all(environment, BUNDLE, weights=False)
    assert "was changed" in error["error"]
    assert f"rm -r {found['path']}" in error["fix"]
    shutil.rmtree(found["path"])
    (repaired,) = open_all(environment, BUNDLE, weights=False)
    assert repaired["digest"] == found["digest"]
    assert graph.read_bytes() == (saved / "onnx/model.onnx").read_bytes()


def test_a_manifest_cannot_name_a_file_outside_the_bundle(
    hub: HubServer, saved: Path, tmp_path: Path
) -> None:
    manifest = json.loads((saved / "labelstream.json").read_bytes())
    manifest["files"]["../../../evil"] = "sha256:" + "0" * 64
    files = {**contents(saved), "labelstream.json": json.dumps(manifest).encode(), "../../../evil": b"x"}
    hub.state.add("owner/tickets", files)
    (error,) = open_all(hub.environment(tmp_path), BUNDLE)
    assert "is not valid" in error["error"]
    assert [*tmp_path.rglob("evil")] == []


def test_a_required_signature_is_checked_after_a_download(
    hub: HubServer, saved: Path, tmp_path: Path
) -> None:
    hub.state.add("owner/unsigned", contents(saved))
    for command in (
        "genpkey -algorithm ed25519 -out private.pem",
        "pkey -in private.pem -pubout -out public.pem",
    ):
        subprocess.run(["openssl", *command.split()], cwd=tmp_path, check=True, capture_output=True)
    environment = hub.environment(tmp_path)
    signed = labelstream(environment, "bundles", "sign", saved, "--key", tmp_path / "private.pem")
    assert signed.returncode == 0, signed.stderr
    hub.state.add("owner/tickets", contents(saved))
    refused, accepted = open_all(environment, "hf://owner/unsigned", BUNDLE, key=tmp_path / "public.pem")
    assert "is not signed" in refused["error"]
    assert accepted["digest"] == open_bundle(saved).digest


def test_two_processes_download_one_bundle_at_once(hub: HubServer, saved: Path, tmp_path: Path) -> None:
    hub.state.add("owner/tickets", contents(saved))
    code = "from stream.bundle import open_bundle; print(open_bundle('hf://owner/tickets').digest)"
    environment = {**hub.environment(tmp_path), "PYTHONPATH": str(PROJECT)}
    processes = [
        subprocess.Popen([sys.executable, "-c", code], env=environment, stdout=subprocess.PIPE, text=True)
        for _ in range(3)
    ]
    outputs = [process.communicate(timeout=120)[0].strip() for process in processes]
    assert set(outputs) == {open_bundle(saved).digest}


def test_a_cache_that_cannot_be_written_is_named(hub: HubServer, saved: Path, tmp_path: Path) -> None:
    hub.state.add("owner/tickets", contents(saved))
    (tmp_path / "file").write_text("")
    environment = {**hub.environment(tmp_path), "LABELSTREAM_BUNDLE_CACHE": str(tmp_path / "file")}
    (error,) = open_all(environment, BUNDLE)
    assert error["code"] == 2
    assert "LABELSTREAM_BUNDLE_CACHE" in one_line(error)


def test_commands_read_a_bundle_of_the_hub_and_show_its_commit(
    hub: HubServer, saved: Path, tmp_path: Path
) -> None:
    commit = hub.state.add("owner/tickets", contents(saved)).branches["main"]
    environment = hub.environment(tmp_path)
    predicted = labelstream(environment, "predict", BUNDLE, "--text", "where is my parcel")
    assert json.loads(predicted.stdout)["label"]
    assert predicted.stderr.strip() == f"{BUNDLE}@{commit}"
    # A second look-up could find another commit than the one that was checked and shown.
    assert len([path for _, path, _ in hub.state.requests if path.startswith("/api/models/")]) == 1
    shown = labelstream(environment, "bundles", "show", BUNDLE)
    assert f"{BUNDLE}@{commit}" in shown.stdout
    signed = labelstream(environment, "bundles", "sign", BUNDLE, "--key", "private.pem")
    assert signed.returncode == 2
    assert "cannot be signed" in signed.stderr
    located = (
        "from trainer.model.base_location import resolve_base_model as r; print(r('hf://owner/tickets').name)"
    )
    base = subprocess.run(
        [sys.executable, "-c", located],
        env={**environment, "PYTHONPATH": str(PROJECT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert base.stdout.strip() == f"{BUNDLE}@{commit}", base.stderr


def test_a_clone_of_the_repository_is_a_bundle(saved: Path) -> None:
    before = open_bundle(saved)
    (saved / "README.md").write_text("# edited on the Hub")
    (saved / "report.html").write_text("<p>")
    (saved / ".gitattributes").write_text("")
    assert open_bundle(saved).digest == before.digest
