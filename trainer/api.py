"""Training as a function, for notebooks and programs."""

from pathlib import Path
from typing import Any

from rich.console import Console

from stream.bundle import Bundle
from stream.errors import UsageError
from stream.sample import sample_path
from trainer.config import TrainingConfig
from trainer.data.examples import Data
from trainer.data.in_memory import NAME, tables_of
from trainer.data.read import read_data
from trainer.model.base_location import resolve_base_model
from trainer.processes import process_count


def train(data: Any, config: TrainingConfig, console: Console) -> Bundle:
    """Train, evaluate and publish a bundle; the arguments are those of `trainer.train`."""
    if process_count() > 1:
        raise UsageError(
            "trainer.train does not train with several processes",
            cause="torchrun or accelerate has started this program more than once",
            fix="use torchrun --nproc-per-node 2 -m trainer train …",
        )
    base = resolve_base_model(config.base_model, config.bundle_store, config.revision)
    examples = _read(data, config)
    from trainer.checks import check_machine
    from trainer.report import show_data
    from trainer.run import run

    check_machine(config)
    show_data(console, examples)
    bundle = run(examples, config, base, console)
    assert bundle is not None, "the only process publishes"
    return bundle


def _read(data: Any, config: TrainingConfig) -> Data:
    if data is not None and not isinstance(data, str | Path):
        config.data.source(NAME)
        return read_data(NAME, config.data, tables_of(data))
    source = config.data.source(None if data is None else str(data))
    return read_data(sample_path() if source == "sample" else source, config.data)
