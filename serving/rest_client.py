"""Pictures from TensorFlow Serving over REST, without TensorFlow: python serving/rest_client.py --seeds=0-24"""

import base64
import contextlib
import functools
import os
import sys
from urllib.parse import quote

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

import requests

from serving.client_pictures import SIGNATURE, client_command, sentence, too_slow

DEFAULT_HOST = "localhost:8501"


@contextlib.contextmanager
def connect(host, model, timeout):
    """Yields a function that gives a list of PNG files for the inputs of `png_from_seeds`, or of what another
    signature, its second argument, answers to inputs of its own.

    Args:
        host: HOST:PORT of the REST service, or its address with http:// or https://.
        model: Name of the model on the server.
        timeout: Seconds to wait for an answer.

    Raises:
        ValueError: From the function: the model refuses the inputs, or is unknown.
        OSError: From the function: the server cannot be reached, is overloaded or too slow.
    """
    address = host if "://" in host else f"http://{host}"
    with requests.Session() as session:
        yield functools.partial(
            _ask, session, f"{address.rstrip('/')}/v1/models/{quote(model, safe='')}:predict", timeout
        )


def _ask(session, url, timeout, inputs, signature=SIGNATURE):
    # The row format: an object a picture. The server answers with a list, as there is one output only.
    rows = [dict(zip(inputs, row, strict=True)) for row in zip(*inputs.values(), strict=True)]
    try:
        response = session.post(url, json={"signature_name": signature, "instances": rows}, timeout=timeout)
    except requests.Timeout:
        raise too_slow(url, timeout) from None
    except requests.RequestException as error:
        reason = getattr(error.args[0] if error.args else None, "reason", error)
        raise ConnectionError(f"{url} cannot be asked: {sentence(str(reason))}") from None
    try:
        answer = response.json()
        if response.ok:
            rows = answer["predictions"]
            return [base64.b64decode(row["b64"], validate=True) for row in rows] if signature == SIGNATURE else rows
        message = sentence(str(answer["error"]))
    except (ValueError, KeyError, TypeError):
        raise ValueError(f"{url} answers {response.status_code}, but not as TensorFlow Serving does.") from None
    if response.status_code in (400, 404):
        raise ValueError(f"The server refuses the request: {message}")
    raise ConnectionError(f"{url} answers {response.status_code}: {message}")


main = client_command("REST", connect, DEFAULT_HOST)


if __name__ == "__main__":
    main()
