"""Does discovery find the concepts of a bank whose labels are hidden?

`python benchmarks/discovery.py --encoder FOLDER_OR_ID` clusters the texts of both bundled banks and prints the adjusted
Rand index of the clusters with the hidden labels; needs the extra `[discover]`. `--noise` as in `headroles score`.
"""

from __future__ import annotations

import click
from benchmark import benchmark

from headroles import ProbeBank
from headroles.roles.discovery import DiscoveryConfig, discover, load_encoder
from headroles.roles.probes import BUNDLED


@benchmark()
@click.option("--encoder", default=DiscoveryConfig().encoder, show_default=True, help="Sentence encoder.")
@click.option("--noise", default="nearest", show_default=True, help="Texts in no cluster: nearest or own.")
def main(encoder: str, noise: str) -> None:
    """One line a bank."""
    from sklearn.metrics import adjusted_rand_score

    read = load_encoder(encoder)
    for name in BUNDLED:
        bank = ProbeBank.load(name)
        found = discover(name, bank.texts, read, DiscoveryConfig(noise=noise))
        click.echo(
            f"{name}: adjusted Rand index {adjusted_rand_score(bank.codes, found.bank.codes):.2f}, "
            f"{len(found.clusters)} clusters for {len(bank.concepts)} concepts, {len(found.noise):,} of "
            f"{len(bank.texts):,} texts noise, core concepts found: "
            + ", ".join(cluster.name for cluster in found.clusters if cluster.core)
        )


if __name__ == "__main__":
    main()
