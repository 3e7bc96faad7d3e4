"""What runs behind the emulator's APIs: processes, images, databases, builds, and the gateway.

Nothing here knows an API of Google's; the products translate.
"""

from infra.emulator.runtime.gateway import Route
from infra.emulator.runtime.instance import Launch, Spec, StartError
from infra.emulator.runtime.logs import Origin
from infra.emulator.runtime.probes import Probe
from infra.emulator.runtime.runtime import Runtime
from infra.emulator.runtime.settings import Settings

__all__ = ["Launch", "Origin", "Probe", "Route", "Runtime", "Settings", "Spec", "StartError"]
