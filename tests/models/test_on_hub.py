"""The hub's three verbs, with a folder in the hub's place: what goes up comes back, and nothing else does."""

import shutil
from pathlib import Path
from types import SimpleNamespace

import huggingface_hub
import pytest
from huggingface_hub import ModelCard

from headroles.errors import InputError
from headroles.models.on_hub import find_hub_id
from headroles.roles.role_map import RoleMap


@pytest.fixture
def hub(tmp_path, monkeypatch) -> SimpleNamespace:
    """`folder`: what lies on the hub; `asked`: what was asked of it."""
    hub = SimpleNamespace(folder=tmp_path / "hub", asked=[])

    class Api:
        def __init__(self, token=None):
            hub.asked.append(("login", token))

        def create_repo(self, repo_id, **given):
            hub.asked.append(("create", repo_id, given))
            return SimpleNamespace(repo_id=repo_id)

        def upload_folder(self, repo_id, folder_path, **given):
            shutil.copytree(folder_path, hub.folder)
            hub.asked.append(("upload", repo_id, given))
            return f"https://huggingface.co/{repo_id}/commit/1"

    def download(repo_id, *, revision, token, allow_patterns):
        hub.asked.append(("download", repo_id, revision, token))
        chosen = tmp_path / "cache"
        chosen.mkdir()
        for path in hub.folder.iterdir():
            if path.name in allow_patterns:
                shutil.copy(path, chosen)
        return str(chosen)

    monkeypatch.setattr(huggingface_hub, "HfApi", Api)
    monkeypatch.setattr(huggingface_hub, "snapshot_download", download)
    return hub


def test_a_role_map_goes_up_and_comes_back(hub, random_role_map):
    role_map = random_role_map()
    url = role_map.push_to_hub("someone/roles", license="cc-by-4.0", private=True, token="t", branch="new")
    assert url == "https://huggingface.co/someone/roles/commit/1"
    login, made, sent = hub.asked
    assert login == ("login", "t") and made == ("create", "someone/roles", {"private": True, "exist_ok": True})
    assert sent[2]["revision"] == "new" and sent[2]["create_pr"] is False
    assert sorted(path.name for path in hub.folder.iterdir()) == ["README.md", "role_map.csv", "role_map.json"]
    (hub.folder / "pytorch_model.bin").write_bytes(b"a pickle")
    assert RoleMap.from_pretrained("someone/roles", revision="new", token=False) == role_map
    assert hub.asked[-1] == ("download", "someone/roles", "new", False)
    assert not (hub.folder.parent / "cache" / "pytorch_model.bin").exists(), "its own files alone come down"


def test_a_folder_asks_nobody(hub, random_role_map, tmp_path):
    role_map = random_role_map()
    role_map.save_pretrained(tmp_path / "mine")
    assert RoleMap.from_pretrained(tmp_path / "mine") == role_map and hub.asked == []


def test_the_card_has_what_the_hub_reads_and_foreign_words_stay_words(random_role_map, tmp_path):
    texts = ("a | b\n# <script>", "[x](y)")
    role_map = random_role_map(texts, name="ViT-B/16")
    role_map.save_pretrained(tmp_path, license="mit")
    card = ModelCard.load(tmp_path / "README.md")
    assert card.data.license == "mit" and card.data.library_name == "headroles"
    assert card.data.base_model == "openai/clip-vit-base-patch16"
    rows = [line for line in card.text.splitlines() if line.startswith("|")]
    assert {line.replace("\\|", "").count("|") for line in rows} == {4, 7}
    assert "<script" not in card.text and "\n# <" not in card.text
    heads = role_map.heads(role="attribute")
    assert f"| attribute | {len(heads)} | {sum(head.stands_out for head in heads)} |" in rows


def test_base_models_are_named_where_they_lie_on_the_hub(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("runs/clip").mkdir(parents=True)
    found = {name: find_hub_id(name) for name in ("shapes", "ViT-L/14", "someone/clip", "runs/clip", "/a/b", "x.pt")}
    wanted = {"ViT-L/14": "openai/clip-vit-large-patch14", "someone/clip": "someone/clip"}
    assert {name: place for name, place in found.items() if place} == wanted


def test_mistakes_and_dead_networks_are_one_line_and_leave_nothing(hub, random_role_map, tmp_path, monkeypatch):
    (tmp_path / "README.md").write_text("my own notes")
    with pytest.raises(InputError, match="has files, but no README"):
        random_role_map().save_pretrained(tmp_path)
    assert [path.read_text() for path in tmp_path.iterdir()] == ["my own notes"]
    with pytest.raises(InputError, match="no folder nowhere; expected a folder, or a hub id"):
        RoleMap.from_pretrained("nowhere")

    def fail(*given, **more):
        raise ConnectionError("no route\nto host")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", fail)
    monkeypatch.setattr(huggingface_hub.HfApi, "create_repo", fail)
    for ask in (lambda: RoleMap.from_pretrained("a/b"), lambda: random_role_map().push_to_hub("a/b")):
        with pytest.raises(InputError, match=r"go online") as error:
            ask()
        assert "\n" not in str(error.value) and "ConnectionError" in str(error.value)
