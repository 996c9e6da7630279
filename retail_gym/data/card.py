"""The data card: what a dataset is, for people, written from its manifest."""

from __future__ import annotations

from typing import Any

from retail_gym.data.star import TABLES

__all__ = ["data_card"]

_USES = """## Uses and limits

Simulated with retail-gym: the customers exist in no shop, no record is a person's, and nothing
was copied from one. A store fitted to real data carries that fit's errors; how realistic it is,
`retail-gym judge` says for two tables. Good for demand models, promotion and causal methods with
a known answer, load tests and teaching. Not good for claims about real shoppers.
"""


def data_card(manifest: dict[str, Any]) -> str:
    """The card in Markdown: contents, origin, tables with units, uses, how to check."""
    recipe, rows = manifest["recipe"], manifest["rows"]
    config = recipe["config"]
    facts = {
        "store": f"{config['name']}, seed {recipe['world_seed']}",
        "customers": f"{config['n_customers']:,}",
        "products": f"{sum(config['category_sizes']):,} in {len(config['category_sizes'])} categories",
        "weeks": recipe["weeks"],
        "policy": recipe["policy"],
        "segments priced apart": recipe["segments"],
        "luck": f"seed {recipe['seed']}, episode key {manifest['episode_key']}",
        "shards": f"{manifest['shards']} of up to {recipe['shard_customers']:,} customers",
        "truth": _truth(recipe["truth"]),
        "recipe": f"`{manifest['recipe_hash']}`",
        "manifest": f"`{manifest['manifest_sha256']}`",
        "versions": ", ".join(f"{k} {v}" for k, v in sorted(manifest["versions"].items())),
        "made from": ", ".join(
            f"{p['role']} {p['name']} (`{p['sha256'][:16]}`)" for p in manifest["parents"]
        )
        or "nothing else",
    }
    parts = [
        f"# Simulated purchases: {config['name']}",
        "| | |\n|---|---|\n" + "\n".join(f"| {k} | {v} |" for k, v in facts.items()),
        "## Tables",
    ]
    for name, count in rows.items():
        table = TABLES[name]
        head = f"### {name}: {count:,} rows\n\nOne row per {table.row}."
        lines = [f"| {c.name} | {c.type} | {c.unit} | {c.description} |" for c in table.columns]
        parts.append(
            f"{head}\n\n| column | type | unit | meaning |\n|---|---|---|---|\n" + "\n".join(lines)
        )
    parts.append(_USES.rstrip())
    parts.append(
        "## Check\n\n```\nretail-gym verify .                    # counts, checksums, schema\n"
        "retail-gym verify . --regenerate all   # make everything again and compare bit for bit\n```"
    )
    return "\n\n".join(parts) + "\n"


def _truth(truth: dict[str, Any] | None) -> str:
    if truth is None:
        return "none"
    who = "everybody" if truth["customers"] is None else f"{truth['customers']:,} customers"
    return f"of {who}, at discounts {', '.join(f'{x:g}' for x in truth['levels'])}"
