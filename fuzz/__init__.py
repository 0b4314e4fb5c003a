"""Feeds every parser of hostile input with inputs that atheris (libFuzzer) invents. ``make fuzz``; see CONTRIBUTING.md.

A module in ``targets`` is one parser: its docstring is the invariant, ``check`` tries one input and raises where the
invariant does not hold, ``TOKENS`` are words that mutations put in; ``LONGEST_BYTES`` may say where inputs end.
``corpus/<target>`` holds the inputs to begin with.
"""
