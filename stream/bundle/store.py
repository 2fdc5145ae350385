"""Bundles on disk: find one, check every byte of it, add a version that is never rewritten."""

import hashlib
import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from stream.bundle.manifest import FILE_NAME, Manifest
from stream.bundle.versions import LATEST, latest_version, promote, write_durably
from stream.errors import BundleError


@dataclass(frozen=True, slots=True)
class Bundle:
    """A bundle whose files are what its manifest says.

    Attributes:
        path: its folder.
        manifest: the parsed manifest.
        digest: `sha256:<hex>` of the manifest's bytes; names this exact model everywhere.
    """

    path: Path
    manifest: Manifest
    digest: str

    @property
    def short_digest(self) -> str:
        """The digest's first 16 hex digits, as cache keys carry it."""
        return self.digest.removeprefix("sha256:")[:16]

    @property
    def reference(self) -> str:
        """`name@version`."""
        return f"{self.manifest.name}@{self.manifest.version}"


def resolve(spec: str, store: Path) -> Path:
    """Find the folder that a folder path, NAME or NAME@VERSION means.

    Raises:
        BundleError: nothing is there.
    """
    if not spec:
        raise BundleError(
            "no bundle was named",
            cause="the setting bundle is empty",
            fix="give --bundle NAME, or make one: labelstream train DATA --name NAME",
        )
    if (Path(spec) / FILE_NAME).is_file():
        return Path(spec)
    name, _, version = spec.partition("@")
    found = version or latest_version(store, name)
    if found and (store / name / found / FILE_NAME).is_file():
        return store / name / found
    present = sorted(str(p.parent.name) for p in store.glob(f"*/{LATEST}"))
    raise BundleError(
        f"bundle {spec!r} was not found",
        cause=f"it is neither a folder with {FILE_NAME} nor in the store {store}/"
        + (f", which holds: {', '.join(present)}" if present else ", which is empty"),
        fix=f"make it: labelstream train DATA --name {name or 'NAME'} --bundle-store {store}",
    )


def read_bundle(spec: str | Path, store: Path = Path("bundles")) -> Bundle:
    """Read a bundle's manifest and believe it: for those who only tell what it says.

    Raises:
        BundleError: it is missing, or its manifest cannot be read.
    """
    path = resolve(str(spec), store)
    raw = (path / FILE_NAME).read_bytes()
    try:
        manifest = Manifest.model_validate_json(raw)
    except ValidationError as exc:
        first = exc.errors(include_url=False)[0]
        raise BundleError(
            f"the manifest {path / FILE_NAME} cannot be used",
            cause=f"{'.'.join(map(str, first['loc'])) or 'the file'}: {first['msg']}",
            fix="export the model again with this version of labelstream",
        ) from None
    return Bundle(path, manifest, f"sha256:{hashlib.sha256(raw).hexdigest()}")


def open_bundle(spec: str | Path, store: Path = Path("bundles")) -> Bundle:
    """Read a bundle and check the digest of every file of it.

    Raises:
        BundleError: it is missing, its manifest cannot be read, a file is missing, changed, or not listed.
    """
    bundle = read_bundle(spec, store)
    _check_files(bundle.path, bundle.manifest)
    return bundle


def _check_files(path: Path, manifest: Manifest) -> None:
    for name, wanted in manifest.files.items():
        file = path / name
        if not file.is_file():
            raise BundleError(
                f"{name} is missing from the bundle {path}",
                cause="the manifest lists it",
                fix="copy the bundle again, or train it again; versions are never mended in place",
            )
        if digest(file) != wanted:
            raise BundleError(
                f"{name} in the bundle {path} was changed",
                cause=f"its SHA-256 is not the one in {FILE_NAME}",
                fix="copy the bundle again, or train it again; versions are never mended in place",
            )
    unlisted = [v.file for v in manifest.variants.values() if v.file not in manifest.files]
    if unlisted:
        raise BundleError(
            f"{unlisted[0]} in the bundle {path} is not covered by a digest",
            cause=f"{FILE_NAME} names it as a variant but does not list it under files",
            fix="export the model again with this version of labelstream",
        )


def digest(file: Path) -> str:
    """`sha256:<hex>` of a file's bytes."""
    with file.open("rb") as stream:
        return f"sha256:{hashlib.file_digest(stream, 'sha256').hexdigest()}"


def publish(staging: Path, manifest: Manifest, store: Path) -> Bundle:
    """Turn a folder of finished files into the next version of a bundle, then point `latest` at it.

    The version appears whole or not at all: the manifest is written into the staging folder, which is then
    renamed into the store; `latest` is replaced atomically after that.

    Args:
        staging: folder on the same file system as the store; it is moved away.
        manifest: without version and files, both are filled in here.
        store: the bundle store.

    Raises:
        BundleError: another process took every version number that was tried.
    """
    home = store / manifest.name
    home.mkdir(parents=True, exist_ok=True)
    files = {
        str(file.relative_to(staging).as_posix()): digest(file)
        for file in sorted(staging.rglob("*"))
        if file.is_file() and file.name != FILE_NAME
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
        f"no version of {manifest.name} could be added", cause="others keep adding", fix="try again"
    )


def new_staging(store: Path, name: str) -> Path:
    """An empty folder beside the versions of `name`, to be filled and then given to `publish`."""
    staging = store / name / f".staging-{os.getpid()}"
    shutil.rmtree(staging, ignore_errors=True)
    staging.mkdir(parents=True)
    return staging
