"""docs/from-huggingface.md has every argument of Hugging Face's scripts, with our flag or a reason."""

import dataclasses
import re
from pathlib import Path

import pytest

from trainer.config import TrainingConfig
from trainer.config.__main__ import rewritten
from trainer.config.hugging_face import UNSUPPORTED
from trainer.config.settings import settings_of

PAGE = Path(__file__).parents[2] / "docs" / "from-huggingface.md"
ROWS = re.findall(r"^\| `--(\w+)` \| (.*?) \| (.*?) \|$", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
SCRIPTS = [
    "dataset_name",
    "dataset_config_name",
    "do_regression",
    "text_column_names",
    "text_column_delimiter",
    "train_split_name",
    "validation_split_name",
    "test_split_name",
    "remove_splits",
    "remove_columns",
    "label_column_name",
    "max_seq_length",
    "overwrite_cache",
    "pad_to_max_length",
    "shuffle_train_dataset",
    "shuffle_seed",
    "max_train_samples",
    "max_eval_samples",
    "max_predict_samples",
    "metric_name",
    "train_file",
    "validation_file",
    "test_file",
    "model_name_or_path",
    "config_name",
    "tokenizer_name",
    "cache_dir",
    "use_fast_tokenizer",
    "model_revision",
    "token",
    "trust_remote_code",
    "ignore_mismatched_sizes",
    "task_name",
    "text_column_name",
    "preprocessing_num_workers",
    "label_all_tokens",
    "return_entity_level_metrics",
]


def test_the_page_is_up_to_date() -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert rewritten(page) == page, "run `make docs`"


def test_no_argument_of_hugging_face_is_left_out() -> None:
    transformers = pytest.importorskip("transformers")
    fields = {field.name for field in dataclasses.fields(transformers.TrainingArguments)}
    assert {*fields, *SCRIPTS} - {name for name, _, _ in ROWS} == set()


def test_every_row_has_a_flag_that_exists_or_a_reason() -> None:
    flags = {f"`{setting.option}`" for setting in settings_of(TrainingConfig)}
    for name, ours, note in ROWS:
        assert ours in flags or (not ours and note), name


def test_an_argument_is_either_a_flag_or_has_a_reason() -> None:
    names = [name for name, _, _ in ROWS]
    assert len(set(names)) == len(names)
    assert not UNSUPPORTED.keys() & {name for name, ours, _ in ROWS if ours}
