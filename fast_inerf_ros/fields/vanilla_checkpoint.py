"""A NeRF checkpoint in memory: the dict of nerf-pytorch, validated, and one entry of our own."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch

from fast_inerf_ros.errors import InputError
from fast_inerf_ros.fields.vanilla import VanillaField
from fast_inerf_ros.fields.vanilla_network import NerfNetwork, NetworkPair, check_entries, restored
from fast_inerf_ros.fields.vanilla_setting import VanillaSetting
from fast_inerf_ros.geometry.field_frame import FieldFrame
from fast_inerf_ros.geometry.stored_pose import StoredPose

STEP, COARSE, FINE, OPTIMIZER = (
    "global_step",
    "network_fn_state_dict",
    "network_fine_state_dict",
    "optimizer_state_dict",
)

EXTRAS = "fast_inerf_ros"
"""Key of our own entry, JSON text; nerf-pytorch reads its four keys by name and ignores it."""

EXTRAS_VERSION = 1


@dataclass(frozen=True)
class VanillaCheckpoint:
    """Networks, optimiser and step, and what nerf-pytorch keeps in its configuration file only.

    step: how many steps were trained. optimizer: state dict of Adam, or None.
    setting, frame: None in checkpoints that nerf-pytorch wrote.
    """

    step: int
    networks: NetworkPair
    optimizer: Mapping[str, Any] | None = None
    setting: VanillaSetting | None = None
    frame: FieldFrame | None = None

    def field(
        self, setting: VanillaSetting | None = None, frame: FieldFrame | None = None
    ) -> VanillaField:
        """The field; arguments override what the checkpoint says.

        Raises InputError where neither says how it is rendered.
        """
        chosen = self.setting if setting is None else setting
        if chosen is None:
            raise InputError(
                "setting: the checkpoint of nerf-pytorch does not say how it is rendered; "
                "give the configuration file it was trained with"
            )
        return VanillaField(self.networks, chosen, self.frame if frame is None else frame)

    def to_dict(self) -> dict[str, Any]:
        """The dict that is stored: four keys of nerf-pytorch, and ours where there is a setting.

        `network_fine_state_dict` is None where there is no fine network.
        """
        fine = self.networks.fine
        stored: dict[str, Any] = {
            STEP: self.step,
            COARSE: _state(self.networks.coarse),
            FINE: None if fine is None else _state(fine),
            OPTIMIZER: self.optimizer,
        }
        if self.setting is not None:
            stored[EXTRAS] = json.dumps(_extras(self.setting, self.frame or FieldFrame()))
        return stored

    @classmethod
    def from_dict(cls, stored: object, source: str) -> VanillaCheckpoint:
        """Validate a stored dict; raises InputError in one line that names `source`."""
        values = _mapping_with(stored, (STEP, COARSE), source)
        coarse = restored(values[COARSE], f"{source}: {COARSE}")
        fine = None
        if values.get(FINE) is not None:
            fine = restored(values[FINE], f"{source}: {FINE}")
        networks = NetworkPair(coarse, fine)
        optimizer = values.get(OPTIMIZER)
        if optimizer is not None:
            check_optimizer(optimizer, networks, f"{source}: {OPTIMIZER}")
        setting, frame = _parsed_extras(values.get(EXTRAS), source)
        return cls(_step(values[STEP], source), networks, optimizer, setting, frame)


def check_optimizer(stored: object, networks: NetworkPair, what: str) -> None:
    """Raise InputError unless this is a state dict of Adam for the networks' parameters."""
    values = _mapping_with(stored, ("state", "param_groups"), what)
    named = _named_parameters(networks)
    groups = values["param_groups"]
    if not (isinstance(groups, list) and len(groups) == 1 and isinstance(groups[0], Mapping)):
        raise InputError(f"{what}: expected one parameter group of Adam, as nerf-pytorch writes")
    numbers = groups[0].get("params")
    if numbers != list(range(len(named))) or not _has_hyperparameters(groups[0]):
        raise InputError(
            f"{what}: expected Adam over {len(named)} parameters with lr, betas and eps, "
            f"got {_count(numbers)}; give a checkpoint of the same networks"
        )
    _check_moments(values["state"], named, what)


def _has_hyperparameters(group: Mapping[str, Any]) -> bool:
    betas = group.get("betas")
    if not isinstance(betas, (tuple, list)) or len(betas) != 2:
        return False
    return all(_is_number(number) for number in (group.get("lr"), group.get("eps"), *betas))


def _is_number(value: object) -> bool:
    if isinstance(value, torch.Tensor):  # newer versions of torch count steps in a tensor
        return value.numel() == 1
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _check_moments(states: object, named: list[tuple[str, tuple[int, ...]]], what: str) -> None:
    if not isinstance(states, Mapping) or not set(states) <= set(range(len(named))):
        raise InputError(f"{what}: expected the state of each parameter by its number")
    expected: dict[str, tuple[int, ...]] = {}
    found: dict[str, Any] = {}
    for number, moments in states.items():
        name, shape = named[number]
        entries = _mapping_with(moments, ("step", "exp_avg", "exp_avg_sq"), f"{what}: {name}")
        if not _is_number(entries["step"]):
            raise InputError(f"{what}: {name} step: expected a number, got {entries['step']!r}")
        for moment in ("exp_avg", "exp_avg_sq"):
            expected[f"{name} {moment}"] = shape
            found[f"{name} {moment}"] = entries[moment]
    check_entries(found, expected, what)


def _named_parameters(networks: NetworkPair) -> list[tuple[str, tuple[int, ...]]]:
    pairs = (("coarse", networks.coarse), ("fine", networks.fine))
    return [
        (f"{which}.{name}", tuple(values.shape))
        for which, network in pairs
        if network is not None
        for name, values in network.named_parameters()
    ]


def _count(numbers: object) -> str:
    return f"{len(numbers)} parameters" if isinstance(numbers, list) else "none"


def _state(network: NerfNetwork) -> dict[str, torch.Tensor]:
    return {name: value.detach().cpu() for name, value in network.state_dict().items()}


def _step(value: object, source: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise InputError(f"{source}: {STEP}: expected a number of steps >= 0, got {value!r}")
    return value


def _mapping_with(value: object, keys: tuple[str, ...], what: str) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise InputError(
            f"{what}: expected a dict with {', '.join(keys)}, got a {type(value).__name__}; "
            "give a checkpoint of nerf-pytorch"
        )
    missing = [key for key in keys if key not in value]
    if missing:
        got = ", ".join(str(key)[:40] for key in list(value)[:8]) or "nothing"
        raise InputError(
            f"{what}: missing {', '.join(missing)}, got {got}; give a checkpoint of nerf-pytorch"
        )
    return value


def _extras(setting: VanillaSetting, frame: FieldFrame) -> dict[str, Any]:
    pose = StoredPose.of(frame.T_world_field)
    return {
        "version": EXTRAS_VERSION,
        "setting": setting.to_metadata(),
        "T_world_field": {
            "translation": [float(number) for number in pose.translation],
            "quaternion_xyzw": list(pose.quaternion_xyzw),
        },
        "metres_per_unit": frame.metres_per_unit,
        "metric": frame.metric,
    }


def _parsed_extras(text: object, source: str) -> tuple[VanillaSetting | None, FieldFrame | None]:
    if text is None:
        return None, None
    what = f"{source}: {EXTRAS}"
    try:
        values = json.loads(text) if isinstance(text, str) else None
    except (json.JSONDecodeError, RecursionError):
        values = None
    keys = ("version", "setting", "T_world_field", "metres_per_unit", "metric")
    extras = _mapping_with(values, keys, what)
    if extras["version"] != EXTRAS_VERSION:
        raise InputError(
            f"{what}: expected version {EXTRAS_VERSION}, got {extras['version']!r}; "
            "update this package"
        )
    try:
        pose = _mapping_with(extras["T_world_field"], ("translation", "quaternion_xyzw"), "pose")
        frame = FieldFrame(
            StoredPose.from_numbers(pose["translation"], pose["quaternion_xyzw"]),
            float(extras["metres_per_unit"]),
            bool(extras["metric"]),
        )
        return VanillaSetting.from_metadata(extras["setting"]), frame
    except (TypeError, ValueError) as error:  # InputError is a ValueError
        raise InputError(f"{what}: {error}") from None
