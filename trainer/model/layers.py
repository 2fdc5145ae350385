"""An encoder's layers from the bottom up: which are frozen, and how fast each of them learns."""

from collections.abc import Iterator
from typing import Any

from torch import nn

from stream.errors import UsageError

NO_DECAY_DIMENSIONS = 1
"""Biases and norms, which have one dimension at most, are not decayed."""


def encoder_of(model: Any) -> Any:
    """A classifier's encoder: of ours, or of one of transformers' own (its `base_model`)."""
    own = getattr(model, "encoder", None)
    return own if own is not None else model.base_model


def depths(model: Any) -> dict[str, int]:
    """How deep each parameter lies.

    Args:
        model: a classifier whose encoder keeps its layers in one list, as nearly all in transformers do.

    Returns:
        By parameter name: 0 for embeddings, 1 for the lowest layer, up to n for the highest of n layers, and
        n + 1 for what comes after them: pooler, last norm, head.

    Raises:
        UsageError: the encoder has no such list (ALBERT uses one layer again and again).
    """
    encoder = encoder_of(model)
    prefix, layers = _layer_list(encoder)
    # Identity, since a name alone does not say whether it is the encoder's.
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
    """Stop the embeddings and the lowest `count` layers from learning; 0 freezes nothing.

    Raises:
        UsageError: the encoder has fewer layers, or no list of them.
    """
    if not count:
        return
    depth = depths(model)
    layers = max(depth.values()) - 1
    if count > layers:
        raise UsageError(
            f"--freeze-layers {count} is not possible",
            cause=f"the base model has {layers} layers",
            fix=f"freeze at most {layers}, which trains the head alone",
        )
    for name, parameter in model.named_parameters():
        if depth[name] <= count:
            parameter.requires_grad = False


def parameter_groups(
    model: Any, learning_rate: float, weight_decay: float, layer_decay: float
) -> list[dict[str, Any]]:
    """Groups for an optimiser in which every layer learns slower than the one above it.

    Layer-wise learning-rate decay (Howard and Ruder 2018, "Universal Language Model Fine-tuning"; Sun et al.
    2019, "How to Fine-Tune BERT"): depth d of n + 1 learns at `learning_rate` x `layer_decay` ** (n + 1 - d).

    Args:
        model: a classifier.
        learning_rate: of the head.
        weight_decay: of parameters that are neither biases nor norms.
        layer_decay: in (0, 1].

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
    """How many numbers are trained, and how many there are."""
    sizes = [(parameter.numel(), parameter.requires_grad) for parameter in model.parameters()]
    return sum(size for size, trained in sizes if trained), sum(size for size, _ in sizes)


def linear_names(module: Any) -> Iterator[str]:
    """Names of the linear layers within a module."""
    return (name for name, inner in module.named_modules() if isinstance(inner, nn.Linear))


def _layer_list(encoder: Any) -> tuple[str, int]:
    """Name and length of the list that holds the encoder's layers."""
    layers = getattr(encoder.config, "num_hidden_layers", None)
    for name, module in encoder.named_modules():
        if isinstance(module, nn.ModuleList) and len(module) == layers:
            return name, len(module)
    raise UsageError(
        f"the layers of a {encoder.config.model_type} model cannot be told apart",
        cause="its encoder holds no list of as many layers as its configuration says",
        fix="leave --freeze-layers and --layer-decay out, or use another --base-model",
    )
