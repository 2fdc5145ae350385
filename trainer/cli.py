"""`labelstream train`: early refusals, then on to `trainer.run`; nothing heavy is imported before."""

import signal
from pathlib import Path
from typing import Any, NoReturn, cast, get_args

from rich.console import Console

from stream.bundle.manifest import Task, Windows
from stream.errors import UsageError
from stream.sample import sample_path
from trainer import flags
from trainer import training_flags as training
from trainer.checks import bundle_name, check_request, one_of
from trainer.data.augment import METHODS, Method
from trainer.data.read import read_data
from trainer.model.base_model import resolve_base_model, stay_offline
from trainer.recipe import HeadName, Lora, LossName, Precision, Recipe, Scheduler, Subwords
from trainer.request import Checkpoints, Imbalance, Request, Sampling, Strategy


def train(
    data: flags.DataFile,
    task: training.Task = "single-label",
    ordinal: training.Ordinal = False,
    head: training.Head = "linear",
    subwords: training.SubwordsFlag = "first",
    text_column: flags.TextColumn = None,
    label_column: flags.LabelColumn = None,
    label_columns: flags.LabelColumns = None,
    label_separator: flags.LabelSeparator = None,
    label_names: flags.LabelNames = None,
    group_column: flags.GroupColumn = None,
    validation_file: flags.ValidationFile = None,
    test_file: flags.TestFile = None,
    extra_train: flags.ExtraTrain = None,
    no_header: flags.NoHeader = False,
    quoting: flags.Quoting = "minimal",
    text_pair_column: flags.TextPairColumn = None,
    metadata_columns: flags.MetadataColumns = None,
    max_length: flags.MaxLength = 256,
    windows: flags.WindowsFlag = False,
    stride: flags.Stride = 32,
    pooling: flags.PoolingFlag = "mean",
    most_windows: flags.MostWindows = 16,
    base_model: training.BaseModel = None,
    epochs: training.Epochs = 5,
    patience: training.Patience = 2,
    batch_size: training.BatchSize = 32,
    gradient_accumulation: training.GradientAccumulation = 1,
    learning_rate: training.LearningRate = 1e-4,
    weight_decay: training.WeightDecay = 0.01,
    warmup: training.Warmup = 0.1,
    scheduler: training.Scheduler = "linear",
    precision: training.PrecisionFlag = "auto",
    bf16: training.Bf16 = False,
    fp16: training.Fp16 = False,
    label_smoothing: training.LabelSmoothing = 0.0,
    seed: training.Seed = 42,
    checkpoints: training.CheckpointsFlag = None,
    resume: training.Resume = None,
    class_weights: training.ClassWeights = None,
    loss: training.LossFlag = "default",
    focal_gamma: training.Gamma = 2.0,
    sampling: training.SamplingFlag = None,
    augment: training.Augment = None,
    freeze_layers: training.FreezeLayers = 0,
    layer_decay: training.LayerDecay = 1.0,
    lora: training.LoraFlag = False,
    lora_rank: training.LoraRank = 8,
    lora_alpha: training.LoraAlpha = 16,
    name: flags.Name = None,
    bundle_store: flags.BundleStore = Path("bundles"),
    abstain_below: flags.AbstainBelow = None,
) -> None:
    """Fine-tune a classifier, test it on held-out rows, export it to ONNX, prove that it says the same.

    The result is BUNDLE_STORE/NAME/VERSION, ready for `labelstream worker --bundle NAME`. Exit code 3 when
    the export is refused; then nothing is written.

        labelstream train sample

        labelstream train tickets.csv --text-column body --label-column team --class-weights sqrt_inverse

        labelstream train posts.jsonl --task multi-label --label-column topics

        labelstream train pairs.tsv --task pair --text-column premise --text-pair-column hypothesis

        labelstream train stars.csv --ordinal --label-column stars --metadata-columns age,channel

        labelstream train similarity.csv --task regression --label-column score --text-pair-column other

        labelstream train ner.conll --task token --max-length 128

        labelstream train reports.parquet --windows --stride 64

        labelstream train reviews.jsonl --base-model distilbert-base-uncased --epochs 3 --learning-rate 5e-5
    """
    # By default SIGTERM would leave checkpoints and a half-made bundle behind.
    signal.signal(signal.SIGTERM, _terminated)
    path = sample_path() if data == "sample" else Path(data)
    chosen = cast(Task, one_of("--task", task, get_args(Task)))
    recipe = Recipe(
        epochs,
        batch_size,
        learning_rate,
        max_length,
        seed,
        gradient_accumulation=gradient_accumulation,
        weight_decay=weight_decay,
        warmup=warmup,
        scheduler=cast(Scheduler, one_of("--scheduler", scheduler, get_args(Scheduler))),
        patience=patience,
        precision=_precision(precision, bf16, fp16),
        head=cast(HeadName, one_of("--head", head, get_args(HeadName))),
        loss=cast(LossName, one_of("--loss", loss, get_args(LossName))),
        gamma=focal_gamma,
        label_smoothing=label_smoothing,
        freeze_layers=freeze_layers,
        layer_decay=layer_decay,
        lora=Lora(lora_rank, lora_alpha) if lora else None,
    )
    request = Request(
        bundle_name(name, path.stem),
        bundle_store,
        resolve_base_model(base_model),
        recipe,
        task=chosen,
        ordinal=ordinal,
        abstain_below=abstain_below or None,
        windows=_windows(stride, pooling, most_windows, max_length) if windows else None,
        subwords=cast(Subwords, one_of("--subwords", subwords, get_args(Subwords))),
        imbalance=Imbalance(
            cast(Strategy, one_of("--class-weights", class_weights, get_args(Strategy)))
            if class_weights
            else None,
            cast(Sampling, one_of("--sampling", sampling, get_args(Sampling))) if sampling else None,
            _augmentations(augment),
        ),
        checkpoints=Checkpoints(resume or checkpoints, resume is not None),
    )
    metadata = _listed(metadata_columns)
    check_request(request, text_pair=text_pair_column is not None)
    columns: dict[str, Any] = {
        "text_column": text_column,
        "label_column": label_column,
        "group_column": group_column,
        "text_pair_column": text_pair_column,
        "metadata_columns": metadata,
        "label_columns": _listed(label_columns),
        "label_separator": label_separator,
    }
    files: dict[str, Any] = {
        "validation_file": validation_file,
        "test_file": test_file,
        "extra_train": extra_train,
        "label_names": label_names,
        "no_header": no_header,
        "quoting": one_of("--quoting", quoting, ("minimal", "none")),
    }
    console = Console()
    read = read_data(path if path.exists() else data, task=chosen, ordinal=ordinal, **columns, **files)
    # Columns may have been guessed.
    check_request(request, text_pair=read.columns.text_pair is not None)
    stay_offline(request.base)
    try:
        with console.status("loading torch and transformers"):
            from trainer.data.report import show_data
            from trainer.model.layers import check_lora
            from trainer.run import run
    except ModuleNotFoundError as exc:
        raise UsageError(
            "`labelstream train` is not installed completely",
            cause=f"the Python module {exc.name} is missing",
            fix="pip install 'labelstream[trainer]'",
        ) from None
    if lora:
        check_lora()
    show_data(console, read)
    run(read, request, console)


def _terminated(number: int, _frame: object) -> NoReturn:
    raise SystemExit(128 + number)


def _listed(given: list[str] | None) -> tuple[str, ...]:
    """Names out of A,B and of a flag that was given more than once."""
    return tuple(name.strip() for part in given or () for name in part.split(",") if name.strip())


def _precision(wanted: str, bf16: bool, fp16: bool) -> Precision:
    if bf16 or fp16:
        return "bf16" if bf16 else "fp16"
    return cast(Precision, one_of("--precision", wanted, get_args(Precision)))


def _windows(stride: int, pooling: str, most: int, max_length: int) -> Windows:
    if stride >= max_length // 2:
        raise UsageError(
            f"--stride {stride} is too much for --max-length {max_length}",
            cause="neighbouring windows share so many tokens that reading hardly moves on",
            fix=f"take less than {max_length // 2}",
        )
    one_of("--pooling", pooling, ("mean", "max"))
    return Windows.model_validate({"stride": stride, "pooling": pooling, "most": most})


def _augmentations(wanted: str | None) -> tuple[Method, ...]:
    if wanted == "all":
        return METHODS
    names = [one_of("--augment", name, (*METHODS, "all")) for name in _listed([wanted or ""])]
    return tuple(cast(Method, name) for name in names)
