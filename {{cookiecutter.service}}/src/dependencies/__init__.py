"""What the layers are given. Caller, Config, Logger and HttpClient are
injected; logger and tracer may be used anywhere. Database is in its own
module."""

from src.dependencies.caller import Caller, Identity
from src.dependencies.config import Config
from src.dependencies.http_client import HttpClient
from src.dependencies.logger import Logger, logger
from src.dependencies.tracer import tracer

__all__ = [
    "Caller",
    "Config",
    "HttpClient",
    "Identity",
    "Logger",
    "logger",
    "tracer",
]
