#!/usr/bin/env python3
"""Makes every claim's effect, interval and verdict again from the records, example by example.

Shares no code with the workspace: it knows the records' format and the statistics, which it writes out anew.

    scripts/check-claims.py crates/experiments/evidence/quick [CLAIMS.json]

reads FOLDER/report/claims.json (or CLAIMS.json), FOLDER/evaluations and FOLDER/networks. Needs numpy. Exits 1 on any
disagreement, 2 if there is nothing to check.
"""

import json
import math
import sys
from pathlib import Path

try:
    import numpy as np
except ImportError:
    print("not checked: numpy is missing (python3 -m pip install numpy)", file=sys.stderr)
    sys.exit(2)

Z = 1.959963984540054  # 97.5% quantile of the normal distribution
TOLERANCE = 1e-9
ENOUGH_SEEDS = 3
LEARNED = 0.15

ORDER = ["refuted", "depends-on-reading", "held", "undecided", "not-testable"]


def student(freedom):
    """Two-sided 95% quantile of Student's t: with x = sqrt(freedom) tan(a) its density is cos(a)^(freedom - 1)."""
    nodes, weights = np.polynomial.legendre.leggauss(400)

    def integral(end):
        angles = (nodes + 1) * end / 2
        return float(np.sum(weights * np.cos(angles) ** (freedom - 1)) * end / 2)

    whole, low, high = integral(math.pi / 2), 0.0, math.pi / 2
    for _ in range(200):
        middle = (low + high) / 2
        if integral(middle) < 0.95 * whole:
            low = middle
        else:
            high = middle
    return math.sqrt(freedom) * math.tan(low)


def mcnemar(a, b):
    """Twice the chance of so few heads among a + b throws, in whole numbers."""
    n = a + b
    tail = sum(math.comb(n, i) for i in range(min(a, b) + 1))
    return min(1.0, 2 * tail / 2**n)


def flags(text):
    n, digits = text.split(":")
    bits = np.array([int(d, 16) >> shift & 1 for d in digits for shift in (3, 2, 1, 0)], dtype=bool)
    return bits[: int(n)]


def classes(text):
    width, digits = text.split(":")
    width = int(width)
    return np.array([int(digits[i : i + width], 16) for i in range(0, len(digits), width)])


class Records:
    def __init__(self, folder):
        self.folder, self.known = folder, {}

    def __getitem__(self, key):
        if key not in self.known:
            paths = [self.folder / kind / f"{key}.json" for kind in ("evaluations", "networks")]
            found = [path for path in paths if path.exists()]
            if not found:
                raise LookupError(f"no record {key} in {self.folder}")
            self.known[key] = json.loads(found[0].read_text())
        return self.known[key]

    def broken(self, key):
        results = self[key]["results"]
        robust = results["robust_examples"]
        return flags(robust["worst"]["broken"] if robust else results["clean_examples"]["broken"])

    def clean_broken(self, key):
        return flags(self[key]["results"]["clean_examples"]["broken"])

    def groups(self, key):
        """Images of the class that section 3 asks for: wrong exactly if another class is answered."""
        clean = self[key]["results"]["clean_examples"]
        return flags(clean["broken"]) == (classes(clean["predictions"]) != 0)

    def clean_accuracy(self, key, chance):
        record = self[key]
        if record["kind"] == "network":
            return record["results"]["training_set"]["clean"]["accuracy"]
        right = ~self.clean_broken(key)
        if chance == 0.5:
            groups = self.groups(key)
            return (right[groups].mean() + right[~groups].mean()) / 2
        return right.mean()


def numbers(records, quantity, keys):
    """Of one seed: a number for each image (NaN for none), and the groups that count alike."""
    if quantity in ("withstands", "withstands-balanced"):
        all_broken = [records.broken(key) for key in keys]
        broken = np.zeros(max(len(one) for one in all_broken), dtype=bool)
        for one in all_broken:  # an attack on fewer images is one on the first of them
            broken[: len(one)] |= one
        groups = records.groups(keys[0]) if quantity == "withstands-balanced" else None
        return (~broken).astype(float), groups
    if quantity == "distance":
        found = records[keys[0]]["results"]["distances"]["distances"]
        # As they are kept: numbers of 32 bits.
        return np.array([np.nan if d is None else float(np.float32(d)) for d in found]), None
    if quantity == "coherence":
        found = records[keys[0]]["results"]["cosines"]
        return np.array([np.nan if c is None else c for c in found], dtype=float), None
    if quantity == "broken-too":
        first, second, wrong = records.broken(keys[0]), records.broken(keys[1]), records.clean_broken(keys[0])
        return np.where(first & ~wrong, second.astype(float), np.nan), None
    raise ValueError(f"unknown quantity {quantity}")


def combine(records, terms):
    """The signed sum of `terms` for each seed that all of them have."""
    who = [(seed["seed"], seed.get("order")) for seed in terms[0][1]["seeds"]]
    of = [{(s["seed"], s.get("order")): s for s in term["seeds"]} for _, term in terms]
    who = [one for one in who if all(one in seeds for seeds in of)]
    replicates = []
    for one in who:
        parts = []
        names = set()
        for (sign, term), seeds in zip(terms, of):
            keys = seeds[one]["records"]
            names |= {records[key]["settings"]["data"]["name"] for key in keys}
            parts.append((sign, *numbers(records, term["quantity"], keys)))
        if len(names) > 1:
            return None
        images = min(len(values) for _, values, _ in parts)
        groups = [None if g is None else g[:images] for _, _, g in parts]
        if any((g is None) != (groups[0] is None) for g in groups):
            return None
        if groups[0] is not None and any((g != groups[0]).any() for g in groups):
            return None
        replicates.append((sum(sign * values[:images] for sign, values, _ in parts), groups[0]))
    return replicates


def estimate(replicates, counts):
    seeds, images = len(replicates), len(replicates[0][0])
    means, shares, weight = [], np.zeros(images), 0.0
    for values, groups in replicates:
        known = ~np.isnan(values)
        parts = [known] if groups is None else [known & groups, known & ~groups]
        centre = [values[part].mean() for part in parts]
        means.append(float(np.mean(centre)))
        for part, middle in zip(parts, centre):
            shares[part] += images / (len(parts) * part.sum()) * (values[part] - middle) / seeds
        weight += max(1 / (len(parts) * part.sum()) for part in parts) / seeds
    effect = float(np.mean(means))
    of_images = Z * math.sqrt(np.sum(shares**2) / images**2 + (2 * weight**2 if counts else 0))
    half = of_images
    if seeds >= ENOUGH_SEEDS:
        half = math.hypot(of_images, student(seeds - 1) * np.std(means, ddof=1) / math.sqrt(seeds))
    return {"effect": effect, "half": half, "seeds": seeds, "images": images}


def asked_of(asked, low, high):
    kind, margin = next(iter(asked.items()))
    inside, outside = {
        "above": (low > margin, high < margin),
        "below": (high < margin, low > margin),
        "within": (low >= -margin and high <= margin, low > margin or high < -margin),
    }[kind]
    return "held" if inside else "refuted" if outside else "undecided"


def check_comparison(records, comparison, wanted):
    """The verdict, made again; every disagreement with what is written as a sentence."""
    wrong = []

    def same(what, found, said):
        if found is None or said is None or abs(found - said) > TOLERANCE:
            wrong.append(f"{what}: found {found}, written {said}")

    left = [(term["sign"], term) for term in comparison["left"]]
    right = [(-term["sign"], term) for term in comparison.get("right", [])]
    said = comparison.get("estimate")
    terms = left + right
    if said is None:
        complete = all(term["seeds"] for _, term in terms) and combine(records, terms)
        return "undecided" if complete else "not-testable", wrong
    counts = all(term["quantity"] not in ("distance", "coherence") for _, term in terms)
    replicates = combine(records, terms)
    shared = "images" if replicates else "nothing"
    if replicates:
        found = estimate(replicates, counts)
        if found["seeds"] >= ENOUGH_SEEDS:
            shared = "images-and-seeds"
    else:
        one = estimate(combine(records, left), counts)
        other = estimate(combine(records, [(-sign, term) for sign, term in right]), counts)
        found = {
            "effect": one["effect"] - other["effect"],
            "half": math.hypot(one["half"], other["half"]),
            "seeds": min(one["seeds"], other["seeds"]),
            "images": min(one["images"], other["images"]),
        }
    found["effect"] -= comparison.get("bound", 0.0)
    low, high = found["effect"] - found["half"], found["effect"] + found["half"]
    same("effect", found["effect"], said["effect"])
    same("lower end", low, said["low"])
    same("upper end", high, said["high"])
    same("seeds", found["seeds"], said["seeds"])
    same("images", found["images"], said["images"])
    if shared != comparison["shared"]:
        wrong.append(f"shared: found {shared}, written {comparison['shared']}")

    asked = comparison["asked"]
    near_chance = False
    for _, term in terms:
        for seed in term["seeds"]:
            near_chance |= not seed["clean"]
            for clean in seed["clean"]:
                accuracy = records.clean_accuracy(clean["record"], clean["chance"])
                same(f"clean accuracy of {clean['record']}", accuracy, clean["accuracy"])
                near_chance |= accuracy < clean["chance"] + LEARNED
    p = 0.0
    signs = asked in ({"above": 0.0}, {"below": 0.0})
    plain = [term["quantity"] for _, term in terms] == ["withstands", "withstands"] and len(left) == 1
    if replicates and found["seeds"] == 1 and plain and signs:
        values = replicates[0][0]
        p = mcnemar(int((values == 1).sum()), int((values == -1).sum()))
        same("McNemar's p", p, (comparison.get("mcnemar") or {}).get("p"))
    if comparison.get("stand_in") or near_chance:
        return "not-testable", wrong
    if asked == "inside":
        exceptions = sum(int((values == -1).sum()) for values, _ in replicates)
        same("exceptions", exceptions, comparison.get("exceptions"))
        return "refuted" if exceptions else "held", wrong
    if found["seeds"] < wanted:
        return "undecided", wrong
    verdict = asked_of(asked, low, high)
    return verdict if p < 0.05 else "undecided", wrong


def join(comparisons, missing):
    own = [verdict for comparison, verdict in comparisons if not comparison.get("stand_in")]
    verdicts = own or [verdict for _, verdict in comparisons]
    untestable = missing or not verdicts or "not-testable" in verdicts
    if "refuted" in verdicts:
        return "refuted"
    if "held" in verdicts and not untestable and "undecided" not in verdicts:
        return "held"
    if "held" not in verdicts and "undecided" not in verdicts:
        return "not-testable"
    return "undecided"


def check_claim(records, claim):
    wrong, judged = [], []
    for comparison in claim.get("comparisons", []):
        verdict, found = check_comparison(records, comparison, claim["seeds"])
        if verdict != comparison["verdict"]:
            found.append(f"verdict: found {verdict}, written {comparison['verdict']}")
        wrong += [f"{comparison['place']}: {what}" for what in found]
        judged.append((comparison, verdict))
    missing = claim.get("missing", 0) > 0
    readings = list(dict.fromkeys(c["reading"] for c, _ in judged if c.get("reading")))
    of = {reading: join([one for one in judged if one[0].get("reading") == reading], False) for reading in readings}
    for written in claim.get("readings", []):
        if of.get(written["reading"]) != written["verdict"]:
            wrong.append(f"{written['reading']}: found {of.get(written['reading'])}, written {written['verdict']}")
    if len(readings) < 2:
        verdict = join(judged, missing)
    else:
        apart = [one for one in judged if not one[0].get("reading")]
        verdicts = list(of.values()) + ([join(apart, missing)] if apart else [])
        held, refuted = "held" in verdicts, "refuted" in verdicts
        if refuted:
            verdict = "depends-on-reading" if held else "refuted"
        elif held:
            verdict = "held" if not missing and set(verdicts) == {"held"} else "undecided"
        else:
            verdict = "undecided" if "undecided" in verdicts else "not-testable"
    if verdict != claim["verdict"]:
        wrong.append(f"verdict: found {verdict}, written {claim['verdict']}")
    return verdict, wrong


def main(arguments):
    if not 1 <= len(arguments) <= 2:
        print(__doc__, file=sys.stderr)
        return 2
    folder = Path(arguments[0])
    path = Path(arguments[1]) if len(arguments) == 2 else folder / "report" / "claims.json"
    claims = json.loads(path.read_text())
    if not claims:
        print(f"{path} has no claim", file=sys.stderr)
        return 2
    records, failed, checked, counted = Records(folder), 0, 0, {}
    for claim in claims:
        verdict, wrong = check_claim(records, claim)
        compared = sum("estimate" in comparison for comparison in claim.get("comparisons", []))
        checked += compared
        counted[verdict] = counted.get(verdict, 0) + 1
        print(f"{'WRONG' if wrong else 'agrees':6} {verdict:18} {claim['id']} ({compared} comparisons)")
        for what in wrong:
            print(f"       {what}")
        failed += bool(wrong)
    places = [ORDER.index(claim["verdict"]) for claim in claims]
    if places != sorted(places):
        print("WRONG  claims are not listed with reversals first")
        failed += 1
    verdicts = ", ".join(f"{counted[name]} {name}" for name in ORDER if name in counted)
    print(f"{len(claims)} claims, {checked} comparisons made again from {len(records.known)} records: {verdicts}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
