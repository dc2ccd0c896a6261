"""A firm's colour: refused where it cannot be read, and its shades can be read in both themes whatever it is."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from users.brand import (
    DARK_GROUND,
    DARK_SURFACE,
    LEAST_CONTRAST,
    LIGHT_GROUND,
    LIGHT_SURFACE,
    WHITE,
    UnreadableColour,
    contrast,
    dark_shades,
    light_shades,
    parsed,
    style_sheet,
    written,
)

COLOURS = st.tuples(*(st.integers(0, 255) for _ in range(3)))


@pytest.mark.parametrize(
    ("first", "second", "figure"),
    [
        ("#000000", "#ffffff", 21.0),
        ("#ffffff", "#ffffff", 1.0),
        ("#767676", "#ffffff", 4.54),
        ("#777777", "#ffffff", 4.48),
    ],
)
def test_contrast_is_that_of_wcag(first, second, figure):
    assert contrast(parsed(first), parsed(second)) == pytest.approx(figure, abs=0.005)
    assert contrast(parsed(second), parsed(first)) == contrast(parsed(first), parsed(second))


@pytest.mark.parametrize(
    ("colour", "words"), [("#ffcc00", "1.51 to 1"), ("#777777", "4.47 to 1"), ("#767676", "on the page")]
)
def test_what_cannot_be_read_is_refused_with_the_figure(colour, words):
    with pytest.raises(UnreadableColour) as error:
        light_shades(parsed(colour))
    assert words in error.value.text


@given(COLOURS)
def test_text_can_be_read_in_both_themes_of_whatever_is_not_refused(colour):
    try:
        light = light_shades(colour)
    except UnreadableColour:
        return
    assert contrast(light.accent, WHITE) >= LEAST_CONTRAST
    assert all(contrast(light.text, surface) >= LEAST_CONTRAST for surface in (LIGHT_GROUND, LIGHT_SURFACE, light.soft))
    dark = dark_shades(colour)
    assert contrast(dark.accent, WHITE) >= LEAST_CONTRAST
    assert all(contrast(dark.text, surface) >= LEAST_CONTRAST for surface in (DARK_GROUND, DARK_SURFACE, dark.soft))


def test_surfaces_are_those_of_the_style_sheet():
    css = (Path(__file__).resolve().parents[3] / "static/portal.css").read_text()
    light, dark = re.findall(r"--ground: (#\w+); --surface: (#\w+);", css)[:2]
    assert light == (written(LIGHT_GROUND), "#fff")
    assert dark == (written(DARK_GROUND), written(DARK_SURFACE))


@pytest.mark.parametrize("text", ["#", "#fff", "0b5394", "#0B5394", "#0b539g", "#0b5394;", "#0b53940"])
def test_what_is_no_colour_is_refused(text):
    with pytest.raises(ValueError, match=re.escape(text)):
        parsed(text)


def test_the_style_sheet_has_a_line_for_each_theme_and_nothing_else():
    text = style_sheet(parsed("#0b5394"))
    assert re.sub("#[0-9a-f]{6}", "C", text) == (
        ':root, [data-bs-theme="light"] { --accent: C; --accent-ink: #fff; --accent-text: C; --accent-soft: C; }\n'
        '[data-bs-theme="dark"] { --accent: C; --accent-ink: #fff; --accent-text: C; --accent-soft: C; }\n'
    )
