"""Drawn networks with norms everywhere, for the laws of folding: every part takes images of any size."""

from random import Random
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

CONVS = {1: nn.Conv1d, 2: nn.Conv2d, 3: nn.Conv3d}
TRANSPOSED = {1: nn.ConvTranspose1d, 2: nn.ConvTranspose2d, 3: nn.ConvTranspose3d}
NORMS = {1: nn.BatchNorm1d, 2: nn.BatchNorm2d, 3: nn.BatchNorm3d}
MAX_POOLS = {1: nn.MaxPool1d, 2: nn.MaxPool2d, 3: nn.MaxPool3d}
AVG_POOLS = {1: nn.AvgPool1d, 2: nn.AvgPool2d, 3: nn.AvgPool3d}
ADAPTIVE = {
    1: (nn.AdaptiveAvgPool1d, nn.AdaptiveMaxPool1d),
    2: (nn.AdaptiveAvgPool2d, nn.AdaptiveMaxPool2d),
    3: (nn.AdaptiveAvgPool3d, nn.AdaptiveMaxPool3d),
}
UPSAMPLINGS = {1: ("nearest", "linear"), 2: ("nearest", "bilinear", "bicubic"), 3: ("nearest", "trilinear")}
SIZES = {1: ((23,), (40,), (17,)), 2: ((17, 17), (26, 19), (13, 16)), 3: ((11, 11, 11), (13, 10, 12), (9, 11, 10))}
"""Sizes of images, by their rank: of the example, a bigger one, a smaller one; the last two are not square."""


# -- parts


class Residual(nn.Module):
    """A branch and what it reads, joined."""

    def __init__(self, branch: nn.Module, how: str) -> None:
        super().__init__()
        self.branch = branch
        self.how = how

    def forward(self, x: Tensor) -> Tensor:
        y = self.branch(x)
        if self.how == "add":
            return x + y
        if self.how == "add-back":
            return torch.add(y, x)
        if self.how == "sub":
            return x - y
        if self.how == "sub-back":
            return y - x
        y = y * 1.0
        y += x
        return y


class Concat(nn.Module):
    """Branches side by side, with what they read or without."""

    def __init__(self, branches: list[nn.Module], keeps: bool) -> None:
        super().__init__()
        self.branches = nn.ModuleList(branches)
        self.keeps = keeps

    def forward(self, x: Tensor) -> Tensor:
        parts = [branch(x) for branch in self.branches]
        return torch.cat([x, *parts] if self.keeps else parts, 1)


class Parted(nn.Module):
    """One half goes through a branch."""

    def __init__(self, branch: nn.Module, first: int, how: str) -> None:
        super().__init__()
        self.branch = branch
        self.first = first
        self.how = how

    def forward(self, x: Tensor) -> Tensor:
        if self.how == "split":
            one, two = x.split([self.first, x.shape[1] - self.first], 1)
        elif self.how == "slices":
            one, two = x[:, : self.first], x[:, self.first :]
        else:
            one, two = x.chunk(2, 1)
        return torch.cat([two, self.branch(one)], 1)


class Shuffle(nn.Module):
    """Channels change places between groups."""

    def __init__(self, groups: int, how: str) -> None:
        super().__init__()
        self.groups = groups
        self.how = how

    def forward(self, x: Tensor) -> Tensor:
        if self.how == "flip":
            return x.flip(1)
        if self.how == "roll":
            return torch.roll(x, 1, 1)
        n, c, *places = x.shape
        return x.view(n, self.groups, c // self.groups, *places).transpose(1, 2).reshape(n, c, *places)


class Squeezed(nn.Module):
    """A squeeze-and-excite product."""

    def __init__(self, channels: int, rank: int, norm: bool) -> None:
        super().__init__()
        self.axes = tuple(range(2, 2 + rank))
        self.down = CONVS[rank](channels, 2, 1)
        self.norm = NORMS[rank](2) if norm else nn.Identity()
        self.up = CONVS[rank](2, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        return x * torch.sigmoid(self.up(torch.relu(self.norm(self.down(x.mean(self.axes, keepdim=True))))))


class Gated(nn.Module):
    """A product of two branches."""

    def __init__(self, one: nn.Module, two: nn.Module) -> None:
        super().__init__()
        self.one = one
        self.two = two

    def forward(self, x: Tensor) -> Tensor:
        return self.one(x) * self.two(x)


class LayerScale(nn.Module):
    """A learned factor per channel."""

    def __init__(self, channels: int, rank: int) -> None:
        super().__init__()
        self.gamma = nn.Parameter(torch.randn(channels, *(1 for _ in range(rank))))

    def forward(self, x: Tensor) -> Tensor:
        return self.gamma * x


class Twice(nn.Module):
    """A shared part runs twice."""

    def __init__(self, shared: nn.Module, between: nn.Module) -> None:
        super().__init__()
        self.shared = shared
        self.between = between

    def forward(self, x: Tensor) -> Tensor:
        return self.shared(self.between(self.shared(x)))


class Forked(nn.Module):
    """A shared part in two branches that are added."""

    def __init__(self, shared: nn.Module, one: nn.Module, two: nn.Module) -> None:
        super().__init__()
        self.shared = shared
        self.one = one
        self.two = two

    def forward(self, x: Tensor) -> Tensor:
        return self.one(self.shared(x)) + self.shared(self.two(x))


class Doubled(nn.Module):
    """What is read is added to itself, or is half of two."""

    def __init__(self, how: str) -> None:
        super().__init__()
        self.how = how

    def forward(self, x: Tensor) -> Tensor:
        if self.how == "itself":
            return x + x
        if self.how == "negative":
            return -x
        return x / 2.0


class PooledHead(nn.Module):
    """Means or sums over places."""

    def __init__(self, rank: int, how: str) -> None:
        super().__init__()
        self.axes = tuple(range(2, 2 + rank))
        self.how = how

    def forward(self, x: Tensor) -> Tensor:
        if self.how == "sum":
            return x.sum(self.axes)
        if self.how == "rows":
            return x.flatten(2).mean(2)
        return x.mean(self.axes)


class Swapped(nn.Module):
    """Axes 1 and 2 change places around a part."""

    def __init__(self, part: nn.Module) -> None:
        super().__init__()
        self.part = part

    def forward(self, x: Tensor) -> Tensor:
        return self.part(x.transpose(1, 2)).transpose(1, 2)


class Padded(nn.Module):
    """Places are padded before a part."""

    def __init__(self, rank: int, mode: str, part: nn.Module) -> None:
        super().__init__()
        self.pads = (1, 2) * rank
        self.mode = mode
        self.part = part

    def forward(self, x: Tensor) -> Tensor:
        return self.part(F.pad(x, self.pads, mode=self.mode))


# -- drawing


class Drawer:
    """Draws networks part by part.

    Args:
        random: where the numbers come from.
        rank: rank of the images.
    """

    def __init__(self, random: Random, rank: int) -> None:
        self.random = random
        self.rank = rank
        self.shrunk = 0

    def pick(self, *values: Any) -> Any:
        return values[self.random.randrange(len(values))]

    def flip(self) -> bool:
        return bool(self.random.randrange(2))

    def divisor(self, *numbers: int) -> int:
        fits = [each for each in range(1, min(numbers) + 1) if all(number % each == 0 for number in numbers)]
        return int(self.pick(*fits))

    def norm(self, channels: int) -> nn.Module:
        kind = self.pick("plain", "plain", "plain", "plain", "no-affine", "no-statistics")
        norm = NORMS[self.rank](channels, affine=kind != "no-affine", track_running_stats=kind != "no-statistics")
        fill_norm(norm, self.pick("positive", "positive", "negative", "mixed", "zeros"), self.random.randrange(1000))
        return norm

    def act(self, channels: int) -> nn.Module:
        makers = (
            nn.ReLU,
            nn.ReLU,
            lambda: nn.ReLU(inplace=True),
            lambda: nn.LeakyReLU(0.2),
            nn.PReLU,
            lambda: nn.PReLU(channels),
            nn.ReLU6,
            nn.SiLU,
            nn.GELU,
            nn.Hardswish,
        )
        act = self.pick(*makers)()
        assert isinstance(act, nn.Module)
        return act

    def conv(self, channels: int, width: int) -> nn.Module:
        """Any conv; it may change the size of images by a little."""
        if self.random.randrange(4) == 0:
            stride, dilation = self.pick(1, 2), self.pick(1, 2)
            if stride == 2:
                self.shrunk -= 1
            return TRANSPOSED[self.rank](
                channels,
                width,
                self.pick(1, 2, 3),
                stride=stride,
                padding=self.pick(0, 0, 1) if stride == 1 else 0,
                output_padding=self.pick(0, max(stride, dilation) - 1),
                dilation=dilation,
                groups=self.divisor(channels, width),
                bias=self.flip(),
            )
        stride = self.pick(1, 1, 2) if self.shrunk < 1 else 1
        self.shrunk += stride == 2
        kernel = tuple(self.pick(1, 2, 3) for _ in range(self.rank))
        mode = self.pick("zeros", "zeros", "zeros", "reflect", "replicate", "circular")
        paddings = ["valid", 0, 1, tuple(self.pick(0, 1, 2) for _ in range(self.rank))]
        padding = self.pick(*paddings, *(["same", "same"] if stride == 1 else []))
        dilation = self.pick(1, 1, 2)
        if padding in ("valid", 0) and dilation == 2:
            dilation = 1
        return CONVS[self.rank](
            channels, width, kernel, stride, padding, dilation, self.divisor(channels, width), self.flip(), mode
        )

    def keeping_conv(self, channels: int) -> nn.Module:
        """A conv that keeps channels and sizes."""
        kernel = self.pick(1, 3, 3)
        mode = self.pick("zeros", "zeros", "zeros", "reflect", "replicate", "circular")
        groups = self.pick(1, 1, channels, self.divisor(channels))
        padding = self.pick(kernel // 2, "same")
        return CONVS[self.rank](
            channels, channels, kernel, padding=padding, groups=groups, bias=self.flip(), padding_mode=mode
        )

    def keeper(self, channels: int, depth: int) -> nn.Module:
        """A part that keeps channels and sizes."""
        kinds = ["conv", "conv", "conv", "norm", "norm", "norm", "act", "act", "pool", "move", "scale"]
        kind = self.pick(*kinds, *(["join", "join", "shared", "gate"] if depth else []))
        if kind == "conv":
            return self.keeping_conv(channels)
        if kind == "norm":
            return self.norm(channels)
        if kind == "act":
            return self.act(channels)
        if kind == "pool":
            if self.flip():
                return MAX_POOLS[self.rank](3, 1, 1)
            return AVG_POOLS[self.rank](3, 1, 1, count_include_pad=self.flip())
        if kind == "move":
            return self.pick(
                Shuffle(self.divisor(channels), self.pick("groups", "flip", "roll")),
                nn.Dropout(0.5),
                Doubled(self.pick("itself", "negative", "half")),
            )
        if kind == "scale":
            return self.pick(LayerScale(channels, self.rank), Squeezed(channels, self.rank, self.flip()))
        if kind == "join":
            if self.flip() and channels > 1:
                return Parted(
                    self.branch(channels - channels // 2, depth - 1),
                    channels - channels // 2,
                    self.pick("split", "slices", "chunk"),
                )
            how = self.pick("add", "add", "add-back", "sub", "sub-back", "in-place")
            return Residual(self.branch(channels, depth - 1), how)
        if kind == "gate":
            return Gated(self.branch(channels, depth - 1), self.branch(channels, depth - 1))
        shared = self.pick(self.keeping_conv(channels), self.norm(channels))
        if self.flip():
            return Twice(shared, self.branch(channels, depth - 1))
        return Forked(shared, self.branch(channels, depth - 1), self.branch(channels, depth - 1))

    def branch(self, channels: int, depth: int) -> nn.Module:
        return nn.Sequential(*(self.keeper(channels, depth) for _ in range(self.pick(1, 2, 3))))

    def changer(self, channels: int) -> tuple[nn.Module, int]:
        """A part that may change channels and sizes, and its channels."""
        width = self.pick(2, 4, 6)
        kind = self.pick("conv", "conv", "conv", "pool", "up", "cat", "pad")
        if kind == "cat":
            branches = [self.branch(channels, 1) for _ in range(self.pick(1, 2))]
            keeps = self.flip()
            return Concat(branches, keeps), channels * (len(branches) + keeps)
        if kind == "up" and self.shrunk > -1:
            self.shrunk -= 1
            mode = self.pick(*UPSAMPLINGS[self.rank])
            return nn.Upsample(scale_factor=2, mode=mode), channels
        if kind == "pad":
            return Padded(self.rank, self.pick("constant", "reflect", "replicate"), self.conv(channels, width)), width
        if kind == "pool" and self.shrunk < 1:
            self.shrunk += 1
            if self.flip():
                return MAX_POOLS[self.rank](2, ceil_mode=self.flip()), channels
            more = {"divisor_override": self.pick(None, 3)} if self.rank > 1 else {}
            padding = self.pick(0, 1)
            pool = AVG_POOLS[self.rank](3, 2, padding, ceil_mode=self.flip(), count_include_pad=self.flip(), **more)
            return pool, channels
        return self.conv(channels, width), width

    def head(self, channels: int) -> list[nn.Module]:
        how = self.pick("mean", "sum", "rows", "flat", "flat-max", "none")
        if how == "none":
            return []
        if how.startswith("flat"):
            pool = ADAPTIVE[self.rank][how == "flat-max"](2)
            parts: list[nn.Module] = [pool, nn.Flatten()]
            features = channels * 2**self.rank
        else:
            parts, features = [PooledHead(self.rank, how)], channels
        image_rank, self.rank = self.rank, 1
        for _ in range(self.pick(0, 1, 2)):
            parts.append(self.pick(self.norm(features), nn.ReLU(), nn.Dropout(0.3)))
        parts.append(nn.Linear(features, 3, bias=self.flip()))
        if self.flip():
            parts.append(self.norm(3))
        self.rank = image_rank
        return parts


def fill_norm(norm: nn.Module, gammas: str, seed: int) -> None:
    """Give a norm statistics as after training, and gammas of a kind."""
    held: Any = norm
    generator = torch.Generator().manual_seed(seed)
    count = held.num_features
    with torch.no_grad():
        if held.running_mean is not None:
            held.running_mean.copy_(torch.randn(count, generator=generator))
            held.running_var.copy_(torch.rand(count, generator=generator) + 0.3)
        if held.weight is not None:
            weight = torch.rand(count, generator=generator) + 0.4
            if gammas == "negative":
                weight.neg_()
            elif gammas == "mixed":
                weight[::2] *= -1
            elif gammas == "zeros":
                weight[::2] = 0.0
            held.weight.copy_(weight)
            held.bias.copy_(torch.randn(count, generator=generator))


def draw_network(random: Random, rank: int) -> nn.Sequential:
    """Return a network for images of a rank, ``[N, 3, *]``, in evaluation mode and float64."""
    torch.manual_seed(random.randrange(1 << 20))
    drawer = Drawer(random, rank)
    channels = 3
    parts: list[nn.Module] = [drawer.norm(channels)] if random.randrange(6) == 0 else []
    for _ in range(drawer.pick(1, 2, 3)):
        part, channels = drawer.changer(channels)
        parts.append(part)
        parts.extend(drawer.keeper(channels, 2) for _ in range(drawer.pick(1, 2, 3)))
    parts.extend([drawer.norm(channels), *drawer.head(channels)])
    return nn.Sequential(*parts).double().eval()


def draw_features(random: Random, ordered: bool) -> nn.Sequential:
    """Return a network of linear layers for ``[N, 5]``, or ``[N, L, 5]`` if its places are ordered, in float64."""
    torch.manual_seed(random.randrange(1 << 20))
    drawer = Drawer(random, 1)
    parts: list[nn.Module] = []
    width = 5
    for _ in range(drawer.pick(1, 2, 3, 4)):
        kind = drawer.pick("linear", "linear", "norm", "norm", "act", "residual", "cat")
        if kind == "linear":
            before, width = width, drawer.pick(4, 6)
            parts.append(nn.Linear(before, width, bias=drawer.flip()))
        elif kind == "norm":
            norm = drawer.norm(width)
            parts.append(Swapped(norm) if ordered else norm)
        elif kind == "act":
            parts.append(drawer.pick(nn.ReLU(), nn.GELU(), nn.Dropout(0.1), nn.LeakyReLU(0.1)))
        else:
            norm = drawer.norm(width)
            branch = nn.Sequential(
                nn.Linear(width, width), Swapped(norm) if ordered else norm, drawer.pick(nn.ReLU(), nn.Identity())
            )
            if kind == "residual":
                parts.append(Residual(branch, drawer.pick("add", "sub", "in-place")))
            elif not ordered:
                parts.append(Concat([branch], keeps=True))
                width *= 2
    norm = drawer.norm(width)
    parts.extend([Swapped(norm) if ordered else norm, nn.Linear(width, 2)])
    return nn.Sequential(*parts).double().eval()
