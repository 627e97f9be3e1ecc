"""Between the robot's numbers and the network's numbers: frozen transforms with inverses.

The same objects serve training and inference, so the two cannot drift apart. One module each.
Importing this package imports neither torch nor a tokenizer library.
"""

from vla_ros.policy.processors.actions import ActionProcessor
from vla_ros.policy.processors.base import Floats, ProcessorError
from vla_ros.policy.processors.binary import SignBinary
from vla_ros.policy.processors.normalise import Identity, MeanStd, Normaliser, Range
from vla_ros.policy.processors.padding import ZeroPadding
from vla_ros.policy.processors.relative import RelativeActions
from vla_ros.policy.processors.words import WordTokenizer, split_words

__all__ = [
    "ActionProcessor",
    "Floats",
    "Identity",
    "MeanStd",
    "Normaliser",
    "ProcessorError",
    "Range",
    "RelativeActions",
    "SignBinary",
    "WordTokenizer",
    "ZeroPadding",
    "split_words",
]
