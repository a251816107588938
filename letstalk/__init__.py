"""LetsTalk: a portrait and speech in, a talking video of any length out, while it is being made.

Importing the package is instant: torch, diffusers and the rest load when something that needs them is called.
"""

from letstalk.errors import LetsTalkError
from letstalk.version import VERSION as __version__

__all__ = ["LetsTalkError", "__version__"]
