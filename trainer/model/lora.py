"""Low-rank adapters on the encoder's linear layers, by peft; merged into the weights before export."""

from typing import Any

from stream.errors import UsageError
from trainer.model.layers import encoder_of, linear_names
from trainer.recipe import Lora


def check_lora() -> None:
    """Refuse before anything is loaded if peft is missing.

    Raises:
        UsageError: with the extra to install.
    """
    try:
        import peft  # noqa: F401 - only whether it is there
    except ModuleNotFoundError:
        raise UsageError(
            "--lora needs the package peft",
            cause="it is an extra, which is not installed",
            fix="pip install 'labelstream[trainer,lora]'",
        ) from None


def add_adapters(model: Any, lora: Lora) -> Any:
    """Wrap a classifier so that only low-rank updates of its encoder, and its head, are trained.

    LoRA: Hu et al. 2021, "LoRA: Low-Rank Adaptation of Large Language Models", here on every linear layer of
    the encoder.

    Returns:
        A peft model; `merged` turns it back.
    """
    from peft import LoraConfig, get_peft_model

    encoder = encoder_of(model)
    place = next(name for name, module in model.named_modules() if module is encoder)
    heads = [name for name, _ in model.named_children() if name != place and _has_weights(model, name)]
    config = LoraConfig(
        r=lora.rank,
        lora_alpha=lora.alpha,
        lora_dropout=lora.dropout,
        target_modules=[f"{place}.{name}" for name in linear_names(encoder)],
        modules_to_save=heads,
    )
    return get_peft_model(model, config)


def merged(model: Any) -> Any:
    """The plain classifier with the updates added to its weights; nothing of peft is left in it."""
    return model.merge_and_unload()


def _has_weights(model: Any, name: str) -> bool:
    return any(True for _ in getattr(model, name).parameters())
