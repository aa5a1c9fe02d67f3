"""The ways to describe heads, each with the same four verbs: open, fold, explain, write.

A way is opened from a ScoreJob, where all that can be wrong with labels, texts or encoder is said before a large model
is loaded. A new way is one file beside these and one line of `find_way`.
"""

from __future__ import annotations

from headroles.errors import InputError
from headroles.jobs.by_discovery import ByDiscovery
from headroles.jobs.by_images import ByImages
from headroles.jobs.by_texts import ByTexts
from headroles.jobs.score_job import ScoreJob

Way = ByTexts | ByDiscovery | ByImages
KINDS = ("texts", "images")
"""What heads can be described by."""
CONCEPTS = ("bank", "discover")
"""Where the concepts of texts can come from."""


def find_way(job: ScoreJob) -> type[Way]:
    """The way that a job asks for; InputError where there is none."""
    for name, given, known in (("by", job.by, KINDS), ("concepts", job.concepts, CONCEPTS)):
        if given not in known:
            raise InputError(f"{name} must be one of {', '.join(known)}, got {given!r}")
    if job.by == "images":
        if job.concepts == "discover":
            raise InputError("concepts: discover clusters texts; leave it out with by images, whose labels count")
        return ByImages
    return ByDiscovery if job.concepts == "discover" else ByTexts
