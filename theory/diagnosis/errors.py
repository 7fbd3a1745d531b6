"""What an operator answers when it gives no usable output, and how its exceptions are told."""


class OperatorError(Exception):
    """The operator gave no usable answer on one input: it raised, or its output changed shape."""


def told(error: BaseException) -> str:
    """Return an exception as a few words on one line: the first paragraph of what it says."""
    words = " ".join(str(error).strip().split("\n\n")[0].split())
    return f"{type(error).__name__}: {words[:157] + '...' if len(words) > 160 else words}"
