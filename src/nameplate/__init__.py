"""nameplate: OAuth 2.1 for MCP in which a client is known by a document on its own domain.

The packages, from the rules outwards: ``protocol`` (pure rules), ``ports`` (what the rules need from outside),
``jose``, ``fetch``, ``stores``, ``upstream``, ``server`` (the authorization server), ``resource`` (what an MCP server
mounts), ``integrations``, ``testing``, ``demo``, ``cli``.
"""

from importlib.metadata import version

__all__ = ["__version__"]

__version__ = version("nameplate")
