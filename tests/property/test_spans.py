"""For any output of a model and a tokenizer, spans lie in the text, in order and without overlaps."""

from itertools import pairwise
from typing import Literal

import numpy as np
import orjson
from hypothesis import given
from hypothesis import strategies as st

from stream.bundle import SpanRules
from stream.classify import Piece, Prediction, bio_spans, split_pieces, word_spans
from stream.classify.heads.spans import bioes_spans, split_tag
from stream.classify.heads.tokens import TokenHead
from stream.classify.windows import MergedTokens, central_positions
from tests.real.kinds import make_tokenizer
from tests.unit.small_bundle import partial_manifest

TAGS = ["O", "B-PER", "I-PER", "B-LOC", "I-LOC", "MISC"]
TEXT = st.text("ab é_1.-😀 \n\u0947क", max_size=30)
SCHEMES = st.sampled_from(["bio", "word"])
SUBWORDS: st.SearchStrategy[Literal["first", "all"]] = st.sampled_from(["first", "all"])


@st.composite
def tagged(draw: st.DrawFn) -> list[tuple[Piece, str, float]]:
    """Draw pieces in order, each with a tag and a score."""
    at, pieces = 0, []
    for number in range(draw(st.integers(0, 12))):
        start = at + draw(st.integers(0, 2))
        at = start + draw(st.integers(1, 4))
        pieces.append((Piece(number, start, at), draw(st.sampled_from(TAGS)), draw(st.floats(0, 1))))
    return pieces


@given(tagged())
def test_bio_spans_cover_every_tagged_piece_and_no_other(pieces: list[tuple[Piece, str, float]]) -> None:
    spans = bio_spans(pieces)
    assert all(span.start < span.end for span in spans)
    assert all(one.end <= other.start for one, other in pairwise(spans))
    for piece, tag, _ in pieces:
        _, kind = split_tag(tag)
        inside = [span for span in spans if span.start <= piece.start and piece.end <= span.end]
        assert [span.type for span in inside] == ([kind] if kind else [])
    assert all(0 <= span.score <= 1 + 1e-12 for span in spans)
    assert len(spans) <= len(pieces)


@given(tagged())
def test_a_span_begins_at_a_b_tag_or_after_another_type(
    pieces: list[tuple[Piece, str, float]],
) -> None:
    starts = []
    before = None
    for piece, tag, _ in pieces:
        prefix, kind = split_tag(tag)
        if kind is not None and (prefix == "B" or kind != before):
            starts.append((piece.start, kind))
        before = kind
    assert [(span.start, span.type) for span in bio_spans(pieces)] == starts


@given(
    tagged(), st.lists(st.sampled_from(["O", *(f"{prefix}-{kind}" for prefix in "BIES" for kind in "XY")]))
)
def test_bioes_spans_are_the_bio_spans_with_a_beginning_after_every_end(
    pieces: list[tuple[Piece, str, float]], tags: list[str]
) -> None:
    bioes = [(piece, tag, score) for (piece, _, score), tag in zip(pieces, tags, strict=False)]
    bio, before = [], "O"
    for piece, tag, score in bioes:
        begins = tag[0] in "BS" or before[0] in "ES"
        bio.append((piece, tag if tag == "O" else f"{'B' if begins else 'I'}-{tag[2:]}", score))
        before = tag
    assert bioes_spans(bioes) == bio_spans(bio)


@given(tagged())
def test_word_spans_makes_every_piece_a_span(pieces: list[tuple[Piece, str, float]]) -> None:
    assert [tuple(span) for span in word_spans(pieces)] == [
        (tag, piece.start, piece.end, score) for piece, tag, score in pieces
    ]


@given(TEXT, st.lists(st.tuples(st.integers(-2, 40), st.integers(-2, 40))), SUBWORDS)
def test_pieces_are_disjoint_and_inside_the_text_for_any_offsets(
    text: str, offsets: list[tuple[int, int]], subwords: Literal["first", "all"]
) -> None:
    pieces = split_pieces(text, offsets, [None] * len(offsets), [0] * len(offsets), subwords)
    assert all(0 <= piece.start < piece.end <= len(text) for piece in pieces)
    assert all(one.end <= other.start for one, other in pairwise(pieces))
    assert not any(text[piece.start].isspace() or text[piece.end - 1].isspace() for piece in pieces)


@given(TEXT, st.data(), SCHEMES, SUBWORDS)
def test_spans_of_a_real_tokenizer_lie_in_the_original_text(
    text: str, data: st.DataObject, scheme: Literal["bio", "word"], subwords: Literal["first", "all"]
) -> None:
    encoding = make_tokenizer().encode(text)
    tokens = MergedTokens(
        text,
        encoding.ids,
        encoding.type_ids,
        encoding.offsets,
        encoding.word_ids,
        encoding.special_tokens_mask,
    )
    head = TokenHead(partial_manifest(labels=TAGS, spans=SpanRules(scheme=scheme, subwords=subwords)))
    seed = data.draw(st.integers(0, 2**16))
    logits = np.random.default_rng(seed).normal(0, 3, (len(tokens), len(TAGS))).astype(np.float32)
    (prediction,) = head.predict([logits], [tokens])
    assert isinstance(prediction, Prediction)
    spans = prediction.fields()["spans"]
    end = 0
    for span in spans:
        assert end <= span["start"] < span["end"] <= len(text)
        assert span["text"] == text[span["start"] : span["end"]]
        assert 0 <= span["score"] <= 1
        end = span["end"]
    assert head.accepts(prediction.stored)
    assert head.possible([prediction.stored], [text]) == [True]
    (restored,) = head.restore([prediction.stored], [text])
    assert restored == prediction._replace(cached=True)


@given(st.integers(1, 40), st.integers(1, 12), st.data())
def test_every_token_of_a_split_text_occurs_once_with_the_most_context(
    tokens: int, room: int, data: st.DataObject
) -> None:
    stride = data.draw(st.integers(0, room - 1))
    starts = [0]
    while starts[-1] + room < tokens:
        starts.append(starts[-1] + room - stride)
    lengths = [min(room, tokens - start) for start in starts]
    positions = central_positions(lengths, stride)
    assert [starts[window] + index for window, index in positions] == list(range(tokens))
    assert [window for window, _ in positions] == sorted(window for window, _ in positions)

    def margin(window: int, index: int) -> int:
        left = index if window else room
        right = lengths[window] - 1 - index if window < len(lengths) - 1 else room
        return min(left, right)

    for token, chosen in enumerate(positions):
        others = [
            (window, token - start)
            for window, start in enumerate(starts)
            if 0 <= token - start < lengths[window]
        ]
        assert margin(*chosen) == max(margin(*other) for other in others)


SCALARS = st.none() | st.booleans() | st.integers(-3, 9) | st.floats(allow_nan=False) | st.text(max_size=2)
NEARLY_SPANS = st.lists(st.tuples(st.just("PER") | SCALARS, SCALARS, SCALARS, SCALARS) | SCALARS, max_size=3)


@given(st.binary(max_size=40) | NEARLY_SPANS.map(orjson.dumps))
def test_any_bytes_are_refused_or_restored(stored: bytes) -> None:
    head = TokenHead(partial_manifest(labels=TAGS))
    if head.accepts(stored):
        (prediction,) = head.restore([stored], ["text"])
        spans = prediction.fields()["spans"]
        assert [[s["type"], s["start"], s["end"]] for s in spans] == [s[:3] for s in orjson.loads(stored)]
