"""Errors: the one line that a user reads of each."""


def one_line(error: BaseException | str) -> str:
    """Returns the message of an error in one line; its class where it says nothing.

    Args:
        error: the exception, or its text.
    """
    return " ".join(str(error).split()) or type(error).__name__


def reason(error: BaseException) -> str:
    """Returns what another message can quote: one line without a full stop.

    Of an error of the system only what went wrong: the other message names the file.
    """
    return one_line(getattr(error, "strerror", None) or error).rstrip(".")
