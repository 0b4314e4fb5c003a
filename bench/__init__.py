"""Measures what the authorization server costs, next to a bare application that does the same work. See README.md."""
