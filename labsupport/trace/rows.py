"""What a view shows row by row: to count, to look into, to compare."""

from collections.abc import Sequence


class Rows(Sequence):
    """A sequence that equals a list of the same rows."""

    def __init__(self, rows=()):
        self._rows = [*rows]

    def __getitem__(self, index):
        return self._rows[index]

    def __len__(self):
        return len(self._rows)

    def __eq__(self, other):
        if not isinstance(other, (Rows, list)):
            return NotImplemented
        return self._rows == [*other]
