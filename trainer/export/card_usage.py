"""The section of a model card on how to use the bundle, with labelstream and with transformers."""

from stream.bundle import Manifest

TRANSFORMERS_NOTE = (
    "The logits are not divided by the temperature. config.json has it and the other settings of "
    "the bundle in its member `labelstream`."
)


def usage(manifest: Manifest, repository: str, *, weights: bool, own_code: bool) -> str:
    """Return the section.

    Args:
        manifest: the manifest.
        repository: OWNER/NAME on the Hub; empty for a bundle in a folder.
        weights: whether the bundle holds the PyTorch weights.
        own_code: whether transformers needs the code in the bundle to load them.
    """
    bundle = f"hf://{repository}" if repository else manifest.name
    second = " --text-pair '…'" if manifest.takes_pair else ""
    commands = (
        f"```sh\nlabelstream verify {bundle}\nlabelstream predict {bundle} --text '…'{second}\n"
        f"labelstream worker --bundle {bundle}\n```"
    )
    parts = ["## How to use", "### With labelstream", commands]
    if weights:
        code = _transformers(manifest, repository, own_code=own_code)
        parts += ["### With transformers", code, TRANSFORMERS_NOTE]
    return "\n\n".join(parts)


def _transformers(manifest: Manifest, repository: str, *, own_code: bool) -> str:
    kind = "TokenClassification" if manifest.head == "token" else "SequenceClassification"
    trust = ", trust_remote_code=True" if own_code else ""
    texts = "['…'], ['…']" if manifest.takes_pair else "['…']"
    lines = [
        f"from transformers import AutoModelFor{kind}, AutoTokenizer",
        "",
        f"name = {repository!r}" if repository else "name = '.'  # this folder",
        f"model = AutoModelFor{kind}.from_pretrained(name{trust})",
        f"tokenizer = AutoTokenizer.from_pretrained(name{trust})",
        f"batch = tokenizer({texts}, padding=True, truncation=True, return_tensors='pt')",
    ]
    if manifest.metadata:
        columns = ", ".join(f"{column.name!r}: None" for column in manifest.metadata)
        lines.append(f"batch['metadata'] = model.encode_metadata([{{{columns}}}])")
    lines.append("logits = model(**batch).logits")
    return "```python\n" + "\n".join(lines) + "\n```"
