"""Networks by the name of their backbone."""

from __future__ import annotations

import torch

from fast_inerf_ros.posecnn.light import LightNetwork
from fast_inerf_ros.posecnn.network import Backbone, NetworkConfig, PoseNetwork
from fast_inerf_ros.posecnn.vgg16 import Vgg16Network

NETWORKS: dict[Backbone, type[PoseNetwork]] = {
    "efficientnet_lite0": LightNetwork,
    "vgg16": Vgg16Network,
}


def make_network(config: NetworkConfig, *, pretrained: bool = False, seed: int = 0) -> PoseNetwork:
    """Network with reproducible random weights, the backbone's from ImageNet if asked for.

    Raises:
        InputError: weights are asked for that are not installed.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = NETWORKS[config.backbone](config)
    if pretrained:
        network.load_pretrained()
    return network.eval()
