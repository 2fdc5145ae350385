"""Damaged and unsuitable models: `labelstream export` names the file, the cause and the fix."""

import shutil
from pathlib import Path
from typing import Any

import orjson
import pytest

from stream.errors import UsageError
from tests.unit.saved_models import classifier, reconfigure, refusal, saved, tagger
from trainer.export.pretrained import load_pretrained
from trainer.model.base_location import resolve_base_model
from trainer.model.base_model import load_classifier, load_tokenizer, longest_input

__all__ = ["classifier", "saved", "tagger"]

LFS_POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 90000\n"
VOCABULARIES = ("vocab.txt", "tokenizer.json")


@pytest.mark.parametrize(
    ("content", "cause"),
    [
        (b"", "is empty"),
        (b"  \n", "is empty"),
        (b"[]", "a list, not an object"),
        (b"null", "null, not an object"),
        (b'"bert"', "a string, not an object"),
        (b'{"model_type": "be', "not valid JSON"),
        (b"[" * 100_000, "not valid JSON"),
        ('{"model_type": "bert"}'.encode("utf-16"), "UTF-16"),
        ('{"_name_or_path": "é"}'.encode("latin-1"), "not encoded in UTF-8"),
        (b"\xef\xbb\xbf{}", "not valid JSON"),
        (LFS_POINTER, "Git LFS"),
    ],
)
def test_a_damaged_configuration_is_named(classifier: Path, content: bytes, cause: str) -> None:
    (classifier / "config.json").write_bytes(content)
    error = refusal(classifier)
    assert "config.json" in error.message
    assert cause in error.cause


@pytest.mark.parametrize(
    ("members", "cause"),
    [
        ({"model_type": ...}, "no model_type"),
        ({"model_type": 7}, "model_type is 7"),
        ({"model_type": "berd"}, "berd"),
        ({"problem_type": "binary"}, "problem_type is 'binary'"),
        ({"problem_type": ["regression"]}, "problem_type is"),
        ({"max_position_embeddings": "512"}, "max_position_embeddings is '512'"),
        ({"max_position_embeddings": 64.0}, "max_position_embeddings is 64.0"),
        ({"max_position_embeddings": ...}, "embeddings.position_embeddings.weight has another shape"),
        ({"max_position_embeddings": 32}, "embeddings.position_embeddings.weight has another shape"),
        ({"hidden_size": 30}, "another shape"),
        ({"hidden_size": 31}, "multiple of the number of attention"),
        ({"num_hidden_layers": 3}, "lack bert.encoder.layer.2"),
        ({"num_hidden_layers": 1}, "without bert.encoder.layer.1"),
        ({"num_hidden_layers": 0}, "without bert.encoder.layer.0"),
        ({"hidden_act": "x"}, "KeyError: 'x'"),
        ({"vocab_size": True}, "vocab_size is True"),
        ({"architectures": ...}, "names no class"),
        ({"architectures": ["BertModel"]}, "names BertModel"),
        ({"architectures": {"a": 1}}, "architectures is"),
        ({"architectures": [3]}, "architectures is [3]"),
        ({"architectures": "BertForSequenceClassification"}, "not a list of names"),
        ({"architectures": ["BertCrfForTokenClassification"]}, "not part of transformers"),
        ({"architectures": ["GPT2LMHeadModel"]}, "generates text"),
        ({"quantization_config": {"quant_method": "gptq", "bits": 4}}, "quantization_config"),
        ({"auto_map": {"AutoModel": "modeling_mine.MyBert"}}, "modeling_mine.MyBert"),
        ({"auto_map": {"AutoConfig": "me/code--configuration.MyConfig"}}, "me/code--configuration.MyConfig"),
    ],
)
def test_a_configuration_that_cannot_be_used_is_refused(
    classifier: Path, members: dict[str, Any], cause: str
) -> None:
    reconfigure(classifier, **members)
    error = refusal(classifier)
    assert cause in f"{error.cause}"


def truncate(folder: Path) -> None:
    file = folder / "model.safetensors"
    file.write_bytes(file.read_bytes()[:-1000])


def empty(folder: Path) -> None:
    (folder / "model.safetensors").write_bytes(b"")


def no_tensors(folder: Path) -> None:
    header = b"{}      "
    (folder / "model.safetensors").write_bytes(len(header).to_bytes(8, "little") + header)


def wrong_header(folder: Path) -> None:
    (folder / "model.safetensors").write_bytes(b"\xff" * 64)


def pointer(folder: Path) -> None:
    (folder / "model.safetensors").write_bytes(LFS_POINTER)


def missing_shard(folder: Path) -> None:
    shard = "model-00001-of-00002.safetensors"
    (folder / "model.safetensors").rename(folder / shard)
    index = {"weight_map": {"a": shard, "b": "model-00002-of-00002.safetensors"}}
    (folder / "model.safetensors.index.json").write_bytes(orjson.dumps(index))


def empty_index(folder: Path) -> None:
    (folder / "model.safetensors").unlink()
    (folder / "model.safetensors.index.json").write_text("{}")


def pickled(folder: Path) -> None:
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")


def only_tensorflow(folder: Path) -> None:
    (folder / "model.safetensors").rename(folder / "tf_model.h5")


def nothing(folder: Path) -> None:
    (folder / "model.safetensors").unlink()


def adapter(folder: Path) -> None:
    (folder / "adapter_config.json").write_text("{}")


@pytest.mark.parametrize(
    ("damage", "message", "fix"),
    [
        (truncate, "incomplete or damaged", "copy model.safetensors"),
        (empty, "is empty", "copy model.safetensors"),
        (no_tensors, "no tensors", "copy model.safetensors"),
        (wrong_header, "incomplete or damaged", "copy model.safetensors"),
        (pointer, "without Git LFS", "lfs pull"),
        (missing_shard, "model-00002-of-00002.safetensors is missing", "copy the missing files"),
        (empty_index, "no weight_map", "model.safetensors.index.json"),
        (pickled, "can execute code", "AutoModelForSequenceClassification as M"),
        (only_tensorflow, "tf_model.h5 cannot be loaded", "save_pretrained"),
        (nothing, "has no model.safetensors", "save_pretrained"),
        (adapter, "low-rank weights", "merge_and_unload"),
    ],
)
def test_weights_that_cannot_be_read_are_refused(
    classifier: Path, damage: Any, message: str, fix: str
) -> None:
    damage(classifier)
    error = refusal(classifier)
    assert message in f"{error.message}: {error.cause}"
    assert fix in error.fix


def test_pickled_weights_beside_safetensors_are_not_read(classifier: Path) -> None:
    (classifier / "pytorch_model.bin").write_bytes(b"no pickle")
    assert load_pretrained(resolve_base_model(str(classifier))).task == "single-label"


def test_the_fix_for_pickled_weights_works(classifier: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import torch
    from safetensors.torch import load_file

    torch.save(load_file(classifier / "model.safetensors"), classifier / "pytorch_model.bin")
    (classifier / "model.safetensors").unlink()
    code = refusal(classifier).fix.split("python -c ")[1].strip('"')
    monkeypatch.chdir(classifier.parent)
    exec(code, {})
    assert load_pretrained(resolve_base_model("./model-safetensors")).task == "single-label"


def test_sharded_weights_are_read(classifier: Path) -> None:
    trained = load_pretrained(resolve_base_model(str(classifier)))
    (classifier / "model.safetensors").unlink()
    trained.model.save_pretrained(classifier, max_shard_size="40KB")
    assert (classifier / "model.safetensors.index.json").is_file()
    again = load_pretrained(resolve_base_model(str(classifier)))
    assert again.labels == trained.labels


def test_an_adapter_without_a_configuration_is_named(tmp_path: Path) -> None:
    (tmp_path / "adapter_config.json").write_text("{}")
    assert "is an adapter" in refusal(tmp_path).message


def test_unmerged_adapter_weights_are_named(classifier: Path) -> None:
    from safetensors.torch import load_file, save_file

    weights = load_file(classifier / "model.safetensors")
    name = "bert.encoder.layer.0.attention.self.query.weight"
    weights[name.replace(".weight", ".base_layer.weight")] = weights.pop(name)
    save_file(weights, classifier / "model.safetensors", metadata={"format": "pt"})
    error = refusal(classifier)
    assert "not merged" in error.cause
    assert "merge_and_unload" in error.fix


def without_vocabulary(folder: Path) -> None:
    for name in VOCABULARIES:
        (folder / name).unlink(missing_ok=True)


def without_tokenizer(folder: Path) -> None:
    without_vocabulary(folder)
    for name in ("tokenizer_config.json", "special_tokens_map.json"):
        (folder / name).unlink(missing_ok=True)


def truncated_tokenizer(folder: Path) -> None:
    (folder / "tokenizer.json").write_bytes((folder / "tokenizer.json").read_bytes()[:500])


def empty_tokenizer(folder: Path) -> None:
    (folder / "tokenizer.json").write_text("{}")


def tokenizer_of_a_larger_model(folder: Path) -> None:
    reconfigure(folder, vocab_size=60)


def tokenizer_of_a_smaller_model(folder: Path) -> None:
    reconfigure(folder, vocab_size=30_522)


def no_padding_token(folder: Path) -> None:
    settings = orjson.loads((folder / "tokenizer_config.json").read_bytes())
    settings |= {"tokenizer_class": "PreTrainedTokenizerFast", "pad_token": None}
    (folder / "tokenizer_config.json").write_bytes(orjson.dumps(settings))
    (folder / "special_tokens_map.json").write_text("{}")


def length_as_text(folder: Path) -> None:
    settings = orjson.loads((folder / "tokenizer_config.json").read_bytes())
    (folder / "tokenizer_config.json").write_bytes(orjson.dumps({**settings, "model_max_length": "64"}))


def length_zero(folder: Path) -> None:
    settings = orjson.loads((folder / "tokenizer_config.json").read_bytes())
    (folder / "tokenizer_config.json").write_bytes(orjson.dumps({**settings, "model_max_length": 0}))


def tokenizer_pointer(folder: Path) -> None:
    (folder / "tokenizer.json").write_bytes(LFS_POINTER)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (without_vocabulary, "has no tokenizer"),
        (without_tokenizer, "has no tokenizer"),
        (truncated_tokenizer, "tokenizer.json cannot be read"),
        (empty_tokenizer, "tokenizer"),
        (tokenizer_of_a_larger_model, "does not belong to its model"),
        (tokenizer_of_a_smaller_model, "does not belong to its model"),
        (no_padding_token, "no padding token"),
        (length_as_text, "model_max_length in tokenizer_config.json is '64'"),
        (length_zero, "at most 0 tokens"),
        (tokenizer_pointer, "Git LFS pointer"),
    ],
)
def test_a_tokenizer_that_cannot_be_used_is_refused(classifier: Path, damage: Any, message: str) -> None:
    damage(classifier)
    error = refusal(classifier)
    assert message in f"{error.message}: {error.cause}"


def test_long_texts_are_truncated_as_by_the_worker(classifier: Path) -> None:
    settings = orjson.loads((classifier / "tokenizer_config.json").read_bytes())
    sides = {"truncation_side": "left", "padding_side": "left"}
    (classifier / "tokenizer_config.json").write_bytes(orjson.dumps({**settings, **sides}))
    _, tokenizer = load_tokenizer(resolve_base_model(str(classifier)))
    ids = tokenizer("my card was charged twice", truncation=True, max_length=4)["input_ids"]
    assert tokenizer.decode(ids, skip_special_tokens=True) == "my card"


@pytest.mark.parametrize("kept", VOCABULARIES)
def test_one_file_of_a_tokenizer_is_enough(classifier: Path, kept: str) -> None:
    expected = load_tokenizer(resolve_base_model(str(classifier)))[1]("my card was charged")["input_ids"]
    vocabulary = expected_vocabulary(classifier)
    tokens = (classifier / "tokenizer.json").read_bytes()
    without_tokenizer(classifier)
    (classifier / kept).write_bytes(vocabulary if kept == "vocab.txt" else tokens)
    _, tokenizer = load_tokenizer(resolve_base_model(str(classifier)))
    assert tokenizer("my card was charged")["input_ids"] == expected


def expected_vocabulary(folder: Path) -> bytes:
    vocabulary = orjson.loads((folder / "tokenizer.json").read_bytes())["model"]["vocab"]
    return "".join(f"{token}\n" for token in sorted(vocabulary, key=vocabulary.get)).encode()


def test_a_model_without_a_limit_has_that_of_a_bundle(classifier: Path) -> None:
    base = resolve_base_model(str(classifier))
    config, tokenizer = load_tokenizer(base)
    config.max_position_embeddings, tokenizer.model_max_length = -1, 10**30
    assert longest_input(config, tokenizer) == 1_000_000


@pytest.mark.parametrize(
    ("requested", "cause"),
    [
        ("", "empty"),
        ("  ", "empty"),
        ("./nowhere", "does not exist"),
        ("model/config.json", "is a file"),
        ("model/nowhere", "does not exist"),
        (".", "model in it has one"),
        ("https://huggingface.co/a/b", "URL"),
        ("my model", "does not exist"),
        ("modèle", "does not exist"),
        ("~nobody-of-this-name/m", "home directory"),
        ("x" * 5000, "too long"),
        ("caf\udce9", "does not exist"),
    ],
)
def test_a_path_that_is_no_model_is_refused(
    classifier: Path, monkeypatch: pytest.MonkeyPatch, requested: str, cause: str
) -> None:
    monkeypatch.chdir(classifier.parent)
    error = refusal(requested)
    assert "is not a base model" in error.message
    assert cause in error.cause.lower() or cause in error.cause
    error.message.encode()


def test_a_folder_that_cannot_be_read_is_refused(classifier: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def denied(_: Path) -> bool:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "is_file", denied)
    with pytest.raises(UsageError, match="not a base model") as refused:
        resolve_base_model(str(classifier))
    assert "Permission denied" in refused.value.cause


def test_a_folder_with_spaces_and_letters_of_any_script_is_loaded(classifier: Path) -> None:
    folder = classifier.rename(classifier.with_name("mein Modell – 模型"))
    assert load_pretrained(resolve_base_model(str(folder))).task == "single-label"


@pytest.mark.parametrize(
    ("message", "part", "fix"),
    [
        ("We couldn't connect to the Hub to load the files.\nCheck your connection.", "connect", "network"),
        ("me/none is not a valid model identifier", "not a valid model identifier", "check the Hub id"),
    ],
)
def test_a_model_of_the_hub_that_cannot_be_fetched_is_refused(
    monkeypatch: pytest.MonkeyPatch, message: str, part: str, fix: str
) -> None:
    def not_fetched(*_: object, **__: object) -> str:
        raise OSError(message)

    monkeypatch.setattr("transformers.utils.cached_file", not_fetched)
    error = refusal("me/none")
    assert error.message == "the model me/none cannot be loaded"
    assert part in error.cause
    assert fix in error.fix


def test_a_training_does_not_start_from_random_weights_of_the_encoder(
    classifier: Path, tagger_copy: Path
) -> None:
    shutil.copy(tagger_copy / "model.safetensors", classifier / "model.safetensors")
    base = resolve_base_model(str(classifier))
    _, tokenizer = load_tokenizer(base)
    with pytest.raises(UsageError, match="do not fit its") as refused:
        load_classifier(base, tokenizer, ["a", "b"])
    assert "embeddings" in refused.value.cause


@pytest.fixture
def tagger_copy(saved: Path) -> Path:
    """The saved tagger, whose vocabulary has another size than that of the classifier."""
    return saved / "tagger"


def test_a_training_accepts_an_encoder_with_another_head(tagger: Path) -> None:
    base = resolve_base_model(str(tagger))
    _, tokenizer = load_tokenizer(base)
    assert load_classifier(base, tokenizer, ["a", "b", "c"]).config.num_labels == 3
