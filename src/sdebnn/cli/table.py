"""Tables of scores for a terminal."""

from collections.abc import Mapping


def print_scores(rows: Mapping[str, Mapping[str, float]]) -> None:
    """Prints a row for each model and a column for each score; numbers have the sign, unit and digits that their names
    say.
    """
    columns = list(next(iter(rows.values())))
    width = max(len(name) for name in rows)
    print(" " * width, *(f"{column:>{len(column)}}" for column in columns), sep="  ")
    for name, scores in rows.items():
        print(f"{name:<{width}}", *(f"{scores[column]:>{len(column)}.4g}" for column in columns), sep="  ")
