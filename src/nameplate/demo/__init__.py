"""``nameplate demo``: everything on one machine, played once from beginning to end.

A client that nobody registered signs in through our authorization server and calls a tool of a protected MCP server.
Every part is the real one, over sockets; what is shown is what was seen on them.
"""
