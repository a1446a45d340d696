"""Message fields to arrays and back, without ROS: the bag runner and the nodes share this one reading of images.

Messages are duck-typed: anything with the fields of sensor_msgs will do, whether rclpy, rosbags or a test made
it. Nothing here keeps state; every refusal is a :class:`ConversionError` that says what was found.
"""

from __future__ import annotations

import re
from typing import Any

import cv2
import numpy as np

from superslam_ros import bridge
from superslam_ros.data import Camera

NS = 1_000_000_000

# Name of the encoding without its depth -> channels, and how cv2 turns it gray (None: it is gray).
_COLOUR = {
    'mono': (1, None),
    'rgb': (3, cv2.COLOR_RGB2GRAY),
    'bgr': (3, cv2.COLOR_BGR2GRAY),
    'rgba': (4, cv2.COLOR_RGBA2GRAY),
    'bgra': (4, cv2.COLOR_BGRA2GRAY),
    # OpenCV names a Bayer pattern after the second row's second and third pixel, ROS after the first two rows.
    'bayer_rggb': (1, cv2.COLOR_BayerBG2GRAY),
    'bayer_bggr': (1, cv2.COLOR_BayerRG2GRAY),
    'bayer_gbrg': (1, cv2.COLOR_BayerGR2GRAY),
    'bayer_grbg': (1, cv2.COLOR_BayerGB2GRAY),
}
_NAMED = re.compile(r'(mono|rgba?|bgra?|bayer_(?:rggb|bggr|gbrg|grbg))(8|16)')
_GENERIC = re.compile(r'(8U|8S|16U|16S|32S|32F|64F)C([1-4])?')
_GENERIC_TYPES = {'8U': 'u1', '8S': 'i1', '16U': 'u2', '16S': 'i2', '32S': 'i4', '32F': 'f4', '64F': 'f8'}
# Packed 4:2:2, two bytes a pixel: which byte is the brightness.
_PACKED_YUV = {'yuv422': 1, 'uyvy': 1, 'yuv422_yuy2': 0, 'yuyv': 0, 'yuy2': 0}
# Planar: the brightness is the first height x width bytes.
_PLANAR_YUV = ('nv12', 'nv21', 'nv24', 'nv42', 'i420', 'yv12')

DEPTH_ENCODINGS = ('16UC1', '32FC1', 'mono16', '64FC1')
_DISTORTION_NAMES = {
    '': 'none', 'none': 'none', 'plumb_bob': 'plumb_bob', 'rational_polynomial': 'rational_polynomial',
    'equidistant': 'equidistant', 'fisheye': 'equidistant', 'kannala_brandt': 'equidistant',
    'radtan': 'plumb_bob', 'radial-tangential': 'plumb_bob',
}
OPENCV_LENGTHS = (4, 5, 8, 12, 14)
"""How many distortion coefficients OpenCV takes."""


class ConversionError(ValueError):
    """A message whose content cannot be read; the text says why."""


class UnknownEncodingError(ConversionError):
    """An encoding that is not known here."""


def stamp_ns(stamp: Any) -> int:
    """Return a builtin_interfaces/Time, or a ROS 1 time, as integer nanoseconds."""
    nanoseconds = stamp.nanosec if hasattr(stamp, 'nanosec') else stamp.nsec
    return int(stamp.sec) * NS + int(nanoseconds)


def split_stamp(stamp: int) -> tuple[int, int]:
    """Return (seconds, nanoseconds) of integer nanoseconds."""
    return divmod(int(stamp), NS)


def is_compressed(message: Any) -> bool:
    """Say whether a message is a sensor_msgs/CompressedImage."""
    return hasattr(message, 'format') and not hasattr(message, 'encoding')


def encoding(message: Any) -> str:
    """Return the pixel encoding of an Image, or the format of a CompressedImage."""
    return message.format if is_compressed(message) else message.encoding


def gray(message: Any) -> np.ndarray:
    """Return an Image or CompressedImage as (H, W) uint8.

    Colour is weighted as OpenCV does; 16-bit levels are divided by 256; floating-point images are taken as
    levels from 0 to 1 (values beyond 1 mean 0 to 255), NaN as black.

    An encoding that is not known here is left to cv_bridge, where that is installed and works.

    :raises ConversionError: for an unknown encoding, a size of zero, or data shorter than the size says.
    """
    if is_compressed(message):
        array = _decompress(_bytes(message.data), message.format, cv2.IMREAD_GRAYSCALE)
        # "bayer_rggb8; png compressed " is the mosaic; "...; jpeg compressed bgr8" was made a colour image first.
        source, _, stored = message.format.lower().partition(';')
        bayer = source.startswith('bayer') and 'bgr' not in stored and 'rgb' not in stored
        return _to_gray(array, source, _layout(source)[2]) if bayer else array
    try:
        return _gray(message)
    except UnknownEncodingError:
        array = bridge.gray(message)
        if array is None:
            raise
        return array


def _gray(message: Any) -> np.ndarray:
    name = message.encoding.lower()
    if name in _PACKED_YUV or name in _PLANAR_YUV:
        array = _pixels(message, np.dtype('u1'), 2 if name in _PACKED_YUV else 1)
        return np.ascontiguousarray(array[..., _PACKED_YUV[name]] if name in _PACKED_YUV else array)
    dtype, channels, conversion = _layout(message.encoding)
    array = _eight_bits(_pixels(message, dtype, channels))
    return np.ascontiguousarray(array) if conversion is None else _to_gray(array, name, conversion)


def _to_gray(array: np.ndarray, name: str, conversion: int) -> np.ndarray:
    if name.startswith('bayer') and min(array.shape) < 2:
        raise ConversionError(f'{name} image of {array.shape[1]}x{array.shape[0]} has no full 2x2 cell')
    return cv2.cvtColor(array, conversion)


def depth_m(message: Any) -> np.ndarray:
    """Return a depth Image or CompressedImage (png, compressedDepth) as (H, W) float32 metres, NaN for none.

    16-bit integers are millimetres, floating point is metres (REP-118); zero, negative and infinite depths are
    no depths.

    :raises ConversionError: as :func:`gray`, and for an encoding that is not a depth.
    """
    if is_compressed(message):
        array = _decompress_depth(_bytes(message.data), message.format)
    elif message.encoding in DEPTH_ENCODINGS:
        dtype, channels, _ = _layout(message.encoding)
        array = _pixels(message, dtype, channels)
    else:
        raise ConversionError(
            f'encoding {message.encoding!r} is not a depth; known: {", ".join(DEPTH_ENCODINGS)}'
        )
    depth = array.astype(np.float32)
    if array.dtype.kind == 'u':
        depth *= np.float32(0.001)
    with np.errstate(invalid='ignore'):
        depth[~((depth > 0) & np.isfinite(depth))] = np.nan
    return depth


def unregistered(image_frame: str, depth_frame: str) -> str:
    """Return what to say of depth that seems not to be registered to the image, or nothing."""
    if not image_frame or not depth_frame or image_frame == depth_frame:
        return ''
    return (f'the depth is of frame {depth_frame}, the image of {image_frame}: unless it is registered to the image '
            "all the same, take the driver's registered depth, or register it (depth_image_proc)")


def camera(message: Any, rectified: bool = False) -> Camera:
    """Return a sensor_msgs/CameraInfo as a Camera.

    :param rectified: the images are rectified already: the camera is then the one of P, without distortion.
    :raises ConversionError: when it is not calibrated, or its distortion model is unknown.
    """
    def field(name: str) -> np.ndarray:
        value = getattr(message, name.lower(), None)
        return np.asarray(getattr(message, name) if value is None else value, dtype=np.float64).reshape(-1)

    return make_camera(
        int(message.width), int(message.height), field('K'), field('D'), str(message.distortion_model),
        field('R'), field('P'), message.header.frame_id or 'camera_optical', rectified)


def make_camera(
    width: int, height: int, K: np.ndarray, D: np.ndarray, model: str, R: np.ndarray, P: np.ndarray,
    frame_id: str, rectified: bool = False,
) -> Camera:
    """Return a Camera from the fields of a camera_info; R or P of zeros mean that they were not given.

    :raises ConversionError: naming the field that is wrong.
    """
    name = _DISTORTION_NAMES.get(model.lower())
    if not model and D.any():       # the model of old calibration files, which do not name it
        name = 'plumb_bob' if len(D) <= 5 else 'rational_polynomial'
    if name is None:
        raise ConversionError(
            f'distortion model {model!r} is unknown; known: {", ".join(_DISTORTION_NAMES)[2:]}'
        )
    if D.any() and name in ('plumb_bob', 'rational_polynomial') and len(D) not in OPENCV_LENGTHS:
        raise ConversionError(f'D has {len(D)} values; {name} has {", ".join(map(str, OPENCV_LENGTHS))}')
    P = P if P.size == 12 and P.any() else None
    R = R if R.size == 9 and R.any() else np.eye(3)
    try:
        raw = Camera(
            width, height, K, D if D.any() else np.zeros(0), name if D.any() else 'none', R, P, frame_id
        )
    except ValueError as error:
        raise ConversionError(str(error)) from error
    return rectified_camera(raw) if rectified else raw


def rectified_camera(raw: Camera) -> Camera:
    """Return the undistorted camera of the rectified image: K is the left part of P, R the identity."""
    try:
        return Camera(
            raw.width, raw.height, raw.P[:, :3], np.zeros(0), 'none', np.eye(3), raw.P, raw.frame_id
        )
    except ValueError as error:
        raise ConversionError(f'camera_info: P is no projection ({error})') from error


def _layout(name: str) -> tuple[np.dtype, int, int | None]:
    """Return (dtype, channels, conversion to gray) of an encoding."""
    if match := _NAMED.fullmatch(name.lower()):
        channels, conversion = _COLOUR[match[1]]
        return np.dtype(f'u{int(match[2]) // 8}'), channels, conversion
    if match := _GENERIC.fullmatch(name.upper()):
        channels = int(match[2] or 1)
        if channels != 2:
            # Without a name the channels are taken in OpenCV's order, as cv_bridge does.
            conversion = {1: None, 3: cv2.COLOR_BGR2GRAY, 4: cv2.COLOR_BGRA2GRAY}[channels]
            return np.dtype(_GENERIC_TYPES[match[1]]), channels, conversion
    raise UnknownEncodingError(f'unknown image encoding {name!r}')


def _bytes(data: Any) -> np.ndarray:
    return np.frombuffer(data, dtype=np.uint8) if not isinstance(data, np.ndarray) else data.view(np.uint8)


def _pixels(message: Any, dtype: np.dtype, channels: int) -> np.ndarray:
    """Return the pixels as (H, W) or (H, W, C), native byte order, without the padding at the end of rows."""
    width, height, step = int(message.width), int(message.height), int(message.step)
    if width < 1 or height < 1:
        raise ConversionError(f'image of size {width}x{height}')
    row = width * channels * dtype.itemsize
    if step < row:
        raise ConversionError(
            f'step {step} is shorter than a row of {width} pixels of {message.encoding} ({row} bytes)'
        )
    data = _bytes(message.data)
    if len(data) < step * (height - 1) + row:
        raise ConversionError(
            f'{len(data)} bytes of data, {step * height} expected for {width}x{height} {message.encoding}'
        )
    if len(data) < step * height:
        data = np.concatenate([data, np.zeros(step * height - len(data), np.uint8)])
    rows = data[:step * height].reshape(height, step)[:, :row]
    stored = dtype.newbyteorder('>' if message.is_bigendian else '<')
    array = np.ascontiguousarray(rows).view(stored).astype(dtype, copy=False)
    return array.reshape((height, width) if channels == 1 else (height, width, channels))


def _eight_bits(array: np.ndarray) -> np.ndarray:
    if array.dtype == np.uint8:
        return array
    if array.dtype == np.uint16:
        return (array >> 8).astype(np.uint8)
    if array.dtype.kind == 'f':
        levels = np.nan_to_num(array, nan=0.0, posinf=0.0, neginf=0.0)
        return np.rint(levels * (255 if levels.max() <= 1 else 1)).clip(0, 255).astype(np.uint8)
    return array.clip(0, 255).astype(np.uint8)


def _decompress(data: np.ndarray, form: str, flags: int) -> np.ndarray:
    try:
        array = cv2.imdecode(data, flags) if len(data) else None
    except cv2.error:       # a header that promises an impossible size
        array = None
    if array is None:
        raise ConversionError(f'compressed image ({form!r}, {len(data)} bytes) cannot be decoded')
    return array


def _decompress_depth(data: np.ndarray, form: str) -> np.ndarray:
    """Decode png, or compressed_depth_image_transport: a header of 12 bytes (format, two floats), then png."""
    if 'compresseddepth' not in form.lower():
        array = _decompress(data, form, cv2.IMREAD_UNCHANGED)
        if array.dtype != np.uint16 or array.ndim != 2:
            raise ConversionError(
                f'compressed image ({form!r}) holds {array.dtype} {array.shape}, not 16-bit depth'
            )
        return array
    if 'rvl' in form.lower():
        raise ConversionError(f'depth compressed as {form!r} is not supported; record it as png, or raw')
    array = _decompress(data[12:], form, cv2.IMREAD_UNCHANGED)
    if not form.upper().startswith('32FC1'):
        return array
    # The transport stores quantised inverse depth: level = a / depth + b.
    a, b = np.frombuffer(data[4:12].tobytes(), dtype='<f4')
    with np.errstate(divide='ignore', invalid='ignore'):
        return np.where(array > 0, a / (array.astype(np.float32) - b), np.float32(np.nan))
