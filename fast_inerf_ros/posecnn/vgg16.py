"""PoseCNN on VGG16, with the layers and keys of DeepRob's and the seed project's checkpoints.

Xiang, Schmidt, Narayanan, Fox, "PoseCNN", RSS 2018.
"""

from __future__ import annotations

from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fast_inerf_ros.errors import InputError
from fast_inerf_ros.posecnn.crops import widened
from fast_inerf_ros.posecnn.initial_weights import initialise_output, initialise_rectified
from fast_inerf_ros.posecnn.network import DenseOutput, NetworkConfig, PoseNetwork, metres
from fast_inerf_ros.posecnn.prediction import Prediction
from fast_inerf_ros.posecnn.rotations import matrix_from_wxyz

LAYERS: tuple[int, ...] = (
    64,
    64,
    0,
    128,
    128,
    0,
    256,
    256,
    256,
    0,
    512,
    512,
    512,
    0,
    512,
    512,
    512,
)
"""Channels of the convolutions of VGG16 in their order; 0 halves the map."""

SPLIT = 23
ROI_CELLS = 7
TYPICAL_LOG_DEPTH_PER_FOCAL = -6.4
IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_DEVIATION = (0.229, 0.224, 0.225)


class Features(nn.Module):
    """VGG16 up to strides 8 and 16: 512 channels each."""

    def __init__(self) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        inputs = 3
        for channels in LAYERS:
            if channels:
                layers += [nn.Conv2d(inputs, channels, 3, padding=1), nn.ReLU(inplace=True)]
                inputs = channels
            else:
                layers.append(nn.MaxPool2d(2, 2))
        self.embedding1 = nn.Sequential(*layers[:SPLIT])
        self.embedding2 = nn.Sequential(*layers[SPLIT:])

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Maps (B, 512, H / 8, W / 8) and (B, 512, H / 16, W / 16)."""
        fine = self.embedding1(images)
        # The first layer is in place: it must not change what is returned as well.
        return fine, self.embedding2(fine)


class Branch(nn.Module):
    """Both maps reduced to `hidden` channels, added, enlarged eightfold and read out.

    The read-out is linear and enlarging keeps sums, so it is read out first: the same figures
    at a fraction of the work.
    """

    def __init__(self, hidden: int, outputs: int, name: str) -> None:
        super().__init__()
        self.conv_f1 = nn.Sequential(nn.Conv2d(512, hidden, 1), nn.ReLU())
        self.conv_f2 = nn.Sequential(nn.Conv2d(512, hidden, 1), nn.ReLU())
        # At index 1 in the checkpoints: there the enlargement comes first.
        read_out = nn.Sequential(nn.Identity(), nn.Conv2d(hidden, outputs, 1))
        self.add_module(name, read_out)
        self.name = name

    @property
    def read_out(self) -> nn.Sequential:
        """The layers whose name differs between the branches."""
        return cast("nn.Sequential", self.get_submodule(self.name))

    def forward(self, fine: Tensor, coarse: Tensor) -> Tensor:
        """Values (B, outputs, 8 h, 8 w) of maps (B, 512, h, w) and (B, 512, h / 2, w / 2)."""
        small = self.conv_f2(coarse)
        added = self.conv_f1(fine) + _enlarged(small, 2)
        return _enlarged(self.read_out(added), 8)


class RotationBranch(nn.Module):
    """Quaternions, w first, of every class from what both maps show in a box."""

    def __init__(self, n_classes: int) -> None:
        super().__init__()
        self.roi_fc = nn.Sequential(
            nn.Linear(512 * ROI_CELLS**2, 4096),
            nn.ReLU(),
            nn.Linear(4096, 4096),
            nn.ReLU(),
            nn.Linear(4096, 4 * n_classes),
        )

    def forward(self, features: tuple[Tensor, ...], boxes: Tensor) -> Tensor:
        """Quaternions (N, 4 C), not normalised, in boxes (N, 5)."""
        # Only here: torchvision takes 160 MB that the light network does without.
        from torchvision.ops import roi_pool

        maps = [widened(feature) for feature in features]
        rois = boxes.to(maps[0].dtype)
        pooled = [
            roi_pool(values, rois, (ROI_CELLS, ROI_CELLS), 1 / stride)
            for values, stride in zip(maps, (8, 16), strict=True)
        ]
        quaternions: Tensor = self.roi_fc((pooled[0] + pooled[1]).flatten(1))
        return quaternions


class Vgg16Network(PoseNetwork):
    """A centre map for each class: direction and depth.

    The input's sides are cut to multiples of 16.
    """

    stride = 1
    side_unit = 16
    allocentric = False
    learning_rate = 1e-3

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__(config)
        self.feat_extract = Features()
        self.seg_branch = Branch(64, self.n_classes + 1, "seg_prob")
        self.trans_branch = Branch(128, 3 * self.n_classes, "trans_pred")
        self.rot_branch = RotationBranch(self.n_classes)
        if not config.legacy:
            self._initialise()

    def dense(self, images: Tensor) -> DenseOutput:
        """Logits (B, C + 1, H, W), raw centre map (B, 3 C, H, W) and both feature maps."""
        height, width = (16 * (size // 16) for size in images.shape[2:])
        images = images[..., :height, :width]
        if not self.config.legacy:
            images = (images - _channels(IMAGENET_MEAN, images)) / _channels(
                IMAGENET_DEVIATION, images
            )
        features = self.feat_extract(images)
        scores = self.seg_branch(*features)
        # The seed's ReLU before the softmax: its checkpoints were trained with it.
        logits = F.relu(scores) if self.config.legacy else scores
        return DenseOutput(logits, self.trans_branch(*features), features)

    def prediction(self, output: DenseOutput, focal_px: Tensor) -> Prediction:
        """Channels of each class: direction x, y and log-depth.

        Legacy networks: directions as they come, not of length 1, and depth itself.
        """
        centre = output.centre.float()
        centre = centre.reshape(len(centre), self.n_classes, 3, *centre.shape[2:])
        direction, depth = centre[:, :, :2], centre[:, :, 2]
        if not self.config.legacy:
            direction = F.normalize(direction, dim=2, eps=1e-6)
            depth = metres(depth + TYPICAL_LOG_DEPTH_PER_FOCAL, focal_px)
        return Prediction(
            logits=output.logits,
            direction=direction,
            depth=depth,
            offset=None,
            features=output.features,
            stride=1,
        )

    def quaternions(self, features: tuple[Tensor, ...], boxes: Tensor) -> Tensor:
        """Quaternions (N, C, 4), w first, not normalised, in boxes (N, 5)."""
        values: Tensor = self.rot_branch(features, boxes)
        return values.reshape(-1, self.n_classes, 4)

    def rotations(self, features: tuple[Tensor, ...], boxes: Tensor) -> Tensor:
        """Rotations (N, C, 3, 3) in the camera's frame in each box (N, 5)."""
        return matrix_from_wxyz(self.quaternions(features, boxes).float())

    def freeze(self, n_blocks: int) -> None:
        """Do not train the first `n_blocks` of 13 convolutions of the backbone."""
        layers = [m for m in self.feat_extract.modules() if isinstance(m, nn.Conv2d)]
        for index, layer in enumerate(layers):
            for parameter in layer.parameters():
                parameter.requires_grad_(index >= n_blocks)

    def load_pretrained(self) -> None:
        """Give the backbone torchvision's ImageNet weights.

        Raises:
            InputError: they are not in torchvision's cache and cannot be fetched.
        """
        from torchvision.models import VGG16_Weights

        try:
            stored = VGG16_Weights.IMAGENET1K_FEATURES.get_state_dict(progress=False)
        except OSError as error:
            raise InputError(
                f"expected torchvision's ImageNet weights of vgg16, got none ({error}): fetch "
                "them once with a network, or train with pretrained: false"
            ) from None
        state = {}
        for name in self.feat_extract.state_dict():
            part, index, kind = name.split(".")
            first = 0 if part == "embedding1" else SPLIT
            state[name] = stored[f"features.{first + int(index)}.{kind}"]
        self.feat_extract.load_state_dict(state)

    def _initialise(self) -> None:
        initialise_rectified(self)
        for branch in (self.seg_branch, self.trans_branch):
            initialise_output(branch.read_out[1], 0.01)
        # A quaternion of zeros is no rotation; start near the identity.
        identity = torch.tensor([1.0, 0, 0, 0]).repeat(self.n_classes)
        initialise_output(self.rot_branch.roi_fc[-1], 0.001, identity)


def _enlarged(values: Tensor, factor: int) -> Tensor:
    return F.interpolate(values, scale_factor=float(factor), mode="bilinear", align_corners=False)


def _channels(values: tuple[float, ...], like: Tensor) -> Tensor:
    return like.new_tensor(values).reshape(1, -1, 1, 1)
