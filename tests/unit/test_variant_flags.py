"""The flags --variants and --accept-variant of `labelstream train` and `labelstream export`."""

from pathlib import Path
from typing import Any

import pytest

from stream.errors import UsageError, install_hint
from tests.unit.test_trainer_config import parsed
from trainer.cli import export, train
from trainer.config import VariantSettings
from trainer.export import variants
from trainer.export.variants import plan_variants

ROWS = "text,label\n" + "paid twice,billing\nwhere is it,delivery\n" * 3


def settings(
    names: tuple[Any, ...] | None = None, accepted: tuple[Any, ...] | None = None
) -> VariantSettings:
    given = {"names": names, "accepted": accepted}
    return VariantSettings(**{name: value for name, value in given.items() if value is not None})


@pytest.fixture
def nncf(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(variants, "can_calibrate", lambda: True)


@pytest.fixture
def no_nncf(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(variants, "can_calibrate", lambda: False)


def names(plan: variants.VariantPlan) -> list[str]:
    return [recipe.name for recipe in plan.recipes]


@pytest.mark.parametrize(
    ("words", "wanted", "accepted"),
    [
        ([], ("int8", "int8-static", "fp16"), ()),
        (["--variants", "int8,fp16"], ("int8", "fp16"), ()),
        (["--variants", "fp16", "--variants", "fp32, int8"], ("int8", "fp16"), ()),
        (["--variants", "fp32"], (), ()),
        (["--accept-variant", "int8", "--accept-variant", "fp16"], None, ("int8", "fp16")),
        (["--variants", "int8,int8", "--accept-variant", "int8"], ("int8",), ("int8",)),
    ],
)
def test_the_flags_choose_the_variants(words: list[str], wanted: Any, accepted: tuple[str, ...]) -> None:
    chosen = parsed(*words).variants
    assert chosen.wanted == (wanted or chosen.wanted)
    assert chosen.accepted == accepted
    assert wanted != () or not chosen.wanted


@pytest.mark.parametrize(
    ("flags", "parts"),
    [
        ({"variants": "int9"}, ["--variants int9 is not valid", "fp32, int8, int8-static, fp16"]),
        ({"variants": "int8,bf16"}, ["--variants bf16 is not valid", "fp32, int8, int8-static, fp16"]),
        ({"variants": "int8_static"}, ["--variants int8_static is not", "mean --variants int8-static"]),
        ({"variants": " ,"}, ["--variants names no variant", "such as --variants int8"]),
        ({"accept_variant": ""}, ["--accept-variant names no variant", "leave --accept-variant out"]),
        ({"accept_variant": "fp32"}, ["--accept-variant fp32 is not possible", "the export itself"]),
        (
            {"variants": "fp16", "accept_variant": "int8"},
            ["--accept-variant int8 names a variant that is not made", "use --variants fp16,int8"],
        ),
    ],
)
@pytest.mark.parametrize("command", ["train", "export"])
def test_wrong_names_are_refused_before_anything_is_read(
    command: str, flags: dict[str, str], parts: list[str]
) -> None:
    with pytest.raises(UsageError) as refused:
        (train if command == "train" else export)("nowhere", **flags)
    text = f"{refused.value.message} {refused.value.cause} {refused.value.fix}"
    for part in parts:
        assert part in text
    assert refused.value.exit_code == 2


def test_without_nncf_int8_static_is_left_out_with_the_reason(no_nncf: None) -> None:
    plan = plan_variants(settings())
    assert names(plan) == ["int8", "fp16"]
    assert plan.not_made == {
        "int8-static": "not made: the package nncf is not installed; "
        + install_hint("trainer", "int8-static")
    }
    assert plan_variants(settings(("int8",))).not_made == {}


@pytest.mark.parametrize("flags", [{"names": ("int8-static",)}, {"accepted": ("int8-static",)}])
def test_int8_static_by_name_needs_nncf(no_nncf: None, flags: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match="the variant int8-static cannot be made") as refused:
        plan_variants(settings(**flags))
    assert refused.value.fix == install_hint("trainer", "int8-static")


def test_int8_static_by_name_needs_texts_to_export(nncf: None) -> None:
    assert names(plan_variants(settings(), calibrated=False)) == ["int8", "fp16"]
    assert names(plan_variants(settings())) == ["int8", "int8-static", "fp16"]
    with pytest.raises(UsageError, match="int8-static cannot be made") as refused:
        plan_variants(settings(("int8-static", "fp16")), calibrated=False)
    assert "--texts FILE" in refused.value.fix


def test_train_refuses_a_missing_library_before_the_training(tmp_path: Path, no_nncf: None) -> None:
    (tmp_path / "data.csv").write_text(ROWS)
    with pytest.raises(UsageError, match="int8-static cannot be made"):
        train(str(tmp_path / "data.csv"), bundle_store=tmp_path / "store", variants="int8-static")
    assert not (tmp_path / "store").exists()
