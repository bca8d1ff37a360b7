"""Wrap methods of one object for a while, and leave no trace of it."""

_ABSENT = object()


class Wrapping(list):
    """The methods that are wrapped at the moment."""

    def wrap(self, owner, name, wrapper):
        """Put ``wrapper(method)`` in the place of ``owner``'s method.

        The attribute is the instance's own: its class stays as it is.
        """
        before = vars(owner).get(name, _ABSENT)
        method, alive = getattr(owner, name), [True]
        watched = wrapper(method)

        def stand_in(*arguments, **options):
            return (watched if alive else method)(*arguments, **options)

        setattr(owner, name, stand_in)
        self.append((owner, name, stand_in, before, alive))

    def unwrap(self):
        """Put back what was there, unless somebody has wrapped it again."""
        for owner, name, stand_in, before, alive in reversed(self):
            alive.clear()
            if vars(owner).get(name) is stand_in:
                if before is _ABSENT:
                    delattr(owner, name)
                else:
                    setattr(owner, name, before)
        self.clear()
