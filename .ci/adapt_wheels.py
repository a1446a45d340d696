"""Point the ROS wheels' CMake files at this environment instead of the container they were built in."""

import re
import site
import sys
import sysconfig
from pathlib import Path

CONTAINER = re.compile(r'/opt/python/cp\d+-cp\d+/(include/python3\.\d+|lib/python3\.\d+/site-packages)')


def main() -> None:
    prefix = Path(sys.prefix)
    here = {'include': sysconfig.get_path('include'), 'lib': site.getsitepackages()[0]}
    changed = 0
    for path in sorted(prefix.glob('share/*/cmake/*.cmake')):
        text = path.read_text()
        adapted = CONTAINER.sub(lambda match: here[match[1].split('/')[0]], text)
        if adapted != text:
            path.write_text(adapted)
            changed += 1
    print(f'{changed} CMake files adapted')


if __name__ == '__main__':
    main()
