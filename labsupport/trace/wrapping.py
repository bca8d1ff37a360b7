"""Wrap methods of objects for a while, and leave no trace of it."""

from weakref import ref

_ABSENT = object()


class Wrapping:
    """The methods that are wrapped at the moment.

    Keeps none of the objects alive: a pool that an engine has disposed of
    closes its connections when it is collected.
    """

    def __init__(self):
        self._wrapped = []

    def __bool__(self):
        return bool(self._wrapped)

    def wrap(self, owner, name, wrapper):
        """Put ``wrapper(method)`` in the place of ``owner``'s method.

        The attribute is the instance's own: its class stays as it is.
        """
        method, alive = getattr(owner, name), [True]
        watched = wrapper(method)

        def stand_in(*arguments, **options):
            return (watched if alive else method)(*arguments, **options)

        stand_in.before = vars(owner).get(name, _ABSENT)
        setattr(owner, name, stand_in)
        # The stand-in knows its owner: it would keep it, too.
        self._wrapped.append((ref(owner), name, ref(stand_in), alive))

    def unwrap(self):
        """Put back what was there, unless somebody has wrapped it again."""
        for place, name, stand_in, alive in reversed(self._wrapped):
            alive.clear()
            owner, ours = place(), stand_in()
            if None in (owner, ours) or vars(owner).get(name) is not ours:
                continue  # it is gone, or not ours any more
            if ours.before is _ABSENT:
                delattr(owner, name)
            else:
                setattr(owner, name, ours.before)
        self._wrapped.clear()
