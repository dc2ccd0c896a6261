"""A firm's own colour on its pages: whether it can be read, and the shades of it for both themes. Pure.

Contrast is that of WCAG 2: 4.5 to 1 for text. Surfaces are those of static/portal.css, which a test compares.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

LEAST_CONTRAST = 4.5
COLOUR = re.compile(r"#[0-9a-f]{6}")
WHITE, BLACK = (255, 255, 255), (0, 0, 0)
LIGHT_GROUND, LIGHT_SURFACE = (0xF6, 0xF7, 0xF9), WHITE
DARK_GROUND, DARK_SURFACE = (0x0E, 0x12, 0x18), (0x15, 0x1A, 0x22)
SOFT, SOFT_DARK = 0.09, 0.22  # how much of the colour is in a soft surface
STEPS = 200
Colour = tuple[int, int, int]


class UnreadableColour(Exception):
    """Text in the colour, or on it, cannot be read. text: a sentence for the person, with the figure."""

    def __init__(self, text: str) -> None:
        self.text = text
        super().__init__(text)


@dataclass(frozen=True)
class Shades:
    """accent: behind white text; text: of links; soft: behind such text."""

    accent: Colour
    text: Colour
    soft: Colour


def parsed(text: str) -> Colour:
    """A colour as #rrggbb. Raises ValueError."""
    if not COLOUR.fullmatch(text):
        raise ValueError(text)
    return int(text[1:3], 16), int(text[3:5], 16), int(text[5:7], 16)


def written(colour: Colour) -> str:
    """As #rrggbb."""
    return "#{:02x}{:02x}{:02x}".format(*colour)


def luminance(colour: Colour) -> float:
    """How light it is, from 0 to 1."""
    shares = [value / 255 for value in colour]
    linear = [share / 12.92 if share <= 0.04045 else ((share + 0.055) / 1.055) ** 2.4 for share in shares]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(first: Colour, second: Colour) -> float:
    """From 1 (none) to 21."""
    darker, lighter = sorted((luminance(first), luminance(second)))
    return (lighter + 0.05) / (darker + 0.05)


def mixed(colour: Colour, other: Colour, share: float) -> Colour:
    """A share of a colour in another one."""
    red, green, blue = (round(share * of + (1 - share) * onto) for of, onto in zip(colour, other, strict=True))
    return red, green, blue


def light_shades(colour: Colour) -> Shades:
    """The colour as it is. Raises UnreadableColour."""
    soft = mixed(colour, LIGHT_SURFACE, SOFT)
    for surface, words in ((LIGHT_SURFACE, "white"), (LIGHT_GROUND, "the page"), (soft, "what is marked with it")):
        figure = contrast(colour, surface)
        if figure < LEAST_CONTRAST:
            raise UnreadableColour(
                f"Text in this colour on {words} has a contrast of {int(figure * 100) / 100:.2f} to 1, and 4.5 to 1 is"
                " needed to read it: choose a darker one."
            )
    return Shades(colour, colour, soft)


def dark_shades(colour: Colour) -> Shades:
    """As light as white text on it and text in it on dark pages need: of a colour that light pages can have."""
    mixes = [mixed(WHITE, colour, step / STEPS) for step in range(STEPS + 1)]
    accent = next((mix for mix in reversed(mixes) if contrast(mix, WHITE) >= LEAST_CONTRAST), mixes[0])
    soft = mixed(colour, DARK_SURFACE, SOFT_DARK)
    surfaces = (DARK_GROUND, DARK_SURFACE, soft)
    text = next(mix for mix in mixes if all(contrast(mix, surface) >= LEAST_CONTRAST for surface in surfaces))
    return Shades(accent, text, soft)


def style_sheet(colour: Colour) -> str:
    """The colours of static/portal.css with this one in their place. Raises UnreadableColour."""
    parts = ((':root, [data-bs-theme="light"]', light_shades(colour)), ('[data-bs-theme="dark"]', dark_shades(colour)))
    return "".join(
        f"{selector} {{ --accent: {written(shades.accent)}; --accent-ink: #fff;"
        f" --accent-text: {written(shades.text)}; --accent-soft: {written(shades.soft)}; }}\n"
        for selector, shades in parts
    )
