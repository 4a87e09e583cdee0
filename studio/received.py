"""What the server is sent, within limits."""

import json

from starlette.exceptions import HTTPException

MOST_JSON, MOST_UPLOAD = 2**18, 20 * 2**20  # bytes
MOST_DIGITS = 20  # of a whole number


async def body_of(request, most, what="A request"):
    """The body of a request, bytes; HTTPException, which says what it is, if it is longer than allowed."""
    content = b""
    async for chunk in request.stream():
        content += chunk
        if len(content) > most:
            shown = f"{most // 2**20} MB" if most >= 2**20 else f"{most // 2**10} kB"
            raise HTTPException(413, f"{what} must have at most {shown}.")
    return content


async def json_of(request):
    return parsed(await body_of(request, MOST_JSON))


def parsed(text):
    """The object in JSON; ValueError if it is none."""

    def refuse(name):
        raise ValueError(f"{name} is no number.")

    def whole(digits):
        if len(digits) > MOST_DIGITS:
            raise ValueError(f"{digits[:MOST_DIGITS]}... is too long a number.")
        return int(digits)

    try:
        value = json.loads(text, parse_constant=refuse, parse_int=whole)
    except (RecursionError, UnicodeDecodeError, json.JSONDecodeError):
        raise ValueError("That is not JSON.") from None
    if not isinstance(value, dict):
        raise ValueError("A request must be an object.")
    return value
