"""The flags of `labelstream train` that say what is learnt and how; Hugging Face's spellings are accepted."""

from pathlib import Path
from typing import Annotated

import typer

_TASK = "What is learnt"
_TRAINING = "Training"
_IMBALANCE = "Classes of unequal size"
_LAYERS = "What of the model learns"

Task = Annotated[
    str,
    typer.Option(help="single-label, multi-label, regression, pair or token.", rich_help_panel=_TASK),
]
Ordinal = Annotated[
    bool,
    typer.Option("--ordinal", help="Labels are numbers whose order counts: 1 to 5.", rich_help_panel=_TASK),
]
Head = Annotated[
    str, typer.Option("--head", help="linear, or mlp with one hidden layer.", rich_help_panel=_TASK)
]
SubwordsFlag = Annotated[
    str,
    typer.Option(
        "--subwords",
        help="Of a word's sub-words the first is tagged, or all.",
        rich_help_panel=_TASK,
    ),
]
BaseModel = Annotated[
    str | None,
    typer.Option(
        "--base-model",
        "--model_name_or_path",
        help="Folder or Hub id.",
        show_default="all-MiniLM-L6-v2, installed with the trainer",
        rich_help_panel=_TRAINING,
    ),
]
Epochs = Annotated[
    int,
    typer.Option(
        "--epochs",
        "--num_train_epochs",
        min=1,
        help="At most; training stops early when nothing gets better.",
        rich_help_panel=_TRAINING,
    ),
]
Patience = Annotated[
    int,
    typer.Option(
        "--patience",
        "--early_stopping_patience",
        min=1,
        help="Epochs that may bring nothing better before it stops.",
        rich_help_panel=_TRAINING,
    ),
]
BatchSize = Annotated[
    int,
    typer.Option(
        "--batch-size",
        "--per_device_train_batch_size",
        min=1,
        help="Texts that the device holds at once.",
        rich_help_panel=_TRAINING,
    ),
]
GradientAccumulation = Annotated[
    int,
    typer.Option(
        "--gradient-accumulation",
        "--gradient_accumulation_steps",
        min=1,
        help="Batches to a step.",
        rich_help_panel=_TRAINING,
    ),
]
LearningRate = Annotated[
    float,
    typer.Option(
        "--learning-rate",
        "--learning_rate",
        min=1e-9,
        help="At its peak; larger models want less, such as 2e-5.",
        rich_help_panel=_TRAINING,
    ),
]
WeightDecay = Annotated[
    float,
    typer.Option(
        "--weight-decay",
        "--weight_decay",
        min=0.0,
        help="Of all weights but biases and norms.",
        rich_help_panel=_TRAINING,
    ),
]
Warmup = Annotated[
    float,
    typer.Option(
        "--warmup",
        "--warmup_ratio",
        min=0.0,
        max=1.0,
        help="Share of the steps in which the learning rate rises.",
        rich_help_panel=_TRAINING,
    ),
]
Scheduler = Annotated[
    str,
    typer.Option(
        "--scheduler",
        "--lr_scheduler_type",
        help="How it falls: linear, cosine, constant or constant_with_warmup.",
        rich_help_panel=_TRAINING,
    ),
]
PrecisionFlag = Annotated[
    str,
    typer.Option(
        "--precision",
        help="Of the arithmetic: auto (bf16 or fp16 where that is faster), fp32, bf16 or fp16.",
        rich_help_panel=_TRAINING,
    ),
]
Bf16 = Annotated[bool, typer.Option("--bf16", hidden=True)]
Fp16 = Annotated[bool, typer.Option("--fp16", hidden=True)]
LabelSmoothing = Annotated[
    float,
    typer.Option(
        "--label-smoothing",
        "--label_smoothing_factor",
        min=0.0,
        max=0.99,
        help="Share of a target that is spread over all labels.",
        rich_help_panel=_TRAINING,
    ),
]
Seed = Annotated[
    int,
    typer.Option(min=0, max=2**32 - 1, help="Decides splits, head and order.", rich_help_panel=_TRAINING),
]
CheckpointsFlag = Annotated[
    Path | None,
    typer.Option("--checkpoints", help="Folder to keep checkpoints in.", rich_help_panel=_TRAINING),
]
Resume = Annotated[
    Path | None,
    typer.Option(
        "--resume",
        "--resume_from_checkpoint",
        help="Folder of --checkpoints to go on from, with the same flags.",
        rich_help_panel=_TRAINING,
    ),
]
ClassWeights = Annotated[
    str | None,
    typer.Option(
        help="Rare labels weigh more in the loss: inverse, sqrt_inverse or effective.",
        rich_help_panel=_IMBALANCE,
    ),
]
LossFlag = Annotated[
    str,
    typer.Option("--loss", help="default, or focal: hard rows weigh more.", rich_help_panel=_IMBALANCE),
]
Gamma = Annotated[
    float,
    typer.Option(
        "--focal-gamma", min=0.0, help="How much more; 0 is the plain loss.", rich_help_panel=_IMBALANCE
    ),
]
SamplingFlag = Annotated[
    str | None,
    typer.Option(
        "--sampling",
        help="over repeats rows of rare labels, under leaves out rows of frequent ones.",
        rich_help_panel=_IMBALANCE,
    ),
]
Augment = Annotated[
    str | None,
    typer.Option(
        help="Add altered copies of the rows: dropout,swap,noise, or all.", rich_help_panel=_IMBALANCE
    ),
]
FreezeLayers = Annotated[
    int,
    typer.Option(
        min=0, help="Lowest layers that do not learn, embeddings included.", rich_help_panel=_LAYERS
    ),
]
LayerDecay = Annotated[
    float,
    typer.Option(
        min=0.01,
        max=1.0,
        help="A layer learns by this factor slower than the one above it.",
        rich_help_panel=_LAYERS,
    ),
]
LoraFlag = Annotated[
    bool,
    typer.Option("--lora", help="Train low-rank adapters; needs the extra `lora`.", rich_help_panel=_LAYERS),
]
LoraRank = Annotated[int, typer.Option(min=1, help="Rank of the adapters.", rich_help_panel=_LAYERS)]
LoraAlpha = Annotated[int, typer.Option(min=1, help="alpha / rank scales them.", rich_help_panel=_LAYERS)]
