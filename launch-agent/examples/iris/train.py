"""Train a softmax classifier on the iris measurements; standard library only.

Hyperparameters come from the run's config, the JSON in WANDB_CONFIG (cut into
WANDB_CONFIG_0, _1 ... when it is long). Defaults are below.
"""

import csv
import json
import math
import os
import pathlib
import random
import sys

DEFAULTS = {"epochs": 60, "learning_rate": 0.1, "l2": 0.001, "test_share": 0.2, "seed": 7}


def run_config():
    text = os.environ.get("WANDB_CONFIG", "")
    if not text:
        parts = []
        while (part := os.environ.get(f"WANDB_CONFIG_{len(parts)}")) is not None:
            parts.append(part)
        text = "".join(parts) or "{}"
    given = json.loads(text)
    unknown = sorted(set(given) - set(DEFAULTS))
    if unknown:
        sys.exit(f"unknown hyperparameters: {', '.join(unknown)}; known: {', '.join(DEFAULTS)}")
    return {**DEFAULTS, **given}


def load(path):
    with open(path, newline="") as file:
        rows = list(csv.DictReader(file))
    species = sorted({row["species"] for row in rows})
    columns = [name for name in rows[0] if name != "species"]
    samples = [[float(row[name]) for name in columns] for row in rows]
    return samples, [species.index(row["species"]) for row in rows], species


def standardise(samples, reference):
    count = len(reference)
    means = [sum(column) / count for column in zip(*reference)]
    spreads = [
        math.sqrt(sum((x - mean) ** 2 for x in column) / count)
        for column, mean in zip(zip(*reference), means)
    ]
    # The trailing 1 is the bias term.
    return [
        [(x - mean) / spread for x, mean, spread in zip(sample, means, spreads)] + [1.0]
        for sample in samples
    ]


def probabilities(weights, sample):
    scores = [sum(w * x for w, x in zip(row, sample)) for row in weights]
    top = max(scores)
    powers = [math.exp(score - top) for score in scores]
    total = sum(powers)
    return [power / total for power in powers]


def evaluate(weights, samples, labels):
    predicted = [probabilities(weights, sample) for sample in samples]
    loss = -sum(math.log(p[label]) for p, label in zip(predicted, labels)) / len(labels)
    right = sum(p.index(max(p)) == label for p, label in zip(predicted, labels))
    return loss, right / len(labels)


def train_epoch(weights, samples, labels, config, order):
    for index in order:
        sample, label = samples[index], labels[index]
        for k, p in enumerate(probabilities(weights, sample)):
            error = p - (k == label)
            weights[k] = [
                w - config["learning_rate"] * (error * x + config["l2"] * w)
                for w, x in zip(weights[k], sample)
            ]


def main():
    config = run_config()
    print(f"config: {json.dumps(config, sort_keys=True)}", flush=True)
    samples, labels, species = load(pathlib.Path(__file__).with_name("iris.csv"))
    random.seed(config["seed"])
    order = random.sample(range(len(samples)), len(samples))
    cut = round(len(order) * config["test_share"])
    test, train = order[:cut], order[cut:]
    scaled = standardise(samples, [samples[i] for i in train])
    pick = lambda values, indices: [values[i] for i in indices]
    weights = [[0.0] * len(scaled[0]) for _ in species]
    for epoch in range(1, config["epochs"] + 1):
        random.shuffle(train)
        train_epoch(weights, scaled, labels, config, train)
        if epoch % 10 == 0 or epoch == config["epochs"]:
            loss, accuracy = evaluate(weights, pick(scaled, train), pick(labels, train))
            metrics = {"epoch": epoch, "loss": round(loss, 4), "accuracy": round(accuracy, 4)}
            print(f"metrics: {json.dumps(metrics)}", flush=True)
    loss, accuracy = evaluate(weights, pick(scaled, test), pick(labels, test))
    print(f"test: {json.dumps({'loss': round(loss, 4), 'accuracy': round(accuracy, 4)})}")


if __name__ == "__main__":
    main()
