"""Fine-tuning of text classifiers, and their export to verified ONNX bundles.

`train`, `TrainConfig` and `load` are the public interface in Python; the commands are in `trainer.cli`.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from stream.bundle import Bundle
    from trainer.config import TrainingConfig
    from trainer.config.flat import TrainConfig
    from trainer.trained_classifier import TrainedClassifier

__all__ = ["TrainConfig", "load", "train"]


def train(data: Any = None, config: "TrainingConfig | None" = None, *, quiet: bool = False) -> "Bundle":
    """Fine-tune a classifier, evaluate it, export it to ONNX, verify the export and publish a bundle.

    The function is `labelstream train` for notebooks and programs: it raises errors instead of ending the
    process, and handles no signals.

    Args:
        data: a path, a Hub id or `sample`, as the command reads it; or a list of dicts, a data frame of
            pandas or Polars, a `Dataset` or a `DatasetDict`. None for the `train_file` or `dataset_name` of
            the configuration.
        config: the settings; by default those of the command.
        quiet: print nothing.

    Raises:
        UsageError: a setting or the data are invalid.
        BundleError: the exported graph does not match the trained model.
    """
    from trainer.api import train as train_bundle
    from trainer.config.flat import TrainConfig
    from trainer.progress import open_console

    return train_bundle(data, TrainConfig() if config is None else config, open_console(quiet=quiet))


def load(bundle: str | Path, bundle_store: Path = Path("bundles")) -> "TrainedClassifier":
    """Load the PyTorch model of a bundle; no code in the bundle is executed.

    Args:
        bundle: a folder, NAME or NAME@VERSION.
        bundle_store: the folder that holds the bundles.

    Raises:
        BundleError: the bundle does not exist, or a file was changed.
        UsageError: the bundle holds no PyTorch weights.
    """
    from trainer.trained_classifier import load_trained

    return load_trained(bundle, bundle_store)


def __getattr__(name: str) -> Any:
    # `import trainer` loads neither pydantic's models nor a library of the trainer.
    if name == "TrainConfig":
        from trainer.config.flat import TrainConfig

        return TrainConfig
    raise AttributeError(f"module 'trainer' has no attribute {name!r}")
