"""Build a map while the camera moves: superslam.launch.py with map_mode:=build, and the same arguments."""

from pathlib import Path

from launch import LaunchDescription
from launch.actions import IncludeLaunchDescription
from launch.launch_description_sources import PythonLaunchDescriptionSource


def generate_launch_description():
    """Start the nodes with a map behind the odometry."""
    return LaunchDescription([IncludeLaunchDescription(
        PythonLaunchDescriptionSource(str(Path(__file__).with_name('superslam.launch.py'))),
        launch_arguments={'map_mode': 'build'}.items())])
