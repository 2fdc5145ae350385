"""The contrast of the page's text meets WCAG 2 AA in the light and the dark scheme."""

import re
from pathlib import Path

import pytest

from stream.web import page

CSS = Path(page.__file__).with_name("static").joinpath("page.css").read_text(encoding="utf-8")
TEXT_ON_GROUND = [
    *((text, ground) for text in ("text", "muted", "accent") for ground in ("card", "ground")),
    *((tone, ground) for tone in ("good", "warn", "bad", "calm") for ground in (f"{tone}-ground", "card")),
]
AA = 4.5


def colours(block: str) -> dict[str, str]:
    """Return the custom properties of a block that are plain colours."""
    return dict(re.findall(r"--([a-z-]+): #([0-9a-f]{6});", block))


LIGHT_BLOCK, DARK_BLOCK = re.findall(r":root \{(.*?)\}", CSS, re.DOTALL)
SCHEMES = {"light": colours(LIGHT_BLOCK), "dark": colours(DARK_BLOCK)}


def luminance(colour: str) -> float:
    """Return WCAG's relative luminance of RRGGBB."""
    parts = [int(colour[at : at + 2], 16) / 255 for at in (0, 2, 4)]
    red, green, blue = (p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    """Return WCAG's contrast ratio, from 1 to 21."""
    dark, bright = sorted((luminance(one), luminance(other)))
    return (bright + 0.05) / (dark + 0.05)


def test_the_ratio_is_that_of_the_standard() -> None:
    assert contrast("ffffff", "000000") == pytest.approx(21)
    assert contrast("777777", "ffffff") == pytest.approx(4.48, abs=0.01)


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize(("text", "ground"), TEXT_ON_GROUND)
def test_text_has_enough_contrast(scheme: str, text: str, ground: str) -> None:
    palette = SCHEMES[scheme]
    assert contrast(palette[text], palette[ground]) >= AA
