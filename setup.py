"""Install the library and the command line with pip, without ROS; colcon builds the package with CMake."""

from glob import glob

from setuptools import find_packages, setup

setup(
    name='superslam_ros',
    version='0.1.0',
    description='SuperPoint, SuperGlue and visual odometry for ROS 2 and rosbags, with open weights',
    license='Apache-2.0',
    python_requires='>=3.10',
    packages=find_packages(include=['superslam_ros', 'superslam_ros.*']),
    package_data={'superslam_ros.models': ['weights/*']},
    data_files=[('share/superslam_ros/msg', glob('msg/*.msg'))],
    install_requires=[
        'numpy>=1.21',
        'opencv-python-headless>=4.5',
        'torch>=1.13',
        'safetensors',
        'rosbags>=0.11.7',
        'PyYAML',
        'rich',
        'gtsam>=4.2.1; python_version >= "3.11"',
        'evo>=1.28',
        'matplotlib',
    ],
    extras_require={
        'test': ['pytest', 'pytest-xdist', 'transformers', 'onnx', 'onnxruntime'],
        'export': ['onnx', 'onnxruntime'],      # superslam export; the second alone runs what it has written
        'viewer': ['rerun-sdk>=0.24'],      # superslam run --view, the nodes' viewer
        'ray': ['ray>=2.9'],        # --ray: recordings on the machines of a cluster
        # superslam improve with one camera; there are no wheels for Linux on ARM
        'improve': ['pycolmap>=4.2; platform_machine in "x86_64 AMD64" or sys_platform == "darwin"'],
        'openvino': ['onnx', 'onnxruntime', 'openvino'],
    },
    entry_points={'console_scripts': ['superslam = superslam_ros.cli.main:main']},
)
