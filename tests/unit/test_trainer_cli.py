"""The early refusals of `labelstream train`, and the lookup of its base model."""

import subprocess
import sys
from pathlib import Path

import pytest
import typer
from typer.main import get_command

from stream.errors import UsageError, install_hint
from trainer.cli import train
from trainer.model.base_location import DEFAULT_PACKAGE, resolve_base_model

CSV = "text,label\n" + "paid twice,billing\nwhere is it,delivery\n" * 3


def test_flags_and_data_need_no_heavy_import() -> None:
    heavy = "{'torch', 'transformers', 'optimum', 'sklearn', 'datasets', 'pandas', 'onnxruntime'}"
    code = f"import sys, trainer.cli; print(sorted({heavy} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_default_base_model_is_found_without_being_imported() -> None:
    pytest.importorskip(DEFAULT_PACKAGE)
    sys.modules.pop(DEFAULT_PACKAGE)
    base = resolve_base_model(None)
    assert DEFAULT_PACKAGE not in sys.modules
    assert base.local
    assert (Path(base.source) / "model.safetensors").is_file()


def test_a_missing_default_model_names_the_package_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", [])
    monkeypatch.setattr(sys, "meta_path", [])
    monkeypatch.delitem(sys.modules, DEFAULT_PACKAGE, raising=False)
    with pytest.raises(UsageError) as refused:
        resolve_base_model(None)
    assert refused.value.fix.startswith(install_hint("trainer"))


def test_folders_and_hub_ids(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    assert resolve_base_model(str(tmp_path)).local
    assert resolve_base_model("distilbert-base-uncased") == resolve_base_model("distilbert-base-uncased")
    assert not resolve_base_model("microsoft/deberta-v3-small").local
    for wrong in (str(tmp_path / "nowhere"), "./nowhere"):
        with pytest.raises(UsageError, match="not a base model"):
            resolve_base_model(wrong)


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ({"task": "single_label"}, "did you mean --task single-label"),
        ({"loss": "focus"}, "did you mean --loss focal"),
        ({"class_weights": "sqrt"}, "did you mean --class-weights sqrt_inverse"),
        ({"augment": "swap,typos"}, "--augment typos is not valid"),
        ({"task": "regression", "sampling": "over"}, "--sampling cannot be combined with --task regression"),
        ({"task": "regression", "loss": "focal"}, "--loss focal cannot be combined with"),
        ({"task": "regression", "abstain_below": 0.5}, "--abstain-below cannot be combined with"),
        ({"task": "token", "augment": "all"}, "--augment cannot be combined with --task token"),
        ({"task": "pair", "windows": True}, "--windows cannot be combined with a second text"),
        ({"text_pair_column": "b", "windows": True}, "--windows cannot be combined with a second text"),
        ({"lora": True, "freeze_layers": 1}, "--freeze-layers cannot be combined with --lora"),
        ({"lora": True, "layer_decay": 0.9}, "--layer-decay cannot be combined with --lora"),
        ({"task": "multi-label", "label_smoothing": 0.1}, "--label-smoothing cannot be combined with"),
        ({"windows": True, "stride": 128}, "--stride 128 is too much"),
    ],
)
def test_wrong_values_and_conflicting_flags_are_refused(flags: dict[str, object], message: str) -> None:
    with pytest.raises(UsageError) as refused:
        train("sample", **flags)
    assert message in f"{refused.value.message} {refused.value.fix}"


def test_hugging_face_spellings_are_accepted() -> None:
    command = typer.Typer()
    command.command()(train)
    names = {name for option in get_command(command).params for name in option.opts}
    assert {
        *("--model_name_or_path", "--num_train_epochs", "--per_device_train_batch_size", "--learning_rate"),
        *("--max_seq_length", "--gradient_accumulation_steps", "--weight_decay", "--warmup_ratio", "--bf16"),
        *("--lr_scheduler_type", "--label_smoothing_factor", "--resume_from_checkpoint", "--output_dir"),
        *("--validation_file", "--test_file", "--text_column_name", "--label_column_name", "--doc_stride"),
    } <= names


def test_help_has_an_example_of_each_task() -> None:
    assert train.__doc__
    for flag in (
        "--task multi-label",
        "--task pair",
        "--task regression",
        "--task token",
        "--ordinal",
        "--windows",
    ):
        assert flag in train.__doc__


def test_a_name_that_cannot_be_a_folder_is_refused() -> None:
    with pytest.raises(UsageError, match="cannot name a bundle"):
        train("sample", name="a/b")
    with pytest.raises(UsageError, match="cannot name a bundle"):
        train("sample", name="a" * 201)


def test_a_missing_library_names_the_module_and_the_package_to_install(tmp_path: Path) -> None:
    (tmp_path / "data.csv").write_text(CSV)
    # In a process of its own: libraries remember for good which others they found when they were imported.
    code = (
        "import sys; sys.modules['transformers'] = None\n"
        "from stream.errors import UsageError\n"
        "from trainer.cli import train\n"
        "try: train('data.csv', bundle_store='store')\n"
        "except UsageError as error: print(error.cause, error.fix, sep='\\n')"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    *_, cause, fix = done.stdout.splitlines()
    assert "transformers" in cause
    assert fix == install_hint("trainer")


def test_a_store_that_cannot_be_written_is_refused_before_training(tmp_path: Path) -> None:
    from trainer.export.package import staging_folder

    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="cannot be written"), staging_folder(tmp_path / "file", "name"):
        pass
