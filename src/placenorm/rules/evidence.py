"""The figures that rules stand on, as data. What could not be verified is not here."""

from typing import Final

from placenorm.facts.finding import Figure

_CAFFENET = "Mishkin et al. 2017, batchnorm.md"
_CAFFENET_URL = (
    "https://github.com/ducha-aiki/caffenet-benchmark/blob/e47c4ffdab4f927a2b963b34f3c3297afa22d085/batchnorm.md"
)
_HE = "He et al. 2016, Table 2"
_HE_URL = "https://arxiv.org/abs/1603.05027"
_OWN = "placenorm, docs/evidence.md, section 10"

CAFFENET_AFTER: Final = Figure(
    text="accuracy 0.493 after the activation, 0.478 before it, 0.471 without a norm",
    setting="CaffeNet, ImageNet at 128 pixels, gamma and beta in both, one run each",
    source=_CAFFENET,
    url=_CAFFENET_URL,
    mark="primary source",
)
GOOGLENET_AFTER: Final = Figure(
    text="accuracy 0.596 after the activation, 0.603 before it, 0.619 without a norm",
    setting="GoogLeNet, ImageNet at 128 pixels, one run each",
    source=_CAFFENET,
    url=_CAFFENET_URL,
    mark="primary source",
)
NIN_AFTER: Final = Figure(
    text="accuracy 86.2 % after the activation, 85.8 % before it, 80.2 % without a norm: "
    "before and after differ by less than one epoch from the next",
    setting="network-in-network, CIFAR-10, 100 epochs, one run each",
    source="Raschka, nin-cifar10_batchnorm.ipynb",
    url="https://github.com/rasbt/deeplearning-models/blob/18e04692/pytorch_ipynb/cnn/nin-cifar10_batchnorm.ipynb",
    mark="primary source",
)
INCEPTION_STEPS: Final = Figure(
    text="31.0 million steps to an accuracy of 72.2 % without norms, 13.3 million with them, 2.1 million with them at "
    "five times the learning rate",
    setting="Inception, ImageNet, norm before the activation, one run each",
    source="Ioffe & Szegedy 2015, Figure 3",
    url="https://arxiv.org/abs/1502.03167",
    mark="full text",
)
HE_AFTER_ADD: Final = Figure(
    text="error 8.17 % with the norm after the addition, 6.61 % with it before",
    setting="ResNet-110, CIFAR-10",
    source=_HE,
    url=_HE_URL,
    mark="full text",
)
HE_PRE_ACTIVATION: Final = Figure(
    text="error 6.37 % with full pre-activation (norm, ReLU, conv), 6.61 % for the original, 6.71 % with the ReLU "
    "alone in front of the conv",
    setting="ResNet-110, CIFAR-10",
    source=_HE,
    url=_HE_URL,
    mark="full text",
)
GCR_AFTER_ADD: Final = Figure(
    text="error 13.56 % with the norm after the addition, 6.97 % before it at 110 layers; 8.34 and 8.29 % at 20 layers",
    setting="ResNets with the ReLU behind the addition, CIFAR-10, one run each",
    source="gcr/torch-residual-networks, README",
    url="https://github.com/gcr/torch-residual-networks/tree/f0d0a17a14d62884604918211c8b461f8cf28967",
    mark="primary source",
)
IMAGENET_AFTER_ADD: Final = Figure(
    text="error 24.5 % before the addition, 24.2 % after it: no harm at 50 layers",
    setting="ResNet-50, ImageNet, single crop, one run each",
    source="Gross & Wilber 2016, torch.ch blog",
    url="https://github.com/torch/torch.github.io/blob/54b26ca7/blog/_posts/2016-02-04-resnets.md",
    mark="primary source",
)
PAGE_POOL: Final = Figure(
    text="accuracy 94.0 % with the norm behind the pool, 94.1 % in front of it, for 5 s of about 67 s of training; the "
    "order is pool, norm, ReLU and not ReLU, pool, norm",
    setting="9-layer ResNet, CIFAR-10, means of 50 runs; a single run varies by about 0.15 %",
    source="Page, bag_of_tricks.ipynb",
    url="https://github.com/davidcpage/cifar10-fast/blob/f79e8b89/bag_of_tricks.ipynb",
    mark="primary source",
)
KIM_BOUNDED: Final = Figure(
    text="with bounded activations such as tanh the swapped order (norm after) does considerably better; with ReLU and "
    "its like it is generally not much different",
    setting="various benchmarks and architectures",
    source="Kim et al. 2023, NeurIPS",
    url="https://papers.nips.cc/paper_files/paper/2023/hash/298281b9e89197195eb461e68ad20136-Abstract-Conference.html",
    mark="abstract or excerpt",
)
CAFFENET_TANH: Final = Figure(
    text="accuracy 0.448 with the norm after TanH, 0.401 without a norm; before TanH was not run",
    setting="CaffeNet, ImageNet at 128 pixels, one run each",
    source=_CAFFENET,
    url=_CAFFENET_URL,
    mark="primary source",
)
LI_DROPOUT: Final = Figure(
    text="accuracy 68.55 % with dropout 0.5 in each bottleneck, before the next norm; 77.42 % without dropout",
    setting="DenseNet, CIFAR-100",
    source="Li et al. 2018, Figure 1",
    url="https://arxiv.org/abs/1801.05134",
    mark="abstract or excerpt",
)
CAFFENET_DROPOUT: Final = Figure(
    text="accuracy 0.499 with dropout 0.5 behind the last two norms, 0.527 with 0.2, 0.513 without",
    setting="CaffeNet, norm after the activation, ImageNet at 128 pixels, one run each",
    source=_CAFFENET,
    url=_CAFFENET_URL,
    mark="primary source",
)
FX_FUSE: Final = Figure(
    text="torch.fx's fuse leaves the norm of conv, ReLU, norm, conv where it is, and torch.ao's fuse_modules "
    "refuses it",
    setting="torch 2.13, on a CPU",
    source="torch's own fusers, read and run",
    url="https://github.com/pytorch/pytorch",
    mark="own measurement",
)
INDUCTOR_FREEZING: Final = Figure(
    text="Inductor's freezing folds the norm of conv, norm, ReLU, conv and leaves that of conv, ReLU, norm, conv",
    setting="torch 2.13, on a CPU",
    source="Inductor's binary_folding counter",
    url="https://github.com/pytorch/pytorch",
    mark="own measurement",
)
AIMET_PADDING: Final = Figure(
    text="Qualcomm's AIMET does fold a norm into the next conv, and refuses where that conv pads",
    setting="its source at commit c51b284b",
    source="aimet_torch/batch_norm_fold.py",
    url="https://github.com/quic/aimet",
    mark="primary source",
)
DEAD_UNITS: Final = Figure(
    text="dead units without a norm, before, after: 87, 0 and 3 % at learning rate 0.2; 93, 14 and 45 % at 1",
    setting="8-layer MLP on the digits data, 3 to 5 seeds",
    source=_OWN,
    url="",
    mark="own measurement",
)
TWO_VALUES: Final = Figure(
    text="with two values per channel a norm gives +1 and -1, whatever they were",
    setting="arithmetic, checked on random values",
    source=_OWN,
    url="",
    mark="own measurement",
)

KOCAMAN_OUTPUT: Final = Figure(
    text="F1 of the rare class 0.29 without and 0.95 with a norm in front of the softmax; a follow-up finds the gain "
    "only with a single majority class, and says that softmax outputs tell less of uncertainty then",
    setting="VGG19, classes 99 to 1",
    source="Kocaman et al. 2020 and 2021",
    url="https://arxiv.org/abs/2011.06319",
    mark="abstract or excerpt",
)
PAGE_OUTPUT: Final = Figure(
    text='a norm behind the classifier "would presumably restrict expressivity and hurt training"; not measured there',
    setting="9-layer ResNet, CIFAR-10",
    source="Page, bag_of_tricks.ipynb, cell 49",
    url="https://github.com/davidcpage/cifar10-fast/blob/f79e8b89/bag_of_tricks.ipynb",
    mark="primary source",
)
CAFFENET_AFFINE: Final = Figure(
    text="accuracy 0.474 with a norm before the activation without gamma and beta, 0.478 with them",
    setting="CaffeNet, ImageNet at 128 pixels, one run each",
    source=_CAFFENET,
    url=_CAFFENET_URL,
    mark="primary source",
)
GROUP_NORM_BATCH: Final = Figure(
    text="at a batch of 2 a group norm beats the batch norm by 10.6 points, at 32 the batch norm is better by 0.5",
    setting="ResNet-50, ImageNet",
    source="Wu & He 2018, as noted by a reader of it",
    url="https://arxiv.org/abs/1803.08494",
    mark="abstract or excerpt",
)
NO_BIAS_DECAY: Final = Figure(
    text="weight decay on weights alone, none on biases, gamma and beta; timm leaves out all parameters of one axis",
    setting="a recommendation for ResNets on ImageNet; networks that decay them train too",
    source="He et al. 2018, Bag of Tricks; timm's param_groups_weight_decay",
    url="https://arxiv.org/abs/1812.01187",
    mark="abstract or excerpt",
)
ZERO_GAMMA: Final = Figure(
    text="the last gamma of each residual branch starts at 0, so that the network starts as its shortcuts",
    setting="ResNet-50, ImageNet, large batches; timm does so unless told otherwise",
    source="Goyal et al. 2017; timm, zero_init_last",
    url="https://arxiv.org/abs/1706.02677",
    mark="abstract or excerpt",
)
FROZEN_MOVES: Final = Figure(
    text="requires_grad=False does not stop the running statistics, and the next model.train() undoes .eval()",
    setting="torch 2.13, run by us",
    source="docs/evidence.md, section 13",
    url="https://github.com/Lightning-AI/pytorch-lightning/issues/15062",
    mark="own measurement",
)
MOMENTUM_CONVENTION: Final = Figure(
    text="torch's momentum is the share of the newest batch (0.1); Keras names the share of the old ones (0.99)",
    setting="the documentation of both",
    source="torch, BatchNorm2d; Keras, BatchNormalization",
    url="https://github.com/pytorch/examples/issues/289",
    mark="primary source",
)
KERAS_HALF: Final = Figure(
    text='"BN is prone to overflowing for float16/bfloat16 inputs, so we opt out": Keras keeps its norms in float32',
    setting="a comment in its source",
    source="Keras, batch_normalization.py",
    url="https://github.com/keras-team/keras",
    mark="primary source",
)
HOMOGENEOUS: Final = Figure(
    text='"when the next layer is linear this [scale] can be disabled"; through a ReLU a positive factor passes too',
    setting="algebra",
    source="Keras, BatchNormalization; pytorch issue 40087",
    url="https://github.com/pytorch/pytorch/issues/40087",
    mark="primary source",
)

ALL: Final = tuple(value for value in dict(vars()).values() if isinstance(value, Figure))
"""Every figure."""
