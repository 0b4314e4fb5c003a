"""Files, classes, functions and parameter lists stay small enough to be read at a glance."""

from sizes import ROOT, Measure, find_python_files, measure_source

CAPS = {"file": 500, "class": 250, "function": 80, "parameters": 6}

# (kind, name) -> (the higher cap, why this one is worth it)
RAISED: dict[tuple[str, str], tuple[int, str]] = {}


def measure_everything() -> list[Measure]:
    return [
        measure
        for path in find_python_files()
        for measure in measure_source(path.read_text(), path.relative_to(ROOT).as_posix())
        # A test's parameters are its fixtures.
        if not (measure.kind == "parameters" and measure.name.startswith("tests/"))
    ]


def test_nothing_is_larger_than_its_cap() -> None:
    too_large = []
    for measure in measure_everything():
        cap, _ = RAISED.get((measure.kind, measure.name), (CAPS[measure.kind], ""))
        if measure.size > cap:
            too_large.append(f"{measure.name}: {measure.kind} {measure.size} > {cap}")
    assert too_large == []


def test_every_raised_cap_has_a_reason_and_is_still_needed() -> None:
    sizes = {(measure.kind, measure.name): measure.size for measure in measure_everything()}
    for (kind, name), (cap, reason) in RAISED.items():
        assert reason, name
        assert CAPS[kind] < sizes.get((kind, name), 0) <= cap, f"{name}: take the raised cap away"


def test_a_size_is_counted_as_a_reader_counts() -> None:
    source = (
        "class A:\n"
        "    def f(self, a, /, b, *args, c, **options):\n"
        "        def inner(x):\n"
        "            return x\n"
        "        return inner\n"
        "    @staticmethod\n"
        "    def g(a): ...\n"
        "async def h(a, b=1): ...\n"
    )
    assert {(each.kind, each.name): each.size for each in measure_source(source, "p.py")} == {
        ("file", "p.py"): 8,
        ("class", "p.py:A"): 7,
        ("function", "p.py:A.f"): 4,
        ("parameters", "p.py:A.f"): 5,
        ("function", "p.py:A.f.inner"): 2,
        ("parameters", "p.py:A.f.inner"): 1,
        ("function", "p.py:A.g"): 1,
        ("parameters", "p.py:A.g"): 1,
        ("function", "p.py:h"): 1,
        ("parameters", "p.py:h"): 2,
    }
