"""What is wrong with a table is said in words about the table."""

import pytest

from headroles import InputError
from headroles.files.tables import open_table


def test_a_quote_that_nothing_closes_is_named(tmp_path):
    path = tmp_path / "list.csv"
    path.write_text('path,color\na.png,"red\nb.png,blue\n')
    with pytest.raises(InputError, match="a quoted cell has no end"), open_table(path, "images") as rows:
        list(rows)
