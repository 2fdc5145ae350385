"""Bundles in MLflow: models:/NAME@ALIAS, models:/NAME/VERSION and runs:/RUN_ID/PATH, downloaded once.

MLFLOW_TRACKING_URI names the server. A version of a model, a logged model and a run never change, so a cached
copy is used when the server does not answer; an alias needs the server, because it can move.
"""

import logging
import os
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path, PurePosixPath
from secrets import token_hex
from typing import Any

from stream.bundle.fields import MANIFEST_FILE, SIGNATURE_FILE
from stream.bundle.files import check_digests
from stream.bundle.origin import write_origin
from stream.bundle.parts import Parts, files_of, is_complete, read_downloaded_manifest
from stream.errors import BundleError, LabelstreamError, UsageError, missing_module, one_line
from stream.output_files import named_errors, write_file

REFERENCE = re.compile(
    r"models:/(?P<model_id>m-[0-9a-f]+)"
    r"|models:/(?P<name>[^/@]+)(?:@(?P<alias>[^/@]+)|/(?P<version>\d+))"
    r"|runs:/(?P<run>[^/@]+)(?:/[^@]*)?"
)
FORMS = "models:/NAME@ALIAS, models:/NAME/VERSION or runs:/RUN_ID/bundle"
MAX_CHARS = 200
WRITABLE = "name a folder that you may write to in LABELSTREAM_BUNDLE_CACHE"
# Answers of the server, after which the cached copy is not used.
REFUSALS = ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE", "PERMISSION_DENIED", "UNAUTHENTICATED")
# The client's default of 7 retries takes four minutes if the server is down, and each request waits for two.
CLIENT_SETTINGS = {
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "3",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "30",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_RECORD_ENV_VARS_IN_MODEL_LOGGING": "false",
}

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Source:
    """A model in MLflow that never changes.

    Attributes:
        uri: the URI for the download.
        identity: a text that differs for every other model of the same server.
    """

    uri: str
    identity: str


def download_from_mlflow(reference: str, cache: Path, parts: Parts) -> Path:
    """Return the folder of the bundle that a reference names, and download the files that it lacks.

    Args:
        reference: the reference.
        cache: the folder of downloaded bundles.
        parts: the files that the caller reads.

    Raises:
        BundleError: the reference names no bundle, or MLflow does not answer.
        UsageError: the reference is malformed, MLflow is not installed, or the cache cannot be written.
    """
    match = REFERENCE.fullmatch(reference)
    if match is None:
        raise UsageError(
            f"{reference[:MAX_CHARS]!a} is not a bundle in MLflow",
            cause="the name, the alias, the version or the run is missing or malformed",
            fix=f"write {FORMS}",
        )
    home = cache / "mlflow"
    mlflow = import_mlflow()
    server = str(mlflow.get_tracking_uri())
    servers = f"{server} {mlflow.get_registry_uri()}"
    pointer = home / "references" / _key(servers, reference)
    try:
        source = _source(mlflow, reference, match)
    except Exception as exc:  # noqa: BLE001 # the client raises many classes, also of requests
        cached = _cached(home, pointer, parts) if match["alias"] is None and not _is_refusal(exc) else None
        if cached is None:
            raise _not_found(reference, server, exc) from None
        log.warning("MLflow does not answer; %s is the cached copy", reference)
        return cached
    entry = home / _key(servers, source.identity)
    if not is_complete(entry, parts):
        _download(mlflow, reference, source.uri, entry, parts)
    # An alias can move, so the pointer is that of the version which the alias names now.
    pinned = home / "references" / _key(servers, source.uri)
    with named_errors(pinned.parent, WRITABLE):
        pinned.parent.mkdir(parents=True, exist_ok=True)
    write_file(pinned, entry.name.encode())
    return entry


def import_mlflow() -> Any:
    """Return the module mlflow, which logs only errors and gives up on a server within a minute.

    Raises:
        UsageError: MLflow is not installed.
    """
    for name, value in CLIENT_SETTINGS.items():
        os.environ.setdefault(name, value)
    try:
        import mlflow
    except ModuleNotFoundError as exc:
        raise missing_module("the client of MLflow is not installed", exc, "mlflow") from None
    logging.getLogger("mlflow").setLevel(logging.ERROR)
    return mlflow


def _source(mlflow: Any, reference: str, match: re.Match[str]) -> _Source:
    """Ask the server for the model that a reference names."""
    client = mlflow.MlflowClient()
    if match["name"] is None:
        if match["run"] is not None:
            client.get_run(match["run"])
        return _Source(reference, reference)
    if match["alias"] is not None:
        version = client.get_model_version_by_alias(match["name"], match["alias"])
    else:
        version = client.get_model_version(match["name"], match["version"])
    identity = f"{version.name}/{version.version}/{version.source}/{version.creation_timestamp}"
    return _Source(f"models:/{version.name}/{version.version}", identity)


def _download(mlflow: Any, reference: str, uri: str, entry: Path, parts: Parts) -> None:
    """Download the files that an entry of the cache lacks, and check their digests before they appear in it.

    The manifest appears last, and without it an entry is not complete.
    """
    staging = entry.with_name(f".{entry.name}.{token_hex(8)}")
    with named_errors(entry.parent, WRITABLE):
        staging.mkdir(parents=True)
    try:
        bundle_uri, present = _find_bundle(mlflow, reference, uri)
        _fetch(mlflow, bundle_uri, MANIFEST_FILE, staging)
        manifest = read_downloaded_manifest(staging / MANIFEST_FILE)
        # A manifest that is not valid is placed alone; the reader of the bundle then reports its error.
        files = files_of(manifest, parts) if manifest is not None else {}
        wanted = {name: digest for name, digest in files.items() if not (entry / name).is_file()}
        for name in wanted:
            _fetch(mlflow, bundle_uri, name, staging)
        check_digests(staging, wanted)
        signature = [SIGNATURE_FILE] if SIGNATURE_FILE in present else []
        for name in signature:
            _fetch(mlflow, bundle_uri, name, staging)
        with named_errors(entry.parent, WRITABLE):
            entry.mkdir(exist_ok=True)
            for name in (*wanted, *signature):
                _place(staging / name, entry / name)
            write_origin(entry, uri)
            _place(staging / MANIFEST_FILE, entry / MANIFEST_FILE)
    except LabelstreamError:
        raise
    except Exception as exc:
        raise _not_found(reference, str(mlflow.get_tracking_uri()), exc) from exc
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def _find_bundle(mlflow: Any, reference: str, uri: str) -> tuple[str, set[str]]:
    """Return the URI of the only bundle in a model, and the names of the files beside its manifest."""
    found = list(_bundles_in(mlflow, uri))
    if len(found) == 1:
        return found[0]
    raise BundleError(
        f"{reference} is not one bundle",
        cause=f"it holds {len(found)} files {MANIFEST_FILE}",
        fix="name a model that `labelstream train --report-to mlflow` has logged: " + FORMS,
    )


def _bundles_in(mlflow: Any, uri: str) -> Iterator[tuple[str, set[str]]]:
    # The paths are relative to the run, to the model or to the folder; their last part is the name.
    items = {
        (PurePosixPath(item.path).name, item.is_dir)
        for item in mlflow.artifacts.list_artifacts(artifact_uri=uri)
    }
    names = {name for name, is_folder in items if not is_folder}
    if MANIFEST_FILE in names:
        yield uri, names
        return
    for name in sorted(name for name, is_folder in items if is_folder):
        yield from _bundles_in(mlflow, f"{uri}/{name}")


def _fetch(mlflow: Any, bundle_uri: str, name: str, staging: Path) -> None:
    """Download one file of a bundle into a folder."""
    try:
        # MLflow chooses the place in its folder; it differs between runs and models.
        received = staging / f".{token_hex(8)}"
        file = mlflow.artifacts.download_artifacts(
            artifact_uri=f"{bundle_uri}/{name}", dst_path=str(received)
        )
        (staging / name).parent.mkdir(parents=True, exist_ok=True)
        Path(file).rename(staging / name)
    except OSError as exc:
        # Requests raises its connection errors as OSError too; those have no number.
        if exc.errno is None:
            raise
        with named_errors(staging.parent, WRITABLE):
            raise


def _place(source: Path, target: Path) -> None:
    """Move a file into the cache, unless another process has placed it meanwhile and may have checked it."""
    target.parent.mkdir(parents=True, exist_ok=True)
    if not target.exists():
        source.replace(target)


def _cached(home: Path, pointer: Path, parts: Parts) -> Path | None:
    """Return the cached bundle of a reference that was resolved before."""
    try:
        entry = home / pointer.read_text(encoding="ascii")
    except (OSError, ValueError):
        return None
    return entry if is_complete(entry, parts) else None


def _is_refusal(error: Exception) -> bool:
    """Return True if the server has answered that the model does not exist, or may not be read."""
    return getattr(error, "error_code", None) in REFUSALS


def _not_found(reference: str, server: str, error: Exception) -> BundleError:
    shown = _without_password(server)
    if getattr(error, "error_code", None) in REFUSALS[:2]:
        fix = f"check the name at {shown}, or set MLFLOW_TRACKING_URI to another server"
    else:
        fix = f"check that {shown} answers, that MLFLOW_TRACKING_URI is correct, and the credentials"
    cause = one_line(error).replace(server, shown)
    return BundleError(f"the bundle {reference} cannot be loaded from MLflow", cause=cause, fix=fix)


def _without_password(uri: str) -> str:
    """Return a URI without the user and the password before its host."""
    return re.sub(r"(?<=://)[^/@\s]*@", "", uri)


def _key(*parts: str) -> str:
    return sha256("\n".join(parts).encode()).hexdigest()[:24]
