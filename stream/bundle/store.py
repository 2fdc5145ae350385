"""Bundles on disk: find a bundle, verify its digests, add an immutable version."""

import hashlib
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from pydantic import ValidationError

from stream.bundle.fields import SIGNATURE_FILE
from stream.bundle.files import (
    EXPORT_AGAIN,
    FileStamp,
    changed,
    check_digests,
    check_nothing_unlisted,
    check_stamps,
    file_stamp,
    open_regular,
)
from stream.bundle.graph_check import check_graphs
from stream.bundle.manifest import FILE_NAME, Manifest
from stream.bundle.signature import check_signature, write_signature
from stream.bundle.versions import LATEST, latest_version, promote, write_durably
from stream.errors import BundleError

TOKENIZER_FILE = "tokenizer.json"
# Room for a million labels. A parsed manifest takes several times its size in memory.
MAX_MANIFEST_BYTES = 64 * 2**20
MAX_MEMBER_CHARS = 200


@dataclass(frozen=True, slots=True)
class Bundle:
    """A bundle on disk.

    Attributes:
        path: the folder of the bundle.
        manifest: the parsed manifest.
        digest: `sha256:<hex>` of the manifest's bytes, which identifies the exact model.
        stamps: the stamp of each verified file; empty if the files were not verified.
    """

    path: Path
    manifest: Manifest
    digest: str
    stamps: Mapping[str, FileStamp] = field(default_factory=dict, compare=False, repr=False)

    @property
    def short_digest(self) -> str:
        """The first 16 hex digits of the digest, for cache keys."""
        return self.digest.removeprefix("sha256:")[:16]

    @property
    def reference(self) -> str:
        """`name@version`."""
        return f"{self.manifest.name}@{self.manifest.version}"

    def read(self, name: str) -> bytes:
        """Return the content of a small file; of a bundle from `open_bundle`, verify the returned bytes.

        A bundle that is being built has no digests yet.

        Raises:
            BundleError: the file is missing, changed, not listed, or not a regular file in the folder.
        """
        with open_regular(self.path, name) as file:
            content = file.read()
        digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
        if self.stamps and self.manifest.files.get(name) != digest:
            raise changed(self.path, name)
        return content

    def check_unchanged(self) -> None:
        """Check that no verified file was replaced or written since, for a file that a library has opened.

        Raises:
            BundleError: a file was replaced, written or removed.
        """
        check_stamps(self.path, self.stamps)


def resolve(spec: str, store: Path) -> Path:
    """Return the folder of a bundle, given as a folder, NAME or NAME@VERSION.

    Raises:
        BundleError: the bundle does not exist.
    """
    if not spec:
        raise BundleError(
            "no bundle was specified",
            cause="the setting bundle is empty",
            fix="set --bundle NAME, or train a bundle: labelstream train DATA --name NAME",
        )
    name, _, version = spec.partition("@")
    try:
        if os.path.lexists(Path(spec) / FILE_NAME):
            return Path(spec)
        found = version or latest_version(store, name)
        if found and os.path.lexists(store / name / found / FILE_NAME):
            return store / name / found
        present = sorted(str(p.parent.name) for p in store.glob(f"*/{LATEST}"))
    except (OSError, ValueError) as exc:
        raise BundleError(
            f"bundle {spec[:MAX_MEMBER_CHARS]!a} cannot be looked up",
            cause=getattr(exc, "strerror", None) or str(exc),
            fix=f"check the name and the permissions of {store}/: labelstream bundles list",
        ) from None
    raise BundleError(
        f"bundle {spec!r} was not found",
        cause=f"it is neither a folder with {FILE_NAME} nor in the store {store}/"
        + (f", which contains: {', '.join(present)}" if present else ", which is empty"),
        fix=f"train it: labelstream train DATA --name {name or 'NAME'} --bundle-store {store}",
    )


def read_bundle(spec: str | Path, store: Path = Path("bundles")) -> Bundle:
    """Read the manifest of a bundle without verifying its files.

    Raises:
        BundleError: the bundle does not exist, or its manifest cannot be read.
    """
    path = resolve(str(spec), store)
    return _parse(path, _read_manifest(path))


def open_bundle(spec: str | Path, store: Path = Path("bundles"), *, public_key: Path | None = None) -> Bundle:
    """Read a bundle, and verify each of its files and graphs.

    Args:
        spec: the path of the bundle, its NAME or NAME@VERSION.
        store: the bundle store.
        public_key: the PEM file of the Ed25519 key that must have signed the bundle; None for any bundle.

    Raises:
        BundleError: the bundle does not exist, its manifest cannot be read, its signature is missing or
            wrong, a file is missing, changed, not listed or outside the folder, or a graph does not fit the
            manifest.
        UsageError: the public key cannot be read.
    """
    path = resolve(str(spec), store)
    raw = _read_manifest(path)
    if public_key is not None:
        check_signature(path, raw, public_key)
    return _verified(path, raw)


def sign_bundle(spec: str | Path, private_key: Path, store: Path = Path("bundles")) -> Bundle:
    """Verify a bundle as `open_bundle` does, and write its signature.

    Args:
        spec: the path of the bundle, its NAME or NAME@VERSION.
        private_key: the PEM file of an Ed25519 private key without a passphrase.
        store: the bundle store.

    Raises:
        BundleError: the bundle does not exist or is not intact.
        UsageError: the key cannot be read, or the signature cannot be written.
    """
    path = resolve(str(spec), store)
    raw = _read_manifest(path)
    bundle = _verified(path, raw)
    write_signature(path, raw, private_key)
    return bundle


def _verified(path: Path, raw: bytes) -> Bundle:
    bundle = _parse(path, raw)
    manifest = bundle.manifest
    needed = [TOKENIZER_FILE, *(entry.file for entry in manifest.variants.values())]
    if unlisted := [name for name in needed if name not in manifest.files]:
        raise BundleError(
            f"{unlisted[0]} in the bundle {path} is not covered by a digest",
            cause=f"{FILE_NAME} does not list it under files",
            fix=EXPORT_AGAIN,
        )
    stamps = check_digests(path, manifest.files)
    check_nothing_unlisted(path, manifest.files)
    check_graphs(path, manifest)
    return replace(bundle, stamps=stamps)


def _read_manifest(path: Path) -> bytes:
    with open_regular(path, FILE_NAME) as file:
        size = file_stamp(file).size
        if size <= MAX_MANIFEST_BYTES:
            return file.read(MAX_MANIFEST_BYTES)
    raise BundleError(
        f"the manifest {path / FILE_NAME} is not valid",
        cause=f"it has {size:,} bytes; the limit is {MAX_MANIFEST_BYTES:,}",
        fix=EXPORT_AGAIN,
    )


def _parse(path: Path, raw: bytes) -> Bundle:
    try:
        # Strict: a number in quotes, or true for 1, is an error of the writer.
        manifest = Manifest.model_validate_json(raw, strict=True)
    except ValidationError as exc:
        raise BundleError(
            f"the manifest {path / FILE_NAME} is not valid", cause=_describe(exc), fix=EXPORT_AGAIN
        ) from None
    return Bundle(path, manifest, f"sha256:{hashlib.sha256(raw).hexdigest()}")


def _describe(exc: ValidationError) -> str:
    """Return the first finding: the member and the problem, without control characters."""
    first = exc.errors(include_url=False, include_input=False)[0]
    member = ascii(".".join(map(str, first["loc"])))[1:-1][:MAX_MEMBER_CHARS]
    return f"{member or 'the file'}: {first['msg'].removeprefix('Value error, ')}"


def file_digest(file: Path) -> str:
    """Return `sha256:<hex>` of a file's content."""
    with file.open("rb") as stream:
        return f"sha256:{hashlib.file_digest(stream, 'sha256').hexdigest()}"


def publish(staging: Path, manifest: Manifest, store: Path) -> Bundle:
    """Publish a folder of files as the next version of a bundle, and make that version the latest.

    Publishing is atomic: the manifest is written into the staging folder, the folder is renamed into the
    store, and `latest` is then replaced atomically.

    Args:
        staging: a folder on the same file system as the store; it is moved.
        manifest: the manifest; its version and files are filled in.
        store: the bundle store.

    Raises:
        BundleError: other processes took every version number that was tried.
    """
    home = store / manifest.name
    home.mkdir(parents=True, exist_ok=True)
    files = {
        str(file.relative_to(staging).as_posix()): file_digest(file)
        for file in sorted(staging.rglob("*"))
        if file.is_file() and file.name not in (FILE_NAME, SIGNATURE_FILE)
    }
    for _ in range(100):
        taken = [int(p.name) for p in home.iterdir() if p.name.isdigit()]
        version = str(max(taken, default=0) + 1)
        complete = manifest.model_copy(update={"version": version, "files": files})
        write_durably(staging / FILE_NAME, complete.model_dump_json(indent=2, exclude_none=True) + "\n")
        try:
            staging.rename(home / version)
        except OSError:
            if (home / version).exists():
                continue
            raise
        promote(home, version)
        return open_bundle(home / version)
    raise BundleError(
        f"no version of {manifest.name} could be added",
        cause="other processes keep adding versions",
        fix="try again",
    )


def new_staging(store: Path, name: str) -> Path:
    """Create an empty folder next to the versions of `name`, to be filled and passed to `publish`."""
    staging = store / name / f".staging-{os.getpid()}"
    shutil.rmtree(staging, ignore_errors=True)
    staging.mkdir(parents=True)
    return staging
