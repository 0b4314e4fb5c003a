"""``python -m bench.fetch``: what a guarded fetch costs, next to a bare one and to FastMCP's."""
