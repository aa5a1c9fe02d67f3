"""The local page's server: who is refused, with what, and that it lives on; on a real port of this machine."""

import http.client
import io
import json
import os
import signal
import socket
import struct
import sys
import threading
import time
import zlib
from base64 import b64encode
from dataclasses import replace
from urllib.parse import urlsplit

import pytest
from PIL import Image

from headroles.errors import InputError
from headroles.explore.opening import open_engine
from headroles.explore.page_files import page_files
from headroles.explore.serving import LocalPage, open_port
from headroles.models.load import load

FILES = {"index.html": "<!doctype html><title>page</title>", "explore.js": "export {}", "explore.css": "p {}"}
ROUGH = 100_000_000
"""Bytes of an upload that is far too large."""


BUSY, MOST = [], []
"""Slow messages in work, and how many they were whenever one came."""


def answer(message: dict) -> dict:
    """Stands for an engine: refuses, breaks or repeats."""
    if "wrong" in message:
        raise InputError("layer must be\n0 to 3, got 9; choose another")
    if "broken" in message:
        raise RuntimeError("secret\nplace")
    if "undefined" in message:
        return {"value": float("nan")}
    if "slow" in message:
        BUSY.append(message)
        MOST.append(len(BUSY))
        time.sleep(0.01)
        BUSY.pop()
    return {"heard": message}


class Client:
    """Asks the server as a program that may say anything of itself."""

    def __init__(self, address: str) -> None:
        self.parts = urlsplit(address)
        self.key = self.parts.path

    def ask(self, method="GET", path=None, body=None, **headers) -> tuple[int, str, http.client.HTTPMessage]:
        connection = http.client.HTTPConnection(self.parts.hostname, self.parts.port, timeout=10)
        given = {name.replace("_", "-"): value for name, value in headers.items()}
        connection.request(method, self.key if path is None else path, body, given)
        found = connection.getresponse()
        text = found.read().decode()
        connection.close()
        return found.status, text, found.headers

    def post(self, message, **headers) -> tuple[int, dict]:
        body = message if isinstance(message, (str, bytes)) else json.dumps(message)
        headers = {"Content_Type": "application/json", **headers}
        status, text, _ = self.ask("POST", self.key + "ask", body, **headers)
        return status, json.loads(text)

    def lives(self) -> bool:
        return self.post({"ask": "map"}) == (200, {"heard": {"ask": "map"}})


@pytest.fixture(scope="module")
def client():
    with open_port(0) as place, LocalPage(answer, FILES, place).running() as address:
        yield Client(address)


def test_the_page_and_its_files_are_given_and_may_run_their_own_script_alone(client):
    status, text, headers = client.ask()
    assert (status, text) == (200, FILES["index.html"]) and headers["Content-Type"].startswith("text/html")
    policy = dict(part.split(" ", 1) for part in headers["Content-Security-Policy"].split("; "))
    assert policy["default-src"] == "'none'" and policy["script-src"] == policy["style-src"] == "'self'"
    assert policy["frame-ancestors"] == "'none'" and "unsafe" not in headers["Content-Security-Policy"]
    assert headers["X-Content-Type-Options"] == "nosniff" and headers["Referrer-Policy"] == "no-referrer"
    assert "Access-Control-Allow-Origin" not in headers
    assert client.ask(path=client.key + "explore.js")[2]["Content-Type"].startswith("text/javascript")


def test_other_hosts_and_other_origins_are_refused_and_the_server_lives(client):
    port = client.parts.port
    own = f"127.0.0.1:{port}"
    for host in (
        "evil.example",
        f"evil.example:{port}",
        "127.0.0.1",
        f"127.0.0.1:{port + 1}",
        f"{own}@evil",
    ):
        status, text, headers = client.ask(Host=host)
        assert status == 403 and "Host must be" in json.loads(text)["error"], host
        assert "Content-Security-Policy" in headers
    for origin in ("http://evil.example", "null", f"https://127.0.0.1:{port}", f"http://127.0.0.1:{port + 1}", ""):
        status, found = client.post({"ask": "map"}, Origin=origin)
        assert status == 403 and "Origin must be" in found["error"], origin
    for name in ("127.0.0.1", "localhost", "LOCALHOST"):
        host = f"{name}:{port}"
        assert client.post({}, Host=host, Origin=f"http://{host}") == (200, {"heard": {}})
    assert client.lives()


def test_nothing_but_json_is_read_so_that_no_form_of_another_page_can_ask(client):
    for kind in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data", "application/jsonp", ""):
        status, found = client.post({"ask": "map"}, Content_Type=kind)
        assert status == 415 and "application/json" in found["error"]
    assert client.post({}, Content_Type="application/JSON; charset=utf-8")[0] == 200
    assert client.ask("OPTIONS", client.key + "ask")[0] == 405, "no leave is given to other origins"
    assert client.ask("GET", client.key + "ask")[0] == 405


def test_paths_lead_nowhere_and_the_key_is_needed(client):
    up = ("../", "..%2f", "%2e%2e/", "....//", "..\\", "/")
    paths = [f"{client.key}{step * 8}etc/passwd" for step in up]
    paths += ["/", "/ask", "/explore.js", client.key[:-2] + "/", client.key + "nothing", client.key + "%00"]
    for path in paths:
        status, text, _ = client.ask(path=path)
        assert status == 404 and "root:" not in text and "open the address" in text, path
    assert client.lives()


@pytest.mark.parametrize("claims", [True, False])
def test_a_large_upload_is_refused_while_it_is_sent(client, claims):
    """Whether it says its size or sends pieces without end, far less than all of it is taken."""
    length = f"Content-Length: {ROUGH}" if claims else "Transfer-Encoding: chunked"
    lines = (f"POST {client.key}ask HTTP/1.1", f"Host: {client.parts.netloc}", "Content-Type: application/json", length)
    piece, sent = bytes(1_000_000), 0
    with socket.create_connection((client.parts.hostname, client.parts.port), timeout=10) as connection:
        connection.sendall("\r\n".join(lines).encode() + b"\r\n\r\n")
        try:
            while sent < ROUGH:
                connection.sendall(piece if claims else b"%x\r\n%b\r\n" % (len(piece), piece))
                sent += len(piece)
        except OSError:  # It has hung up.
            pass
    assert sent < ROUGH / 2
    assert client.lives()


def test_what_is_sent_wrongly_gets_one_line_and_never_a_traceback(client):
    for body in ("", "{", "[" * 100_000, '{"ask": ' + "9" * 5000 + "}", b"\xff\xfe", "[]", '"ask"', "null", "NaN"):
        status, found = client.post(body)
        assert status == 400 and "JSON" in found["error"] and "\n" not in found["error"], body[:20]
    assert client.post({"wrong": 1}) == (422, {"error": "layer must be 0 to 3, got 9; choose another"})
    for message in ({"broken": 1}, {"undefined": 1}):
        status, found = client.post(message)
        assert status == 500 and "fault of headroles" in found["error"] and "\n" not in found["error"]
    assert client.post({"text": "\ud800"})[0] == 400
    assert client.post({"text": "\u732b \U0001f431"})[1]["heard"]["text"] == "\u732b \U0001f431"
    with socket.create_connection((client.parts.hostname, client.parts.port), timeout=10) as connection:
        connection.sendall(b"\x16\x03\x01\x00 no HTTP at all\r\n\r\n")
        assert connection.recv(100).startswith(b"HTTP/1.1 400")
    assert client.lives()


def test_messages_are_answered_one_at_a_time(client):
    threads = [threading.Thread(target=client.post, args=({"slow": number},)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert MOST == [1] * 4


def test_a_port_that_is_taken_is_one_line(client):
    taken = f"port: {client.parts.port} is taken by another program; give another --port"
    for port, message in ((client.parts.port, taken), (70_000, "port: 70000 cannot be opened")):
        with pytest.raises(InputError, match=f"^{message}"), open_port(port):
            pass


@pytest.fixture(scope="module")
def role_map(clip_folder, random_role_map, tmp_path_factory):
    """The folder of a made-up role map of a tiny model on disk."""
    found = random_role_map(heads=4, name=str(clip_folder))
    folder = tmp_path_factory.mktemp("roles")
    own = replace(found.model, weights_hash=load(str(clip_folder), "cpu").weights_hash())
    replace(found, model=own).save(folder / "role_map.json")
    return folder


def huge() -> bytes:
    """A PNG file of few bytes that claims 60,000 x 60,000 pixels."""
    parts = (b"IHDR" + struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0), b"IDAT" + zlib.compress(b""), b"IEND")
    chunks = (struct.pack(">I", len(part) - 4) + part + struct.pack(">I", zlib.crc32(part)) for part in parts)
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


def png() -> bytes:
    content = io.BytesIO()
    Image.new("RGB", (40, 30), "red").save(content, "PNG")
    return content.getvalue()


def test_what_is_no_picture_is_refused_and_a_picture_is_looked_at(role_map, color_folder, random_role_map):
    """With a model behind it, and another map beside."""
    other = random_role_map(heads=4, silent=("L1.H0",))
    engine = open_engine(role_map, images=str(color_folder), count=4, against=other)
    with open_port(0) as place, LocalPage(engine.answer, page_files(), place).running() as address:
        client = Client(address)
        for content, message in (
            (b"<!doctype html><script>alert(1)</script>", "cannot be read"),
            (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "cannot be read"),
            (huge(), "more than the limit"),
            (png()[:60], "cannot be read"),
            (b"", "data"),
        ):
            status, found = client.post({"ask": "add image", "data": b64encode(content).decode()})
            assert status == 422 and message in found["error"] and "\n" not in found["error"], found
        for image in ("../../etc/passwd", "/etc/passwd", "-1", "4", "1e9", 0, None, ["0"]):
            assert client.post({"ask": "image", "image": image})[0] == 422
        status, found = client.post({"ask": "add image", "data": b64encode(png()).decode(), "name": "../<b>.png"})
        assert (status, found["image"], found["total"]) == (200, "4", 5)
        status, found = client.post({"ask": "map"})
        assert status == 200 and found["changes"] == json.loads(json.dumps(engine.changes.to_dict()))
        assert found["against"]["head_roles"] and engine.changes.changed
        assert {"page.css", "start.js"} <= {
            name for name in page_files() if client.ask(path=client.key + name)[0] == 200
        }


def test_ctrl_c_closes_the_page_and_ends_well(run, role_map, color_folder):
    with open_port(0) as free:
        port = free.getsockname()[1]

    def press() -> None:
        """Ctrl-C, once the page answers, and never where it does not."""
        for _ in range(1000):
            try:
                connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
                connection.request("GET", "/")
                connection.getresponse().read()
            except ConnectionRefusedError:
                time.sleep(0.01)
            else:
                return os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=press, daemon=True).start()
    options = ("--images", color_folder, "--count", 2, "--port", port, "--no-browser")
    code, out, errors = run("explore", role_map, *options)
    (address,) = out.splitlines()
    assert code == 0 and address.startswith(f"http://127.0.0.1:{port}/"), errors
    reading, _, closed = errors.splitlines()
    assert reading.startswith("images: ") and closed == "closed"
    with open_port(port):
        pass  # It is free again.


def test_mistakes_are_one_line_and_exit_2(run, role_map, random_role_map, color_folder, tmp_path, monkeypatch):
    random_role_map(heads=2).save(tmp_path / "small.json")
    own = ("explore", role_map, "--no-browser", "--images", color_folder)
    with open_port(0) as taken:
        mistakes = {
            (*own, "--port", taken.getsockname()[1]): "is taken by another program",
            ("explore", tmp_path / "none.json", "--port", 0): "no file",
            ("explore", role_map, "--port", 0): "give a folder of images",
            (*own[:3], "--port", 0, "--images", tmp_path / "none"): "none is no folder",
            (*own, "--port", 0, "--against", tmp_path / "small.json"): "only maps of models of one size",
            (*own, "--port", 0, "--classes", ""): "classes: expected names, got none",
            (*own, "--port", 70_000): "70000",
        }
        for arguments, message in mistakes.items():
            code, out, errors = run(*arguments)
            assert (code, out) == (2, "") and message in errors, (arguments, errors)
            assert len([line for line in errors.splitlines() if line.startswith("Error")]) == 1
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    monkeypatch.delitem(sys.modules, "headroles.explore.serving")
    code, out, errors = run(*own)
    assert code == 2 and "pip install 'headroles[explore]'" in errors and len(errors.strip().splitlines()) == 1
