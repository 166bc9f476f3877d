"""History of a run: `history.csv`, a row of metrics for each epoch."""

import csv
import pathlib

from tfderain import files


def read(path: pathlib.Path) -> list[dict]:
    """The rows of complete epochs; an empty list without a file.

    A last row that was cut off while writing is left out.

    Raises:
        ValueError: the file is damaged in any other way.
    """
    if not path.exists():
        return []
    try:
        text = path.read_text(encoding="utf-8")
        if "\0" in text:  # may happen if the power fails during writing
            raise ValueError("zeros in place of text")
        whole = text[: text.rfind("\n") + 1]
        found = list(csv.DictReader(whole.splitlines(), strict=True, restkey="more"))
        for row in found:
            int(row["epoch"])
            _ = [float(value) for value in row.values() if value != ""]
    except (ValueError, TypeError, KeyError, csv.Error) as error:
        raise ValueError(
            "`history.csv` must have a row of numbers for each epoch. Move it away: "
            "the run continues without the rows of earlier epochs. "
            f"Received: {path} ({error})."
        ) from error
    return found


def truncate(path: pathlib.Path, epochs: int):
    """Drops rows of epochs that have to be run again, and an incomplete last row."""
    rows = [row for row in read(path) if int(row["epoch"]) < epochs]
    if not rows:
        path.unlink(missing_ok=True)
        return
    with files.replacing(path) as temporary, temporary.open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0], lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def append(path: pathlib.Path, row: dict):
    """Adds a dict to a CSV file; starts it with a header if there is none."""
    header = sorted(row, key=lambda name: (name != "epoch", name))
    new = not path.exists()
    if not new:
        with path.open(newline="") as file:
            header = next(csv.reader(file))
    with path.open("a", newline="") as file:
        # A run that was begun by an older version lacks columns, and stays that way.
        writer = csv.DictWriter(
            file, header, extrasaction="ignore", lineterminator="\n"
        )
        if new:
            writer.writeheader()
        writer.writerow(row)
