"""What every request passes on its way in and out. Pure ASGI: no task, no
queue, no copy of a body. `main.py` says in which order."""

from src.middleware.cors import cors
from src.middleware.forwarded import ForwardedMiddleware
from src.middleware.headers import HeadersMiddleware
from src.middleware.limits import LimitsMiddleware
from src.middleware.request import RequestMiddleware, is_probe

__all__ = [
    "ForwardedMiddleware",
    "HeadersMiddleware",
    "LimitsMiddleware",
    "RequestMiddleware",
    "cors",
    "is_probe",
]
