"""The version of this package, in one place: what is built, cited and written to run folders has it from here."""

__version__ = "0.1.0"
