"""What `labelstream train` refuses before anything heavy is loaded, and where its base model comes from."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from stream.errors import UsageError
from trainer.base_model import DEFAULT_PACKAGE, resolve_base_model
from trainer.cli import train

CSV = "text,label\n" + "paid twice,billing\nwhere is it,delivery\n" * 3


def test_nothing_heavy_is_imported_for_flags_and_data() -> None:
    heavy = "{'torch', 'transformers', 'optimum', 'sklearn', 'datasets', 'pandas', 'onnxruntime'}"
    code = f"import sys, trainer.cli; print(sorted({heavy} & set(sys.modules)))"
    asked = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert asked.stdout.strip() == "[]"


def test_the_default_base_model_is_found_without_being_imported() -> None:
    pytest.importorskip(DEFAULT_PACKAGE)
    sys.modules.pop(DEFAULT_PACKAGE)
    base = resolve_base_model(None)
    assert DEFAULT_PACKAGE not in sys.modules
    assert base.local
    assert (Path(base.source) / "model.safetensors").is_file()


def test_a_missing_default_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", [])
    monkeypatch.setattr(sys, "meta_path", [])
    monkeypatch.delitem(sys.modules, DEFAULT_PACKAGE, raising=False)
    with pytest.raises(UsageError) as refused:
        resolve_base_model(None)
    assert refused.value.mend.startswith("pip install 'labelstream[trainer]'")


def test_folders_and_hub_ids(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    assert resolve_base_model(str(tmp_path)).local
    assert resolve_base_model("distilbert-base-uncased") == resolve_base_model("distilbert-base-uncased")
    assert not resolve_base_model("microsoft/deberta-v3-small").local
    for wrong in (str(tmp_path / "nowhere"), "./nowhere"):
        with pytest.raises(UsageError, match="not a base model"):
            resolve_base_model(wrong)


@pytest.mark.parametrize(
    ("task", "said"),
    [("multi-label", "not possible yet"), ("single_label", "did you mean --task single-label")],
)
def test_other_tasks_are_refused(task: str, said: str) -> None:
    with pytest.raises(UsageError) as refused:
        train("sample", task=task)
    assert said in f"{refused.value.what} {refused.value.mend}"


def test_a_name_that_cannot_be_a_folder_is_refused() -> None:
    with pytest.raises(UsageError, match="cannot name a bundle"):
        train("sample", name="a/b")


def test_a_missing_library_says_which_and_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "data.csv").write_text(CSV)
    for module in ("trainer.run", "trainer.report"):
        monkeypatch.delitem(sys.modules, module, raising=False)
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(UsageError) as refused:
        train(str(tmp_path / "data.csv"), bundle_store=tmp_path / "store")
    assert "transformers" in refused.value.why
    assert refused.value.mend == "pip install 'labelstream[trainer]'"


def test_a_store_that_cannot_be_written_is_told_before_training(tmp_path: Path) -> None:
    from trainer.package import staging_folder

    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="cannot be written"), staging_folder(tmp_path / "file", "name"):
        pass


def test_scores_on_held_out_rows() -> None:
    from trainer.evaluate import evaluate

    logits = np.eye(3, dtype=np.float32)[[0, 0, 1, 1]]
    found = evaluate(logits, [0, 1, 1, 1], ["a", "b", "never"])
    assert found["accuracy"] == 0.75
    assert found["confusion"] == [[1, 0, 0], [1, 2, 0], [0, 0, 0]]
    assert found["per_label"]["b"] == {
        "precision": 1.0,
        "recall": pytest.approx(2 / 3),
        "f1": 0.8,
        "support": 3,
    }
    assert found["macro_f1"] == pytest.approx((2 / 3 + 0.8) / 2)
