"""Sizes and counts beyond which hostile input is not looked at any further.

Where a specification names a figure, it stands beside the constant; the others are ours, well above what any real
document needs.
"""

__all__ = [
    "CLIENT_NAME_CHARACTERS",
    "DIRECTIVES_CHARACTERS",
    "DOCUMENT_BYTES",
    "DOCUMENT_NESTING",
    "DOCUMENT_VALUES",
    "DOCUMENT_WARNINGS",
    "ENTITY_TAG_CHARACTERS",
    "KEY_COUNT",
    "LIST_ENTRIES",
    "OBJECT_MEMBERS",
    "QUOTED_CHARACTERS",
    "SCOPE_CHARACTERS",
    "TEXT_CHARACTERS",
    "URL_CHARACTERS",
]

URL_CHARACTERS = 2048  # CIMD draft §3 asks for a short URL and names no figure
DOCUMENT_BYTES = 5 * 1024  # CIMD draft §9.7 recommends 5 kB; a setting of the fetcher
DOCUMENT_NESTING = 16  # arrays and objects inside each other; a key in a JWK Set lies at 4
DOCUMENT_VALUES = 4000  # members and entries in all, however they lie
OBJECT_MEMBERS = 200  # members of one object; a provider's metadata has some sixty
DOCUMENT_WARNINGS = 20  # sentences kept about what was dropped
LIST_ENTRIES = 100  # entries of any array that is read
KEY_COUNT = 32  # keys of a JWK Set
CLIENT_NAME_CHARACTERS = 200
TEXT_CHARACTERS = 500  # any other text of a document
SCOPE_CHARACTERS = 4000
QUOTED_CHARACTERS = 200  # of a hostile value, in a sentence
ENTITY_TAG_CHARACTERS = 256
DIRECTIVES_CHARACTERS = 4096  # of all Cache-Control fields together
