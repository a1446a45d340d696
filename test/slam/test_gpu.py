"""What is told about the GPU."""

from superslam_ros.slam import gpu


def test_the_temperature_is_read_where_the_kernel_tells(tmp_path):
    zone = tmp_path / 'thermal_zone1'
    zone.mkdir()
    (zone / 'type').write_text('GPU-therm\n')
    (zone / 'temp').write_text('51500\n')
    assert gpu.temperature_c(tmp_path) == 51.5
