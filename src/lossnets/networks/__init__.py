"""Images -> named feature maps: networks by name, their taps, their weights."""

from lossnets.networks.blueprint import Blueprint, blueprint
from lossnets.networks.catalogue import (
    DEFAULT_NETWORK,
    list_networks,
    network_spec,
    register_network,
    study_networks,
)
from lossnets.networks.extractor import LossNetwork
from lossnets.networks.load import load_network, wrap_network
from lossnets.networks.spec import NetworkSpec, Tap, WeightsSpec

__all__ = [
    "DEFAULT_NETWORK",
    "Blueprint",
    "LossNetwork",
    "NetworkSpec",
    "Tap",
    "WeightsSpec",
    "blueprint",
    "list_networks",
    "load_network",
    "network_spec",
    "register_network",
    "study_networks",
    "wrap_network",
]
