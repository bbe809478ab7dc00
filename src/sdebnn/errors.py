"""The one error that means: what was given cannot be used."""


class InputError(ValueError):
    """What the user gave (a value, a file, a folder) cannot be used.

    Its text is one sentence that says what was got, what is allowed and what to do. The command line prints it on one
    line and exits with code 2; a library user catches it as a `ValueError`.
    """
