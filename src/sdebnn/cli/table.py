"""Tables of scores for a terminal."""

from collections.abc import Mapping, Sequence


def print_scores(rows: Mapping[str, Mapping[str, float]], labels: Sequence[object] | None = None) -> None:
    """Prints a row for each model and a column for each score, numbers with four digits, one below the other. The
    recall of each class comes in a table of its own below, by its name among `labels`.
    """
    columns = list(next(iter(rows.values())))
    recalls = [column for column in columns if column.startswith("recall_")]
    _print_table(rows, [column for column in columns if column not in recalls], None)
    if recalls:
        _print_table(rows, recalls, labels)


def _print_table(rows: Mapping[str, Mapping[str, float]], columns: list[str], labels: Sequence[object] | None) -> None:
    # With the scores comes scipy.
    from sdebnn.metrics.report import titles_of

    table = [
        ["", *titles_of(columns, labels).values()],
        *([name, *(f"{scores[column]:.4g}" for column in columns)] for name, scores in rows.items()),
    ]
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    for first, *rest in table:
        print(
            f"{first:<{widths[0]}}",
            *(f"{cell:>{width}}" for cell, width in zip(rest, widths[1:], strict=True)),
            sep="  ",
        )
