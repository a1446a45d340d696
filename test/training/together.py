"""Two steps of a small stage: what torchrun starts in each of its processes."""

import sys
from pathlib import Path

import torch

from superslam_ros.training import loop
from superslam_ros.training.stages import magicpoint

if __name__ == '__main__':
    magicpoint._VALIDATED = 32
    stage = magicpoint.MagicPointStage(torch.device('cpu'), 48, 64)
    loop.train(stage, Path(sys.argv[1]), loop.LoopConfig(steps=2, batch=4))
