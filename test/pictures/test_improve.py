import base64
import re

import cv2
import numpy as np

from superslam_ros.pictures import improve
from superslam_ros.pictures.improve import Page, Picture, Table


def test_matches_are_drawn_in_their_colours():
    images = np.full((40, 60), 50, np.uint8), np.full((48, 60), 90, np.uint8)
    points = np.array([[10, 10], [10, 30]], np.float32)
    drawn = improve.draw_pair(*images, points, points, np.array([True, False]))
    assert drawn.shape == (384, 960, 3)     # enlarged
    for row, colour in ((83, improve.RIGHT), (243, improve.WRONG)):
        found = drawn[row:row + 2, 320].astype(int)
        assert np.abs(found - colour).max(1).min() < 20
    assert (drawn[5, 5] == 50).all() and (drawn[5, 600] == 90).all() and not drawn[350, 5].any()
    none = np.zeros((0, 2), np.float32)
    large = np.zeros((300, 400), np.uint8)
    assert improve.draw_pair(large, large, none, none, np.zeros(0, bool)).shape == (300, 800, 3)


def test_the_page_needs_no_other_file_and_quotes_what_it_is_given(tmp_path):
    image = np.zeros((20, 2400, 3), np.uint8)
    image[:, :1200] = (0, 0, 255)
    page = Page('<bag>', False, 'narrow & wide', [
        ('Poses', [Table('AUC', ['', 'before'], [['wide', 0.12345], ['<b>', None], ['n', np.nan], ['k', 7]], 'x')]),
        ('Pairs', [Picture('a "pair"', image)])])
    improve.write(tmp_path / 'report.html', page)
    text = (tmp_path / 'report.html').read_text(encoding='utf-8')
    assert '<h1>&lt;bag&gt;</h1>' in text and 'Refused.</strong> narrow &amp; wide' in text
    assert '<td>wide</td><td>0.123</td>' in text and '<td>&lt;b&gt;</td><td>–</td>' in text and '<td>7</td>' in text
    assert not re.search(r'(src|href)="(?!data:)|url\(|@import', text)
    (data,) = re.findall(r'base64,([^"]+)"', text)
    shown = cv2.imdecode(np.frombuffer(base64.b64decode(data), np.uint8), cv2.IMREAD_COLOR)
    assert shown.shape == (10, 1200, 3) and shown[5, 100, 2] > 230 and shown[5, 1100].max() < 20
