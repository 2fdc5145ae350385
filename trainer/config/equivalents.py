"""Hugging Face's arguments and outputs beside ours: `python -m trainer.config docs/from-huggingface.md`."""

from collections.abc import Iterator, Mapping, Sequence

from trainer.config.hugging_face import UNSUPPORTED
from trainer.config.settings import settings_of
from trainer.config.training import TrainingConfig

SAME_NAME = ("--seed", "--optim", "--project")
"""The flags of one word that Hugging Face has too."""

OUTPUTS: Mapping[str, str] = {
    "model.safetensors, config.json": "the same names in the bundle",
    "tokenizer.json, tokenizer_config.json": "the same names in the bundle",
    "training_args.bin": "metrics.json, section `training`; checkpoints have the file",
    "trainer_state.json": "in each checkpoint of `--checkpoints`",
    "all_results.json, eval_results.json": "metrics.json, sections `validation` and `test`",
    "train_results.json": "metrics.json, section `training`",
    "predict_results.txt, predictions.txt": "`labelstream predict BUNDLE --input FILE`",
    "README.md": "the model card of the bundle",
    "checkpoint-N/": "in the folder of `--checkpoints`",
    "runs/": "`--report-to tensorboard`",
}
"""The files that the scripts write, and where their content is here."""


def equivalents() -> str:
    """Return a table of arguments with our flag or the reason that there is none, and a table of outputs."""
    rows = sorted([*_flags(), *((f"`--{name}`", "", reason) for name, reason in UNSUPPORTED.items())])
    lines = [("Hugging Face", "labelstream", "note"), ("---",) * 3, *rows]
    outputs = [("Hugging Face", "labelstream"), ("---",) * 2, *((f"`{a}`", b) for a, b in OUTPUTS.items())]
    return "\n### Arguments\n\n" + _table(lines) + "\n### Outputs\n\n" + _table(outputs) + "\n"


def _flags() -> Iterator[tuple[str, str, str]]:
    for setting in settings_of(TrainingConfig):
        spellings = {*setting.flag.shorthands}
        spellings |= {alias.removeprefix("--") for alias in setting.flag.aliases if "_" in alias}
        if setting.option in SAME_NAME:
            spellings.add(setting.option.removeprefix("--"))
        for name in spellings:
            yield f"`--{name}`", f"`{setting.option}`", (setting.info.description or "").replace("|", "\\|")


def _table(rows: Sequence[tuple[str, ...]]) -> str:
    return "".join(f"| {' | '.join(cells)} |\n" for cells in rows)
