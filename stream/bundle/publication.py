"""Publishing: a staging folder becomes the next, immutable version of a bundle."""

from pathlib import Path
from secrets import token_hex

from stream.bundle.fields import SIGNATURE_FILE
from stream.bundle.files import file_digest
from stream.bundle.manifest import FILE_NAME, MAX_MANIFEST_BYTES, Manifest
from stream.bundle.store import Bundle, open_bundle
from stream.bundle.versions import promote
from stream.errors import BundleError, UsageError
from stream.output_files import sync, write_file


def publish(staging: Path, manifest: Manifest, store: Path) -> Bundle:
    """Publish a folder of files as the next version of a bundle, and make that version the latest.

    Publishing is atomic: the manifest is written into the staging folder, the folder is renamed into the
    store, and `latest` is then replaced atomically. All files are on disk before the folder is renamed.

    Args:
        staging: a folder on the same file system as the store; it is moved.
        manifest: the manifest; its version and files are filled in.
        store: the bundle store.

    Raises:
        BundleError: the manifest is larger than readers accept, or other processes took every version number
            that was tried.
        UsageError: the manifest or `latest` cannot be written.
    """
    home = store / manifest.name
    home.mkdir(parents=True, exist_ok=True)
    files = {
        str(file.relative_to(staging).as_posix()): file_digest(file)
        for file in sorted(staging.rglob("*"))
        if file.is_file() and file.name not in (FILE_NAME, SIGNATURE_FILE)
    }
    for path in staging.rglob("*"):
        sync(path)
    for _ in range(100):
        taken = [int(p.name) for p in home.iterdir() if p.name.isdigit()]
        version = str(max(taken, default=0) + 1)
        complete = manifest.model_copy(update={"version": version, "files": files})
        _write_manifest(staging, complete)
        try:
            staging.rename(home / version)
        except OSError:
            if (home / version).exists():
                continue
            raise
        sync(home)
        _promote_published(home, version)
        return open_bundle(home / version)
    raise BundleError(
        f"no version of {manifest.name} could be added",
        cause="other processes keep adding versions",
        fix="try again",
    )


def _promote_published(home: Path, version: str) -> None:
    try:
        promote(home, version)
    except UsageError as exc:
        published = f"{home.name}@{version}"
        raise UsageError(
            f"{published} is complete, but it is not the latest version",
            cause=f"{exc.message}: {exc.cause}",
            fix=f"free some space in {home} and make it writable, then run: "
            f"labelstream bundles promote {published} --bundle-store {home.parent}",
        ) from None


def new_staging(store: Path, name: str) -> Path:
    """Create an empty folder next to the versions of `name`, to be filled and passed to `publish`."""
    # Process ids are not unique: containers that share a store have the same ones.
    staging = store / name / f".staging-{token_hex(8)}"
    staging.mkdir(parents=True)
    return staging


def _write_manifest(staging: Path, manifest: Manifest) -> None:
    content = f"{manifest.model_dump_json(indent=2, exclude_none=True)}\n".encode()
    if len(content) > MAX_MANIFEST_BYTES:
        raise BundleError(
            f"the bundle {manifest.name} cannot be published",
            cause=f"its manifest has {len(content):,} bytes; the limit is {MAX_MANIFEST_BYTES:,}",
            fix="use fewer or shorter labels, and fewer categories of metadata",
        )
    write_file(staging / FILE_NAME, content)
