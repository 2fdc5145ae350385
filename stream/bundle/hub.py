"""Bundles on the Hugging Face Hub, hf://OWNER/NAME@REVISION, downloaded with huggingface_hub.

The library keeps its own cache, with tokens, resumed downloads and the offline mode. Its snapshots are links
out of their folder, and may hold files that belong to no bundle. A bundle therefore gets a folder of its own
in the cache of bundles, whose files are hard links to the library's.
"""

import logging
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from secrets import token_hex
from typing import Any, Protocol

from stream.bundle.fields import MANIFEST_FILE, SIGNATURE_FILE
from stream.bundle.files import file_digest
from stream.bundle.hub_errors import hub_errors, import_hub, no_bundle, not_cached
from stream.bundle.hub_reference import COMMIT, HubReference, parse_hub_reference
from stream.bundle.origin import write_origin
from stream.bundle.parts import Parts, files_of, is_complete, read_downloaded_manifest
from stream.errors import BundleError
from stream.output_files import cannot_write

REQUEST_TIMEOUT_S = 30.0

log = logging.getLogger(__name__)


class Hub(Protocol):
    """The module huggingface_hub; the functions that are used here."""

    def HfApi(self, **settings: Any) -> Any: ...  # noqa: N802
    def hf_hub_download(self, repo_id: str, filename: str, **settings: Any) -> str: ...
    def try_to_load_from_cache(self, repo_id: str, filename: str, **settings: Any) -> Any: ...


def download_from_hub(reference: str, cache: Path, parts: Parts) -> Path:
    """Return the folder of a bundle of the Hub, and download the files that it lacks.

    A commit whose files are all in the cache needs no network. A branch or a tag is looked up on the Hub; if
    the Hub cannot be reached, the last downloaded commit is used, with a warning.

    Args:
        reference: hf://OWNER/NAME or hf://OWNER/NAME@REVISION.
        cache: the folder of downloaded bundles.
        parts: the files that the caller reads.

    Raises:
        BundleError: the repository, its revision or the bundle in it does not exist or is not accessible, the
            Hub cannot be reached, or a file does not match the manifest.
        UsageError: the reference is malformed, huggingface_hub is not installed, or the cache cannot be
            written.
    """
    wanted = parse_hub_reference(reference)
    home = cache / "hf" / wanted.repository.replace("/", "--")
    if COMMIT.fullmatch(wanted.revision) and is_complete(home / wanted.revision, parts):
        return home / wanted.revision
    hub = import_hub()
    with hub_errors(wanted.repository, wanted.revision):
        commit, online = _find_commit(hub, wanted)
        folder = home / commit
        if not is_complete(folder, parts):
            _download(hub, HubReference(wanted.repository, commit), folder, parts, online=online)
    return folder


def _find_commit(hub: Hub, wanted: HubReference) -> tuple[str, bool]:
    """Return the commit of a revision, and whether the Hub can be reached."""
    try:
        info = hub.HfApi(library_name="labelstream").model_info(
            wanted.repository, revision=wanted.revision, timeout=REQUEST_TIMEOUT_S
        )
    except Exception as exc:
        if not is_unreachable(exc):
            raise
        cached = hub.try_to_load_from_cache(wanted.repository, MANIFEST_FILE, revision=wanted.revision)
        if not isinstance(cached, str):
            raise not_cached(str(wanted), exc) from exc
        commit = Path(cached).parent.name
        log.warning("the Hub does not answer; %s is commit %s, as it was last downloaded", wanted, commit)
        return commit, False
    names = {file.rfilename for file in info.siblings or ()}
    if MANIFEST_FILE not in names:
        raise no_bundle(wanted.repository, wanted.revision, names)
    # The download also stores the commit of the branch for a start without the network. The branch may have
    # moved since the request above, so the commit is that of the manifest.
    manifest = hub.hf_hub_download(wanted.repository, MANIFEST_FILE, revision=wanted.revision)
    return Path(manifest).parent.name, True


def is_unreachable(error: BaseException) -> bool:
    """Return True if an error says that the Hub does not answer, or that the library is offline."""
    import httpx
    from huggingface_hub.errors import HfHubHTTPError

    if isinstance(error, HfHubHTTPError):
        return bool(error.response.status_code >= 500)
    return isinstance(error, httpx.TransportError | ConnectionError | TimeoutError)


def _download(hub: Hub, exact: HubReference, folder: Path, parts: Parts, *, online: bool) -> None:
    """Download the files of a bundle and place them in its folder, the manifest last."""
    from filelock import FileLock

    with _writable(folder):
        folder.mkdir(parents=True, exist_ok=True)
    fetch = partial(
        hub.hf_hub_download, exact.repository, revision=exact.revision, local_files_only=not online
    )
    snapshot = Path(fetch(MANIFEST_FILE)).parent
    manifest = read_downloaded_manifest(snapshot / MANIFEST_FILE)
    # A manifest that is not valid is placed alone; the reader of the bundle then reports its error.
    files = files_of(manifest, parts) if manifest is not None else {}
    # One file after the other, in this thread: a signal would otherwise wait for the threads of the library.
    for name in files:
        if not _fetch(fetch, name, online=online):
            raise _incomplete(exact, name, online=online)
    is_signed = _fetch(fetch, SIGNATURE_FILE, online=online)
    # A hard link changes the time stamp of a file, which a second process may have checked already.
    with _writable(folder), FileLock(folder.with_name(f"{folder.name}.lock")):
        for name, digest in files.items():
            _check_download(hub, exact, snapshot / name, name, digest, online=online)
            _place(snapshot / name, folder / name)
        if is_signed:
            _place(snapshot / SIGNATURE_FILE, folder / SIGNATURE_FILE)
        write_origin(folder, str(exact))
        _place(snapshot / MANIFEST_FILE, folder / MANIFEST_FILE)


def _fetch(fetch: Callable[[str], str], name: str, *, online: bool) -> bool:
    """Download a file into the library's cache; return False if the repository or the cache lacks it."""
    from huggingface_hub.errors import EntryNotFoundError, LocalEntryNotFoundError

    try:
        fetch(name)
    except EntryNotFoundError as exc:
        if online and isinstance(exc, LocalEntryNotFoundError):
            # The Hub stopped answering; it did not say that the file does not exist.
            raise
        return False
    return True


def _check_download(
    hub: Hub, exact: HubReference, file: Path, name: str, digest: str, *, online: bool
) -> None:
    """Check a downloaded file against the manifest; a damaged one is downloaded once more."""
    if file_digest(file) == digest:
        return
    if online:
        hub.hf_hub_download(exact.repository, name, revision=exact.revision, force_download=True)
    if file_digest(file) != digest:
        raise BundleError(
            f"{name} of {exact} does not match the bundle's manifest",
            cause=f"its SHA-256 differs from the one in {MANIFEST_FILE}"
            + ("" if online else ", and the Hub cannot be asked for it again"),
            fix=f"name an older commit, or push the bundle again: labelstream push BUNDLE {exact.repository}"
            if online
            else "start again with a connection to the Hub, and without HF_HUB_OFFLINE",
        )


def _incomplete(exact: HubReference, missing: str, *, online: bool) -> BundleError:
    if not online:
        return not_cached(str(exact), None, f"{missing} was not downloaded")
    return BundleError(
        f"the bundle {exact} is not complete",
        cause=f"{MANIFEST_FILE} lists {missing}, which the repository does not have",
        fix=f"push the bundle again: labelstream push BUNDLE {exact.repository}",
    )


def _place(source: Path, target: Path) -> None:
    """Link a file of the library's cache into the bundle's folder as a regular file, or copy it."""
    if target.exists() and target.samefile(source):
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    beside = target.with_name(f".{token_hex(8)}.tmp")
    stored = source.resolve()
    try:
        try:
            os.link(stored, beside)
        except OSError:
            # Another file system, or one without hard links.
            shutil.copyfile(stored, beside)
        beside.replace(target)
    finally:
        beside.unlink(missing_ok=True)


@contextmanager
def _writable(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as exc:
        raise cannot_write(
            folder, exc, "name a folder that you may write to in LABELSTREAM_BUNDLE_CACHE"
        ) from None
