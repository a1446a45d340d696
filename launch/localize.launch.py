"""Find the camera in a map: superslam.launch.py with map_mode:=localize, and the same arguments; map_file is needed."""

from pathlib import Path

from launch import LaunchDescription
from launch.actions import IncludeLaunchDescription
from launch.launch_description_sources import PythonLaunchDescriptionSource


def generate_launch_description():
    """Start the nodes with a map that is only read."""
    return LaunchDescription([IncludeLaunchDescription(
        PythonLaunchDescriptionSource(str(Path(__file__).with_name('superslam.launch.py'))),
        launch_arguments={'map_mode': 'localize'}.items())])
