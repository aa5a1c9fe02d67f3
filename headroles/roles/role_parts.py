"""Which heads of a role map, or which of their directions, are meant: by name, or by concept."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from headroles.errors import InputError
from headroles.heads.names import Part, parse_parts
from headroles.heads.parts import find_projectors
from headroles.roles.role_heads import Heads, choose_heads, write_names
from headroles.roles.role_map import HeadRole, RoleMap

if TYPE_CHECKING:
    from jaxtyping import Float
    from torch import Tensor

    from headroles.models.hooked_clip import HookedCLIP
