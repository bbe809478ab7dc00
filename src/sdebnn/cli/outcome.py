"""How a program ends: its exit code, and one line on standard error where something is wrong."""

import sys
from collections.abc import Callable

from sdebnn.errors import InputError, PeerError, StorageError
from sdebnn.training import Stopped


def outcome(program: str, action: Callable[[], None]) -> int:
    """Runs `action`. Returns the exit code: 0, 2 for input that cannot be used, 1 for training that broke down
    for files that cannot be written and where another process ended, 130 after Ctrl-C, 143 after SIGTERM.
    """
    try:
        action()
    except (InputError, PeerError, StorageError, FloatingPointError) as error:
        # The names of files, and what others say is wrong with them, may have lines of their own.
        print(f"{program}: error: {' '.join(str(error).splitlines())}", file=sys.stderr)
        return 2 if isinstance(error, InputError) else 1
    except Stopped as stop:
        print(f"{program}: {stop}", file=sys.stderr)
        return stop.exit_code
    except KeyboardInterrupt:
        print(f"{program}: stopped.", file=sys.stderr)
        return 130
    return 0
