"""The tokens of a long text are the same whether the text is cut by characters first or not."""

import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from tokenizers import (
    AddedToken,
    Regex,
    Tokenizer,
    decoders,
    models,
    normalizers,
    pre_tokenizers,
    processors,
    trainers,
)

from stream.classify.long_texts import MIN_CHARS, LongTexts
from stream.classify.pair_truncation import truncate_pair
from tests.real.kinds import make_tokenizer

MAX_LENGTH = 24
CORPUS = [
    "the quick brown fox jumps over the lazy dog and runs away",
    "my card was charged twice, where is my refund? it's been 14 days",
    "où est mon café naïve über straße Ångström İstanbul",
    "привет мир это очень длинный текст про заказ",
    "这是一个很长的文本 我的卡被扣了两次 中文 テキスト 한국어 문장",
    "नमस्ते दुनिया यह एक लंबा पाठ है سلام دنیا שלום עולם",
    "snake_case CamelCase 3.14 1,000,000 foo@bar.com https://example.com/a?b=c",
]


@dataclass(frozen=True)
class Built:
    """A tokenizer and whether long texts are cut before it."""

    make: Callable[[], Tokenizer]
    is_cut: bool


def _train(tokenizer: Tokenizer, trainer: Any) -> Tokenizer:
    tokenizer.train_from_iterator(CORPUS * 4, trainer)
    return tokenizer


def wordpiece(**options: Any) -> Tokenizer:
    """BERT: normalizer, pre-tokenizer and template."""
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]", max_input_chars_per_word=40))
    tokenizer.normalizer = normalizers.BertNormalizer(**options)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    _train(tokenizer, trainers.WordPieceTrainer(vocab_size=400, special_tokens=special, show_progress=False))
    tokenizer.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    return tokenizer


def byte_level(*, mask: AddedToken | None = None, use_regex: bool = True) -> Tokenizer:
    """RoBERTa, or ModernBERT with its added runs of spaces."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.normalizer = normalizers.NFC()
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=use_regex)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    special = ["<s>", "</s>", "<pad>"]
    trainer = trainers.BpeTrainer(
        vocab_size=500, special_tokens=special, initial_alphabet=alphabet, show_progress=False
    )
    _train(tokenizer, trainer)
    tokenizer.add_tokens([AddedToken("  ", normalized=True), AddedToken("    ", normalized=True)])
    if mask is not None:
        tokenizer.add_special_tokens([mask])
    tokenizer.post_processor = processors.RobertaProcessing(("</s>", 1), ("<s>", 0), trim_offsets=True)
    return tokenizer


def unigram(pre_tokenizer: Any) -> Tokenizer:
    """XLM-RoBERTa, ALBERT and DeBERTa: SentencePiece's normalization and words that begin with a mark."""
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.normalizer = normalizers.Sequence(
        [
            normalizers.Replace("``", '"'),
            normalizers.Nmt(),
            normalizers.NFKC(),
            normalizers.Replace(Regex(" {2,}"), " "),
            normalizers.Strip(),
            normalizers.Lowercase(),
        ]
    )
    tokenizer.pre_tokenizer = pre_tokenizer
    trainer = trainers.UnigramTrainer(
        vocab_size=260, special_tokens=["<s>", "</s>", "<unk>"], unk_token="<unk>", show_progress=False
    )
    _train(tokenizer, trainer)
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", pair="<s> $A </s> </s> $B </s>", special_tokens=[("<s>", 0), ("</s>", 1)]
    )
    return tokenizer


def bpe(pre_tokenizer: Any, **model: Any) -> Tokenizer:
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>", **model))
    tokenizer.pre_tokenizer = pre_tokenizer
    trainer = trainers.BpeTrainer(vocab_size=400, special_tokens=["<unk>"], show_progress=False)
    return _train(tokenizer, trainer)


def with_added(*tokens: AddedToken | str) -> Tokenizer:
    tokenizer = wordpiece()
    tokenizer.add_tokens([*tokens])
    return tokenizer


MASK = AddedToken("<mask>", lstrip=True, rstrip=True, special=True)
WORD = AddedToken("card", single_word=True, normalized=True)
SPLIT = pre_tokenizers.Split(Regex(r"\p{L}+ \p{L}+|\p{L}+"), "isolated")
TOKENIZERS = {
    "bert": Built(wordpiece, True),
    "bert-cased": Built(lambda: wordpiece(lowercase=False, strip_accents=False), True),
    "bert-no-cjk": Built(lambda: wordpiece(handle_chinese_chars=False, clean_text=False), True),
    "tests": Built(make_tokenizer, True),
    "roberta": Built(byte_level, True),
    "roberta-mask": Built(lambda: byte_level(mask=MASK), True),
    "bert-added": Built(lambda: with_added("[X]", WORD), True),
    "metaspace": Built(lambda: unigram(pre_tokenizers.Metaspace()), True),
    "xlm": Built(
        lambda: unigram(
            pre_tokenizers.Sequence([pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Metaspace()])
        ),
        True,
    ),
    "digits": Built(
        lambda: bpe(
            pre_tokenizers.Sequence(
                [
                    pre_tokenizers.Digits(individual_digits=True),
                    pre_tokenizers.Punctuation("merged_with_next"),
                    pre_tokenizers.ByteLevel(add_prefix_space=True),
                ]
            )
        ),
        True,
    ),
    "word-end": Built(lambda: bpe(pre_tokenizers.Whitespace(), end_of_word_suffix="</w>"), True),
    # Tokens of these may reach across a space, or are random.
    "no-pre-tokenizer": Built(lambda: bpe(pre_tokenizers.Digits()), False),
    "regex": Built(lambda: bpe(SPLIT), False),
    "byte-level-no-regex": Built(lambda: byte_level(use_regex=False), False),
    "metaspace-no-split": Built(lambda: unigram(pre_tokenizers.Metaspace(split=False)), False),
    "ideographs": Built(lambda: with_added("中文"), False),
    "phrase": Built(lambda: with_added("card was"), False),
    "dropout": Built(lambda: bpe(pre_tokenizers.Whitespace(), dropout=0.1), False),
}
CUT = [name for name, built in TOKENIZERS.items() if built.is_cut]

PIECES = [
    *(word for line in CORPUS for word in line.split()),
    *("a", "I", "1", "twice,", "...", "!", "don't", "x" * 45, "é" * 3, "e\u0301", "İ", "ß", "ﬁ", "①", "ﷺ"),
    *(
        "👩‍👩‍👧‍👦",
        "👍🏽",
        "🇩🇪🇫🇷",
        "\u0600",
        "\u0e33",
        "ำ",
        "ﾞ",
        "\u200d",
        "\ufeff",
        "\u00ad",
        "\u2581",
        "▁a",
        "Ġ",
    ),
    *(
        "中",
        "中文",
        "国中",
        "한국",
        "ยาวมาก",
        "हि",
        "क्ष",
        "ก็",
        "\u0301",
        "``",
        "''",
        "<mask>",
        "[X]",
        "[MASK]",
    ),
    *("<s>", "</s>", "card", "\x00", "\x01", "\u2028", "٣", "Ⅷ", "ǅ", "ﬀ", "½"),
]
GAPS = [
    " ",
    " ",
    " ",
    " ",
    "  ",
    "   ",
    "\n",
    "\t",
    "\r\n",
    "\u00a0",
    "\u3000",
    "",
    ",",
    " - ",
    "\u200b",
    " \u0301",
]
LENGTHS = [MAX_LENGTH, 128]


@pytest.fixture(scope="module")
def tokenizers() -> dict[str, Tokenizer]:
    return {name: built.make() for name, built in TOKENIZERS.items()}


@st.composite
def long_texts(draw: st.DrawFn) -> str:
    """Draw a text of several thousand characters from a few pieces, repeated at random."""
    pieces = draw(st.lists(st.sampled_from(PIECES) | st.text(max_size=6), min_size=1, max_size=12))
    gaps = draw(st.lists(st.sampled_from(GAPS), min_size=1, max_size=4))
    seed, chars = draw(st.integers(0, 2**16)), draw(st.integers(1, 4 * MIN_CHARS))
    chosen = random.Random(seed)
    parts: list[str] = []
    length = 0
    while length < chars:
        parts += [chosen.choice(pieces), chosen.choice(gaps)]
        length += max(1, len(parts[-2]) + len(parts[-1]))
    return draw(st.sampled_from(["", " ", "\n"])) + "".join(parts).encode("utf-8", "replace").decode()


def seen(encoding: Any, windows: int = 1) -> list[tuple[Any, ...]]:
    """Return all that a model and a head read of an encoding."""
    return [
        (e.ids, e.type_ids, e.offsets, e.word_ids, e.special_tokens_mask, e.tokens, e.sequence_ids)
        for e in ([encoding] if windows == 1 else [encoding, *encoding.overflowing][:windows])
    ]


def check(
    tokenizer: Tokenizer,
    texts: Sequence[Any],
    max_length: int = MAX_LENGTH,
    windows: int = 1,
    stride: int = 0,
) -> list[int]:
    """Compare the encodings of whole and of cut texts; return the characters that were encoded of each."""
    tokenizer.enable_truncation(max_length, stride=stride, strategy="longest_first")
    encoded: list[int] = []

    def encode(parts: Sequence[Any]) -> list[Any]:
        encoded.extend(len(part) if isinstance(part, str) else sum(map(len, part)) for part in parts)
        return tokenizer.encode_batch(parts)

    cut = LongTexts(tokenizer, max_length, windows, stride).encode(encode, texts)
    for of_cut, of_whole in zip(cut, tokenizer.encode_batch(texts), strict=True):
        assert seen(of_cut, windows) == seen(of_whole, windows)
    return encoded


@pytest.mark.parametrize("name", CUT)
@settings(max_examples=15, deadline=None)
@given(text=long_texts(), max_length=st.sampled_from(LENGTHS))
@example(text="x" * 100_000, max_length=MAX_LENGTH)
@example(text="中" * 100_000, max_length=MAX_LENGTH)
@example(text=" " * 100_000 + "a b", max_length=MAX_LENGTH)
@example(text=("a" + " " * 300) * 100 + "b c " * 3_000, max_length=128)
@example(text="supercalifragilistic " * 5_000, max_length=128)
@example(text="<mask> a <mask>b  <mask> " * 900, max_length=128)
def test_a_cut_changes_no_token(
    tokenizers: dict[str, Tokenizer], name: str, text: str, max_length: int
) -> None:
    check(tokenizers[name], [text], max_length)


@pytest.mark.parametrize("name", [name for name in TOKENIZERS if name != "dropout"])
@settings(max_examples=25, deadline=None)
@given(
    texts=st.lists(
        st.lists(st.sampled_from(PIECES), max_size=60).map(" ".join) | st.text(max_size=20),
        min_size=1,
        max_size=2,
    ),
    max_length=st.integers(5, 70),
    fast=st.booleans(),
)
@example(texts=["a b c " * 9, "a b c " * 9], max_length=24, fast=True)
@example(texts=["a b c " * 9, "a b c " * 9], max_length=25, fast=True)
@example(texts=["", "a b c " * 9], max_length=5, fast=False)
def test_a_pair_is_truncated_as_the_tokenizer_does(
    tokenizers: dict[str, Tokenizer], name: str, texts: list[str], max_length: int, fast: bool
) -> None:
    tokenizer = tokenizers[name]
    encode = tokenizer.encode_batch_fast if fast else tokenizer.encode_batch
    given: Any = texts[0] if len(texts) == 1 else tuple(texts)
    tokenizer.no_truncation()
    ours = truncate_pair(encode([given])[0], max_length)
    tokenizer.enable_truncation(max_length, strategy="longest_first")
    assert seen(ours) == seen(encode([given])[0])


def test_two_long_texts_with_a_small_maximum_length_take_no_time(tmp_path: Path) -> None:
    from stream.bundle import Bundle
    from stream.classify import TextInput, Tokeniser
    from tests.real.kinds import BY_NAME, make_bundle_of

    bundle = make_bundle_of(BY_NAME["pair"], tmp_path)
    short = bundle.manifest.model_copy(update={"max_length": 9})
    text = "über my card, " * 4_000
    started = time.process_time()
    (tokens,) = Tokeniser(Bundle(bundle.path, short, bundle.digest)).encode([TextInput(text, text)])
    assert len(tokens) == 9
    assert time.process_time() - started < 10


# The tokenizer combines all windows of one text with all of the other, so two long texts take it seconds.
@pytest.mark.parametrize("name", ["bert", "roberta", "xlm"])
@settings(max_examples=15, deadline=None)
@given(
    first=long_texts(),
    second=st.lists(st.sampled_from(PIECES), max_size=40).map(" ".join),
    max_length=st.integers(24, 90),
)
@example(first="my card " * 700, second="it's my café " * 700, max_length=128)
@example(first="my card " * 700, second="it's my café " * 700, max_length=129)
@example(first="my card " * 700, second="a b " * 30, max_length=128)
@example(first="my card " * 700, second="a b " * 30, max_length=129)
@example(first="my card " * 700, second="a b " * 31, max_length=128)
def test_a_cut_changes_no_token_of_a_pair(
    tokenizers: dict[str, Tokenizer], name: str, first: str, second: str, max_length: int
) -> None:
    check(tokenizers[name], [(first, second), (second, first), first], max_length)


@pytest.mark.parametrize("name", ["bert", "roberta", "xlm"])
@settings(max_examples=15, deadline=None)
@given(text=long_texts(), windows=st.integers(1, 20), stride=st.integers(0, 15))
def test_a_cut_changes_no_window(
    tokenizers: dict[str, Tokenizer], name: str, text: str, windows: int, stride: int
) -> None:
    check(tokenizers[name], [text, "a b"], 20, windows, stride)


@pytest.mark.parametrize("name", TOKENIZERS)
def test_only_tokenizers_whose_tokens_end_at_spaces_get_a_part_of_the_text(
    tokenizers: dict[str, Tokenizer], name: str
) -> None:
    text = "my card was charged twice " * 4_000
    tokenizer = tokenizers[name]
    tokenizer.enable_truncation(MAX_LENGTH)
    lengths: list[int] = []

    def encode(parts: Sequence[str]) -> list[Any]:
        lengths.extend(map(len, parts))
        return tokenizer.encode_batch(parts)

    LongTexts(tokenizer, MAX_LENGTH, 1, 0).encode(encode, [text])
    assert lengths == [len(text)] if not TOKENIZERS[name].is_cut else lengths[0] < 2 * MIN_CHARS


def test_a_text_of_few_tokens_is_encoded_further(tokenizers: dict[str, Tokenizer]) -> None:
    gaps = ("a b" + " " * 2_000) * 60
    lengths = check(tokenizers["bert"], [gaps], 128)
    assert len(lengths) > 1
    assert lengths == sorted(lengths)


@pytest.mark.parametrize(
    ("first", "second", "is_cut"),
    [
        ("my card " * 10_000, "a b c", True),
        ("a b c", "my card " * 10_000, True),
        ("my card " * 10_000, "a b c " * 10, False),
        ("my card " * 700, "my card " * 800, False),
    ],
)
def test_a_pair_is_cut_if_one_text_has_less_than_half_of_the_tokens(
    tokenizers: dict[str, Tokenizer], first: str, second: str, is_cut: bool
) -> None:
    lengths = check(tokenizers["bert"], [(first, second)], 40)
    whole = len(first) + len(second)
    assert (lengths[-1] < whole) == is_cut


def test_chinese_text_is_cut_between_ideographs(tokenizers: dict[str, Tokenizer]) -> None:
    assert max(check(tokenizers["bert"], ["这是一个很长的文本" * 9_000], 128)) < 2 * MIN_CHARS
    assert max(check(tokenizers["ideographs"], ["这是一个很长的文本" * 9_000], 128)) == 81_000


def test_the_tokeniser_has_the_cut_as_an_option(tmp_path: Path) -> None:
    from stream.classify import TextInput, Tokeniser
    from tests.real.kinds import BY_NAME, make_bundle_of

    text = "über my card, my parcel; " * 4_000
    for name in ("single", "token", "token-windows", "windows-max", "metadata"):
        bundle = make_bundle_of(BY_NAME[name], tmp_path)
        cut = Tokeniser(bundle).encode([TextInput(text)])[0]
        whole = Tokeniser(bundle, cut_long_texts=False).encode([TextInput(text)])[0]
        assert cut.ids == whole.ids
        if name != "single":
            assert cut.text == whole.text == text  # type: ignore[attr-defined]
            assert cut.offsets == whole.offsets  # type: ignore[attr-defined]
