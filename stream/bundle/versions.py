"""Which version of a bundle is the latest, and which ones were before it. No version is ever changed here."""

import os
from pathlib import Path

from stream.errors import BundleError

LATEST = "latest"
HISTORY = "history"


def latest_version(store: Path, name: str) -> str | None:
    """The version that `latest` names, or None when the store has no such bundle."""
    try:
        return (store / name / LATEST).read_text(encoding="ascii").strip() or None
    except FileNotFoundError:
        return None


def versions(home: Path) -> list[str]:
    """The versions in a bundle's folder, oldest first."""
    found = [folder.name for folder in home.iterdir() if folder.name.isdigit()] if home.is_dir() else []
    return sorted(found, key=int)


def promote(home: Path, version: str) -> None:
    """Make a version the latest and remember the one that it follows. Both files are replaced atomically.

    Args:
        home: the bundle's folder in the store.
        version: one of its versions.

    Raises:
        BundleError: there is no such version.
    """
    _check_there(home, version)
    before = latest_version(home.parent, home.name)
    if before == version:
        return
    if before is not None:
        _replace(home / HISTORY, "".join(f"{known}\n" for known in [*_history(home), before]))
    _replace(home / LATEST, f"{version}\n")


def roll_back(home: Path) -> str:
    """Make the version the latest that was so before; asked again, the one before that.

    A store without that memory gives the next lower version.

    Args:
        home: the bundle's folder in the store.

    Returns:
        The version that is the latest now.

    Raises:
        BundleError: nothing was before.
    """
    latest = latest_version(home.parent, home.name)
    there = versions(home)
    if latest is None:
        raise BundleError(
            f"there is no bundle {home.name} in {home.parent}/", fix="labelstream bundles list shows them"
        )
    past = _history(home)
    while past:
        version = past.pop()
        if version != latest and version in there:
            break
    else:
        lower = [known for known in there if int(known) < int(latest)]
        if not lower:
            raise BundleError(
                f"{home.name}@{latest} has no version before it",
                cause=f"versions: {', '.join(there)}",
                fix=f"name one: labelstream bundles promote {home.name}@VERSION",
            )
        version = lower[-1]
    # Latest first: after a crash in between, the history's end is the latest, and is passed over.
    _replace(home / LATEST, f"{version}\n")
    _replace(home / HISTORY, "".join(f"{known}\n" for known in past))
    return version


def _check_there(home: Path, version: str) -> None:
    there = versions(home)
    if version not in there:
        raise BundleError(
            f"there is no {home.name}@{version} in {home.parent}/",
            cause=f"versions: {', '.join(there) or 'none'}",
            fix="labelstream bundles list shows what there is",
        )


def _history(home: Path) -> list[str]:
    try:
        return (home / HISTORY).read_text(encoding="ascii").split()
    except FileNotFoundError:
        return []


def _replace(file: Path, text: str) -> None:
    waiting = file.with_name(f".{file.name}.{os.getpid()}")
    write_durably(waiting, text)
    waiting.replace(file)


def write_durably(path: Path, text: str) -> None:
    """Write a small file so that a crash right behind it cannot lose it."""
    with path.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
