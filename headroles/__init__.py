"""What does each attention head of this CLIP do?

Public names are loaded on first use: `import headroles` alone loads neither torch nor matplotlib.
"""

from importlib import import_module

__version__ = "0.1.0"

_HOMES = {
    "FolderImages": "images.images",
    "HeadReference": "heads.reference",
    "HeadMoments": "heads.moments",
    "HookedCLIP": "models.hooked_clip",
    "ImageScoreConfig": "roles.config",
    "InputError": "errors",
    "ProbeBank": "roles.probes",
    "RoleMap": "roles.role_map",
    "ScoreConfig": "roles.config",
    "ShapesImages": "images.images",
    "Validation": "causal.validation",
    "ValueMoments": "heads.value_moments",
    "ablating": "heads.ablate",
    "image_contributions": "heads.contributions",
    "load": "models.load",
    "scaling_heads": "heads.ablate",
    "text_contributions": "heads.contributions",
}

__all__ = sorted([*_HOMES, "__version__"])


def __getattr__(name: str):
    if name not in _HOMES:
        raise AttributeError(f"module 'headroles' has no attribute {name!r}")
    return getattr(import_module(f"headroles.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return __all__
