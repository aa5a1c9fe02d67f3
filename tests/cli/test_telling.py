"""What is remarked on single images waits for the end of a command; all other warnings are shown as they come."""

import logging
import warnings

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
            warnings.warn_explicit("odd exif", UserWarning, "/lib/PIL/Image.py", 1)
            warnings.warn("of another kind", UserWarning, stacklevel=1)
            log.warning("2 remarks on images: odd")
            assert shown == ["of another kind"] and capsys.readouterr().err == ""
        assert capsys.readouterr().err.splitlines() == ["no scale (3 times)", "odd exif", "2 remarks on images: odd"]
    assert not log.handlers and log.level == logging.NOTSET
