"""The checks of this machine before a training starts."""

from trainer.config import TrainingConfig
from trainer.export.variants import plan_variants
from trainer.model.layers import check_lora
from trainer.model.memory import check_compiler


def check_machine(config: TrainingConfig) -> None:
    """Check that the libraries and the compiler that the settings need are installed.

    Raises:
        UsageError: a library or the compiler is missing.
    """
    if config.recipe.lora is not None:
        check_lora()
    check_compiler(config.recipe.compute)
    plan_variants(config.variants)
