"""The latest version of a bundle and the history of latest versions; versions themselves never change."""

from pathlib import Path

from stream.errors import BundleError
from stream.output_files import write_file

LATEST = "latest"
HISTORY = "history"
MAX_LATEST_BYTES = 100
PROMOTE = "choose the latest version again: labelstream bundles promote NAME@VERSION"


def latest_version(store: Path, name: str) -> str | None:
    """Return the version that `latest` names, or None if the store has no such bundle.

    Raises:
        BundleError: the file `latest` is unreadable or names no version.
    """
    file = store / name / LATEST
    try:
        with file.open("rb") as opened:
            version = opened.read(MAX_LATEST_BYTES).strip()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as exc:
        raise BundleError(f"{file} cannot be read", cause=exc.strerror or str(exc), fix=PROMOTE) from None
    if version and not version.isdigit():
        raise BundleError(f"{file} names no version", cause=f"it contains {version[:20]!r}", fix=PROMOTE)
    return version.decode("ascii") or None


def versions(home: Path) -> list[str]:
    """Return the versions in a bundle's folder, oldest first."""
    found = [folder.name for folder in home.iterdir()] if home.is_dir() else []
    return sorted((name for name in found if name.isascii() and name.isdigit()), key=int)


def promote(home: Path, version: str) -> None:
    """Make a version the latest, and add the previous one to the history. Both files are replaced atomically.

    Args:
        home: the bundle's folder in the store.
        version: a version of the bundle.

    Raises:
        BundleError: the version does not exist.
    """
    _check_exists(home, version)
    before = latest_version(home.parent, home.name)
    if before == version:
        return
    if before is not None:
        _replace(home / HISTORY, "".join(f"{earlier}\n" for earlier in [*_history(home), before]))
    _replace(home / LATEST, f"{version}\n")


def roll_back(home: Path) -> str:
    """Make the previous latest version the latest again; repeated calls go further back.

    Without a history the next lower version becomes the latest.

    Args:
        home: the bundle's folder in the store.

    Returns:
        The new latest version.

    Raises:
        BundleError: there is no earlier version.
    """
    latest = latest_version(home.parent, home.name)
    present = versions(home)
    if latest is None:
        raise BundleError(
            f"there is no bundle {home.name} in {home.parent}/",
            fix=f"list the bundles: labelstream bundles list --bundle-store {home.parent}",
        )
    past = _history(home)
    while past:
        version = past.pop()
        if version != latest and version in present:
            break
    else:
        lower = [known for known in present if int(known) < int(latest)]
        if not lower:
            raise BundleError(
                f"{home.name}@{latest} has no earlier version",
                cause=f"versions: {', '.join(present)}",
                fix=f"promote a version by name: labelstream bundles promote {home.name}@VERSION",
            )
        version = lower[-1]
    # `latest` is written first: after a crash in between, the history ends with the latest version, and the
    # next rollback skips it.
    _replace(home / LATEST, f"{version}\n")
    _replace(home / HISTORY, "".join(f"{known}\n" for known in past))
    return version


def _check_exists(home: Path, version: str) -> None:
    present = versions(home)
    if version not in present:
        raise BundleError(
            f"there is no {home.name}@{version} in {home.parent}/",
            cause=f"versions: {', '.join(present) or 'none'}",
            fix=f"list the bundles and their versions: labelstream bundles list --bundle-store {home.parent}",
        )


def _history(home: Path) -> list[str]:
    try:
        return (home / HISTORY).read_text(encoding="ascii", errors="replace").split()
    except FileNotFoundError:
        return []


def _replace(file: Path, text: str) -> None:
    write_file(file, text.encode("ascii"), fix="make the folder writable for you, or use another store")
