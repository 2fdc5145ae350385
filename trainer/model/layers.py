"""Encoder layers: frozen layers, layer-wise learning rates and low-rank adapters."""

from collections.abc import Iterator
from typing import Any

from torch import nn

from stream.errors import UsageError, install_hint
from trainer.config import Lora

NO_DECAY_DIMENSIONS = 1
"""Biases and norms have at most one dimension and get no weight decay."""


def encoder_of(model: Any) -> Any:
    """Return the encoder of a `TextClassifier` or of a classifier of transformers (its `base_model`)."""
    own = getattr(model, "encoder", None)
    return own if own is not None else model.base_model


def depths(model: Any) -> dict[str, int]:
    """Return the depth of each parameter.

    Args:
        model: a classifier whose encoder keeps its layers in one `ModuleList`, as nearly all architectures of
            transformers do.

    Returns:
        The depth by parameter name: 0 for embeddings, 1 for the lowest of n layers, n for the highest, and
        n + 1 for the pooler, the last norm and the head.

    Raises:
        UsageError: the encoder has no such list. ALBERT, for example, applies one layer repeatedly.
    """
    encoder = encoder_of(model)
    prefix, layers = _layer_list(encoder)
    # Parameters are matched by identity, because names do not show which parameters belong to the encoder.
    in_encoder = {id(parameter): name for name, parameter in encoder.named_parameters()}
    found = {}
    for name, parameter in model.named_parameters():
        inner = in_encoder.get(id(parameter))
        if inner is None:
            found[name] = layers + 1
        elif inner.startswith(f"{prefix}."):
            found[name] = 1 + int(inner[len(prefix) + 1 :].split(".", 1)[0])
        else:
            found[name] = 0 if "embed" in inner else layers + 1
    return found


def freeze_layers(model: Any, count: int) -> None:
    """Freeze the embeddings and the lowest `count` layers; 0 freezes nothing.

    Raises:
        UsageError: the encoder has fewer layers, or no list of layers.
    """
    if not count:
        return
    depth = depths(model)
    layers = max(depth.values()) - 1
    if count > layers:
        raise UsageError(
            f"--freeze-layers {count} is not valid",
            cause=f"the base model has {layers} layers",
            fix=f"freeze at most {layers} layers, which trains only the head",
        )
    for name, parameter in model.named_parameters():
        if depth[name] <= count:
            parameter.requires_grad = False


def parameter_groups(
    model: Any, learning_rate: float, weight_decay: float, layer_decay: float
) -> list[dict[str, Any]]:
    """Return optimiser parameter groups with a lower learning rate for each layer than for the layer above.

    Implements layer-wise learning-rate decay (Howard and Ruder 2018, "Universal Language Model Fine-tuning";
    Sun et al. 2019, "How to Fine-Tune BERT"): the learning rate at depth d of n + 1 is `learning_rate` x
    `layer_decay` ** (n + 1 - d).

    Args:
        model: a classifier.
        learning_rate: the learning rate of the head.
        weight_decay: the weight decay of all parameters except biases and norms.
        layer_decay: the factor between neighbouring layers, in (0, 1].

    Raises:
        UsageError: the encoder has no list of layers.
    """
    depth = depths(model)
    top = max(depth.values())
    groups: dict[tuple[int, bool], dict[str, Any]] = {}
    for name, parameter in model.named_parameters():
        if not parameter.requires_grad:
            continue
        decayed = parameter.ndim > NO_DECAY_DIMENSIONS
        group = groups.setdefault(
            (depth[name], decayed),
            {
                "params": [],
                "lr": learning_rate * layer_decay ** (top - depth[name]),
                "weight_decay": weight_decay if decayed else 0.0,
            },
        )
        group["params"].append(parameter)
    return [groups[key] for key in sorted(groups)]


def trainable_parameters(model: Any) -> tuple[int, int]:
    """Return the number of trainable parameters and the number of all parameters."""
    sizes = [(parameter.numel(), parameter.requires_grad) for parameter in model.parameters()]
    return sum(size for size, trained in sizes if trained), sum(size for size, _ in sizes)


def check_lora() -> None:
    """Check that peft is installed, without loading a model.

    Raises:
        UsageError: peft is missing; the error names the extra to install.
    """
    try:
        import peft  # noqa: F401 - imported only to check that it is installed
    except ModuleNotFoundError:
        raise UsageError(
            "--lora needs the package peft",
            cause="peft belongs to the optional extra `lora`, which is not installed",
            fix=install_hint("trainer", "lora"),
        ) from None


def add_adapters(model: Any, lora: Lora) -> Any:
    """Wrap a classifier so that training updates only low-rank adapters of its encoder, and its head.

    Implements LoRA (Hu et al. 2021, "LoRA: Low-Rank Adaptation of Large Language Models") on every linear
    layer of the encoder.

    Returns:
        A peft model; `merge_adapters` restores a plain classifier.
    """
    from peft import LoraConfig, get_peft_model

    encoder = encoder_of(model)
    prefix = next(name for name, module in model.named_modules() if module is encoder)
    heads = [name for name, _ in model.named_children() if name != prefix and _has_weights(model, name)]
    config = LoraConfig(
        r=lora.rank,
        lora_alpha=lora.alpha,
        lora_dropout=lora.dropout,
        target_modules=[f"{prefix}.{name}" for name in _linear_layers(encoder)],
        modules_to_save=heads,
    )
    return get_peft_model(model, config)


def merge_adapters(model: Any) -> Any:
    """Return the plain classifier with the adapters merged into its weights, without modules of peft."""
    return model.merge_and_unload()


def _linear_layers(module: Any) -> Iterator[str]:
    return (name for name, inner in module.named_modules() if isinstance(inner, nn.Linear))


def _has_weights(model: Any, name: str) -> bool:
    return any(True for _ in getattr(model, name).parameters())


def _layer_list(encoder: Any) -> tuple[str, int]:
    """Return the name and the length of the list that holds the layers of the encoder."""
    layers = getattr(encoder.config, "num_hidden_layers", None)
    for name, module in encoder.named_modules():
        if isinstance(module, nn.ModuleList) and len(module) == layers:
            return name, len(module)
    raise UsageError(
        f"the layers of a {encoder.config.model_type} model cannot be identified",
        cause="the encoder has no ModuleList with as many layers as its configuration states",
        fix="remove --freeze-layers and --layer-decay, or use another --base-model",
    )
