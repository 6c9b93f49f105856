"""The layers that listings live in, and the codes that the zones give them by default (DESIGN §3)."""

from enum import IntEnum


class Layer(IntEnum):
    """One kind of listing. A zone publishes some layers, each with a code, a TTL and a text."""

    OPERATOR = 0  # made by hand
    BOT = 1
    DYNAMIC_DECLARED = 2
    DYNAMIC_INFERRED = 3
    MTA = 4  # legitimate mail server, trust 0 to 3: never answered by a blocking zone
    EXCLUDED = 5  # the never-list: takes its addresses out of every blocking zone


LAYER_NAMES = {
    Layer.OPERATOR: "operator",
    Layer.BOT: "bot",
    Layer.DYNAMIC_DECLARED: "dynamic_declared",
    Layer.DYNAMIC_INFERRED: "dynamic",
    Layer.MTA: "mta",
}
LAYERS_BY_NAME = {name: layer for layer, name in LAYER_NAMES.items()}

#: Layers that a plain ``reject_rbl_client`` would block on: no zone may join one of them with MTA but ``class``.
BLOCKING_LAYERS = frozenset({Layer.OPERATOR, Layer.BOT, Layer.DYNAMIC_DECLARED, Layer.DYNAMIC_INFERRED})
MTA_TRUST_LEVELS = ("none", "low", "medium", "high")
