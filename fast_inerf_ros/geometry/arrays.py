"""What numpy arrays and torch tensors have in common: the array namespace of an argument."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, TypeAlias

import array_api_compat
import numpy as np

from fast_inerf_ros.errors import InputError

Array: TypeAlias = Any
"""A numpy array or a torch tensor; functions return the kind, dtype and device they were given."""

_NUMPY = array_api_compat.array_namespace(np.zeros(()))


def namespace(*arrays: Array) -> Any:
    """Array-API namespace of the arguments (numpy's or torch's).

    Raises:
        InputError: the arguments mix numpy arrays and torch tensors.
    """
    if all(type(array) is np.ndarray for array in arrays):  # asked for thousands of times a pose
        return _NUMPY
    try:
        return array_api_compat.array_namespace(*arrays)
    except TypeError as error:
        kinds = ", ".join(sorted({type(array).__name__ for array in arrays}))
        raise InputError(
            f"expected arrays of one kind, got {kinds}: convert them with to_like first"
        ) from error


def as_float(values: Array) -> Array:
    """Array of floating dtype: lists become float64 numpy arrays, integers become float64."""
    array = values if array_api_compat.is_array_api_obj(values) else np.asarray(values)
    xp = namespace(array)
    if xp.isdtype(array.dtype, "real floating"):
        return array
    if xp.isdtype(array.dtype, ("bool", "integral")):
        return xp.astype(array, xp.float64)
    raise InputError(f"expected real numbers, got an array of {array.dtype}: pass numbers")


def require_shape(array: Array, trailing: tuple[int, ...], name: str) -> Array:
    """Give the array back if its last axes have the given sizes.

    Raises:
        InputError: they have other sizes.
    """
    shape = tuple(array.shape)
    if shape[len(shape) - len(trailing) :] != trailing or len(shape) < len(trailing):
        wanted = ", ".join(["..."] + [str(size) for size in trailing])
        raise InputError(f"expected {name} of shape ({wanted}), got {shape}: check its axes")
    return array


def require_finite(array: Array, name: str) -> Array:
    """Give the array back if it has neither NaN nor infinity.

    Raises:
        InputError: it has.
    """
    xp = namespace(array)
    if not bool(xp.all(xp.isfinite(array))):
        raise InputError(f"expected finite {name}, got NaN or infinity: check where it comes from")
    return array


def to_numpy(array: Array) -> Array:
    """The same numbers as a numpy array: tensors leave their graph and their device."""
    return np.asarray(array.detach().cpu() if hasattr(array, "detach") else array)


def to_like(array: Array, like: Array) -> Array:
    """Copy of an array with the kind (numpy or torch), dtype and device of another."""
    xp = namespace(like)
    if namespace(array) is not xp:
        # A copy: torch would share the memory, and warns of numpy arrays that are read-only.
        array = to_numpy(array).copy()
        return xp.asarray(array, dtype=like.dtype, device=array_api_compat.device(like))
    return array_api_compat.to_device(xp.astype(array, like.dtype), array_api_compat.device(like))


def constant(values: Iterable[Any] | float, like: Array) -> Array:
    """Array of given numbers with the kind, dtype and device of another."""
    xp = namespace(like)
    numbers = np.array(values, dtype=np.float64)
    return xp.asarray(numbers, dtype=like.dtype, device=array_api_compat.device(like))


def detached(array: Array) -> Array:
    """The same numbers without a gradient (numpy arrays have none)."""
    return array.detach() if hasattr(array, "detach") else array


def broadcast_batch(*arrays_and_ranks: tuple[Array, int]) -> tuple[Array, ...]:
    """Broadcast the batch axes of arrays, leaving the last `rank` axes of each alone."""
    batch = np.broadcast_shapes(
        *(tuple(array.shape[: array.ndim - rank]) for array, rank in arrays_and_ranks)
    )
    return tuple(
        namespace(array).broadcast_to(array, (*batch, *array.shape[array.ndim - rank :]))
        for array, rank in arrays_and_ranks
    )


def batch_index(index: Any, event_rank: int) -> tuple[Any, ...]:
    """Index that touches batch axes only, for an array whose last axes are not batch axes."""
    items = index if isinstance(index, tuple) else (index,)
    has_ellipsis = any(item is Ellipsis for item in items)
    return (*items, *(() if has_ellipsis else (Ellipsis,)), *(slice(None),) * event_rank)
