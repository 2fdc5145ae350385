"""The upload of a bundle to the Hub: the planned files, and one commit with all of them."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson

from stream.bundle import Bundle, import_hub
from stream.errors import BundleError, UsageError
from trainer.export.card import REPORT, model_card
from trainer.export.card_metadata import CardDetails, check_details
from trainer.export.metrics_files import METRICS_FILE
from trainer.export.push_errors import check_token, push_errors

MANIFEST, SIGNATURE, CARD = "labelstream.json", "labelstream.sig", "README.md"
MAIN = "main"
KEPT_METADATA = ("license", "license_name", "license_link", "language", "datasets", "base_model")


@dataclass(frozen=True, slots=True)
class PushRequest:
    """The destination of a push.

    Attributes:
        repository: OWNER/NAME, or NAME for a repository of the token's user.
        branch: the branch that the commit is added to; it is created if it does not exist.
        private: whether a new repository is private.
        message: the message of the commit; empty for the name of the bundle.
        report: a page to upload as report.html.
        details: what the card states and the bundle does not know.
    """

    repository: str
    branch: str = MAIN
    private: bool = False
    message: str = ""
    report: Path | None = None
    details: CardDetails = field(default_factory=CardDetails)


@dataclass(frozen=True, slots=True)
class PlannedFile:
    """A file of the commit, with its content or the file on disk that holds it."""

    path: str
    source: bytes | Path
    digest: str = ""

    @property
    def size(self) -> int:
        """The number of bytes."""
        return len(self.source) if isinstance(self.source, bytes) else self.source.stat().st_size


@dataclass(frozen=True, slots=True)
class Pushed:
    """A finished push: the repository and its commit."""

    repository: str
    commit: str
    url: str

    @property
    def reference(self) -> str:
        """The reference that loads exactly this bundle."""
        return f"hf://{self.repository}@{self.commit}"


def plan_push(bundle: Bundle, request: PushRequest, details: CardDetails | None = None) -> list[PlannedFile]:
    """Return the files to upload: the bundle with its manifest and signature, the card and the report.

    Args:
        bundle: a bundle whose files are verified.
        request: the destination.
        details: the details for the card; None for those of the request.

    Raises:
        UsageError: a detail of the card is malformed, the report cannot be read, or huggingface_hub is not
            installed.
    """
    check_details(request.details)
    import_hub()
    files = [
        PlannedFile(name, bundle.path / name, digest)
        for name, digest in bundle.manifest.files.items()
        if name not in (CARD, REPORT)
    ]
    files.append(PlannedFile(MANIFEST, bundle.read_manifest()))
    if (bundle.path / SIGNATURE).is_file():
        files.append(PlannedFile(SIGNATURE, bundle.path / SIGNATURE))
    report = _report(bundle, request.report)
    if report is not None:
        files.append(PlannedFile(REPORT, report))
    card = _card(bundle, details or request.details, report=report is not None)
    files.append(PlannedFile(CARD, card.encode()))
    return sorted(files, key=lambda file: file.path)


def prepare_push(request: PushRequest) -> str:
    """Check the token, and create the repository and its branch if they do not exist.

    Returns:
        The full name of the repository, OWNER/NAME.

    Raises:
        UsageError: huggingface_hub is not installed, there is no token, it may not write to the repository,
            or the repository is public and a private one was requested.
        LabelstreamError: the Hub does not answer.
    """
    check_details(request.details)
    hub = import_hub()
    with push_errors(request.repository):
        api = hub.HfApi(library_name="labelstream")
        user = check_token(api, request.repository)
        repository = request.repository if "/" in request.repository else f"{user}/{request.repository}"
        api.create_repo(repository, private=request.private or None, exist_ok=True)
        if request.private and not api.model_info(repository).private:
            raise UsageError(
                f"{repository} is public",
                cause="--private applies to new repositories",
                fix="make it private in its settings on the Hub, or push to another name",
            )
        if request.branch != MAIN:
            api.create_branch(repository, branch=request.branch, exist_ok=True)
    return repository


def push_bundle(bundle: Bundle, repository: str, request: PushRequest) -> Pushed:
    """Upload a bundle in one commit; files that the Hub already has are not sent again.

    Files of an earlier bundle are removed from the repository if the new one does not have them. Other files
    stay. Metadata of the present card, such as its licence, is kept where the request names no other.

    Args:
        bundle: a bundle whose files are verified.
        repository: the name from `prepare_push`.
        request: the destination.

    Raises:
        BundleError: a file was changed since it was verified.
        UsageError: the token may not write, or the Hub refuses the metadata of the card.
        LabelstreamError: the Hub does not answer.
    """
    with push_errors(repository):
        from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi

        api = HfApi(library_name="labelstream")
        present = set(api.list_repo_files(repository, revision=request.branch))
        details = _with_present(request, repository, _present_metadata(api, repository, request, present))
        files = plan_push(bundle, request, details)
        old = _bundle_files(api, repository, request, present) - {file.path for file in files}
        additions = [CommitOperationAdd(file.path, file.source) for file in files]
        check_upload(bundle, files, [addition.upload_info.sha256.hex() for addition in additions])
        commit = api.create_commit(
            repository,
            [*additions, *(CommitOperationDelete(path) for path in sorted(old))],
            commit_message=request.message or f"Add {bundle.reference}",
            revision=request.branch,
        )
    return Pushed(repository, str(commit.oid), str(commit.commit_url))


def _report(bundle: Bundle, report: Path | None) -> Path | None:
    if report is None:
        return bundle.path / REPORT if (bundle.path / REPORT).is_file() else None
    if not report.is_file():
        raise UsageError(
            f"the report {report} cannot be read",
            cause="there is no such file",
            fix="name the page of an evaluation, or leave --report out",
        )
    return report


def _card(bundle: Bundle, details: CardDetails, *, report: bool) -> str:
    from huggingface_hub import ModelCard

    files = bundle.manifest.files
    metrics = orjson.loads(bundle.read(METRICS_FILE)) if METRICS_FILE in files else bundle.manifest.metrics
    card = model_card(
        bundle.manifest,
        metrics,
        details,
        weights=any("/" not in name and name.endswith(".safetensors") for name in files),
        own_code=any(name.startswith("modeling_") for name in files),
        report=report,
    )
    # The library parses the card as the Hub does, and raises an error for metadata that it cannot read.
    return str(ModelCard(card))


def _with_present(request: PushRequest, repository: str, present: dict[str, Any]) -> CardDetails:
    """Return the details of the request, completed with the metadata of the repository's present card."""
    details = request.details

    def several(name: str, own: tuple[str, ...]) -> tuple[str, ...]:
        found = present.get(name) or ()
        return own or ((found,) if isinstance(found, str) else tuple(map(str, found)))

    kept_license = present if not details.license else {}
    base_model = present.get("base_model")
    return CardDetails(
        repository=repository,
        license=details.license or str(kept_license.get("license") or ""),
        license_name=details.license_name or str(kept_license.get("license_name") or ""),
        license_link=details.license_link or str(kept_license.get("license_link") or ""),
        languages=several("language", details.languages),
        datasets=several("datasets", details.datasets),
        base_model=details.base_model or (base_model if isinstance(base_model, str) else ""),
    )


def _present_metadata(api: Any, repository: str, request: PushRequest, present: set[str]) -> dict[str, Any]:
    from huggingface_hub import ModelCard

    if CARD not in present:
        return {}
    file = api.hf_hub_download(repository, CARD, revision=request.branch)
    try:
        data: Any = ModelCard(Path(file).read_text(encoding="utf-8"), ignore_metadata_errors=True).data
    except ValueError:
        # A card that the library cannot parse has no metadata to keep.
        return {}
    found = data.to_dict()
    return {name: found[name] for name in KEPT_METADATA if name in found}


def _bundle_files(api: Any, repository: str, request: PushRequest, present: set[str]) -> set[str]:
    """Return the files of the repository that belong to the bundle in it."""
    if MANIFEST not in present:
        return set()
    file = api.hf_hub_download(repository, MANIFEST, revision=request.branch)
    try:
        listed = orjson.loads(Path(file).read_bytes())["files"]
    except (orjson.JSONDecodeError, KeyError, TypeError):
        return set()
    return ({*listed, SIGNATURE} & present) - {CARD, REPORT}


def check_upload(bundle: Bundle, files: Sequence[PlannedFile], digests: Sequence[str]) -> None:
    """Check that the bytes to upload are those that were verified.

    Args:
        bundle: the verified bundle.
        files: the files to upload.
        digests: the SHA-256 of each, as hex, from the bytes that the client will send.

    Raises:
        BundleError: a file was changed.
    """
    for file, found in zip(files, digests, strict=True):
        if file.digest and file.digest != f"sha256:{found}":
            raise BundleError(
                f"{file.path} in the bundle {bundle.path} was changed while it was pushed",
                cause=f"its SHA-256 differs from the one in {MANIFEST}",
                fix="copy the bundle again, then push it again",
            )


def shared_rows(bundle: Bundle) -> int:
    """Return the number of texts in reference.jsonl, which everyone who can read the repository can read."""
    if "reference.jsonl" not in bundle.manifest.files:
        return 0
    return len(bundle.read("reference.jsonl").splitlines())
