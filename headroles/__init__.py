"""What does each attention head of this CLIP do?

Public names are loaded on first use: `import headroles` alone loads neither torch nor matplotlib.
"""

from importlib import import_module

__version__ = "0.1.0"

_HOMES = {
    "FolderImages": "images",
    "HeadReference": "head_reference",
    "HeadMoments": "moments",
    "HookedCLIP": "hooked_clip",
    "ImageScoreConfig": "score_images",
    "InputError": "errors",
    "ProbeBank": "probes",
    "RoleMap": "role_map",
    "ScoreConfig": "score",
    "ShapesImages": "images",
    "Validation": "validation",
    "ValueMoments": "value_moments",
    "ablating": "ablate",
    "image_contributions": "contributions",
    "load": "models",
    "scaling_heads": "ablate",
    "text_contributions": "contributions",
}

__all__ = sorted([*_HOMES, "__version__"])


def __getattr__(name: str):
    if name not in _HOMES:
        raise AttributeError(f"module 'headroles' has no attribute {name!r}")
    return getattr(import_module(f"headroles.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return __all__
