"""The PyTorch weights in a bundle: a worker starts without them, every other reader verifies them."""

import json
from pathlib import Path

import pytest

from stream.bundle import open_bundle
from stream.errors import BundleError
from tests.real.kinds import BY_NAME, make_bundle_of
from tests.unit.bad_bundles import GRAPH, relist

WEIGHTS = "model.safetensors"


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    folder = make_bundle_of(BY_NAME["single"], tmp_path).path
    (folder / WEIGHTS).write_bytes(b"weights")
    relist(folder, WEIGHTS)
    return folder


def test_a_worker_opens_a_copy_whose_weights_are_missing_or_changed(bundle: Path) -> None:
    assert WEIGHTS in open_bundle(bundle).stamps
    (bundle / WEIGHTS).write_bytes(b"changed")
    with pytest.raises(BundleError, match=f"{WEIGHTS} in the bundle .* was changed"):
        open_bundle(bundle)
    assert open_bundle(bundle, weights=False).stamps
    (bundle / WEIGHTS).unlink()
    with pytest.raises(BundleError, match=f"{WEIGHTS} is missing"):
        open_bundle(bundle)
    opened = open_bundle(bundle, weights=False)
    assert WEIGHTS not in opened.stamps
    opened.check_unchanged()


def test_weights_that_the_manifest_does_not_list_are_refused_by_a_worker(bundle: Path) -> None:
    (bundle / "other.safetensors").write_bytes(b"unlisted")
    with pytest.raises(BundleError, match="not covered by a digest"):
        open_bundle(bundle, weights=False)


@pytest.mark.parametrize("graph", ["onnx/model.onnx", "model.onnx"])
def test_a_worker_verifies_weights_that_a_graph_reads(bundle: Path, graph: str) -> None:
    import onnx

    model = onnx.load(bundle / GRAPH)
    (bundle / GRAPH).unlink()
    weights = (Path(graph).parent / WEIGHTS).as_posix()
    (bundle / weights).unlink(missing_ok=True)
    onnx.save(model, bundle / graph, save_as_external_data=True, location=WEIGHTS, size_threshold=0)
    manifest = json.loads((bundle / "labelstream.json").read_text())
    manifest["files"].pop(GRAPH)
    manifest["variants"]["fp32"]["file"] = graph
    (bundle / "labelstream.json").write_text(json.dumps(manifest))
    relist(bundle, graph, WEIGHTS, weights)
    open_bundle(bundle)
    (bundle / weights).write_bytes((bundle / weights).read_bytes()[::-1])
    with pytest.raises(BundleError, match=r"was changed|does not fit its manifest"):
        open_bundle(bundle, weights=False)
