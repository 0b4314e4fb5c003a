"""The stylesheet: contrast in both schemes, and that it loads nothing."""

import re

import pytest

from nameplate.server.pages.render import STYLESHEET, STYLESHEET_ETAG


def colours(scheme: str) -> dict[str, str]:
    """The variables of one colour scheme. The dark block overrides the light one."""
    light, dark = re.findall(r":root \{(.*?)\}", STYLESHEET.decode(), re.DOTALL)
    found = dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6})", light))
    return found | (dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6})", dark)) if scheme == "dark" else {})


def luminance(colour: str) -> float:
    """Relative luminance (WCAG 2.2)."""
    channels = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    lighter, darker = sorted((luminance(one), luminance(other)), reverse=True)
    return (lighter + 0.05) / (darker + 0.05)


TEXT_PAIRS = [
    ("ink", "paper"),
    ("ink", "card"),
    ("muted", "paper"),
    ("muted", "card"),
    ("link", "card"),
    ("link", "paper"),
    ("plate-ink", "plate-top"),
    ("plate-ink", "plate-bottom"),
    ("plate-muted", "plate-top"),
    ("plate-muted", "plate-bottom"),
    ("seal-ink", "seal"),
    ("button-ink", "button"),
    ("button-ink", "button-hover"),
    ("amber-ink", "amber"),
    ("red-ink", "red"),
]
SHAPE_PAIRS = [("edge", "card"), ("focus", "card"), ("focus", "paper"), ("red-edge", "card")]


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize(("ink", "ground"), TEXT_PAIRS)
def test_text_has_contrast_enough(scheme: str, ink: str, ground: str) -> None:
    assert contrast(colours(scheme)[ink], colours(scheme)[ground]) >= 4.5  # WCAG 2.2 §1.4.3


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize(("line", "ground"), SHAPE_PAIRS)
def test_edges_of_fields_and_the_focus_have_contrast_enough(scheme: str, line: str, ground: str) -> None:
    assert contrast(colours(scheme)[line], colours(scheme)[ground]) >= 3  # WCAG 2.2 §1.4.11


def test_contrast_is_computed_as_the_guidelines_do() -> None:
    assert contrast("#ffffff", "#000000") == pytest.approx(21)
    assert contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.01)


def test_both_schemes_define_the_same_colours_and_all_are_used() -> None:
    style = STYLESHEET.decode()
    light, dark = (set(re.findall(r"--([\w-]+):", block)) for block in re.findall(r":root \{(.*?)\}", style, re.DOTALL))
    assert light == dark
    assert light <= set(re.findall(r"var\(--([\w-]+)\)", style))


def test_the_stylesheet_loads_nothing() -> None:
    style = STYLESHEET.decode()
    for word in ("url(", "@import", "@font-face", "http:", "https:", "expression("):
        assert word not in style


def test_the_stylesheet_cares_for_focus_motion_and_both_schemes() -> None:
    style = STYLESHEET.decode()
    for part in (":focus-visible", "prefers-color-scheme: dark", "prefers-reduced-motion", "forced-colors"):
        assert part in style


def test_the_entity_tag_is_a_strong_one() -> None:
    assert re.fullmatch(r'"[0-9a-f]{32}"', STYLESHEET_ETAG)
