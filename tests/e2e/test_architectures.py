"""Export every architecture, for texts and for tokens, in every variant, with the parity check."""

from pathlib import Path
from typing import Any

import pytest

from stream.bundle import Bundle, SpanRules, open_bundle
from stream.classify import TextInput
from stream.verify import within_tolerance
from tests.real.architectures import ARCHITECTURES, MAX_LENGTH, TAGS, make_architecture
from tests.real.graph_shapes import largest_difference
from tests.real.tiny_bundle import LABELS, TEXTS
from tests.unit.lenient import LENIENT_VARIANTS
from trainer.export.bundle_source import BuildObserver, BundleInfo, BundleSource, InferenceConfig
from trainer.export.package import build_bundle, staging_folder
from trainer.progress import silence_libraries

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("token", [False, True], ids=["texts", "tokens"])
@pytest.mark.parametrize("name", ARCHITECTURES)
def test_an_architecture_is_exported_and_quantised_within_its_limits(
    name: str, token: bool, tmp_path: Path
) -> None:
    silence_libraries()
    warnings: list[str] = []
    model, tokenizer = make_architecture(name, token=token)
    bundle = build(model, tokenizer, name, token, tmp_path, warnings)
    assert warnings == []
    variants = open_bundle(bundle.path).manifest.variants
    assert set(variants) == {"fp32", *(recipe.name for recipe in LENIENT_VARIANTS)}
    for variant, entry in variants.items():
        print(name, token, variant, entry.parity.max_abs_logit_diff, entry.parity.label_agreement)
        assert within_tolerance(entry.parity)
    inputs = bundle.manifest.inputs
    assert largest_difference(model, bundle.path / variants["fp32"].file, inputs) < 1e-5
    assert ("global_attention_mask" in inputs) == (name == "longformer" and not token)


def build(model: Any, tokenizer: Any, name: str, token: bool, folder: Path, warnings: list[str]) -> Bundle:
    inference = InferenceConfig(
        "token" if token else "single-label",
        TAGS if token else LABELS,
        MAX_LENGTH,
        spans=SpanRules() if token else None,
    )
    rows = [TextInput(text) for text in TEXTS]
    source = BundleSource(
        model, tokenizer, inference, BundleInfo(name), rows, calibration=rows, variants=LENIENT_VARIANTS
    )
    with staging_folder(folder, name) as staging:
        return build_bundle(source, staging, folder, BuildObserver(warn=warnings.append))
