"""The colours of the figures and the report, for light and for dark backgrounds."""

from collections.abc import Mapping

LIGHT: Mapping[str, str] = {
    "ground": "#f4f6f8",
    "card": "#ffffff",
    "edge": "#dde2e8",
    "text": "#18202a",
    "muted": "#566273",
    "accent": "#2257c9",
    "good": "#14713f",
    "bad": "#b02a1c",
    "heat-text": "#000000",
    "series-1": "#2257c9",
    "series-2": "#b34700",
    "series-3": "#14713f",
    "series-4": "#8a3fa0",
    "series-5": "#7a5c00",
    "series-6": "#b02a6f",
}
DARK: Mapping[str, str] = {
    "ground": "#0e1217",
    "card": "#161c24",
    "edge": "#2f3a47",
    "text": "#e6ebf1",
    "muted": "#9daab9",
    "accent": "#7eaaff",
    "good": "#58cb92",
    "bad": "#ff8f83",
    "heat-text": "#ffffff",
    "series-1": "#7eaaff",
    "series-2": "#ff9d57",
    "series-3": "#58cb92",
    "series-4": "#d79bea",
    "series-5": "#e3c04f",
    "series-6": "#ff8fc4",
}

HEAT = "#1b479f"
"""The colour of the cells of a heat map; its opacity is the value, so it suits both backgrounds."""

PLACEHOLDERS: Mapping[str, str] = {name: f"#0102{number:02x}" for number, name in enumerate(LIGHT, 1)}
"""A unique colour for each name; the report replaces it by the colour of the reader's theme."""
