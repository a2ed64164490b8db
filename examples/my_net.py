"""An ordinary network, as you might have it in your own project.

Where should batch norm go in it? Nothing in it has to change for the question:

    placenorm compare examples/my_net.py:Net
"""

import torch.nn.functional as F
from torch import Tensor, nn


class Net(nn.Module):
    """Four conv layers for images of one channel, such as the 8x8 digits; ten classes.

    placenorm calls it without arguments. Activations are functional and one pool is used twice: both are fine.
    """

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(1, 16, kernel_size=3, padding=1)
        self.conv2 = nn.Conv2d(16, 16, kernel_size=3, padding=1)
        self.conv3 = nn.Conv2d(16, 32, kernel_size=3, padding=1)
        self.conv4 = nn.Conv2d(32, 32, kernel_size=3, padding=1)
        self.pool = nn.MaxPool2d(2)
        self.fc = nn.Linear(32, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.conv1(x))
        x = self.pool(F.relu(self.conv2(x)))
        x = F.relu(self.conv3(x))
        x = self.pool(F.relu(self.conv4(x)))
        x = F.adaptive_avg_pool2d(x, 1).flatten(1)
        logits: Tensor = self.fc(x)
        return logits
