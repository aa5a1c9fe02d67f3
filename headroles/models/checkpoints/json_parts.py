"""The JSON files of a model's folder, looked at before a library reads them: its own errors would not name them."""

from __future__ import annotations

from pathlib import Path

from headroles.files.json_files import read_object

_SETTINGS = ("config.json", "preprocessor_config.json")
"""Who reads them says which setting is no number."""
_NAMES = (*_SETTINGS, "tokenizer.json", "tokenizer_config.json", "vocab.json",
          "special_tokens_map.json", "added_tokens.json", "model.safetensors.index.json")  # fmt: skip


def check_json_parts(folder: Path) -> None:
    """InputError names the first file that is there and holds no JSON object."""
    for name in _NAMES:
        if (folder / name).is_file():
            read_object(folder / name, "model", "copy or download it again", finite=name not in _SETTINGS)
