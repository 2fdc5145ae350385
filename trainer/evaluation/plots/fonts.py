"""The fonts that draw the characters of labels."""

from collections.abc import Iterable

from matplotlib.font_manager import findfont, fontManager, get_font

STANDARD_FONT = "DejaVu Sans"
MAX_FONTS = 4


def font_families(texts: Iterable[str]) -> tuple[str, ...]:
    """Return the standard font, and the installed fonts that have the characters that it lacks.

    Characters that no installed font has are drawn as boxes.
    """
    missing = {ord(char) for text in texts for char in text if char.isprintable()}
    missing -= get_font(findfont(STANDARD_FONT)).get_charmap().keys()
    families = [STANDARD_FONT]
    if not missing:
        return tuple(families)
    for entry in sorted(fontManager.ttflist, key=lambda entry: (entry.name, entry.fname)):
        found = missing & get_font(entry.fname).get_charmap().keys() if entry.name not in families else set()
        if found:
            families.append(entry.name)
            missing -= found
        if not missing or len(families) > MAX_FONTS:
            break
    return tuple(families)
