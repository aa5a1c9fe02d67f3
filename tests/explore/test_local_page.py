"""The local page's server: who is refused, with what, and that it lives on; on a real port of this machine."""

import http.client
import json
import socket
import threading
import time
from urllib.parse import urlsplit

import pytest

from headroles.errors import InputError
from headroles.explore.serving import LocalPage, open_port

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
