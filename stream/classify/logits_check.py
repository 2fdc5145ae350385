"""The check of a loaded model against its manifest, by one inference."""

from stream.bundle import Bundle
from stream.classify.inputs import TextInput
from stream.classify.tokenise import Tokeniser
from stream.errors import BundleError
from stream.runtime import Runtime

PROBE = "a"


def check_logits(runtime: Runtime, tokeniser: Tokeniser, bundle: Bundle) -> None:
    """Check that a model computes one logit for each label; a graph need not declare how many it computes.

    The check calls the runtime from this thread, so it comes before the runtime's own thread starts.

    Raises:
        BundleError: the logits have another shape than the manifest's labels require.
    """
    batch = tokeniser.pad(tokeniser.encode([TextInput(PROBE, PROBE if bundle.manifest.takes_pair else None)]))
    try:
        shape = runtime.infer(batch).shape
    except Exception:  # noqa: BLE001 - the warm-up follows, and reports what the device cannot compute
        return
    labels = len(bundle.manifest.labels)
    width = batch["input_ids"].shape[1]
    expected = (1, width, labels) if bundle.manifest.head == "token" else (1, labels)
    if shape != expected:
        raise BundleError(
            f"the model of {bundle.path} does not fit its manifest",
            cause=f"labels: the logits of one text have the shape {shape}, not {expected}",
            fix="export the model again with this version of labelstream",
        )
