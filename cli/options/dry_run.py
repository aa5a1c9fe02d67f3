"""--dry-run, the same in every command that reads images: say how, and stop."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

import click


def dry_run_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """Adds --dry-run to a command that announces how it reads images before it reads them."""

    @wraps(command)
    def run(*arguments: Any, dry_run: bool, **given: Any) -> Any:
        if not dry_run:
            return command(*arguments, **given)
        from headroles.images.reading import only_looking

        with only_looking():
            command(*arguments, **given)

    return click.option("--dry-run", is_flag=True, help="Open all, say how it is read, and stop.")(run)
