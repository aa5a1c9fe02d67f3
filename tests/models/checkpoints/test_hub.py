"""The hub: one request says that it cannot be reached, and a whole copy in the cache asks nothing."""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import huggingface_hub
import pytest

from headroles import InputError, load
from headroles.models.checkpoints import hub

HUB_ID = "someone/tiny"


@pytest.fixture
def cache(tmp_path, monkeypatch) -> Path:
    """An empty cache of the hub."""
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    return tmp_path / "hub"


def fill(cache: Path, files: Path, *names: str) -> Path:
    """The cache as a download of these files leaves it."""
    repository = cache / f"models--{HUB_ID.replace('/', '--')}"
    snapshot = repository / "snapshots" / ("0" * 40)
    snapshot.mkdir(parents=True, exist_ok=True)
    (repository / "refs").mkdir(exist_ok=True)
    (repository / "refs" / "main").write_text("0" * 40)
    for name in names or [path.name for path in files.iterdir()]:
        (snapshot / name).write_bytes((files / name).read_bytes())
    return snapshot


@pytest.fixture
def server(monkeypatch):
    """A hub that serves `files` (name -> bytes) of one model, or answers 503 where it has none; keeps all requests."""

    class Hub(BaseHTTPRequestHandler):
        files: dict[str, bytes] = {}  # noqa: RUF012
        requests: list[str] = []  # noqa: RUF012

        def do_GET(self):
            if "agent" not in self.path:  # The client asks that by itself, once a process.
                self.requests.append(f"{self.command} {self.path}")
            name = self.path.rpartition("/")[2].partition("?")[0]
            if not self.files:
                self.answer(503, b"busy")
            elif self.path.startswith("/api/models/"):
                siblings = [{"rfilename": each} for each in self.files]
                self.answer(200, json.dumps({"id": HUB_ID, "sha": "0" * 40, "siblings": siblings}).encode())
            else:
                self.answer(200 if name in self.files else 404, self.files.get(name, b""))

        do_HEAD = do_GET

        def answer(self, code: int, content: bytes) -> None:
            self.send_response(code)
            self.send_header("Content-Length", str(len(content)))
            self.send_header("Content-Type", "application/json")
            self.send_header("ETag", f'"{len(content)}"')
            self.send_header("X-Repo-Commit", "0" * 40)
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(content)

        def log_message(self, *_):
            pass

    Hub.files, Hub.requests = {}, []
    listening = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    threading.Thread(target=listening.serve_forever, daemon=True).start()
    endpoint = f"http://127.0.0.1:{listening.server_port}"
    template = endpoint + "/{repo_id}/resolve/{revision}/{filename}"
    monkeypatch.setattr(huggingface_hub.constants, "ENDPOINT", endpoint)
    monkeypatch.setattr(huggingface_hub.constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", False)
    yield Hub
    listening.shutdown()
    listening.server_close()


def test_a_hub_that_gives_nothing_is_asked_once(cache, server):
    with pytest.raises(InputError, match="cannot load someone/tiny: the hub gave no files"):
        load(HUB_ID, "cpu")
    assert len(server.requests) == 1


def test_a_hub_that_is_not_there_is_one_line(run, cache, monkeypatch, server):
    monkeypatch.setattr(huggingface_hub.constants, "ENDPOINT", "http://127.0.0.1:9")
    code, _, errors = run("doctor", HUB_ID)
    assert code == 2 and errors.count("\n") == 1
    assert "the hub cannot be reached" in errors and "go online or give a folder" in errors and "mean" not in errors
    with pytest.raises(InputError, match=r"did you mean ViT-B/16\b"):
        load("ViT-B/61", "cpu")
    with pytest.raises(InputError, match=r"did you mean shapes\b"):
        load("shape", "cpu")


def test_a_whole_copy_in_the_cache_asks_nothing(cache, server, clip_folder):
    fill(cache, Path(clip_folder))
    assert load(HUB_ID, "cpu").weights_hash() == load(str(clip_folder), "cpu").weights_hash()
    assert server.requests == []


def test_weights_without_their_tokenizer_ask_and_go_on_without(cache, server, clip_folder):
    fill(cache, Path(clip_folder), "config.json", "model.safetensors", "preprocessor_config.json")
    assert load(HUB_ID, "cpu").tokenizer is None
    assert len(server.requests) == 1


@pytest.mark.parametrize("kind", ["transformers", "OpenCLIP"])
def test_a_download_takes_one_set_of_weights(cache, server, clip_folder, formats, tensors, tmp_path, kind):
    folder = Path(clip_folder) if kind == "transformers" else formats.write("open_clip bin", tmp_path / "m", tensors)
    server.files = {path.name: path.read_bytes() for path in folder.iterdir()}
    server.files |= {"flax_model.msgpack": b"x", "pytorch_model.bin": b"x", "README.md": b"x"}
    assert load(f"hf-hub:{HUB_ID}", "cpu").weights_hash() == load(str(folder), "cpu").weights_hash()
    cached = {path.name for path in hub.find_cached(HUB_ID).iterdir()}
    assert cached == server.files.keys() - {"flax_model.msgpack", "pytorch_model.bin", "README.md"}
