"""Errors: the one line that a user sees of each."""


def one_line(error: BaseException | str) -> str:
    """Returns the message of an error on one line, or its class if it has no message.

    Args:
        error: the exception, or its text.
    """
    return " ".join(str(error).split()) or type(error).__name__


def reason(error: BaseException) -> str:
    """Returns what another message can quote: one line without a full stop.

    For an `OSError` only what went wrong: the other message names the file.
    """
    return one_line(getattr(error, "strerror", None) or error).rstrip(".")
