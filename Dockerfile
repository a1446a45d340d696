# superslam_ros with its dependencies, built in a workspace, ready for `ros2 launch`.
#
# Desktop or server (the NVIDIA container toolkit gives the GPU; without --gpus it runs on the CPU):
#
#   docker build -t superslam_ros .
#   docker run --rm -it --gpus all --net host --ipc host superslam_ros \
#       ros2 launch superslam_ros superslam.launch.py image:=/camera/image_raw
#
# Jetson: PyPI's torch does not use its GPU, so the image to start from brings torch and ROS. jetson-containers
# (github.com/dusty-nv/jetson-containers) makes one for the JetPack of the board:
#
#   jetson-containers build --name=ros_torch pytorch ros:humble-desktop
#   docker build -t superslam_ros --build-arg IMAGE=ros_torch --build-arg TORCH= \
#       --build-arg SETUP=/opt/ros/humble/install/setup.bash .
#   docker run --rm -it --runtime nvidia --net host --ipc host superslam_ros ...
#
# --ipc host lets Fast DDS use shared memory with nodes outside the container.
ARG IMAGE=ros:jazzy-ros-base
FROM ${IMAGE}

# What pip installs as torch; empty where the image has it. For the CPU only:
# --build-arg TORCH="torch --index-url https://download.pytorch.org/whl/cpu"
ARG TORCH=torch
ARG SETUP=/opt/ros/${ROS_DISTRO}/setup.bash
SHELL ["/bin/bash", "-o", "pipefail", "-c"]
WORKDIR /workspace

# Dependencies first: they change less often than the sources.
COPY package.xml src/superslam_ros/
RUN source ${SETUP} && apt-get update && apt-get install -y --no-install-recommends python3-venv \
    && rosdep update --rosdistro ${ROS_DISTRO} \
    && rosdep install --from-paths src --ignore-src -y --rosdistro ${ROS_DISTRO} -t exec -t build -t buildtool \
        --skip-keys 'python3-pytorch-pip python3-rosbags-pip' \
    && rm -rf /var/lib/apt/lists/*

# An environment that sees the system's ROS. The system's NumPy stays: the message packages are compiled for it.
RUN python3 -m venv --system-site-packages venv && touch venv/COLCON_IGNORE \
    && python3 -c 'import numpy; print(f"numpy=={numpy.__version__}")' >constraints.txt \
    && { [ -z "${TORCH}" ] || venv/bin/pip install --no-cache-dir -c constraints.txt ${TORCH}; } \
    && venv/bin/pip install --no-cache-dir -c constraints.txt safetensors rosbags evo \
    && venv/bin/pip install --no-cache-dir --no-deps 'gtsam>=4.2.1; python_version >= "3.11"' \
        'gtsam>=4.2; python_version < "3.11" and platform_machine == "x86_64"'

COPY . src/superslam_ros
RUN source venv/bin/activate && source ${SETUP} && colcon build --packages-select superslam_ros \
    && printf '#!/bin/bash\nsource /workspace/venv/bin/activate\nsource /workspace/install/setup.bash\nexec "$@"\n' \
        >/entrypoint.sh && chmod +x /entrypoint.sh

ENV FASTDDS_DEFAULT_PROFILES_FILE=/workspace/install/superslam_ros/share/superslam_ros/config/fastdds.xml
ENV FASTRTPS_DEFAULT_PROFILES_FILE=${FASTDDS_DEFAULT_PROFILES_FILE}
ENTRYPOINT ["/entrypoint.sh"]
CMD ["ros2", "launch", "superslam_ros", "superslam.launch.py", "--show-args"]
