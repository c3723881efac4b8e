"""Error messages about spreadsheets. ``where`` is always the file and the row."""

from collections.abc import Sequence

from warmstart.errors.base import DataError

_CSV = "save the sheet as CSV (UTF-8)"


def openpyxl_missing(path: str) -> DataError:
    """The optional package that reads spreadsheets is not installed."""
    return DataError(
        f"{path} is a spreadsheet and needs the package 'openpyxl', which is not installed",
        "the optional package that reads .xlsx files",
        f"pip install 'warmstart[xlsx]', or {_CSV}",
    )


def protected_or_old(path: str) -> DataError:
    """A file with a password, or in the format of Excel before 2007."""
    return DataError(
        f"{path} is protected by a password, or has the older format .xls",
        "an .xlsx file without a password",
        f"open it in a spreadsheet program and save it as .xlsx without a password; or {_CSV}",
    )


def too_large(path: str, *, packed: int, unpacked: int) -> DataError:
    """A file that was made to fill the memory."""
    return DataError(
        f"{path}: {packed:,} bytes unpack to {unpacked:,} bytes",
        "a spreadsheet, which compression rarely reduces to less than one hundredth of its size",
        f"if you trust it, open it in a spreadsheet program and {_CSV}",
    )


def no_name(where: str, column: int) -> DataError:
    """A cell without a text between the names of the columns."""
    return DataError(
        f"{where}: column {column} has no name",
        "a name above each column, in the first row that has a value",
        "write a name into this cell; or delete the column, or a title above the names",
    )


def duplicate_names(where: str, names: Sequence[str]) -> DataError:
    """Several columns with the same name."""
    return DataError(
        f"{where} has repeated column names: {', '.join(names)}",
        "a different name for each column",
        "rename them in the spreadsheet program",
    )


def cell_without_name(where: str, columns: int) -> DataError:
    """A row with more values than there are names."""
    return DataError(
        f"{where} has a value to the right of the {columns} named columns",
        "a name above each column, in the first row that has a value",
        "write a name above this value, or delete it; or delete a title above the names",
    )


def no_result(where: str, cell: str) -> DataError:
    """A formula that was never computed: the file was written by a program."""
    return DataError(
        f"{where}: the cell {cell} has a formula, and the file does not contain its result",
        "values, or formulas with their results",
        f"open the file in a spreadsheet program and save it there; or {_CSV}",
    )
