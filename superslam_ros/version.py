"""The version of the package: the same in package.xml and setup.py, and known wherever it is installed."""

VERSION = '0.1.0'
