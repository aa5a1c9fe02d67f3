"""Results that can lie on the Hugging Face hub: a folder goes up with its card, and comes back. Needs no torch."""

from __future__ import annotations

import os
import re
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, ClassVar

from headroles.errors import InputError, said
from headroles.files.whole import replacing_together, write_text
from headroles.models.known_models import KNOWN

if TYPE_CHECKING:
    from typing_extensions import Self

CARD = "README.md"
"""The file that the hub shows."""
LIBRARY = "headroles"
"""`library_name` of every card."""
_HUB_ID = re.compile(r"[\w.-]+/[\w.-]+")


class OnHub:
    """A result with the three verbs of `huggingface_hub.ModelHubMixin`, whose folder is as the result writes it."""

    called: ClassVar[str]
    """What it is, in messages: "role map"."""
    hub_files: ClassVar[tuple[str, ...]]
    """Names of its files, the one that says that all are there first; nothing else is downloaded."""
    card: ClassVar[str] = ""
    """ "module:function" of what gives its card's text for the result and a license, by name as figures are."""

    if TYPE_CHECKING:

        def save(self, path: str | os.PathLike[str]) -> None: ...

        @classmethod
        def load(cls, path: str | os.PathLike[str], *given: Any, **more: Any) -> Self: ...

    def _save_folder(self, folder: Path, license: str | None) -> None:
        """Write all files, card included, or none."""
        module, _, function = self.card.partition(":")
        text = getattr(import_module(module), function)(self, license)
        with replacing_together(folder, self.hub_files[0]) as staging:
            for name in self.hub_files:
                self.save(staging / name)
            write_text(staging / CARD, text)

    def save_pretrained(self, folder: str | os.PathLike[str], license: str | None = None) -> None:
        """Write the folder as it lies on the hub, its card (README.md) included.

        `license`: the card's, as the hub spells it ("mit"); None for "unknown". Raises InputError where the folder has
        files and is none of these: no card of headroles lies in it.
        """
        folder = Path(folder)
        card = folder / CARD
        ours = card.is_file() and f"library_name: {LIBRARY}" in card.read_text(encoding="utf-8", errors="replace")
        if not ours and folder.is_dir() and any(folder.iterdir()):
            raise InputError(f"folder: {folder} has files, but no {CARD} of {LIBRARY}; give another, or an empty one")
        self._save_folder(folder, license)

    @classmethod
    def from_pretrained(
        cls, name: str | os.PathLike[str], *, revision: str | None = None, token: str | bool | None = None, **given: Any
    ) -> Self:
        """The result of a folder, or of a repository of the hub ("someone/name").

        `revision`: branch, tag or commit; `token`: the hub's, None for that of `hf auth login`; `given`: what `load`
        takes beside the folder. Raises InputError where there is none, or where the hub cannot be reached.
        """
        folder = Path(name)
        return cls.load(folder if folder.is_dir() else cls._download(str(name), revision, token), **given)

    @classmethod
    def _download(cls, name: str, revision: str | None, token: str | bool | None) -> Path:
        from huggingface_hub import snapshot_download

        from headroles.models.checkpoints.hub import explain

        if not _HUB_ID.fullmatch(name):
            raise InputError(f"{cls.called}: no folder {name}; expected a folder, or a hub id such as someone/name")
        try:
            files = [*cls.hub_files, CARD]
            return Path(snapshot_download(name, revision=revision, token=token, allow_patterns=files))
        except Exception as error:
            raise InputError(f"{cls.called}: cannot load {name}: {explain(name, error)}") from error

    def push_to_hub(
        self,
        repo_id: str,
        *,
        license: str | None = None,
        private: bool | None = None,
        token: str | bool | None = None,
        branch: str | None = None,
        create_pr: bool = False,
        commit_message: str = "Upload with headroles",
    ) -> str:
        """Send the folder of `save_pretrained` to a repository of the hub, made where there is none; its commit's URL.

        `private`: whether a new repository is; None for the account's default. Raises InputError where the hub cannot
        be reached or refuses; nothing is left on the disk.
        """
        from huggingface_hub import HfApi

        api = HfApi(token=token)
        with TemporaryDirectory() as folder:
            self.save_pretrained(folder, license)
            try:
                made = api.create_repo(repo_id, private=private, exist_ok=True).repo_id
                sent = api.upload_folder(
                    repo_id=made,
                    folder_path=folder,
                    revision=branch,
                    create_pr=create_pr,
                    commit_message=commit_message,
                )
            except Exception as error:
                why = f"{type(error).__name__}: {said(error, 150)}"
                raise InputError(
                    f"hub: {repo_id} was not written ({why}); go online, and log in (hf auth login) as who may write it"
                ) from error
        return str(sent)


def card_head(license: str | None, model: str, tags: list[str], task: str | None = None) -> str:
    """The YAML at the head of a card. `model`: the base model, as `load` takes it; `task`: the hub's pipeline_tag."""
    from huggingface_hub import ModelCardData

    data = ModelCardData(
        license=license or "unknown",
        library_name=LIBRARY,
        base_model=find_hub_id(model),
        pipeline_tag=task,
        tags=tags,
    )
    return f"---\n{data.to_yaml()}\n---\n"


def find_hub_id(model: str) -> str | None:
    """Where a model lies on the hub; None for a bundled one, a folder or a file."""
    known = {each.name: each.hub_id for each in KNOWN}
    is_id = _HUB_ID.fullmatch(model) and not Path(model).exists()
    return known.get(model, model if is_id else None)
