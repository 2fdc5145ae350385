"""`labelstream push`: one commit with the bundle and its card, read back with the Hub's own client."""

import json
import re
from collections.abc import Iterator
from io import StringIO
from pathlib import Path

import pytest
from huggingface_hub import ModelCard
from rich.console import Console

from stream.bundle import open_bundle
from stream.errors import LabelstreamError, UsageError
from tests.real.hub import OWNER, READER, HubServer
from tests.unit.bad_bundles import relist
from tests.unit.hub_process import WEIGHTS, contents, labelstream, make_saved, open_all
from trainer.export import push_report
from trainer.export.push import PushRequest


@pytest.fixture
def hub() -> Iterator[HubServer]:
    with HubServer() as server:
        yield server


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    return make_saved(tmp_path / "saved")


def test_a_pushed_bundle_comes_back_with_equal_digests(hub: HubServer, saved: Path, tmp_path: Path) -> None:
    report = tmp_path / "page.html"
    report.write_text("<p>results")
    before = contents(saved)
    environment = hub.environment(tmp_path / "one", OWNER)
    flags = ("--license", "Apache-2.0", "--language", "en,de", "--dataset", "owner/tickets", "--private")
    done = labelstream(
        environment, "push", saved, "owner/tickets", *flags, "--report", report, "--message", "first"
    )
    assert done.returncode == 0, done.stderr
    repository = hub.state.repositories["owner/tickets"]
    commit = repository.branches["main"]
    assert f"pushed: hf://owner/tickets@{commit}" in done.stdout
    assert "note: reference.jsonl holds 34 texts" in done.stdout
    assert repository.private
    assert repository.messages == ["initial commit", "first"]
    stored = repository.commits[commit]
    assert stored["report.html"] == b"<p>results"
    pushed = {
        name: content for name, content in stored.items() if name not in ("README.md", ".gitattributes")
    }
    assert pushed == {
        **{name: content for name, content in before.items() if name != "README.md"},
        "report.html": b"<p>results",
    }
    assert contents(saved) == before

    card = ModelCard(stored["README.md"].decode())
    assert card.data.get("license") == "apache-2.0"
    assert card.data.get("language") == ["en", "de"]
    assert card.data.get("datasets") == ["owner/tickets"]
    assert card.data.get("library_name") == "transformers"
    for part in ("labelstream worker --bundle hf://owner/tickets", "name = 'owner/tickets'", "report.html"):
        assert part in card.text

    (found,) = open_all(hub.environment(tmp_path / "two", OWNER), f"hf://owner/tickets@{commit}")
    assert found["digest"] == open_bundle(saved).digest


def test_a_second_push_replaces_the_bundle_and_keeps_what_is_not_its_own(
    hub: HubServer, saved: Path, tmp_path: Path
) -> None:
    environment = hub.environment(tmp_path, OWNER)
    labelstream(environment, "push", saved, "owner/tickets", "--license", "mit", "--language", "en")
    repository = hub.state.repositories["owner/tickets"]
    repository.commit(
        "main", {**repository.commits[repository.branches["main"]], "notes.txt": b"of the owner"}, "edit"
    )
    uploads = [path for method, path, _ in hub.state.requests if method == "PUT"]
    (saved / WEIGHTS).unlink()
    manifest = json.loads((saved / "labelstream.json").read_bytes())
    del manifest["files"][WEIGHTS]
    (saved / "labelstream.json").write_text(json.dumps(manifest))
    # The name of the user is the owner of a repository that is named without one.
    done = labelstream(environment, "push", saved, "tickets", "--branch", "staging")
    assert done.returncode == 0, done.stderr
    stored = repository.commits[repository.branches["staging"]]
    assert WEIGHTS not in stored
    assert stored["notes.txt"] == b"of the owner"
    assert WEIGHTS in repository.commits[repository.branches["main"]]
    card = ModelCard(stored["README.md"].decode())
    assert (card.data.get("license"), card.data.get("language"), card.data.get("library_name")) == (
        "mit",
        "en",
        "labelstream",
    )
    assert len([path for method, path, _ in hub.state.requests if method == "PUT"]) == len(uploads)


def test_a_dry_run_lists_the_files_without_a_token_or_a_request(
    hub: HubServer, saved: Path, tmp_path: Path
) -> None:
    environment = {**hub.environment(tmp_path), "HF_HUB_OFFLINE": "1"}
    done = labelstream(environment, "push", saved, "owner/tickets", "--dry-run")
    assert done.returncode == 0, done.stderr
    rows = re.findall(r"^ *(\S+ [KM]iB)  (\S+)$", done.stdout, re.MULTILINE)
    listed = {path: size for size, path in rows}
    assert set(listed) == {*contents(saved)} | {"README.md"}
    assert listed["onnx/model.onnx"] == "136.0 KiB"
    assert "would go to owner/tickets, branch main" in done.stdout
    assert hub.state.requests == []


def test_every_refusal_is_typed_and_leaves_the_repository_as_it_was(
    hub: HubServer, saved: Path, tmp_path: Path
) -> None:
    public = hub.state.add("owner/public", {})
    environment = hub.environment(tmp_path, OWNER)
    cases: list[tuple[tuple[str, ...], dict[str, str], int, tuple[str, ...]]] = [
        (("owner/new",), {"HF_TOKEN": ""}, 2, ("no token", "hf auth login")),
        (("owner/new",), {"HF_TOKEN": "hf_wrong"}, 2, ("does not accept the token",)),
        (("owner/public",), {"HF_TOKEN": READER}, 2, ("may not write to owner/public",)),
        (("other/new",), {}, 2, ("may not write to other/new",)),
        (("owner/public", "--private"), {}, 2, ("owner/public is public", "settings")),
        (("owner/a b",), {}, 2, ("cannot be the name of a repository",)),
        (("owner/new",), {"HF_HUB_OFFLINE": "1"}, 2, ("HF_HUB_OFFLINE is set",)),
        (("owner/new",), {"HF_ENDPOINT": "http://127.0.0.1:9"}, 1, ("push to owner/new failed", "again")),
        (("owner/public", "--license", "own"), {}, 2, ("refuses the metadata", '"license" must be one of')),
        (("owner/new", "--license", "a b"), {}, 2, ("--license 'a b' is not valid",)),
        (("owner/new", "--license", "other"), {}, 2, ("--license-name NAME --license-link",)),
        (("owner/new", "--language", "English"), {}, 2, ("--language 'English' is not valid",)),
        (("owner/new", "--dataset", "a/b/c"), {}, 2, ("--dataset 'a/b/c' is not valid",)),
        (("owner/new", "--report", "none.html"), {}, 2, ("none.html cannot be read",)),
    ]
    for arguments, changes, code, words in cases:
        done = labelstream({**environment, **changes}, "push", saved, *arguments)
        assert done.returncode == code, (arguments, done.stderr)
        assert all(word in done.stderr for word in words), (arguments, done.stderr)
        assert "fix: " in done.stderr
    assert [*hub.state.repositories] == ["owner/public"]
    assert public.messages == ["initial commit"]


def test_a_bundle_with_a_changed_file_is_not_pushed(hub: HubServer, saved: Path, tmp_path: Path) -> None:
    (saved / "config.json").write_text("{}")
    done = labelstream(hub.environment(tmp_path, OWNER), "push", saved, "owner/tickets")
    assert done.returncode == 3
    assert "config.json in the bundle" in done.stderr
    assert hub.state.requests == []


def test_a_failed_push_after_a_training_names_the_command_that_repeats_it(
    saved: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(request: PushRequest) -> str:
        raise UsageError("the token may not write to owner/x", cause="it has expired", fix="log in")

    monkeypatch.setattr(push_report, "prepare_push", refuse)
    bundle = open_bundle(saved)
    with pytest.raises(LabelstreamError) as failed:
        push_report.push_trained(
            Console(file=StringIO()), bundle, Path("my bundles"), PushRequest("owner/x", private=True)
        )
    assert failed.value.exit_code == 1
    assert "may not write" in failed.value.cause
    assert failed.value.fix == "labelstream push tiny@1 owner/x --private --bundle-store 'my bundles'"


def test_a_bundle_that_changes_during_the_push_is_refused(
    hub: HubServer, saved: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from stream.errors import BundleError
    from trainer.export.push import check_upload, plan_push

    bundle = open_bundle(saved)
    files = plan_push(bundle, PushRequest("owner/x"))
    digests = [file.digest.removeprefix("sha256:") for file in files]
    check_upload(bundle, files, digests)
    relist(saved)
    at = [file.path for file in files].index("config.json")
    digests[at] = "0" * 64
    with pytest.raises(BundleError, match=r"config\.json .* was changed while it was pushed"):
        check_upload(bundle, files, digests)
