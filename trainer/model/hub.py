"""A revision of a model on the Hub."""

from stream.errors import UsageError, install_hint, one_line
from trainer.config import ModelLocation

FILES = ("*.json", "*.safetensors", "*.txt", "*.model", "1_Pooling/*")
"""The files that a training reads: configuration, weights and tokenizer."""


def download_revision(name: str, revision: str) -> ModelLocation:
    """Download a revision of a model, or take it from the local cache; the commit becomes part of its name.

    Raises:
        UsageError: the model or the revision does not exist, or it cannot be downloaded.
    """
    try:
        from huggingface_hub import snapshot_download
    except ModuleNotFoundError:
        raise UsageError(
            "--revision needs the package huggingface_hub",
            cause="the package is not installed",
            fix=install_hint("trainer"),
        ) from None
    try:
        folder = snapshot_download(name, revision=revision, allow_patterns=list(FILES))
    except Exception as exc:
        # The library raises many exception classes, including those of its HTTP client.
        raise UsageError(
            f"cannot load the revision {revision} of {name}",
            cause=one_line(exc),
            fix="check the name and the revision; a private model needs HF_TOKEN or `hf auth login`",
        ) from exc
    commit = folder.rstrip("/").rsplit("/", 1)[-1]
    return ModelLocation(folder, f"{name}@{commit[:12]}", local=True)
