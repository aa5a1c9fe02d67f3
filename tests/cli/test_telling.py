"""What is remarked on single images waits for the end of a command; all other warnings are shown as they come."""

import json
import logging
import shutil
import warnings
from importlib import resources

from headroles.cli.options.telling import telling
from headroles.images.deep import ImageNote


def test_remarks_wait_and_come_once(capsys):
    log = logging.getLogger("headroles")
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        shown = []
        warnings.showwarning = lambda message, *more, **others: shown.append(str(message))
        with telling():
            log.info("how it\nis read")
            assert capsys.readouterr().err == "how it is read\n"
            for _ in range(3):
                warnings.warn("no scale", ImageNote, stacklevel=1)
            warnings.warn_explicit("unexpected exif", UserWarning, "/lib/PIL/Image.py", 1)
            warnings.warn("of another kind", UserWarning, stacklevel=1)
            log.warning("2 remarks on images: odd")
            assert shown == ["of another kind"] and capsys.readouterr().err == ""
        assert capsys.readouterr().err.splitlines() == ["no scale (3 times)", "wrong exif", "2 remarks on images: odd"]
    assert not log.handlers and log.level == logging.NOTSET


def test_what_transformers_says_of_a_model_waits_too_and_is_reworded(run, tmp_path):
    with resources.as_file(resources.files("headroles.bundled") / "model") as model:
        shutil.copytree(model, tmp_path / "model")
    path = tmp_path / "model" / "config.json"
    config = json.loads(path.read_text())
    config["text_config"]["pad_token_id"] = 99887  # transformers says each only once
    path.write_text(json.dumps(config))
    code, _, err = run("doctor", tmp_path / "model", "--json")
    (line,) = [line for line in err.splitlines() if "transformers" in line]
    assert code == 0 and line == err.splitlines()[-1] and "unexpected" not in err
    assert line.startswith("transformers says: Model config: pad_token_id must be") and "99887" in line
