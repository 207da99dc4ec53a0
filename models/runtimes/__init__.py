"""Ways to run an exported network: one module per inference library."""

from models.runtimes.choice import RUNTIMES, Runtime, choose_runtime
from models.runtimes.network import Network, Precision, Shape

__all__ = ["RUNTIMES", "Network", "Precision", "Runtime", "Shape", "choose_runtime"]
