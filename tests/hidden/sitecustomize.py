"""On the PYTHONPATH of a program: some programs are not installed for it.

The variable HIDDEN names them, such as ``mariadbd``.
"""

import os
import shutil

_which = shutil.which


def which(cmd, *args, **kwargs):
    if cmd in os.environ["HIDDEN"].split(os.pathsep):
        return None
    return _which(cmd, *args, **kwargs)


shutil.which = which
