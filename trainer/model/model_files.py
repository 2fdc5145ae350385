"""The files of a pretrained model: checks before transformers reads them, and its configuration.

transformers reports a damaged file by whatever error its parsers raise, and fills in what a file lacks: a
tokenizer without a vocabulary, or weights with random numbers. These checks name the file instead.
"""

import json
import os
import shlex
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from stream.errors import UsageError
from trainer.config import ModelLocation

CONFIG = "config.json"
WEIGHTS = "model.safetensors"
WEIGHTS_INDEX = "model.safetensors.index.json"
ADAPTER = "adapter_config.json"
PICKLED = ("pytorch_model.bin", "pytorch_model.bin.index.json")
OTHER_WEIGHTS = (
    "tf_model.h5",
    "flax_model.msgpack",
    "*.gguf",
    "*.ckpt",
    "*.pt",
    "*.pth",
    "onnx/*.onnx",
    "*.onnx",
)
VOCABULARIES = ("tokenizer.json", "vocab.*", "*.model", "bpe.codes", "*.tiktoken", "tekken.json", "*.bpe")
LFS_POINTER = b"version https://git-lfs"


def read_json_object(file: Path) -> dict[str, Any]:
    """Return the JSON object of a file of a model.

    Raises:
        UsageError: the file cannot be read, is not UTF-8, or holds no JSON object.
    """
    content, cause, raw = None, "", b""
    try:
        raw = file.read_bytes()
        check_no_pointer(file, raw)
        content = json.loads(raw.decode("utf-8"))
    except OSError as exc:
        cause = exc.strerror or str(exc)
    except UnicodeDecodeError:
        utf16 = raw.startswith((b"\xff\xfe", b"\xfe\xff"))
        cause = "it is encoded in UTF-16, not in UTF-8" if utf16 else "it is not encoded in UTF-8"
    except ValueError as exc:
        cause = f"it is not valid JSON: {exc}" if raw.strip() else "the file is empty"
    except RecursionError:
        cause = "it is not valid JSON: its lists or objects are nested too deeply"
    if isinstance(content, dict):
        return content
    raise UsageError(
        f"{file} cannot be read",
        cause=cause or f"it holds {json_kind(content)}, not an object",
        fix=f"copy {file.name} from the original model, or write it again with save_pretrained",
    )


def json_kind(value: Any) -> str:
    """Return the kind of a JSON value in words."""
    kinds = {dict: "an object", list: "a list", str: "a string", bool: "true or false", type(None): "null"}
    return kinds.get(type(value), "a number")


def fine_tuning(base: ModelLocation) -> str:
    """Return the command that fine-tunes a model."""
    return f"labelstream train DATA --base-model {shlex.quote(base.source)}"


def check_no_pointer(file: Path, start: bytes) -> None:
    """Check that a file is not the pointer that Git leaves where Git LFS is not installed.

    Raises:
        UsageError: the file is a pointer.
    """
    if start.startswith(LFS_POINTER):
        raise UsageError(
            f"{file} is a Git LFS pointer",
            cause="the repository was cloned without Git LFS, so that the file only names its content",
            fix=f"download the content: git -C {shlex.quote(str(file.parent))} lfs pull",
        )


def check_tokenizer_files(base: ModelLocation) -> None:
    """Check that a folder has the vocabulary of a tokenizer.

    Raises:
        UsageError: there is no vocabulary, or a file of the tokenizer is damaged.
    """
    folder = Path(base.source)
    present = _present(folder, VOCABULARIES)
    for name in ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json"):
        if (folder / name).is_file():
            read_json_object(folder / name)
    for file in present:
        check_no_pointer(file, _start(file))
        if not file.stat().st_size:
            raise UsageError(
                f"{file} cannot be read",
                cause="the file is empty",
                fix=f"copy {file.name} from the original model",
            )
    if not present:
        raise UsageError(
            f"{base.name} has no tokenizer",
            cause=f"{folder} has no tokenizer.json and no other vocabulary, such as vocab.txt",
            fix="save the tokenizer that the model was trained with into the folder: "
            f"AutoTokenizer.from_pretrained(ORIGINAL).save_pretrained({base.source!r})",
        )


def check_weights(base: ModelLocation, auto_class: str) -> None:
    """Check that the weights of a folder are complete safetensors files.

    Args:
        base: the model; one of the Hub is not checked.
        auto_class: the class of transformers that loads the model, for the fix.

    Raises:
        UsageError: there are no weights, they are pickled, or a file of them is missing or damaged.
    """
    if not base.local:
        return
    folder = Path(base.source)
    if (folder / ADAPTER).is_file():
        raise adapter_error(base.name, folder)
    if (folder / WEIGHTS).is_file():
        shards = [WEIGHTS]
    elif (folder / WEIGHTS_INDEX).is_file():
        shards = _shards(folder / WEIGHTS_INDEX)
    else:
        raise _no_weights_error(base, auto_class)
    for shard in shards:
        _check_safetensors(folder / shard)


def pickled_error(base: ModelLocation, auto_class: str = "AutoModel") -> UsageError:
    """Return the error for a model whose only weights are pickled."""
    source = repr(base.source)
    target = repr(f"{base.name.rsplit('/', 1)[-1]}-safetensors")
    return UsageError(
        f"the weights of {base.name} cannot be loaded safely",
        cause=f"there is no {WEIGHTS}, and loading a pickled pytorch_model.bin can execute code",
        fix=f'if you trust its origin, convert it: python -c "from transformers import {auto_class} as M, '
        f"AutoTokenizer as T; M.from_pretrained({source}).save_pretrained({target}); "
        f'T.from_pretrained({source}).save_pretrained({target})"',
    )


def adapter_error(name: str, folder: Path) -> UsageError:
    """Return the error for a folder that holds an adapter instead of a model."""
    merged = repr(f"{folder.name}-merged")
    return UsageError(
        f"{name} is an adapter, not a model",
        cause=f"{folder / ADAPTER} exists: the folder has the low-rank weights that belong to a base model",
        fix="merge it with peft: AutoPeftModelForSequenceClassification (or ForTokenClassification)"
        f".from_pretrained({str(folder)!r}, num_labels=N).merge_and_unload().save_pretrained({merged}), "
        "and save the tokenizer there too",
    )


def _shards(index: Path) -> list[str]:
    weight_map = read_json_object(index).get("weight_map")
    if not isinstance(weight_map, dict) or not all(isinstance(name, str) for name in weight_map.values()):
        raise UsageError(
            f"{index} cannot be read",
            cause="it has no weight_map from the names of tensors to files",
            fix=f"copy {index.name} from the original model",
        )
    shards = sorted(set(weight_map.values()))
    if missing := [name for name in shards if not (index.parent / name).is_file()]:
        raise UsageError(
            f"the weights in {index.parent} are incomplete",
            cause=f"{index.name} lists {len(shards)} files, and {', '.join(missing[:3])} "
            f"{'is' if len(missing) == 1 else 'are'} missing",
            fix="copy the missing files from the original model",
        )
    return shards


def _check_safetensors(file: Path) -> None:
    from safetensors import SafetensorError, safe_open

    check_no_pointer(file, _start(file))
    cause = ""
    try:
        with safe_open(file, framework="numpy") as opened:
            if not [*opened.keys()]:
                cause = "it has no tensors"
    except (OSError, SafetensorError) as exc:
        size = file.stat().st_size
        cause = f"it has {size:,} bytes and is incomplete or damaged: {exc}" if size else "the file is empty"
    if cause:
        raise UsageError(
            f"the weights {file} cannot be read",
            cause=cause,
            fix=f"copy {file.name} from the original model, or write it again with save_pretrained",
        )


def _no_weights_error(base: ModelLocation, auto_class: str) -> UsageError:
    folder = Path(base.source)
    if _present(folder, PICKLED):
        return pickled_error(base, auto_class)
    other = [str(file.relative_to(folder)) for file in _present(folder, OTHER_WEIGHTS)]
    return UsageError(
        f"{base.name} has no weights",
        cause=f"{folder} has no {WEIGHTS}" + (f"; {', '.join(other[:3])} cannot be loaded" if other else ""),
        fix="write the model with save_pretrained of PyTorch's transformers, or copy its model.safetensors",
    )


def _present(folder: Path, patterns: Iterable[str]) -> list[Path]:
    return sorted({file for pattern in patterns for file in folder.glob(pattern) if file.is_file()})


def _start(file: Path) -> bytes:
    try:
        with file.open("rb") as opened:
            return opened.read(len(LFS_POINTER))
    except OSError as exc:
        raise UsageError(
            f"{file} cannot be read",
            cause=exc.strerror or str(exc),
            fix=f"allow your user to read it: chmod u+r {shlex.quote(os.fspath(file))}",
        ) from None
