"""Turns samples into a Markdown table, on the terminal and in docs/performance.md."""

from harness.rows import BEST_PEER

NOISY_SPREAD = 1.5

# How many times a rival's number ours may be and count as no worse.
RIVAL_TOLERANCE = 1.05


def number(value):
    """Three significant digits, never in exponent form."""
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def with_least(samples):
    if len(samples.values) == 1:
        return number(samples.median)
    return f"{number(samples.median)} ({number(samples.least)})"


def ratio(samples, floor):
    return f"{number(samples.median / floor.median)}x"


class Line:
    """One metric: the floor, ours, their ratio against the budget, and the peers."""

    def __init__(self, metric, samples, runtimes):
        self.metric = metric
        self.floor = samples.get(("floor", metric.key))
        self.ours = samples.get(("ours", metric.key))
        self.peers = {
            runtime.name: samples.get((runtime.name, metric.key))
            for runtime in runtimes
            if runtime.name not in ("floor", "ours")
        }

    @property
    def is_noisy(self):
        if self.metric.limit:
            return False  # It is the worst round that counts.
        own = [samples for samples in (self.floor, self.ours) if samples]
        return any(samples.spread > NOISY_SPREAD for samples in own)

    @property
    def rival(self):
        """The number that ours must not exceed by more than the tolerance, if there is one."""
        names = list(self.peers) if self.metric.rival == BEST_PEER else [self.metric.rival]
        found = [self.peers[name] for name in names if self.peers.get(name)]
        return min((samples.median for samples in found), default=None)

    @property
    def is_judged(self):
        if self.metric.rival:
            return bool(self.ours and self.rival)
        if self.metric.limit:
            return bool(self.ours)
        return bool(self.floor and self.ours and self.metric.budget)

    @property
    def is_met(self):
        if self.metric.rival:
            return self.ours.median <= self.rival * RIVAL_TOLERANCE
        if self.metric.limit:
            return max(self.ours.values) <= self.metric.limit
        return self.ours.median / self.floor.median <= self.metric.budget

    def cells(self):
        title = f"{self.metric.title} ({self.metric.unit})"
        yield f"{title}, noisy" if self.is_noisy else title
        yield with_least(self.floor) if self.floor else "-"
        yield with_least(self.ours) if self.ours else "-"
        yield self.ratios()
        yield self.budget()
        yield ("met" if self.is_met else "missed") if self.is_judged else "-"
        for peer in self.peers.values():
            yield self.peer_cell(peer)

    def budget(self):
        if self.metric.rival:
            return self.metric.rival
        if self.metric.limit:
            return f"{self.metric.limit:,g} {self.metric.unit}"
        return f"{self.metric.budget:g}x" if self.metric.budget else "-"

    def ratios(self):
        if not (self.floor and self.ours):
            return "-"
        least = number(self.ours.least / self.floor.least)
        return f"{ratio(self.ours, self.floor)} ({least})"

    def peer_cell(self, peer):
        if peer is None:
            return "-"
        value = number(peer.median)
        return f"{value}, {ratio(peer, self.floor)}" if self.floor else value


def heading(runtimes, versions):
    titles = ["work", "floor", "ours", "ours / floor", "budget", "verdict"]
    for runtime in runtimes:
        if runtime.name not in ("floor", "ours"):
            titles.append(f"{runtime.title} {versions.get(runtime.name, '')}".strip())
    return titles


def markdown(titles, lines):
    """A table whose columns are aligned, so that it also reads well on a terminal."""
    rows = [titles] + [list(line.cells()) for line in lines]
    widths = [max(len(row[column]) for row in rows) for column in range(len(titles))]
    text = ["| " + " | ".join(map(str.ljust, row, widths)) + " |" for row in rows]
    text.insert(1, "|" + "|".join("-" * (width + 2) for width in widths) + "|")
    return "\n".join(text)


def verdict(lines):
    """One sentence on all budgets."""
    judged = [line for line in lines if line.is_judged]
    missed = [line.metric.key for line in judged if not line.is_met]
    noisy = [line.metric.key for line in lines if line.is_noisy]
    if judged:
        sentence = f"{len(judged) - len(missed)} of {len(judged)} budgets met"
    else:
        sentence = "No budget judged: it takes both the floor and ours"
    if missed:
        sentence += f"; missed: {', '.join(missed)}"
    if noisy:
        sentence += f"; noisy, measure again: {', '.join(noisy)}"
    return sentence + "."


def write_between_markers(path, name, text):
    """Replaces what stands between the markers of this name and touches nothing else."""
    begin, end = f"<!-- {name}:begin -->", f"<!-- {name}:end -->"
    document = path.read_text()
    before, found_begin, rest = document.partition(begin)
    _, found_end, after = rest.partition(end)
    if not (found_begin and found_end):
        raise SystemExit(f"{path} has lost its markers {begin} and {end}")
    path.write_text(f"{before}{begin}\n{text}\n{end}{after}")
