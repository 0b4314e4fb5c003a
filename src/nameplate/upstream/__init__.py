"""How the resource owner signs in."""
