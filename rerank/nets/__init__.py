"""The coarse SegNet of Cogswell et al. 2014, dense networks, their backbones and training.

Backbones are read from files (`load_backbone_weights`) or drawn from a seed, stay frozen, and
give their activations as plain arrays; heads and dense networks train in one loop.
"""

import lazy_loader

# The names are those of `__init__.pyi`; torch is imported when one of them is first used.
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
