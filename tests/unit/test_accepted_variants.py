"""Variants that did not pass their parity check and were published on request, and where they are used."""

import io
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pytest
import typer
from pydantic import ValidationError
from rich.console import Console
from typer.testing import CliRunner

from stream.bundle import Bundle, Manifest, Parity, RealRows, new_staging, open_bundle, publish
from stream.commands.bundles import app as bundles
from stream.commands.verify import verify
from stream.errors import BundleError
from stream.routes import Route
from stream.runtime import choose, runnable_choices, usual_choices
from stream.verify import accepted_limits, compare
from stream.worker.route_model import Model
from stream.worker.status import describe_route
from tests.unit.table_model import recipe_of, save_table, table_bundle
from tests.unit.test_runtime_choice import CPU, GPU, OLD_CPU, OPENVINO, PLAIN, STATIC, manifest
from tests.unit.test_trainer_variants import RecordingObserver, build
from trainer.export.card import model_card
from trainer.export.parity import ParityLimits, ValidationRows
from trainer.export.summary import variant_table
from trainer.export.variants import INT8, VariantPlan, make_variant

REAL = RealRows(
    rows=40, decisions=40, label_agreement=0.95, interval=(0.831, 0.994), min_label_agreement=0.98
)


def with_parity(original: Manifest, variant: str, **fields: Any) -> Manifest:
    entry = original.variants[variant]
    changed = entry.model_copy(update={"parity": entry.parity.model_copy(update=fields)})
    return original.model_copy(update={"variants": {**original.variants, variant: changed}})


ACCEPTED = with_parity(manifest(PLAIN), "int8", accepted_by_user=True, verdict="undecided", real=REAL)


@pytest.mark.parametrize(
    ("machine", "device", "variant", "chosen"),
    [
        (CPU, "auto", "auto", "cpu fp32"),
        (CPU, "cpu", "auto", "cpu fp32"),
        (OPENVINO, "auto", "auto", "openvino bf16"),
        (GPU, "auto", "auto", "cuda fp16"),
        (CPU, "auto", "int8", "cpu int8"),
        (CPU, "cpu", "int8", "cpu int8"),
    ],
)
def test_auto_never_chooses_an_accepted_variant(machine: Any, device: str, variant: str, chosen: str) -> None:
    choice = choose(ACCEPTED, device, variant, machine)
    assert f"{choice.device} {choice.variant}" == chosen
    assert ("published with --accept-variant" in choice.reason) == (machine is not GPU)


def test_verify_still_runs_an_accepted_variant() -> None:
    runs, _ = runnable_choices(ACCEPTED, CPU)
    assert "int8" in [choice.variant for choice in runs]


def test_fp32_cannot_be_accepted() -> None:
    fields = manifest(PLAIN).model_dump()
    fields["variants"]["fp32"]["parity"]["accepted_by_user"] = True
    with pytest.raises(ValidationError, match="fp32 must pass"):
        Manifest(**fields)


@pytest.mark.parametrize(
    ("measured_on", "machine", "run"),
    [
        ("openvino", OPENVINO, ["openvino int8-static"]),
        ("openvino", CPU, []),
        ("cpu", OPENVINO, ["openvino int8-static", "cpu int8-static"]),
        (None, OPENVINO, ["openvino int8-static", "cpu int8-static"]),
    ],
)
def test_a_variant_is_verified_where_its_parity_check_applies(
    measured_on: str | None, machine: Any, run: list[str]
) -> None:
    checked = with_parity(manifest(STATIC), "int8-static", device=measured_on)
    runs, not_run = runnable_choices(checked, machine)
    assert [f"{c.device} {c.variant}" for c in runs if c.variant == "int8-static"] == run
    skipped = "cpu int8-static (its parity was checked on openvino, not on cpu)"
    assert (skipped in not_run) == (measured_on == "openvino")


def test_fp16_is_verified_on_the_cpu_that_measured_it() -> None:
    runs, _ = runnable_choices(with_parity(manifest(PLAIN), "fp16", device="cpu"), CPU)
    assert "fp16" in [choice.variant for choice in runs]


def test_a_named_pair_outside_the_parity_check_says_so() -> None:
    checked = with_parity(manifest(STATIC), "int8-static", device="openvino")
    choice = choose(checked, "auto", "int8-static", CPU)
    assert (choice.device, choice.variant) == ("cpu", "int8-static")
    assert "its parity was checked on openvino, not on cpu" in choice.reason
    assert choose(checked, "auto", "auto", OPENVINO).reason == (
        "the fastest that runs here; skipped: cuda fp16, cuda fp32 (there is no cuda)"
    )


def test_the_usual_machines_and_their_choices() -> None:
    found = {name: choice.variant for name, choice in usual_choices(manifest(STATIC)).items()}
    assert found == {
        "CPU with ONNX Runtime": "int8",
        "CPU with OpenVINO": "int8-static",
        "NVIDIA GPU": "fp16",
    }
    found = {name: choice.variant for name, choice in usual_choices(manifest({"fp32": "any"})).items()}
    assert found["CPU with OpenVINO"] == choose(manifest({"fp32": "any"}), "auto", "auto", OLD_CPU).variant
    assert found["CPU with OpenVINO and bf16"] == "bf16"


def shown(table: Any) -> str:
    console = Console(width=250, file=io.StringIO())
    with console.capture() as captured:
        console.print(table)
    return captured.get()


def test_the_closing_summary_names_each_variant_its_check_and_its_use() -> None:
    skipped = {
        "int8-static": "refused: same decision for 90.00% of 400 decisions, required 98%; for 90% of more",
        "bf16": "not made: the package x is not installed; pip install x",
    }
    lines = shown(variant_table(ACCEPTED.model_copy(update={"skipped_variants": skipped}))).splitlines()

    def line(name: str) -> str:
        return next(line for line in lines if f"│ {name} " in line)

    assert "passed" in line("fp32")
    assert "CPU with ONNX Runtime" in line("fp32")
    assert "CPU with OpenVINO and bf16 (as bf16)" in line("fp32")
    assert "NVIDIA GPU" in line("fp16")
    assert "undecided, accepted by --accept-variant" in line("int8")
    assert "95.00% of 40 decisions (95% interval 83.1% to 99.4%)" in line("int8")
    assert "none; name it: --variant int8" in line("int8")
    assert "left out: refused" in line("int8-static")
    assert "│ 90.00% of 400 decisions, required 98% " in line("int8-static")
    assert "left out: not made: the package x is not installed; pip install x" in line("bf16")


def test_card_and_info_name_an_accepted_variant(tmp_path: Path) -> None:
    assert "did not pass its parity check (undecided)" in model_card(ACCEPTED, {})
    assert "did not pass" not in model_card(manifest(PLAIN), {})
    bundle = Bundle(tmp_path, ACCEPTED, "sha256:" + "0" * 64)
    route = Route(name="r", input_topic="i", output_topic="o", bundle="m")
    for variant, accepted in (("int8", True), ("fp32", False)):
        model = Model(bundle, variant, "cpu", "CPUExecutionProvider", classifier=None)  # type: ignore[arg-type]
        assert describe_route(route, model)["variant_accepted_by_user"] is accepted


def test_limits_of_an_accepted_variant_are_what_was_accepted() -> None:
    parity = Parity(
        rows=48, max_abs_logit_diff=2.0, tolerance=1.0, label_agreement=0.9, min_label_agreement=0.98
    )
    assert accepted_limits(parity) == pytest.approx((3.0, 0.88))
    better = parity.model_copy(update={"max_abs_logit_diff": 0.1, "label_agreement": 1.0})
    assert accepted_limits(better) == pytest.approx((1.0, 0.98))


REFERENCE = [np.array([1.0, 0.9])] * 60
CHANGED = [np.array([0.9, 1.0])] * 6 + REFERENCE[6:]


def publish_table(store: Path, found: list[np.ndarray], served: list[np.ndarray] | None = None) -> Bundle:
    """Publish a bundle with an accepted int8 file; `served` replaces the file's logits after its check."""
    staging = new_staging(store, "table")
    draft = table_bundle(staging, REFERENCE)
    outcome = make_variant(draft, recipe_of(found), (), ValidationRows(60), lambda _: None)
    assert outcome.entry is not None
    assert outcome.problem
    parity = outcome.entry.parity.model_copy(update={"accepted_by_user": True})
    if served is not None:
        save_table(staging / outcome.entry.file, np.stack(served))
    fp32 = draft.manifest.variants["fp32"]
    exact = compare(np.stack(REFERENCE), np.stack(REFERENCE), tolerance=1e-3, min_label_agreement=1)
    variants = {
        "fp32": fp32.model_copy(update={"parity": exact}),
        "int8": outcome.entry.model_copy(update={"parity": parity}),
    }
    published = draft.manifest.model_copy(
        update={
            "variants": variants,
            "skipped_variants": {"fp16": "conversion failed: ValueError"},
            "version": "",
        }
    )
    return publish(staging, published, store)


def run(command: Callable[..., Any] | typer.Typer, *words: str) -> Any:
    app = command if isinstance(command, typer.Typer) else typer.Typer()
    if not isinstance(command, typer.Typer):
        app.command()(command)
    return CliRunner().invoke(app, words, env={"COLUMNS": "200"}, standalone_mode=False)


def test_verify_reports_an_accepted_variant_and_exits_with_0(tmp_path: Path) -> None:
    publish_table(tmp_path, CHANGED)
    result = run(verify, "table", "--bundle-store", str(tmp_path))
    assert result.exception is None, result.output
    assert "accepted" in next(line for line in result.output.splitlines() if "│ int8 " in line)
    assert "int8 did not pass its parity check at export; only --variant int8 uses it" in result.output


def test_verify_fails_if_an_accepted_variant_is_worse_than_at_export(tmp_path: Path) -> None:
    publish_table(tmp_path, CHANGED, served=[np.array([0.9, 1.0])] * 10 + REFERENCE[10:])
    result = run(verify, "table", "--bundle-store", str(tmp_path))
    assert isinstance(result.exception, BundleError)
    assert "variant int8 on cpu" in str(result.exception)


def test_bundles_show_names_accepted_and_left_out_variants(tmp_path: Path) -> None:
    publish_table(tmp_path, CHANGED)
    text = run(bundles, "show", "table", "--bundle-store", str(tmp_path)).output
    assert "refused, accepted" in text
    assert "int8: same decision for 90.00% of 60 decisions (95% interval 79.5% to 96.2%)" in text
    assert "left out      fp16: conversion failed: ValueError" in text


def test_a_bundle_of_an_earlier_version_is_still_read_and_verified(tmp_path: Path) -> None:
    bundle = publish_table(tmp_path, CHANGED)
    file = bundle.path / "labelstream.json"
    fields = orjson.loads(file.read_bytes())
    del fields["skipped_variants"], fields["variants"]["int8"]
    del fields["files"]["onnx/model_int8.onnx"]
    (bundle.path / "onnx/model_int8.onnx").unlink()
    parity = fields["variants"]["fp32"]["parity"]
    for new in ("real", "verdict", "accepted_by_user"):
        parity.pop(new, None)
    file.write_bytes(orjson.dumps(fields))
    opened = open_bundle("table", tmp_path)
    assert not opened.manifest.is_accepted_by_user("fp32")
    result = run(verify, "table", "--bundle-store", str(tmp_path))
    assert result.exception is None, result.output


STRICT = replace(INT8, limits=ParityLimits(1e-6, 0.98))


@pytest.mark.parametrize("accepted", [(), ("int8",)])
def test_an_export_publishes_a_failed_variant_only_if_it_is_accepted(
    tmp_path: Path, accepted: tuple[str, ...]
) -> None:
    bundle, observed = build(tmp_path, plan=VariantPlan([STRICT], accepted))
    (warning,) = observed.warnings
    assert ("int8" in bundle.manifest.variants) == bool(accepted)
    if accepted:
        assert warning.startswith("variant int8 is published because of --accept-variant: refused: ")
        assert open_bundle(bundle.path).manifest.is_accepted_by_user("int8")
    else:
        assert warning.startswith("variant int8 is skipped: refused: ")
        assert "to publish it as it is: --accept-variant int8" in warning
        assert bundle.manifest.skipped_variants["int8"].startswith("refused: ")
        assert "row " not in bundle.manifest.skipped_variants["int8"]
        assert not (bundle.path / INT8.file).exists()


def test_a_variant_that_passes_is_not_recorded_as_accepted(tmp_path: Path) -> None:
    lenient = replace(INT8, limits=ParityLimits(50, 0.1))
    bundle, observed = build(tmp_path, plan=VariantPlan([lenient], ("int8",)))
    assert observed.warnings == []
    assert not bundle.manifest.is_accepted_by_user("int8")
    assert bundle.manifest.variants["int8"].parity.verdict == "passed"


def test_a_variant_that_cannot_be_converted_cannot_be_accepted(tmp_path: Path) -> None:
    def broken(fp32: Path, file: Path, calibration: object) -> None:
        raise ValueError(f"no such operator in {fp32}")

    bundle, observed = build(tmp_path, plan=VariantPlan([replace(INT8, make=broken)], ("int8",)))
    assert list(bundle.manifest.variants) == ["fp32"]
    assert "no such operator" in observed.warnings[0]
    assert bundle.manifest.skipped_variants == {"int8": "conversion failed: ValueError"}


def test_training_rows_complete_the_reference(tmp_path: Path) -> None:
    observed = RecordingObserver()
    bundle, observed = build(tmp_path, plan=VariantPlan([]), more_rows=["one more", "another", "one more"])
    texts = [
        orjson.loads(line)["text"] for line in (bundle.path / "reference.jsonl").read_bytes().splitlines()
    ]
    assert texts[12:14] == ["one more", "another"]
    assert observed.stages["verify"][0] == observed.stages["verify"][1] == 2 * len(texts)
