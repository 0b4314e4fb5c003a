"""A kit for tests, ours and yours: a document host, a person without a browser, a still clock, running servers.

Some parts need the extra ``demo`` (trustme), the store contract needs pytest; each is imported from its own module.
"""
