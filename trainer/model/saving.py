"""The form in which transformers loads a classifier: config.json, model.safetensors and code of its own."""

import shutil
from pathlib import Path
from typing import Any

import torch
from transformers import (
    AutoConfig,
    AutoModelForSequenceClassification,
    AutoModelForTokenClassification,
    PretrainedConfig,
)

from stream.bundle import Windows
from trainer.config import ModelLocation
from trainer.model import configuration_labelstream, modeling_labelstream
from trainer.model.configuration_labelstream import LabelstreamConfig
from trainer.model.modeling_labelstream import (
    LabelstreamForSequenceClassification,
    LabelstreamForTokenClassification,
    TextClassifier,
)

CODE = (configuration_labelstream, modeling_labelstream)
UNLIMITED = 10**9
"""A maximum length of a tokenizer that leaves the limit to the model."""

SETTINGS = "labelstream"
"""The member of config.json with the manifest's fields that define the meaning of the logits."""


def load_config(location: ModelLocation) -> Any:
    """Return the configuration of a model; code in its folder is not executed.

    Raises:
        OSError: there is no config.json.
        ValueError: transformers does not know the architecture.
    """
    members, _ = PretrainedConfig.get_config_dict(location.source, local_files_only=location.local)
    if members.get("model_type") == LabelstreamConfig.model_type:
        return LabelstreamConfig.from_dict(members)
    return AutoConfig.from_pretrained(location.source, local_files_only=location.local)


def encoder_config(config: Any) -> Any:
    """Return the configuration of the encoder, which of a model of transformers is the whole one."""
    return AutoConfig.for_model(**config.encoder) if isinstance(config, LabelstreamConfig) else config


def is_saved_here(config: Any) -> bool:
    """Return whether labelstream saved the model with this configuration."""
    return isinstance(config, LabelstreamConfig) or hasattr(config, SETTINGS)


def restore_length(tokenizer: Any, config: Any) -> None:
    """Remove the limit of a tokenizer that a bundle has set to its own maximum length."""
    if is_saved_here(config):
        tokenizer.model_max_length = UNLIMITED


def classifier_class(config: Any, *, token: bool) -> Any:
    """Return the class whose `from_pretrained` loads a classifier."""
    if isinstance(config, LabelstreamConfig):
        return LabelstreamForTokenClassification if token else LabelstreamForSequenceClassification
    return AutoModelForTokenClassification if token else AutoModelForSequenceClassification


def inner_model(model: Any) -> Any:
    """Return the classifier of one window, which training and the ONNX export use, with its labels."""
    if not isinstance(model, LabelstreamForSequenceClassification):
        # The settings belong to the saved model, and no longer to one that is trained further.
        vars(model.config).pop(SETTINGS, None)
        return model
    model.model.config.problem_type = model.config.problem_type
    model.model.config.pad_token_id = model.config.pad_token_id
    return model.model


def loadable_model(model: Any, *, token: bool, windows: dict[str, Any] | None = None) -> Any:
    """Return a classifier in the class that `from_pretrained` loads.

    Args:
        model: a classifier of transformers or a `TextClassifier`. The result shares its weights.
        token: whether the model classifies tokens instead of texts.
        windows: the member `windows` of the configuration, for a model that reads long texts in windows.
    """
    own_head = isinstance(model, TextClassifier)
    if not own_head and windows is None:
        return model
    kind = LabelstreamForTokenClassification if token else LabelstreamForSequenceClassification
    inner = model.config
    config = LabelstreamConfig(
        encoder=_plain(inner),
        pooling=model.pooling if own_head else None,
        head=model.head if own_head else "linear",
        # Encoders without a pooler at all have no such attribute.
        pooler=not own_head or getattr(model.encoder, "pooler", model.encoder) is not None,
        metadata=model.columns if own_head else (),
        windows=windows,
        id2label=inner.id2label,
        label2id=inner.label2id,
        problem_type=inner.problem_type,
        pad_token_id=inner.pad_token_id,
        auto_map={
            "AutoConfig": f"{_stem(configuration_labelstream)}.{LabelstreamConfig.__name__}",
            f"AutoModel{kind.__name__.removeprefix('Labelstream')}": (
                f"{_stem(modeling_labelstream)}.{kind.__name__}"
            ),
        },
    )
    # The weights of the new instance are replaced, so they need no memory.
    with torch.device("meta"):
        wrapper = kind(config)
    wrapper.model = model
    return wrapper


def window_settings(windows: Windows, max_length: int, tokenizer: Any) -> dict[str, Any]:
    """Return the member `windows` of the configuration: the windows of a text by its tokens.

    Args:
        windows: the windows of the bundle's manifest.
        max_length: the number of tokens of a window, special tokens included.
        tokenizer: the fast tokenizer, which adds special tokens to both ends of a text.
    """
    special = tokenizer("a", return_special_tokens_mask=True)["special_tokens_mask"]
    prefix = special.index(0)
    return {
        **windows.model_dump(),
        "length": max_length,
        "prefix": prefix,
        "suffix": special[::-1].index(0),
    }


def longest_text(windows: dict[str, Any]) -> int:
    """Return the tokens of the longest text whose windows cover it, special tokens included."""
    own: int = windows["length"] - windows["prefix"] - windows["suffix"]
    return int(windows["length"] + (windows["most"] - 1) * (own - windows["stride"]))


def write_model(model: Any, folder: Path, *, weights: bool = True) -> None:
    """Write config.json, the code of an own class and, unless left out, the weights.

    Args:
        model: a result of `loadable_model`, on the CPU.
        folder: the folder to write to.
        weights: whether to write model.safetensors.
    """
    if weights:
        model.save_pretrained(folder)
    else:
        model.config.architectures = [type(model).__name__]
        model.config.save_pretrained(folder)
    write_code(model, folder)


def write_code(model: Any, folder: Path) -> None:
    """Copy the code of an own class beside its configuration."""
    if isinstance(model, LabelstreamForSequenceClassification):
        for module in CODE:
            assert module.__file__ is not None
            shutil.copyfile(module.__file__, folder / Path(module.__file__).name)


def _plain(config: Any) -> dict[str, Any]:
    """Return a configuration as JSON-ready data, without its origin and the settings of another bundle."""
    members: dict[str, Any] = config.to_diff_dict()
    return {name: value for name, value in members.items() if name not in ("_name_or_path", SETTINGS)}


def _stem(module: Any) -> str:
    return str(module.__name__.rsplit(".", 1)[-1])
