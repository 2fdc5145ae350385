"""A bundle written by labelstream 0.1.0, with transformers 4 and optimum-onnx, is still served."""

from pathlib import Path

import numpy as np

from stream.bundle import open_bundle
from stream.classify import Tokeniser
from stream.runtime import OnnxRuntime
from stream.verify import infer_all, read_reference

FOLDER = Path(__file__).parents[1] / "real" / "bundle_0_1_0"


def test_a_bundle_of_version_0_1_0_gives_the_logits_of_its_reference() -> None:
    bundle = open_bundle(FOLDER)
    assert bundle.manifest.libraries["transformers"].startswith("4.")
    rows, reference = read_reference(bundle)
    logits = infer_all(OnnxRuntime(bundle, "fp32"), Tokeniser(bundle), rows)
    np.testing.assert_allclose(logits, reference, atol=1e-5)
