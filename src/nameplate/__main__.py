"""``python -m nameplate``: the same as the ``nameplate`` command."""

from nameplate.cli import main

__all__: list[str] = []

main()
