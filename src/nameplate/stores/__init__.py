"""The stores: where grants, codes, tokens, sessions and keys lie. Each implements ``ports.store.Store``."""

__all__: list[str] = []
