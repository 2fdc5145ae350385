"""Bundles on disk: find a bundle, and verify its digests."""

import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from pathlib import Path

from pydantic import ValidationError

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
from stream.bundle.manifest import FILE_NAME, MAX_MANIFEST_BYTES, Manifest
from stream.bundle.origin import read_origin
from stream.bundle.parts import Parts, files_of, required_files
from stream.bundle.references import bundle_cache, is_reference, resolve_reference
from stream.bundle.signature import check_signature, write_signature
from stream.bundle.versions import LATEST, latest_version, versions
from stream.errors import BundleError, UsageError

MAX_MEMBER_CHARS = 200


@dataclass(frozen=True, slots=True)
class Bundle:
    """A bundle on disk.

    Attributes:
        path: the folder of the bundle.
        manifest: the parsed manifest.
        digest: `sha256:<hex>` of the manifest's bytes, which identifies the exact model.
        stamps: the stamp of each verified file; empty if the files were not verified.
        origin: for a downloaded bundle the reference with its exact revision, such as hf://OWNER/NAME@COMMIT.
    """

    path: Path
    manifest: Manifest
    digest: str
    stamps: Mapping[str, FileStamp] = field(default_factory=dict, compare=False, repr=False)
    origin: str = ""

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

    def read_manifest(self) -> bytes:
        """Return the bytes of the manifest, which have the digest of the bundle.

        Raises:
            BundleError: the manifest was changed since the bundle was opened.
        """
        raw = _read_manifest(self.path)
        if f"sha256:{hashlib.sha256(raw).hexdigest()}" != self.digest:
            raise changed(self.path, FILE_NAME)
        return raw

    def check_unchanged(self) -> None:
        """Check that no verified file was replaced or written since, for a file that a library has opened.

        Raises:
            BundleError: a file was replaced, written or removed.
        """
        check_stamps(self.path, self.stamps)


def resolve(spec: str, store: Path, parts: Parts = "worker") -> Path:
    """Return the folder of a bundle, given as a folder, NAME, NAME@VERSION or a reference.

    Args:
        spec: the bundle.
        store: the bundle store.
        parts: the files to download if the bundle is a reference.

    Raises:
        BundleError: the bundle does not exist, or cannot be downloaded.
        UsageError: the reference is malformed, or the library that downloads it is not installed.
    """
    if not spec:
        raise BundleError(
            "no bundle was specified",
            cause="the setting bundle is empty",
            fix=f"name one with --bundle ({_list_command(store)} lists them), or create one: "
            f"{_train_command(store)}",
        )
    if (downloaded := resolve_reference(spec, bundle_cache(), parts)) is not None:
        return downloaded
    name, _, version = spec.partition("@")
    try:
        if os.path.lexists(Path(spec) / FILE_NAME):
            return Path(spec)
        found = version or latest_version(store, name)
        if found and os.path.lexists(store / name / found / FILE_NAME):
            return store / name / found
        raise _not_found(spec, store)
    except (OSError, ValueError) as exc:
        raise BundleError(
            f"bundle {spec[:MAX_MEMBER_CHARS]!a} cannot be looked up",
            cause=getattr(exc, "strerror", None) or str(exc),
            fix=f"check the name and the permissions of {store}/: {_list_command(store)}",
        ) from None


def _not_found(spec: str, store: Path) -> BundleError:
    """Return the error for a bundle that does not exist; the fix is that of each cause that is possible.

    Raises:
        OSError: the store cannot be read.
    """
    name = spec.partition("@")[0]
    folders = [store / name / version for version in versions(store / name)] if name else []
    named = [folder.name for folder in folders if os.path.lexists(folder / FILE_NAME)]
    present = sorted({latest.parent.name for latest in store.glob(f"*/{LATEST}")} - {name})
    if named:
        content = f"which has {name} in the versions {', '.join(named)}"
        fix = f"name one of these versions, such as {name}@{named[-1]}"
    elif present:
        content = f"which contains: {', '.join(present)}"
        near = get_close_matches(name, present, n=1)
        fix = f"did you mean {near[0]}?" if near else "name one of these bundles"
    else:
        content = "which has no other bundle" if store.is_dir() else "which does not exist"
        fix = ""
    other = "set bundle_store (--bundle-store FOLDER) to the folder with your bundles"
    new = f"create one: {_train_command(store)}"
    return BundleError(
        f"bundle {spec!r} was not found",
        cause=f"it is neither a folder with {FILE_NAME} nor in the store {store}/, {content}",
        fix="; or ".join(filter(None, (fix, other, new))),
    )


def _list_command(store: Path) -> str:
    return f"labelstream bundles list --bundle-store {store}"


def _train_command(store: Path) -> str:
    return f"labelstream train DATA --name NAME --bundle-store {store}"


def read_bundle(spec: str | Path, store: Path = Path("bundles")) -> Bundle:
    """Read the manifest of a bundle without verifying its files.

    Raises:
        BundleError: the bundle does not exist, or its manifest cannot be read.
    """
    path = resolve(str(spec), store)
    return _parse(path, _read_manifest(path))


def open_bundle(
    spec: str | Path,
    store: Path = Path("bundles"),
    *,
    public_key: Path | None = None,
    weights: bool = True,
) -> Bundle:
    """Read a bundle, and verify each of its files and graphs.

    Args:
        spec: the path of the bundle, its NAME or NAME@VERSION, or a reference such as hf://OWNER/NAME.
        store: the bundle store.
        public_key: the PEM file of the Ed25519 key that must have signed the bundle; None for any bundle.
        weights: whether to verify the PyTorch weights, `*.safetensors`. A worker does not read them: without
            this check it starts sooner, also from a copy that lacks them.

    Raises:
        BundleError: the bundle does not exist, its manifest cannot be read, its signature is missing or
            wrong, a file is missing, changed, not listed or outside the folder, or a graph does not fit the
            manifest.
        UsageError: the public key cannot be read.
    """
    parts: Parts = "all" if weights else "worker"
    path = resolve(str(spec), store, parts)
    raw = _read_manifest(path)
    if public_key is not None:
        check_signature(path, raw, public_key)
    return _verified(path, raw, parts)


def sign_bundle(spec: str | Path, private_key: Path, store: Path = Path("bundles")) -> Bundle:
    """Verify a bundle as `open_bundle` does, and write its signature.

    Args:
        spec: the path of the bundle, its NAME or NAME@VERSION.
        private_key: the PEM file of an Ed25519 private key without a passphrase.
        store: the bundle store.

    Raises:
        BundleError: the bundle does not exist or is not intact.
        UsageError: the key cannot be read, the signature cannot be written, or the bundle is a reference.
    """
    if is_reference(str(spec)):
        raise UsageError(
            f"{spec} cannot be signed",
            cause="the signature would be written to the cache of downloads only",
            fix="sign the bundle in your store, then push it again: labelstream bundles sign NAME@VERSION",
        )
    path = resolve(str(spec), store)
    raw = _read_manifest(path)
    bundle = _verified(path, raw)
    write_signature(path, raw, private_key)
    return bundle


def _verified(path: Path, raw: bytes, parts: Parts = "all") -> Bundle:
    bundle = _parse(path, raw)
    manifest = bundle.manifest
    if unlisted := [name for name in required_files(manifest) if name not in manifest.files]:
        raise BundleError(
            f"{unlisted[0]} in the bundle {path} is not covered by a digest",
            cause=f"{FILE_NAME} does not list it under files",
            fix=EXPORT_AGAIN,
        )
    checked = files_of(manifest, parts)
    stamps = check_digests(path, checked)
    check_nothing_unlisted(path, manifest.files)
    # A graph may read no file whose digest is not checked.
    check_graphs(path, manifest.model_copy(update={"files": checked}))
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
    digest = f"sha256:{hashlib.sha256(raw).hexdigest()}"
    return Bundle(path, manifest, digest, origin=read_origin(path))


def _describe(exc: ValidationError) -> str:
    """Return the first finding: the member and the problem, without control characters."""
    first = exc.errors(include_url=False, include_input=False)[0]
    member = ascii(".".join(map(str, first["loc"])))[1:-1][:MAX_MEMBER_CHARS]
    return f"{member or 'the file'}: {first['msg'].removeprefix('Value error, ')}"
