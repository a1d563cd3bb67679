#!/usr/bin/env python3
"""Prints N records that have every type, extreme values, nulls and missing fields. The same each time."""

import datetime
import json
import random
import sys
import uuid

random.seed(20240229)
START = datetime.datetime(2024, 2, 28, 22, 0, tzinfo=datetime.timezone.utc)
WORDS = ["", "a", "ä", "日本", "line\nbreak", "tab\t", 'quote"', "back\\slash", "😀", "\ud7ff", "zz"]


def record(n):
    time = START + datetime.timedelta(seconds=n * 17, microseconds=n % 1_000_000)
    one = {
        "n": n,
        "time": time.isoformat(),
        "local": time.replace(tzinfo=None).isoformat(sep="T"),
        "millis": n * 12_345_678,
        "flag": n % 3 == 0,
        "small": random.choice([0, -1, 2**31 - 1, -(2**31), n % 50]),
        "real": random.choice([0.0, -0.0, 1e308, 5e-324, 0.1, n / 7]),
        "single": random.choice([0.5, -2.25, float(n % 1000)]),
        "price": float(f"{n % 100000}.{n % 10000:04d}"),
        "big": n * 10**30 + 7,
        "day": time.date().isoformat(),
        "clock": time.time().isoformat(),
        "id": str(uuid.UUID(int=random.getrandbits(128))),
        "text": random.choice(WORDS) + (str(n % 700) if n % 5 else ""),
        "long_text": random.choice("abcz") * random.randrange(0, 200) + random.choice(WORDS),
        "geo": {"country": random.choice(WORDS), "asn": n},
        "tags": [random.choice(WORDS) for _ in range(n % 4)],
        "labels": {f"k{i}": n + i for i in range(n % 3)},
    }
    for name in random.sample(sorted(one), k=random.choice([0, 0, 1, 3])):
        if name != "n":
            if random.random() < 0.5:
                del one[name]
            else:
                one[name] = None
    return one


for number in range(int(sys.argv[1])):
    print(json.dumps(record(number), ensure_ascii=number % 2 == 0))
