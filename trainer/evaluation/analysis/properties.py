"""Properties of texts that slices are made of: language, negation, digits, questions and capitals."""

import re
from bisect import bisect_left
from collections import Counter
from collections.abc import Sequence

from trainer.data.examples import Example

MIN_LETTERS = 5
"""The number of letters from which the language of a text is identified."""

MIN_LANGUAGE_PROBABILITY = 0.9
UNCERTAIN_LANGUAGE = "uncertain"

SHORTEST_RANGE = 8
"""The end of the first range of lengths."""

# Words that negate in one of the languages and mean nothing else in the others.
NEGATIONS = (
    *("not", "no", "never", "none", "nothing", "nobody", "nowhere", "neither", "nor", "cannot", "without"),
    *("nicht", "nichts", "kein", "keine", "keinen", "keinem", "keiner", "keines", "niemals", "niemand"),
    *("pas", "jamais", "rien", "aucun", "aucune", "nunca", "jamás", "ningún", "ninguna", "nada"),
    *("não", "nem", "nessuno", "nessuna", "niente", "niet", "geen", "nooit", "не", "нет", "никогда"),
)
NEGATION = re.compile(
    rf"\b(?:{'|'.join(NEGATIONS)})\b|n['’]t\b|\b(?:do|does|did|is|was|ca|wo|could|should|would|have|has)nt\b",
    re.IGNORECASE,
)
DIGIT = re.compile(r"\d")
QUESTION = re.compile("[?\uff1f\u061f\u037e]")
WORD = re.compile(r"[^\W\d_]{3,}")


def text_properties(examples: Sequence[Example], min_rows: int) -> dict[str, list[str]]:
    """Return the value of each property of each row, by the name of the property.

    Args:
        examples: the rows.
        min_rows: the number of rows that two languages need for the property `language`.
    """
    texts = [" ".join(filter(None, (example.text, example.text_pair))) for example in examples]
    properties = {
        "negation": ["with negation" if NEGATION.search(text) else "without negation" for text in texts],
        "digits": ["with digits" if DIGIT.search(text) else "without digits" for text in texts],
        "question": [
            "with a question mark" if QUESTION.search(text) else "without a question mark" for text in texts
        ],
        "upper case": [
            "with a word in capitals" if _has_capitals(text) else "without a word in capitals"
            for text in texts
        ],
    }
    languages = identify_languages(texts)
    counts = Counter(language for language in languages if language != UNCERTAIN_LANGUAGE)
    if sum(count >= min_rows for count in counts.values()) > 1:
        properties["language"] = languages
    return properties


def identify_languages(texts: Sequence[str]) -> list[str]:
    """Return the ISO 639-1 code of the language of each text, or `UNCERTAIN_LANGUAGE`."""
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    identifier = LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)
    found = []
    for text in texts:
        letters = sum(character.isalpha() for character in text)
        language, probability = identifier.classify(text) if letters >= MIN_LETTERS else ("", 0.0)
        found.append(str(language) if probability >= MIN_LANGUAGE_PROBABILITY else UNCERTAIN_LANGUAGE)
    return found


def length_values(lengths: Sequence[int], unit: str, min_rows: int) -> list[str]:
    """Return the length of each row as a range such as "33 to 64 tokens".

    The ranges end at powers of two from 8. A range with fewer than `min_rows` rows is joined with the next
    one, and the last ranges with the one before them.
    """
    counts = Counter(_power_of_two(length) for length in lengths)
    ends: list[int] = []
    rows = 0
    for end in sorted(counts):
        rows += counts[end]
        if rows >= min_rows:
            ends.append(end)
            rows = 0
    last = max(lengths, default=0)
    ends = [*(ends[:-1] if ends else []), last]
    starts = [min(lengths, default=0), *(end + 1 for end in ends[:-1])]
    names = [
        f"{start} {unit}" if start == end else f"{start} to {end} {unit}"
        for start, end in zip(starts, ends, strict=True)
    ]
    return [names[bisect_left(ends, length)] for length in lengths]


def _power_of_two(length: int) -> int:
    return max(SHORTEST_RANGE, 1 << max(0, length - 1).bit_length())


def _has_capitals(text: str) -> bool:
    return any(word.isupper() for word in WORD.findall(text))
