"""Links of the repository as links of the site, so that a page reads well in both."""

import posixpath
import re
from collections.abc import Mapping

_LINK = re.compile(r"(\]\()([^)\s#:]+)(#[^)\s]*)?(\))")


def mend_links(markdown: str, path: str, origin: str, places: Mapping[str, str]) -> str:
    """Markdown whose relative links lead to pages of the site.

    `path`: the page's place on the site; `origin`: the file, from the root of the repository, that its links are
    relative to; `places`: file of the repository -> page, for files outside docs/. Other links stay as they are.
    """

    def mend(match: re.Match) -> str:
        target = posixpath.normpath(posixpath.join(posixpath.dirname(origin), match[2]))
        page = places.get(target) or (target.removeprefix("docs/") if target.startswith("docs/") else None)
        if page is None:
            return match[0]
        return match[1] + posixpath.relpath(page, posixpath.dirname(path) or ".") + (match[3] or "") + match[4]

    return _LINK.sub(mend, markdown)
