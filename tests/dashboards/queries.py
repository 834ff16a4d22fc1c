"""What dashboards, rules and consoles ask Prometheus for, read from their files."""

import json
import re

RULE = re.compile(r"^ +- (record|alert): (\S+)\n +expr: (?:>-\n((?: {10,}.*\n)+)|(.*)\n)", re.MULTILINE)


def of_dashboard(path):
    """Title -> expressions of a Grafana dashboard's panels, and of its variables."""
    dashboard = json.loads(path.read_text())
    found = {panel["title"]: [target["expr"] for target in panel["targets"]]
             for panel in dashboard["panels"]}
    for variable in dashboard["templating"]["list"]:
        if variable["type"] == "query":
            values = re.fullmatch(r"label_values\((.*), (\w+)\)", variable["query"]["query"])
            found["variable " + variable["name"]] = [f"{values[1]}"]
    return found


def of_rules(path):
    """Kind, name and expression of each recording and alerting rule."""
    return [(kind, name, " ".join((folded or line).split()))
            for kind, name, folded, line in RULE.findall(path.read_text())]


def of_console(path, run, rank):
    """Expressions of a console page, those of its template and those of its charts."""
    text = path.read_text()
    found = []
    for literal, words in re.findall(r'query \(printf ("(?:[^"\\]|\\.)*")((?: \$\w+)*)\)', text):
        values = {"$run": run, "$rank": rank}
        expression = json.loads(literal)
        for word in words.split():
            expression = expression.replace("%q", json.dumps(values[word]), 1)
        found.append(expression)
    found += [json.loads(literal) for literal in re.findall(r'query ("(?:[^"\\]|\\.)*")', text)]
    charts = re.search(r'<script type="application/json" id="queries">(.*?)</script>', text, re.DOTALL)
    found += [chart["query"] for chart in json.loads(charts[1])]
    return found


def filled_in(expression, run, rank=".+"):
    """An expression with the variables of a dashboard replaced."""
    for name, value in (("$__rate_interval", "1m"), ("$run", run), ("$rank", rank)):
        expression = expression.replace(name, value)
    assert "$" not in expression.replace("$1", ""), expression
    return expression


def metrics_in(expression):
    """Names of Gondola's metrics and recorded series in an expression."""
    without_texts = re.sub(r'"(?:[^"\\]|\\.)*"', '""', expression)
    return set(re.findall(r"\bgondola[\w:]*", without_texts))


def unfiltered(expression):
    """An alert's condition as 0 or 1 where it is a comparison, so that it shows data when it is
    not met."""
    return re.sub(r"(==|[<>]=?) ", r"\1 bool ", expression)
