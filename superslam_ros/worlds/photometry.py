"""What a sensor does to a rendered image: exposure drift, vignetting and noise, repeatable from a seed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from superslam_ros.config import option


@dataclass(frozen=True)
class PhotometryConfig:
    """Options of the photometric noise."""

    noise: float = option(
        2.0, 'Standard deviation of the Gaussian noise of each pixel (gray levels)', low=0.0, high=64.0
    )
    exposure: float = option(
        0.12, 'Amplitude of the slow drift of the gain, a fraction of 1', low=0.0, high=0.9
    )
    contrast: float = option(
        0.08, 'Amplitude of the slow drift of the contrast, a fraction of 1', low=0.0, high=0.9
    )
    vignetting: float = option(0.15, 'Darkening of the image corners, a fraction of 1', low=0.0, high=0.9)
    light: float = option(1.0, 'Light on the scene, a fraction of what exposes well', low=0.01, high=4.0)
    gamma: float = option(1.0, 'Exponent of the gray levels: above 1 what is dark grows darker', low=0.2, high=5.0)
    seed: int = option(0, 'Seed of the noise and the drifts', low=0)


LIGHTS = {
    'day': PhotometryConfig(),
    'evening': PhotometryConfig(light=0.55, gamma=1.25, noise=3.0),
    'night': PhotometryConfig(light=0.3, gamma=1.6, noise=4.0),
}


class Photometry:
    """Sensor noise; frame ``index`` of camera ``channel`` always gets the same noise."""

    def __init__(self, config: PhotometryConfig | None = None) -> None:
        """Draw the phases of the drifts."""
        self.config = config or PhotometryConfig()
        self._phases = np.random.default_rng(self.config.seed).uniform(0, 2 * np.pi, 4)

    def __call__(self, image: np.ndarray, index: int, channel: int = 0) -> np.ndarray:
        """Return the (H, W) uint8 image as the sensor gives it.

        :param index: number of the frame; the drifts have periods of about 60 and 100 frames.
        :param channel: 0 left, 1 right: same drift, other noise.
        """
        config = self.config
        gain = 1 + config.exposure * np.sin(2 * np.pi * index / 61 + self._phases[0])
        contrast = 1 + config.contrast * np.sin(2 * np.pi * index / 97 + self._phases[1])
        rng = np.random.default_rng([config.seed, index, channel])
        noise = rng.standard_normal(image.shape, dtype=np.float32) * np.float32(config.noise)
        levels = image.astype(np.float32)
        if (config.light, config.gamma) != (1.0, 1.0):
            levels = 255 * np.float32(config.light) * (levels / 255) ** np.float32(config.gamma)
        exposed = ((levels - 128) * np.float32(contrast) + 128) * self._vignette(
            image.shape, gain
        )
        return np.rint(exposed + noise).clip(0, 255).astype(np.uint8)

    def _vignette(self, shape: tuple[int, ...], gain: float) -> np.ndarray:
        height, width = shape
        x = np.linspace(-1, 1, width, dtype=np.float32)[None, :]
        y = np.linspace(-1, 1, height, dtype=np.float32)[:, None]
        return np.float32(gain) * (1 - np.float32(self.config.vignetting) * (x * x + y * y) / 2)
