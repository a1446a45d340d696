"""The Fast DDS profile: best-effort messages of megabytes arrive in another process."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

PROFILE = Path(__file__).parents[3] / 'config/fastdds.xml'
COUNT = 20
PUBLISH = f'''
import array, sys, time, rclpy
from rclpy.qos import QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import Image
rclpy.init()
node = rclpy.create_node('publisher')
out = node.create_publisher(Image, 'big', QoSProfile(depth=5, reliability=ReliabilityPolicy.BEST_EFFORT))
while not out.get_subscription_count():
    time.sleep(0.05)
time.sleep(1)
for _ in range({COUNT}):
    out.publish(Image(height=720, width=1280, encoding='bgr8', step=3840, data=array.array('B', bytes(1280 * 720 * 3))))
    time.sleep(0.1)
time.sleep(1)
'''
SUBSCRIBE = f'''
import time, rclpy
from rclpy.qos import QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import Image
rclpy.init()
node, got = rclpy.create_node('subscriber'), []
node.create_subscription(Image, 'big', got.append, QoSProfile(depth=5, reliability=ReliabilityPolicy.BEST_EFFORT))
end = time.monotonic() + 30
while len(got) < {COUNT} and time.monotonic() < end:
    rclpy.spin_once(node, timeout_sec=0.1)
print(len(got))
'''


@pytest.mark.skipif(not Path('/dev/shm').exists() or shutil.disk_usage('/dev/shm').free < 2**29,
                    reason='/dev/shm is too small for the segments of the profile')
@pytest.mark.skipif('fastrtps' not in os.environ.get('RMW_IMPLEMENTATION', 'rmw_fastrtps_cpp'), reason='not Fast DDS')
def test_large_best_effort_messages_arrive():
    environment = {**os.environ, 'FASTDDS_DEFAULT_PROFILES_FILE': str(PROFILE),
                   'FASTRTPS_DEFAULT_PROFILES_FILE': str(PROFILE)}
    subscriber, publisher = (
        subprocess.Popen([sys.executable, '-c', code], env=environment, text=True, stdout=subprocess.PIPE,
                         stderr=subprocess.STDOUT) for code in (SUBSCRIBE, PUBLISH))
    try:
        output, _ = subscriber.communicate(timeout=60)
    finally:
        publisher.kill()
        publisher.communicate()
        subscriber.kill()
    assert 'XMLPARSER' not in output
    assert int(output.split()[-1]) >= 0.9 * COUNT, output
