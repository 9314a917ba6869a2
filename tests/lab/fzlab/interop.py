# SPDX-License-Identifier: Apache-2.0
"""The matrix: our programs and upstream's as client, gateway and relay, direct and relayed."""
import os

from . import scenarios, services
from .sandbox import LabError

# upstream's programs cannot use an RFC relay such as coturn, so each side is told of the relay that it can use
RELAYS = {("ours", "ours"): ("coturn", "theirs"), ("ours", "theirs"): ("mixed", "theirs"),
          ("theirs", "ours"): ("mixed", "theirs"), ("theirs", "theirs"): ("theirs",)}
PARTS = {"direct": "3.5", "relayed": "4.1", "direct-v6": "3.1-v6", "relayed-v6": "4.1-v6", "restart": "10.1",
         "roam": "5.1", "direct-iceless": "3.5-iceless", "relayed-iceless": "4.2",
         "roam-iceless": "5.2"}


def run(args, report):
    if not os.environ.get("PEER_DIR"):
        report.skip("interop", "PEER_DIR names no folder with upstream's programs")
        return
    for kind in services.THEIRS:
        services.program(kind, "theirs")
    rows = {row[0]: row for row in scenarios.SCENARIOS}
    parts = args.names or list(PARTS)
    unknown = [part for part in parts if part not in PARTS]
    if unknown:
        raise LabError(f"no such part of the matrix: {' '.join(unknown)}; there are: {' '.join(PARTS)}")
    table = []
    for (client, gateway), relays in RELAYS.items():
        for relay in relays:
            verdicts = []
            for part in parts:
                before = dict(report.counts)
                scenarios.run_one(rows[PARTS[part]], {"client": client, "gateway": gateway, "relay": relay}, report,
                                  f"{client}/{gateway}/{relay}/{part}")
                verdicts.append(next(word for word, count in report.counts.items() if count > before[word]))
            table.append((client, gateway, relay, verdicts))
    print("\nclient   gateway  relay    " + " ".join(f"{part:15}" for part in parts))
    for client, gateway, relay, verdicts in table:
        print(f"{client:8} {gateway:8} {relay:8} " + " ".join(f"{verdict:15}" for verdict in verdicts))
    print()
