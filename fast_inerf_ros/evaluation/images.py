"""Likeness of two images: PSNR and SSIM."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray

from fast_inerf_ros.errors import InputError

Floats = NDArray[np.float64]

SSIM_SIGMA = 1.5
SSIM_WINDOW = 11
SSIM_K1 = 0.01
SSIM_K2 = 0.03
RANGE_TOLERANCE = 1e-3


def psnr(image: ArrayLike, reference: ArrayLike, mask: ArrayLike | None = None) -> Floats:
    """Peak signal-to-noise ratio in dB for a peak of 1, shape (...): ``-10 log10(MSE)``.

    Infinite for equal images. Average the values of several images, not their squared errors,
    to compare with published NeRF figures.

    Args:
        image: (..., height, width, channels), values in [0, 1].
        reference: of the same shape.
        mask: (..., height, width) booleans, True where pixels count; every image needs one.

    Raises:
        InputError: integers, values outside [0, 1] or not finite, different shapes, empty mask.
    """
    first, second = _checked_pair(image, reference)
    squared = ((first - second) ** 2).mean(axis=-1)
    if mask is None:
        error = squared.mean(axis=(-1, -2))
    else:
        weight = _checked_mask(mask, squared.shape)
        error = (squared * weight).sum(axis=(-1, -2)) / weight.sum(axis=(-1, -2))
    with np.errstate(divide="ignore"):
        return np.asarray(-10.0 * np.log10(error))


def ssim(image: ArrayLike, reference: ArrayLike) -> Floats:
    """Structural similarity in [-1, 1], shape (...), averaged over pixels and channels.

    Wang et al., "Image quality assessment: from error visibility to structural similarity",
    2004, equation 13: circular Gaussian window of 11x11 pixels and sigma 1.5, K1 = 0.01,
    K2 = 0.03, dynamic range 1, population covariance, only where the window fits the image.
    The paper uses luminance; here, as usual for radiance fields, each channel counts alike.

    Args:
        image: (..., height, width, channels), values in [0, 1], at least 11x11.
        reference: of the same shape.

    Raises:
        InputError: as ``psnr``, or images smaller than the window.
    """
    first, second = _checked_pair(image, reference)
    height, width, channels = first.shape[-3:]
    if min(height, width) < SSIM_WINDOW:
        raise InputError(
            f"expected images of at least {SSIM_WINDOW}x{SSIM_WINDOW} for SSIM, got "
            f"{width}x{height}; use psnr"
        )
    shape = first.shape[:-3]
    pairs = zip(
        first.reshape(-1, height, width, channels),
        second.reshape(-1, height, width, channels),
        strict=True,
    )
    return np.reshape([_similarity(a, b) for a, b in pairs], shape)


def _similarity(first: Floats, second: Floats) -> float:
    mean_a, mean_b = _window_mean(first), _window_mean(second)
    variance_a = _window_mean(first * first) - mean_a * mean_a
    variance_b = _window_mean(second * second) - mean_b * mean_b
    covariance = _window_mean(first * second) - mean_a * mean_b
    c1, c2 = SSIM_K1**2, SSIM_K2**2
    numerator = (2.0 * mean_a * mean_b + c1) * (2.0 * covariance + c2)
    denominator = (mean_a**2 + mean_b**2 + c1) * (variance_a + variance_b + c2)
    return float((numerator / denominator).mean())


def _window_mean(image: Floats) -> Floats:
    """Gaussian mean of every window that lies inside the image."""
    blurred = cv2.GaussianBlur(image, (SSIM_WINDOW, SSIM_WINDOW), SSIM_SIGMA)
    blurred = np.asarray(blurred, dtype=np.float64).reshape(image.shape)
    margin = SSIM_WINDOW // 2
    return blurred[margin:-margin, margin:-margin]


def _checked_pair(image: ArrayLike, reference: ArrayLike) -> tuple[Floats, Floats]:
    first, second = _checked_image(image, "image"), _checked_image(reference, "reference")
    if first.shape != second.shape:
        raise InputError(
            f"expected images of one shape, got {first.shape} and {second.shape}; resize one"
        )
    return first, second


def _checked_image(image: ArrayLike, name: str) -> Floats:
    array = np.asarray(image)
    if array.ndim < 3 or not 1 <= array.shape[-1] <= 4 or array.size == 0:
        raise InputError(f"{name}: expected (..., height, width, 1-4 channels), got {array.shape}")
    if not np.issubdtype(array.dtype, np.floating):
        raise InputError(f"{name}: expected floats in [0, 1], got {array.dtype}; divide by 255")
    values = array.astype(np.float64)
    low, high = float(values.min()), float(values.max())
    if not (low >= -RANGE_TOLERANCE and high <= 1.0 + RANGE_TOLERANCE):
        raise InputError(
            f"{name}: expected finite values in [0, 1], got {low:.3g}..{high:.3g}; scale or clip"
        )
    return values


def _checked_mask(mask: ArrayLike, shape: tuple[int, ...]) -> Floats:
    weight = np.asarray(mask)
    if weight.dtype != np.bool_ or weight.shape != shape:
        raise InputError(
            f"expected a mask of booleans of shape {shape}, got {weight.dtype} {weight.shape}"
        )
    if not weight.any(axis=(-1, -2)).all():
        raise InputError("expected a mask with at least one pixel in each image, got an empty one")
    return weight.astype(np.float64)
