"""Results as documents: a frozen dataclass that is one JSON file, written in one step and read whole or refused."""

from __future__ import annotations

import dataclasses
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from headroles.errors import InputError
from headroles.files.json_files import dump_json, read_json
from headroles.files.latex import Tabled
from headroles.files.plain import Unfit, from_plain
from headroles.files.whole import write_text

if TYPE_CHECKING:
    from typing_extensions import Self

SUFFIXES = (".json", ".csv", ".tex")
"""All of a document, or its table, for programs or for a paper."""


@dataclass(frozen=True)
class Document(Tabled):
    """What results share: `to_dict`, `to_json`, `to_latex`, `save`, `load`, `from_dict`, `of`.

    A class's fields are dataclasses, tuples, mappings and plain values (`headroles.files.plain`). It has a field
    `schema_version` whose default is the version that it reads, and may have a field `format` whose default marks its
    files. `to_dict` may add what is worth having in a file; the class's `from_dict` then takes it off again.
    """

    called: ClassVar[str]
    """What it is, in messages: "role map"."""
    made_by: ClassVar[str]
    """The command that makes one: "headroles score"."""
    file_name: ClassVar[str] = ""
    """The file's name where `load` is given a folder; "": folders are refused."""

    def to_dict(self) -> dict[str, Any]:
        """Plain dicts and lists, as in the JSON file."""
        return json.loads(dump_json(dataclasses.asdict(self)))

    def to_json(self) -> str:
        """The JSON file's text: sorted keys, the same for the same result."""
        return dump_json(self.to_dict(), indent=2, sort_keys=True, ensure_ascii=False) + "\n"

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write `.json` (all), `.csv` (`to_frame`) or `.tex` (`to_latex`); an existing file is replaced in one step."""
        path = Path(path)
        if path.suffix not in SUFFIXES:
            raise InputError(f"{self.called} file must end in {', '.join(SUFFIXES)}, got {path.name}")
        if path.suffix == ".csv":
            write_text(path, self.to_frame().to_csv(index=False))
        else:
            write_text(path, self.to_json() if path.suffix == ".json" else self.to_latex())

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Self:
        """Read a JSON file that `save` wrote, or that of a folder. InputError where there is none, or another one."""
        path = cls.locate(path)
        return cls.from_dict(read_json(path, cls.called), str(path))

    @classmethod
    def locate(cls, path: str | os.PathLike[str]) -> Path:
        """The JSON file itself, or that of a folder; InputError where there is none."""
        path = Path(path)
        if cls.file_name and path.is_dir():
            path = path / cls.file_name
        if not path.is_file():
            raise InputError(f"{cls.called}: no file {path}; make one with `{cls.made_by}`", page="missing-file")
        return path

    @classmethod
    def from_dict(cls, raw: Any, source: str = "this") -> Self:
        """The opposite of `to_dict`; unknown or missing keys, and values of other types, are refused."""
        if not cls._is_marked(raw):
            raise InputError(
                f"{cls.called}: {source} is no {cls.called}; expected the JSON that `{cls.made_by}` writes"
            )
        version, read = raw.get("schema_version"), cls._default("schema_version")
        if version != read:
            again = f"{cls.made_by.split()[-1]} again"
            raise InputError(
                f"{cls.called}: {source} has schema_version {version}, this headroles reads {read}; {again}"
            )
        try:
            return from_plain(cls, raw)
        except Unfit as error:
            raise InputError(f"{cls.called}: {source} does not fit the schema: {error}") from error

    @classmethod
    def of(cls, given: Self | str | os.PathLike[str]) -> Self:
        """The result itself, or `load` from where it lies. InputError for anything else."""
        if isinstance(given, cls):
            return given
        if isinstance(given, (str, os.PathLike)):
            return cls.load(given)
        raise InputError(f"{cls.called}: expected a {cls.__name__} or its file's path, got a {type(given).__name__}")

    @classmethod
    def is_at(cls, path: str | os.PathLike[str]) -> bool:
        """Whether a file is marked as one of these, whatever its version."""
        try:
            return cls._is_marked(read_json(path, cls.called))
        except InputError:
            return False

    @classmethod
    def _is_marked(cls, raw: Any) -> bool:
        """By its format; where the class has none, by having a version and no format either."""
        return isinstance(raw, dict) and "schema_version" in raw and raw.get("format") == cls._default("format")

    @classmethod
    def _default(cls, name: str) -> Any:
        """A field's default; None where there is no such field."""
        found: Any = {field.name: field.default for field in dataclasses.fields(cls)}.get(name)
        return found
